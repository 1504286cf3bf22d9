package cmd

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/internal/python"
	"github.com/stein-rl/stein/internal/settings"
)

func (a *app) envCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Check environments",
		Args:  knownCommand,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	cmd.AddCommand(a.envCheckCmd())
	return cmd
}

// An envCheck runs `stein env check`; its fields are the flags.
type envCheck struct {
	id     string
	kwargs string
	python string
	render bool
	asJSON bool
	out    io.Writer
	log    io.Writer // output of the environment

	catalog experiments.Catalog
}

func (a *app) envCheckCmd() *cobra.Command {
	check := envCheck{}
	cmd := &cobra.Command{
		Use:   "check ID",
		Short: "Check an environment and report what is wrong with it",
		Long: `Checks spaces, dtypes, seeding, independence of copies, ends of episodes, non-finite
numbers and speed, in Python and through the bridge. ID is a Gymnasium id, or
module:id for an environment that importing the module registers (modules in the
working directory are found). go:NAME is an environment of the program itself. The exit
code is 1 if something is wrong.`,
		Example: `  stein env check Walker2d-v5
  stein env check my_package:MyEnv-v0 --kwargs '{"level": 3}'`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			check.id, check.out, check.log, check.catalog = args[0], c.OutOrStdout(), c.ErrOrStderr(), a.catalog
			return check.run(c.Context())
		},
	}
	cmd.Flags().StringVar(&check.kwargs, "kwargs", "", "keyword arguments of gymnasium.make, as JSON")
	cmd.Flags().StringVar(&check.python, "python", "", "Python interpreter (default: the virtual environment's)")
	cmd.Flags().BoolVar(&check.render, "render", false, "render a frame too")
	cmd.Flags().BoolVar(&check.asJSON, "json", false, "print one JSON object a line")
	return cmd
}

// An envFinding is one line of the report, as printed by stein_env/check.py.
type envFinding struct {
	Check  string `json:"check"`
	State  state  `json:"state"`
	Detail string `json:"detail"`
}

func (e *envCheck) run(ctx context.Context) error {
	var kwargs map[string]any
	if e.kwargs != "" {
		numbers := json.NewDecoder(strings.NewReader(e.kwargs))
		numbers.UseNumber() // keep integers as integers for Python
		if err := numbers.Decode(&kwargs); err != nil {
			return usageError{fmt.Errorf("--kwargs %q: want a JSON object: %w", e.kwargs, settings.JSONError(err))}
		}
	}
	if experiments.InProcess(e.id) {
		return e.inGo(ctx, kwargs)
	}
	failed, err := e.inPython(ctx)
	if err != nil {
		return err
	}
	if failed == 0 {
		f := e.throughBridge(ctx, kwargs)
		if f.State == broken {
			failed++
		}
		if err := e.print(f); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("cannot train on %s: see the lines marked FAIL", e.id)
	}
	return nil
}

// inPython runs stein_env.check, prints its findings, and counts failures.
func (e *envCheck) inPython(ctx context.Context) (failed int, err error) {
	interpreter, err := python.Find(e.python)
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "stein-check-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	env, err := python.Write(dir)
	if err != nil {
		return 0, err
	}
	args := []string{"-m", "stein_env.check", "--json", "--kwargs", e.kwargs}
	if e.render {
		args = append(args, "--render")
	}
	cmd := python.Command(ctx, interpreter, env, append(args, "--", e.id)...)
	cmd.Stderr = e.log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	found := 0
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var f envFinding
		if json.Unmarshal(lines.Bytes(), &f) != nil || f.Check == "" {
			fmt.Fprintf(e.log, "%s\n", lines.Bytes()) // output of the environment
			continue
		}
		found++
		if f.State == broken {
			failed++
		}
		if err := e.print(f); err != nil {
			return failed, err
		}
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if err != nil && (failed == 0 || !errors.As(err, &exit)) {
		return failed, fmt.Errorf("checking %s with %s: %w after %d checks", e.id, interpreter, err, found)
	}
	return failed, lines.Err()
}

const bridgeCheckSeconds = 1

// throughBridge steps one copy in a worker with random actions.
func (e *envCheck) throughBridge(ctx context.Context, kwargs map[string]any) envFinding {
	steps, took, err := bridgeSteps(ctx, envbridge.Worker{Env: e.id, Kwargs: kwargs, Python: e.python})
	if err != nil {
		return envFinding{"bridge", broken, err.Error()}
	}
	return envFinding{"bridge", fine, fmt.Sprintf("%.0f steps/s with one copy in one worker", float64(steps)/took.Seconds())}
}

func bridgeSteps(ctx context.Context, w envbridge.Worker) (steps int, took time.Duration, err error) {
	env, err := envbridge.Start(ctx, w)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, env.Close()) }()
	return stepsIn(ctx, env)
}

// stepsIn steps an environment with random actions for a while.
func stepsIn(ctx context.Context, env envbridge.Env) (steps int, took time.Duration, err error) {
	if _, err := env.Reset(ctx, 0); err != nil {
		return 0, 0, err
	}
	rng := rand.New(rand.NewPCG(1, 2))
	action := make([]float32, env.Spec().Copies*env.Spec().ActDim)
	start := time.Now()
	for ; took < bridgeCheckSeconds*time.Second; took = time.Since(start) {
		for i := range action {
			action[i] = 2*rng.Float32() - 1
		}
		if err := env.Send(ctx, action); err != nil {
			return 0, 0, err
		}
		step, err := env.Recv(ctx)
		if err != nil {
			return 0, 0, err
		}
		if step.Lost {
			return 0, 0, fmt.Errorf("the worker was lost after %d steps: it died or hung, and was replaced", steps)
		}
		steps++
	}
	return steps, took, nil
}

func (e *envCheck) print(f envFinding) error {
	if e.asJSON {
		return json.NewEncoder(e.out).Encode(f)
	}
	_, err := fmt.Fprintf(e.out, "%-4s  %-8s  %s\n", f.State, f.Check, f.Detail)
	return err
}
