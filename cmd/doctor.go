package cmd

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gomlx/compute"
	zmq "github.com/pebbe/zmq4"
	"github.com/spf13/cobra"

	"github.com/stein-rl/stein/engine"
	"github.com/stein-rl/stein/internal/python"
	"github.com/stein-rl/stein/internal/venv"
	"github.com/stein-rl/stein/runs"
)

//go:embed doctor.py
var doctorScript string

// A finding is one line of the report.
type finding struct {
	Check  string `json:"check"`
	State  state  `json:"state"`
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"` // how to fix it
}

type state string

const (
	fine    state = "ok"
	lacking state = "warn" // training works, another feature does not
	broken  state = "FAIL" // training does not work
)

func (a *app) doctorCmd() *cobra.Command {
	var asJSON, install bool
	var backend string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check what this machine has and lacks, and say how to fix it",
		Long: `Looks at the numeric backend, ZeroMQ, Python and its packages, the simulator and
rendering, by really using each: a graph is run, an environment stepped, a frame
drawn. Exit code 1 when a training could not run.

--install-xla lets go-xla download the XLA plugins that suit this machine into the
user's library folder. Nothing else ever downloads one.`,
		Example: `  stein doctor
  stein doctor --json | jq '.[] | select(.state != "ok")'
  stein doctor --install-xla`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if install {
				dir, err := engine.InstallXLA()
				if err != nil {
					return err
				}
				fmt.Fprintf(a.stdout, "\nXLA is in %s\n", dir)
			}
			return a.doctor(c.Context(), backend, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	cmd.Flags().BoolVar(&install, "install-xla", false, "download the XLA plugins for this machine first")
	cmd.Flags().StringVar(&backend, "backend", "", "check this backend instead of the one found")
	return cmd
}

func (a *app) doctor(ctx context.Context, backend string, asJSON bool) error {
	b := runs.ThisBuild()
	all := []finding{{Check: "stein", State: fine, Detail: fmt.Sprintf("%s, %s, %s, %d processors", b.Version, b.Go, b.Platform, runtime.NumCPU())}}
	all = append(all, checkEngine(backend)...)
	all = append(all, checkZeroMQ())
	all = append(all, checkPython(ctx)...)
	if asJSON {
		if err := a.printJSON(all); err != nil {
			return err
		}
	} else {
		a.printFindings(all)
	}
	if slices.ContainsFunc(all, func(f finding) bool { return f.State == broken }) {
		return errors.New("training would not work here: see the lines marked FAIL")
	}
	return nil
}

func (a *app) printFindings(all []finding) {
	colors := map[state]string{fine: "32", lacking: "33", broken: "31"}
	for _, f := range all {
		mark := fmt.Sprintf("%-4s", f.State)
		if isTerminal(a.stdout) && os.Getenv("NO_COLOR") == "" {
			mark = "\x1b[" + colors[f.State] + "m" + mark + "\x1b[0m"
		}
		fmt.Fprintf(a.stdout, "%s  %-12s %s\n", mark, f.Check, f.Detail)
		if f.Fix != "" {
			fmt.Fprintf(a.stdout, "      %-12s → %s\n", "", f.Fix)
		}
	}
}

func checkEngine(flag string) []finding {
	var looked []string
	for _, c := range engine.Discover(flag) {
		if c.Config != "" {
			break
		}
		looked = append(looked, c.Rule+": "+c.Note)
	}
	b, choice, err := engine.Open(flag)
	found := finding{Check: "backend", State: fine, Detail: fmt.Sprintf("%s (%s)", choice.Config, choice.From)}
	order := finding{Check: "looked at", State: fine, Detail: strings.Join(looked, "; ")}
	if err != nil {
		found.State, found.Detail, found.Fix = broken, err.Error(), "unset it (--backend, STEIN_BACKEND, GOMLX_BACKEND);  "+engine.FixXLA()
		return []finding{order, found}
	}
	if choice.Warning() != "" {
		found.State, found.Fix = lacking, "about 16 times slower than XLA (4 times in a binary built with GOEXPERIMENT=simd); "+engine.FixXLA()
	}
	graph := finding{Check: "graph", State: fine, Detail: b.Description()}
	var devices []string
	for i := range b.NumDevices() {
		devices = append(devices, b.DeviceDescription(compute.DeviceNum(i)))
	}
	graph.Detail += "; devices: " + strings.Join(devices, ", ")
	if err := engine.Check(b); err != nil {
		graph.State, graph.Detail, graph.Fix = broken, err.Error(), "choose another with --backend, such as "+engine.PureGo
	}
	return []finding{order, found, graph}
}

func checkZeroMQ() finding {
	major, minor, patch := zmq.Version()
	f := finding{Check: "libzmq", State: fine, Detail: fmt.Sprintf("%d.%d.%d", major, minor, patch)}
	if zmq.HasCurve() {
		f.Detail += " with CURVE"
	} else {
		f.State, f.Detail = lacking, f.Detail+" without CURVE: no encrypted remote workers"
		f.Fix = "install a libzmq that was built with libsodium"
	}
	return f
}

// pythonReport is the output of doctor.py.
type pythonReport struct {
	Python     string
	Executable string
	Packages   map[string]string
	StepError  string `json:"step_error"`
	Rendering  []struct{ GL, Size, Error string }
	FFmpeg     string
}

func checkPython(ctx context.Context) []finding {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	interpreter, err := python.Find("")
	if err != nil {
		return []finding{{Check: "python", State: broken, Detail: err.Error(), Fix: "install Python " + venv.Oldest + " or newer; " + venv.Remedy("")}}
	}
	dir, err := os.MkdirTemp("", "stein-doctor-")
	if err != nil {
		return []finding{{Check: "python", State: broken, Detail: err.Error(), Fix: "set TMPDIR to a writable temporary folder"}}
	}
	defer os.RemoveAll(dir)
	env, err := python.Write(dir) // the embedded package, as workers use it
	var out []byte
	if err == nil {
		out, err = python.Command(ctx, interpreter, env, "-c", doctorScript).Output()
	}
	var r pythonReport
	if err == nil {
		err = json.Unmarshal(out, &r)
	}
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, python.LastWords(strings.Split(string(exit.Stderr), "\n")))
		}
		return []finding{{Check: "python", State: broken, Detail: fmt.Sprintf("%s: %s", interpreter, err), Fix: venv.Remedy(interpreter)}}
	}
	return r.findings()
}

