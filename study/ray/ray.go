// Package ray runs trials and simulators on the nodes of a Ray cluster.
package ray

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/stein-rl/stein/internal/driver"
)

// A Cluster selects a Ray cluster and its nodes' environment.
type Cluster struct {
	Address string         // host:port, auto, ray://host:port, or local: a new one on this machine
	Env     map[string]any // Ray's runtime_env: pip, env_vars, …; nil: none
	Python  string         // interpreter of the driver; empty: search for it
	Log     io.Writer      // Ray's output
}

// ReadRuntimeEnv reads a runtime_env from a YAML or JSON file.
func ReadRuntimeEnv(file string) (map[string]any, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cluster: runtime_env: %w", err)
	}
	var env map[string]any
	if err := yaml.Unmarshal(data, &env); err != nil {
		return nil, fmt.Errorf("cluster: runtime_env: %s: %w", file, err)
	}
	return env, nil
}

// connect starts a driver and joins the cluster.
func (c Cluster) connect(ctx context.Context, with map[string]any, bring func(*driver.Driver) error) (*driver.Driver, error) {
	if c.Log == nil {
		c.Log = io.Discard
	}
	d, err := driver.Start("driver", c.Python, c.Log)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	env := maps.Clone(c.Env)
	if env == nil {
		env = map[string]any{}
	}
	modules, _ := env["py_modules"].([]any)
	env["py_modules"] = append(modules, filepath.Join(d.Dir, "stein_env"))
	if bring != nil {
		err = bring(d)
	}
	if err == nil {
		with["address"], with["runtime_env"] = c.Address, env
		err = d.Call(ctx, "connect", with, nil)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cluster: %w", err), d.Close())
	}
	return d, nil
}

// bringProgram copies this program next to the module that starts it on nodes. A
// working_dir is not used: Ray rewrites that folder for each node, even while another
// node on the same machine runs from it.
func bringProgram(d *driver.Driver) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	return copyProgram(program, filepath.Join(d.Dir, "stein_env", "cluster", "stein"))
}

func copyProgram(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("cluster: copying %s: %w", from, err)
	}
	return nil
}

// nodeDying is how long the locks of a lost machine may persist: a file server releases
// them after 90 seconds.
const nodeDying = 2 * time.Minute
