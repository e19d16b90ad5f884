package main

import (
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show every setting: its value, where it came from, what it does",
		Args:  noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, all, err := settings(cmd)
			if wantJSON(cmd) {
				type row struct {
					Name, Value, Origin, Default, Help string
				}
				rows := make([]row, len(all))
				for i, s := range all {
					rows[i] = row{s.Env, s.Shown(), s.Origin, s.Default, s.Help}
				}
				if printErr := printJSON(rows); printErr != nil {
					return printErr
				}
				return err
			}
			out := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
			fmt.Fprintln(out, "NAME\tVALUE\tFROM\tWHAT IT IS")
			for _, s := range all {
				fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", s.Env, s.Shown(), s.Origin, s.Help)
			}
			if flushErr := out.Flush(); flushErr != nil {
				return flushErr
			}
			return err
		},
	}
	addSettingFlag(cmd, "addr", "addr-file", "docs", "insecure")
	return cmd
}