func (r pythonReport) findings() []finding {
	all := []finding{{Check: "python", State: fine, Detail: fmt.Sprintf("%s (%s)", r.Python, r.Executable)}}
	var have, miss []string
	for name, version := range r.Packages {
		if version == "" {
			miss = append(miss, name)
		} else {
			have = append(have, name+" "+version)
		}
	}
	slices.Sort(have)
	slices.Sort(miss)
	packages := finding{Check: "packages", State: fine, Detail: strings.Join(have, ", ")}
	if len(miss) > 0 {
		packages.State, packages.Detail, packages.Fix = lacking, "missing: "+strings.Join(miss, ", "), venv.Remedy(r.Executable)
	}
	step := finding{Check: "simulator", State: fine, Detail: "Walker2d-v5 steps"}
	if r.StepError != "" {
		step.State, step.Detail, step.Fix = broken, "Walker2d-v5: "+r.StepError, venv.Remedy(r.Executable)
	}
	all = append(all, packages, step)
	if r.StepError != "" {
		return all
	}
	render := finding{Check: "rendering", State: lacking, Fix: "only videos need it: apt-get install libegl1 libegl-mesa0 libgl1 (or libosmesa6)"}
	var why []string
	for _, gl := range r.Rendering {
		if gl.Size != "" {
			render.State, render.Detail, render.Fix = fine, fmt.Sprintf("%s, a frame of %s", gl.GL, gl.Size), ""
		}
		why = append(why, gl.GL+": "+gl.Error)
	}
	if render.State != fine {
		render.Detail = strings.Join(why, "; ")
	}
	video := finding{Check: "video", State: fine, Detail: r.FFmpeg}
	if r.FFmpeg == "" {
		video = finding{Check: "video", State: lacking, Detail: "no ffmpeg", Fix: "only videos need it: the package imageio-ffmpeg brings one; " + venv.Remedy(r.Executable)}
	}
	return append(all, render, video)
}
