package cmd

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/stein-rl/stein/serve/client"
)

func newHealthCmd() *cobra.Command {
	var o client.Options
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "health [URL]",
		Short: "Check whether a training, a server or a worker is healthy",
		Long: `Checks what runs at an address and exits with code 0 if it is healthy. Meant for
health checks of containers and supervisors.

  http://HOST:PORT/metrics   a training or a server with --metrics
  grpc://HOST:PORT           a server, by gRPC's health service
  tcp://HOST:PORT            a simulator worker: whether it accepts a connection

The default URL is the value of STEIN_HEALTH.`,
		Example: `  stein health http://127.0.0.1:9100/metrics
  stein health grpc://policies.example:50051 --ca ca.pem`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			address := os.Getenv("STEIN_HEALTH")
			if len(args) > 0 {
				address = args[0]
			}
			ctx, cancel := context.WithTimeout(c.Context(), wait)
			defer cancel()
			return askHealth(ctx, address, o)
		},
	}
	flags := cmd.Flags()
	flags.DurationVar(&wait, "timeout", 3*time.Second, "time limit for the answer")
	flags.BoolVar(&o.TLS, "tls", false, "grpc: encrypt, and trust the system's authorities")
	flags.StringVar(&o.CA, "ca", "", "grpc: `FILE` with the certificate authority of the server (PEM)")
	flags.StringVar(&o.Cert, "cert", "", "grpc: `FILE` with the client certificate (PEM), for mutual TLS")
	flags.StringVar(&o.Key, "key", "", "grpc: `FILE` with its key (PEM)")
	return cmd
}

func askHealth(ctx context.Context, address string, o client.Options) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return usageError{fmt.Errorf("health of %q: want a URL, as argument or in STEIN_HEALTH", address)}
	}
	switch u.Scheme {
	case "http", "https":
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", address, answer.Status)
		}
		return nil
	case "grpc":
		c, err := client.Dial(u.Host, o)
		if err != nil {
			return err
		}
		defer c.Close()
		return c.Health(ctx)
	case "tcp":
		var d net.Dialer
		c, err := d.DialContext(ctx, "tcp", u.Host)
		if err != nil {
			return err
		}
		return c.Close()
	}
	return usageError{fmt.Errorf("health of %q: want http, grpc or tcp", address)}
}
