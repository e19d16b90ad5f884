//go:build nomodel

package main

import "github.com/spf13/cobra"

// evalCommand is nil: the small binary measures nothing.
func evalCommand() *cobra.Command { return nil }
