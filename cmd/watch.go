package cmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/stein-rl/stein/report"
)

func (a *app) watchCmd() *cobra.Command {
	var live report.Live
	var port uint16
	cmd := &cobra.Command{
		Use:   "watch RUNS…",
		Short: "Serve a page with live curves of runs",
		Long: `Serves a page on the loopback interface with the curves of all runs in the given
folders and below: return, losses, entropy, temperature, step size, bandwidth, speed, and
any other metric. New runs appear as they start. Seeds of a configuration are shown as a
mean with their range, or one by one. Configurations have the same colours as in
stein report.`,
		Example: `  stein watch runs
  stein watch runs/sweep-walker2d --metric policy/entropy --port 8080
  ssh -L 8080:localhost:8080 trainer stein watch runs --port 8080`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			live.Dirs = args
			return a.watch(c.Context(), live, port)
		},
	}
	cmd.Flags().StringVar(&live.Metric, "metric", report.DefaultReturn, "the `METRIC` to show first")
	cmd.Flags().DurationVar(&live.Every, "every", time.Second, "`INTERVAL` between updates")
	cmd.Flags().Uint16VarP(&port, "port", "p", 0, "`PORT` to listen at (default: a free one)")
	return cmd
}

func (a *app) watch(ctx context.Context, live report.Live, port uint16) error {
	if live.Every <= 0 {
		return usageError{fmt.Errorf("--every %v: want a positive duration", live.Every)}
	}
	if _, _, err := report.Find(live.Dirs...); err != nil {
		return usageError{err}
	}
	at, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return usageError{fmt.Errorf("--port %d: %w", port, err)}
	}
	server := &http.Server{Handler: live.Handler(), ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	fmt.Fprintf(a.stdout, "watching at http://%s\n", at.Addr())
	go a.nameUnreadable(live.Dirs)
	if err := server.Serve(at); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// nameUnreadable says which folders the page leaves out, and why. The page says it too.
func (a *app) nameUnreadable(dirs []string) {
	left, err := report.Unreadable(dirs...)
	if err != nil { // it was readable a moment ago
		left = append(left, report.Left{Dir: dirs[0], Why: err.Error()})
	}
	for _, l := range left {
		a.leftOut(l.Dir, l.Why)
	}
}
