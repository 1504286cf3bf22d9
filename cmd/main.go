// Package cmd is the command line of stein. Your own program can add a policy to the
// catalog and run the same command line:
//
//	func main() {
//		catalog := experiments.Builtin()
//		catalog.Policies["mixture"] = func() policies.Policy { return Mixture{K: 5} }
//		os.Exit(cmd.Main(catalog))
//	}
package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/internal/settings"
	"github.com/stein-rl/stein/runs"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2 // wrong command line or configuration
)

// Main runs the command line of the process and returns its exit code. The first SIGINT
// or SIGTERM stops a training with a checkpoint; the second kills the process.
func Main(catalog experiments.Catalog) int {
	return Execute(untilSignal(), catalog, os.Args[1:], os.Stdout, os.Stderr)
}

// Execute runs a command line. Results go to stdout, everything else to stderr.
func Execute(ctx context.Context, catalog experiments.Catalog, args []string, stdout, stderr io.Writer) int {
	a := &app{catalog: catalog, stdout: stdout, stderr: stderr}
	over := make(chan struct{})
	defer close(over)
	a.tellWaiting(ctx, stderr, over)
	root := a.rootCmd()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	text := strings.TrimSpace(err.Error())
	if errors.Is(ctx.Err(), context.Canceled) { // by a signal
		text = strings.ReplaceAll(text, context.Canceled.Error(), "interrupted")
	}
	fmt.Fprintf(stderr, "stein: %s\n", text)
	var usage usageError
	var refused *settings.RefusedError
	if errors.As(err, &usage) || errors.As(err, &refused) || errors.Is(err, runs.ErrWhich) || !a.started { // cobra's own errors come before a command starts
		if !a.started {
			fmt.Fprintf(stderr, "`%s --help` has the flags and examples\n", cmd.CommandPath())
		}
		return exitUsage
	}
	return exitFailure
}

// A usageError is a mistake of the user: exit code 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// app is the state shared by all commands.
type app struct {
	catalog        experiments.Catalog
	stdout, stderr io.Writer
	logs           logFlags
	tells          atomic.Bool // the command says itself what it waits for when it is to stop
	started        bool        // a command has begun, flags and arguments are fine
}

// warn returns a function that logs each text once.
func (a *app) warn() func(text string) {
	log := slog.New(a.logs.quieter(a.stderr, isTerminal(a.stderr)))
	var told sync.Map
	return func(text string) {
		if _, before := told.LoadOrStore(text, true); !before {
			log.Warn(text)
		}
	}
}

func (a *app) rootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:   "stein",
		Short: "Reinforcement learning in Go, with policies that can be particles",
		Long: `Stein trains actor-critic agents on Gymnasium environments. Policies are
distributions: Gaussians, flows, or particles moved by Stein variational gradients.

Results go to stdout, logs to stderr. Exit codes: 0 success, 1 failure, 2 invalid
command line or configuration.`,
		Example: `  stein train --config walker2d/sac --seed 0 --steps 100000
  stein train --resume runs/walker2d-sac-0-20261124-120000
  stein eval runs/walker2d-sac-0-20261124-120000 --video walk.mp4
  stein serve runs/walker2d-sac-0-20261124-120000
  stein configs show walker2d/sac
  stein doctor`,
		Version:       runs.ThisBuild().Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if err := a.logs.check(); err != nil {
				return err
			}
			a.started = true
			a.catalog.Warn = a.warn()
			return nil
		},
		Args: knownCommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(flagError)
	root.SetVersionTemplate("stein {{.Version}}\n")
	a.logs.register(root.PersistentFlags())
	root.AddCommand(a.trainCmd(), a.evalCmd(), a.serveCmd(), a.exportCmd(), a.importCmd(), a.configsCmd(), a.envCmd(), newSampleCmd(), a.ebmCmd(), newKeysCmd(), newHealthCmd(), a.setupCmd(), a.doctorCmd(), a.versionCmd(), a.reportCmd(), a.sweepCmd(), a.tuneCmd(), a.watchCmd(), a.runsCmd())
	plainArgs(root)
	return root
}

// plainArgs makes cobra's errors about the number of arguments name what is wanted.
func plainArgs(c *cobra.Command) {
	if check := c.Args; check != nil && !c.HasSubCommands() {
		c.Args = func(c *cobra.Command, args []string) error {
			if check(c, args) == nil {
				return nil
			}
			got := "no argument"
			if len(args) > 0 {
				got = fmt.Sprintf("%q", args)
			}
			return fmt.Errorf("got %s; want %s", got, c.UseLine())
		}
	}
	for _, sub := range c.Commands() {
		plainArgs(sub)
	}
}

// knownCommand is for a command with subcommands: it suggests the nearest name for an
// unknown one.
func knownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range c.Commands() {
		names = append(names, sub.Name())
	}
	return fmt.Errorf("unknown command %q for %q%s", args[0], c.CommandPath(), didYouMean(settings.Nearest(args[0], names)))
}

// flagError says what a flag wants, and suggests the nearest flag for an unknown one.
func flagError(c *cobra.Command, err error) error {
	if invalid := (*pflag.InvalidValueError)(nil); errors.As(err, &invalid) {
		if want := wanted[invalid.GetFlag().Value.Type()]; want != "" {
			return fmt.Errorf("--%s %q: want %s", invalid.GetFlag().Name, invalid.GetValue(), want)
		}
	}
	name, unknown := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !unknown {
		return err
	}
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	near := settings.Nearest(name, names)
	if near != "" {
		near = "--" + near
	}
	return fmt.Errorf("%w%s", err, didYouMean(near))
}

// wanted describes the values of a type of flag.
var wanted = map[string]string{
	"bool":     "true or false",
	"int":      "a whole number",
	"int64":    "a whole number",
	"uint16":   "a whole number from 0 to 65535",
	"uint64":   "a whole number from 0 to 18446744073709551615",
	"float64":  "a number",
	"duration": "a duration such as 30s or 1h",
}

func didYouMean(near string) string {
	if near == "" {
		return ""
	}
	return "; did you mean " + near + "?"
}
