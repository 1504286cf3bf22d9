package cmd

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const metricsHelp = "`ADDRESS` to answer Prometheus at, such as 127.0.0.1:9100; :9100 is every address of this machine"

// answerPrometheus serves metrics at /metrics of an address until it is stopped.
func answerPrometheus(address string, metrics http.Handler, log *slog.Logger) (stop func() error, err error) {
	at, err := net.Listen("tcp", address)
	if err != nil {
		return nil, usageError{fmt.Errorf("--metrics %s: %w", address, err)}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	server := &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(at) }()
	log.Info("metrics", "url", fmt.Sprintf("http://%s/metrics", at.Addr()))
	return func() error {
		err := server.Close()
		if served := <-done; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	}, nil
}
