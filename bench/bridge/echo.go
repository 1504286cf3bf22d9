//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/pebbe/zmq4"
)

// echo times round trips of ZeroMQ between this process and a Python program that answers
// every message, which a step through the bridge can't do without.
func echo(python, script string, seconds float64) (err error) {
	dir, err := os.MkdirTemp("", "stein-echo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	socket, err := zmq4.NewSocket(zmq4.PAIR)
	if err != nil {
		return err
	}
	defer socket.Close()
	address := "ipc://" + filepath.Join(dir, "socket")
	if err := socket.Bind(address); err != nil {
		return err
	}
	other := exec.Command(python, script, address)
	other.Stderr = os.Stderr
	if err := other.Start(); err != nil {
		return err
	}
	defer func() { // an empty message ends it
		_, e := socket.SendBytes(nil, 0)
		err = errors.Join(err, e, other.Wait())
	}()
	trips := func(seconds float64) (each time.Duration, err error) {
		request := make([]byte, 60) // an action for Walker2d
		start, n := time.Now(), 0
		for ; time.Since(start).Seconds() < seconds; n++ {
			if _, err := socket.SendBytes(request, 0); err != nil {
				return 0, err
			}
			if _, err := socket.RecvBytes(0); err != nil {
				return 0, err
			}
		}
		return time.Since(start) / time.Duration(max(n, 1)), nil
	}
	if _, err := trips(0.5); err != nil {
		return fmt.Errorf("warm-up: %w", err)
	}
	each, err := trips(seconds)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"name": "echo", "us": float64(each.Nanoseconds()) / 1e3})
}
