// Command ollama-rag answers questions from your own documents through Ollama, with citations, and shows how it is doing.
//
// house.go wires the parts; every other file is one command. All commands but serve and config speak to the HTTP API: to the
// server that holds the data folder, or to the same handler inside this process where no server runs.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ollama-rag/ollama-rag/internal/config"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, new(usageError)):
		fmt.Fprintln(os.Stderr, "ollama-rag:", err)
		return exitUsage
	case errors.Is(err, errSaid):
		return exitFailed
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "ollama-rag: stopped")
		return exitFailed
	}
	fmt.Fprintln(os.Stderr, "ollama-rag:", err)
	return exitFailed
}

// usageError is a wrong command line or a wrong setting: exit code 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// errSaid ends a command that has printed its own failure.
var errSaid = errors.New("failed")

// newRoot makes the command line.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "ollama-rag",
		Short: "Ask your own documents, on your own machine, through Ollama",
		Long: `ollama-rag reads your documents, finds the passages that answer a question, and has a model on your
Ollama write the answer with citations that are checked. It needs nothing to start: without Ollama it
quotes the passages themselves.

  ollama-rag serve --docs ~/notes        the web page and API on http://127.0.0.1:8000
  ollama-rag ingest ~/notes              or fill a knowledge base first
  ollama-rag ask "When is the rent due?" and ask from the terminal

Every setting is a flag, an environment variable, a line in .env, or in ollama-rag.yaml in the data
folder; ` + "`ollama-rag config`" + ` lists them all with their values.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q\nsee `ollama-rag --help`", args[0])}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w\nsee `%s --help`", err, cmd.CommandPath())}
	})
	root.PersistentFlags().Bool("json", false, "print JSON for machines")
	addSettingFlag(root, "data-dir")
	root.AddCommand(serveCommand(), ingestCommand(), askCommand(), searchCommand(), docsCommand(), dbsCommand(), cacheCommand(), jobsCommand(), modelCommand(), doctorCommand(), readyCommand(), configCommand(), versionCommand())
	if cmd := evalCommand(); cmd != nil {
		root.AddCommand(cmd)
	}
	return root
}

// addSettingFlag gives a command the flag of a setting.
func addSettingFlag(cmd *cobra.Command, names ...string) {
	for _, s := range config.Flags() {
		for _, name := range names {
			switch {
			case s.Flag != name:
			case s.Boolean:
				cmd.PersistentFlags().Bool(name, s.Default == "true", s.Help)
			case name == "docs":
				cmd.PersistentFlags().StringArray(name, nil, s.Help+" (may be given more than once)")
			default:
				cmd.PersistentFlags().String(name, "", s.Help+defaultOf(s)) // the flag's own default would hide what the environment says
			}
		}
	}
}

// defaultOf says where a setting's value comes from when its flag is not given.
func defaultOf(s *config.Setting) string {
	if s.Default == "" {
		return fmt.Sprintf(" (default: %s)", s.Env)
	}
	return fmt.Sprintf(" (default: %s, else %s)", s.Env, s.Default)
}

// settings loads the configuration for a command.
func settings(cmd *cobra.Command) (config.Config, []*config.Setting, error) {
	flags := map[string]string{}
	for _, s := range config.Flags() {
		f := cmd.Flags().Lookup(s.Flag)
		if f == nil || !f.Changed {
			continue
		}
		flags[s.Flag] = f.Value.String()
		if s.Flag == "docs" {
			list, err := cmd.Flags().GetStringArray("docs")
			if err != nil {
				return config.Config{}, nil, err
			}
			flags[s.Flag] = joinList(list)
		}
	}
	c, all, err := config.Load(config.Source{Flags: flags, Environ: os.Environ(), Dir: "."})
	if err != nil {
		err = usageError{err}
	}
	return c, all, err
}

func joinList(list []string) string {
	out := ""
	for i, item := range list {
		if i > 0 {
			out += ","
		}
		out += item
	}
	return out
}

// noArgs is cobra.NoArgs with our exit code and a hint.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return wrongArgs(cmd, fmt.Sprintf("%q is one word too many", args[0]))
	}
	return nil
}

// oneArg is cobra.ExactArgs(1) with our exit code and a hint.
func oneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return wrongArgs(cmd, what)
		}
		return nil
	}
}

// someArgs is cobra.MinimumNArgs(1) with our exit code and a hint.
func someArgs(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return wrongArgs(cmd, what)
		}
		return nil
	}
}

func wrongArgs(cmd *cobra.Command, what string) error {
	return usageError{fmt.Errorf("%s: %s\nsee `%s --help`", cmd.Name(), what, cmd.CommandPath())}
}
