package cmd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stein-rl/stein/experiments"
	"github.com/stein-rl/stein/serve"
)

// serveFlags are those of stein serve.
type serveFlags struct {
	serve.Config
	listen, metrics, token string
	checkpoint, backend    string
	threads                int
}

func (a *app) serveCmd() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve [NAME=]RUN...",
		Short: "Serve the actions of policies and the energies of images over gRPC",
		Long: `Serves the policies of runs over gRPC: actions, log-probabilities, entropies and Q
values for batches of observations. For runs of image models, it serves the energy f of
images: pixels, or PNG and JPEG files. Requests of several clients are batched. When a run
has a newer checkpoint, the server switches to it without dropping a request.

The schema is proto/stein/serve/v1/serve.proto; docs/serving.md explains it. Python and
the environment are not needed. Observations are unscaled; actions are in [-1, 1].

The server refuses plaintext on addresses that other machines can reach: use --tls-cert
and --tls-key, and --tls-client-ca for client certificates. The first SIGINT or SIGTERM
finishes the requests in progress and exits.`,
		Example: `  stein serve runs/walker2d-sac-0-20261124-120000
  stein serve walk=runs/a run=runs/b --checkpoint best --listen 127.0.0.1:50051
  stein serve runs/a --listen 0.0.0.0:50051 --tls-cert server.pem --tls-key server.key --token-file token
  stein serve runs/a --metrics :9100`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.serve(c.Context(), f, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "127.0.0.1:50051", "`ADDRESS` to listen at; port 0: a free port, which is printed")
	flags.StringVar(&f.metrics, "metrics", "", metricsHelp)
	flags.StringVar(&f.checkpoint, "checkpoint", "last", "last, best, or a step")
	flags.DurationVar(&f.Reload, "reload", 2*time.Second, "how often to look for a newer checkpoint; 0: never")
	flags.IntVar(&f.Limits.Batch, "batch", 64, "maximum number of observations in a batch")
	flags.DurationVar(&f.Limits.Wait, "wait", 500*time.Microsecond, "how long a batch waits for clients that were in the last one; -1s: not at all")
	flags.IntVar(&f.Limits.Queue, "queue", 4096, "maximum number of waiting observations for each policy; more are refused (RESOURCE_EXHAUSTED)")
	flags.StringVar(&f.Security.Cert, "tls-cert", "", "`FILE` with the server's certificate (PEM)")
	flags.StringVar(&f.Security.Key, "tls-key", "", "`FILE` with its key (PEM)")
	flags.StringVar(&f.Security.ClientCA, "tls-client-ca", "", "`FILE` with the authority of client certificates (PEM); other clients are refused")
	flags.StringVar(&f.token, "token-file", "", "`FILE` with a token that clients must send (default: STEIN_TOKEN)")
	flags.BoolVar(&f.Security.Insecure, "insecure", false, "allow plaintext on an address that other machines can reach")
	flags.StringVar(&f.backend, "backend", "", "numeric backend, such as xla:cpu, xla:cuda or go:ops_sequential")
	flags.IntVar(&f.threads, "threads", 0, "number of threads; 0: all processors")
	return cmd
}

// sources returns the runs by name, by default the folder's. An existing folder is used
// as it is, even if its name contains an equals sign.
func (f serveFlags) sources(args []string) ([]serve.Source, error) {
	var all []serve.Source
	for _, arg := range args {
		s := serve.Source{Name: filepath.Base(filepath.Clean(arg)), Dir: arg, Checkpoint: f.checkpoint}
		if name, dir, named := strings.Cut(arg, "="); named && name != "" && !strings.Contains(name, "/") && !isFolder(arg) {
			s.Name, s.Dir = name, dir
		}
		if s.Dir == "" {
			return nil, fmt.Errorf("serve %q: no run folder is named: want NAME=RUN or RUN", arg)
		}
		all = append(all, s)
	}
	return all, nil
}

func (a *app) serve(ctx context.Context, f serveFlags, args []string) (err error) {
	f.Log = slog.New(a.logs.handler(a.stderr, isTerminal(a.stderr)))
	f.Catalog = a.catalog
	if f.Policies, err = f.sources(args); err != nil {
		return usageError{err}
	}
	f.Security.Token = os.Getenv("STEIN_TOKEN")
	if f.token != "" {
		if f.Security.Token, err = serve.LoadToken(f.token); err != nil {
			return usageError{err}
		}
	}
	// Report a bad port before anything is compiled.
	at, err := net.Listen("tcp", f.listen)
	if err != nil {
		return usageError{fmt.Errorf("--listen %s: %w", f.listen, err)}
	}
	defer at.Close()
	if err := f.Security.Allow(at.Addr()); err != nil {
		return usageError{fmt.Errorf("%w (--tls-cert and --tls-key, --insecure)", err)}
	}
	if f.Backend, err = experiments.OpenBackend(f.backend, f.threads, f.Log); err != nil {
		return err
	}
	server, err := serve.New(f.Config)
	if err != nil {
		return err
	}
	defer server.Close()
	if f.metrics != "" {
		var stop func() error
		if stop, err = answerPrometheus(f.metrics, server.Metrics(), f.Log); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
	}
	fmt.Fprintf(a.stdout, "serving at %s\n", at.Addr())
	return server.Serve(ctx, at)
}

// isFolder reports whether a folder with this name exists: its name may contain =.
func isFolder(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}
