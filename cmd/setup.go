package cmd

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/stein-rl/stein/internal/venv"
)

func (a *app) setupCmd() *cobra.Command {
	var o venv.Options
	var cuda, cluster bool
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Make the Python environment that simulators run in, with the XLA plugin",
		Long: `Makes a virtual environment and installs into it, with pip, what trainings need of
Python: Gymnasium, MuJoCo and the XLA plugin, each at the version that this program was
tested with. The environment lies in the user's data folder ($XDG_DATA_HOME or
~/.local/share, below stein), where every command of this version finds it.

A setup that was interrupted or failed is run again by the same command. If the
environment is there already, nothing is done. An active virtual environment
($VIRTUAL_ENV), and .venv in the working folder or above it, are used before it.`,
		Example: `  stein setup
  stein setup --cuda                        # with XLA's plugin for NVIDIA GPUs
  stein setup --python /usr/bin/python3.12
  stein setup --dir .venv                   # for this folder, or into the .venv that is there`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if cuda {
				o.Extra = append(o.Extra, "cuda")
			}
			if cluster {
				o.Extra = append(o.Extra, "cluster")
			}
			o.Out = a.stderr
			made, err := venv.Make(c.Context(), o)
			if err != nil {
				return err
			}
			return a.reportSetup(made)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&cuda, "cuda", false, "also XLA's plugin and libraries for NVIDIA GPUs (Linux, x86-64, CUDA 12; 3 GB)")
	flags.BoolVar(&cluster, "cluster", false, "also what --ray, --env-hosts and stein tune need: Ray and Optuna")
	flags.StringVar(&o.Python, "python", "", "create it with this `PYTHON`, "+venv.Oldest+" or newer (default: the first suitable one on PATH)")
	flags.StringVar(&o.Dir, "dir", "", "create it in this `FOLDER`, or install into the virtual environment there")
	return cmd
}

// reportSetup prints where the environment is, and what takes precedence over it.
func (a *app) reportSetup(made venv.Made) error {
	word := "ready"
	if !made.New {
		word = "already there"
	}
	fmt.Fprintf(a.stdout, "Python environment %s: %s (Python %s)\n", word, made.Dir, made.Version)
	switch found := venv.Find(); {
	case os.Getenv("STEIN_PYTHON") != "":
		fmt.Fprintf(a.stdout, "STEIN_PYTHON=%s takes precedence: unset it to use this environment\n", os.Getenv("STEIN_PYTHON"))
	case len(found) > 0 && sameFolder(found[0], made.Dir):
		fmt.Fprintln(a.stdout, "next        stein train --config pendulum/sac")
	case slices.ContainsFunc(found, func(dir string) bool { return sameFolder(dir, made.Dir) }):
		fmt.Fprintf(a.stdout, "%s takes precedence here; to use this environment:\n  export VIRTUAL_ENV=%q\n", found[0], made.Dir)
	default:
		fmt.Fprintf(a.stdout, "to use it:\n  export VIRTUAL_ENV=%q\n", made.Dir)
	}
	return nil
}

// sameFolder compares folders after following links.
func sameFolder(a, b string) bool {
	x, errA := filepath.EvalSymlinks(a)
	y, errB := filepath.EvalSymlinks(b)
	return errA == nil && errB == nil && x == y
}
