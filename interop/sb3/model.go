// Package sb3 reads models saved by Stable-Baselines3, for `stein import`.
package sb3

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"

	"github.com/stein-rl/stein/interop/torchfile"
)

// A Model is a saved SAC model (stable_baselines3.SAC with MlpPolicy).
type Model struct {
	ObsDim, ActDim int
	Policy, Critic Network
	Settings       Settings
	// Weights are all learned values by the variable paths of Stein's SAC, such as
	// /policy/gaussian/hidden_0/weights. Layers have shape [inputs, outputs].
	Weights map[string]torchfile.Tensor
}

// A Network holds the settings of an nn.Network.
type Network struct {
	Hidden     []int
	Activation string
}

// The files of a model that are read; the optimisers' states are ignored.
const (
	dataFile      = "data"                  // settings, JSON
	policyFile    = "policy.pth"            // weights
	variablesFile = "pytorch_variables.pth" // the temperature
)

const encrypted = 1 // a flag of an archive's file

const maxFile = 1 << 30 // limit on each file, uncompressed

// Read reads a zip file of SAC.save with size bytes.
func Read(in io.ReaderAt, size int64) (*Model, error) {
	m, err := read(in, size)
	if err != nil {
		return nil, fmt.Errorf("sb3: %w", err)
	}
	return m, nil
}

func read(in io.ReaderAt, size int64) (*Model, error) {
	archive, err := zip.NewReader(in, size)
	if err != nil {
		return nil, fmt.Errorf("not a model file of Stable-Baselines3: %w", err)
	}
	text, err := unpack(archive, dataFile)
	if err != nil {
		return nil, err
	}
	m := &Model{}
	if m.Settings, err = readSettings(text); err != nil {
		return nil, fmt.Errorf("%s: %w", dataFile, err)
	}
	weights, err := tensors(archive, policyFile)
	if err != nil {
		return nil, err
	}
	if err := m.take(weights); err != nil {
		return nil, fmt.Errorf("%s: %w", policyFile, err)
	}
	variables, err := tensors(archive, variablesFile)
	if err != nil {
		return nil, err
	}
	logAlpha, err := temperature(variables)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", variablesFile, err)
	}
	m.Weights["/alpha/log_alpha"] = torchfile.Tensor{Data: []float32{logAlpha}}
	return m, m.finite()
}

func unpack(archive *zip.Reader, name string) ([]byte, error) {
	f, err := archive.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("missing %s (was the file written by SAC.save?)", name)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		if h, ok := info.Sys().(*zip.FileHeader); ok && h.Flags&encrypted != 0 {
			return nil, fmt.Errorf("%s is encrypted: unpack the file with its password and zip it without one", name)
		}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes", name, maxFile)
	}
	return data, nil
}

func tensors(archive *zip.Reader, name string) (map[string]torchfile.Tensor, error) {
	data, err := unpack(archive, name)
	if err != nil {
		return nil, err
	}
	all, err := torchfile.Read(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return all, nil
}

// temperature returns log α, learned or fixed.
func temperature(variables map[string]torchfile.Tensor) (float32, error) {
	if t, ok := variables["log_ent_coef"]; ok && len(t.Data) == 1 {
		return t.Data[0], nil
	}
	if t, ok := variables["ent_coef_tensor"]; ok && len(t.Data) == 1 && t.Data[0] > 0 {
		return float32(math.Log(float64(t.Data[0]))), nil
	}
	return 0, errors.New("missing positive temperature (log_ent_coef or ent_coef_tensor): not a SAC model")
}

func (m *Model) finite() error {
	for name, t := range m.Weights {
		for _, x := range t.Data {
			if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
				return fmt.Errorf("weights %s contain %v", name, x)
			}
		}
	}
	return nil
}
