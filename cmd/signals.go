package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// untilSignal is a context that the first SIGINT or SIGTERM ends. The second ends the
// process, also where the caller has the signal ignored, as shells do in the background:
// a compilation of XLA can't be interrupted, and takes minutes at times.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		second := (<-signals).(syscall.Signal)
		signal.Reset(second)
		_ = syscall.Kill(os.Getpid(), second) // a shell is told which signal it was
		time.Sleep(100 * time.Millisecond)
		os.Exit(128 + int(second))
	}()
	return ctx
}

// interruptible runs work that leaves nothing behind to complete, and leaves it unfinished
// when ctx ends: the process is about to exit.
func interruptible(ctx context.Context, work func() error) error {
	done := make(chan error, 1)
	go func() { done <- work() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return errors.New("interrupted")
	}
}

// unheard is how long a command may take to end after a signal without a word.
const unheard = 500 * time.Millisecond

// tellWaiting says on out what is awaited where a command goes on after ctx has ended,
// unless it says so itself. The command is over when over is closed.
func (a *app) tellWaiting(ctx context.Context, out io.Writer, over <-chan struct{}) {
	context.AfterFunc(ctx, func() {
		select {
		case <-over:
		case <-time.After(unheard):
			if !a.tells.Load() {
				fmt.Fprintln(out, "stein: stopping when the computation or compilation in progress is done; a second signal ends at once")
			}
		}
	})
}
