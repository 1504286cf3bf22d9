package experiments

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/gomlx/gomlx/ml/model"

	"github.com/stein-rl/stein/agents"
	"github.com/stein-rl/stein/nn"
	"github.com/stein-rl/stein/runs"
	"github.com/stein-rl/stein/runs/checkpoint"
)

// A RunExport is a checkpoint of a run to write as a run folder of its own. The new folder
// has the settings, the record and the curve of the run, and the agent without what
// training alone needs: replay memory and the optimisers' variables. It evaluates, serves
// and exports as the run does, and can't be trained on.
type RunExport struct {
	Dir        string
	Checkpoint string // last, best, a step, or none: the folder is the record alone, for reports
	To         string // must not exist, or be empty
	// Acting keeps only the variables that actions of the trained policy need. Values,
	// actions that explore and plots are then not available, except for policies whose
	// actions need the same variables.
	Acting bool
	Log    *slog.Logger
}

// ExportRun writes the folder and returns the checkpoint's step.
func (c Catalog) ExportRun(x RunExport) (step int64, err error) {
	info, err := runs.ReadInfo(x.Dir)
	if err != nil {
		return 0, err
	}
	if IsImageRun(x.Dir) {
		return 0, fmt.Errorf("export: %s is the run of an image model: its energy can be exported as ONNX", x.Dir)
	}
	if x.Checkpoint == "none" {
		return 0, runs.CreateExported(x.To, x.Dir, info)
	}
	saved, agent, err := readWeights(x.Dir, x.Checkpoint, x.Log)
	if err == nil {
		err = nn.ForgetMoments(agent)
	}
	if err != nil {
		return 0, err
	}
	step = saved.Manifest.Step
	fill := func(w *checkpoint.Writer) error { return copyAgent(w, saved, agent) }
	if x.Acting {
		actor, err := c.reduced(x, info, saved, agent)
		if err != nil {
			return 0, err
		}
		defer actor.Close()
		fill = func(w *checkpoint.Writer) error { return writeActing(w, saved, actor) }
	}
	if err := runs.CreateExported(x.To, x.Dir, info); err != nil {
		return 0, err
	}
	_, err = checkpoint.Write(runs.Checkpoints(x.To), step, func(w *checkpoint.Writer) error {
		if f := saved.Manifest.Figure; f != nil {
			w.Figure(*f)
		}
		return fill(w)
	})
	return step, err
}

// copyAgent writes an agent's variables, and the small files of its checkpoint.
func copyAgent(w *checkpoint.Writer, saved *checkpoint.Checkpoint, agent *model.Store) error {
	w.Only(saved.Manifest.Only)
	all := []error{w.Store(agentFile, agent)}
	for _, f := range saved.Manifest.Files {
		if strings.HasSuffix(f.Name, ".json") {
			all = append(all, copyFile(w, saved, f.Name))
		}
	}
	return errors.Join(all...)
}

func copyFile(w *checkpoint.Writer, saved *checkpoint.Checkpoint, name string) error {
	return saved.File(name, func(in io.Reader) error {
		return w.File(name, func(out io.Writer) error { _, err := io.Copy(out, in); return err })
	})
}

// reduced builds the run's agent with only the variables that acting needs. It consumes
// the weights.
func (c Catalog) reduced(x RunExport, info runs.Info, saved *checkpoint.Checkpoint, weights *model.Store) (*Actor, error) {
	a := &Actor{Dir: x.Dir, Info: info}
	var err error
	if a.Config, err = c.Reread(x.Dir, nil); err != nil {
		return nil, err
	}
	backend, err := OpenBackend("", 0, x.Log)
	if err != nil {
		return nil, err
	}
	return a, a.build(backend, saved, weights, agents.ToPlay)
}

// writeActing writes what acting needs: variables, sizes and the statistics that scale
// observations.
func writeActing(w *checkpoint.Writer, saved *checkpoint.Checkpoint, a *Actor) error {
	w.Only(checkpoint.Acting)
	all := []error{w.Store(agentFile, a.Agent.Store()), w.JSON(sizesFile, sizesOf(a.Spec))}
	if name := scalingFile + ".json"; saved.Has(name) {
		all = append(all, copyFile(w, saved, name))
	}
	return errors.Join(all...)
}
