//go:build linux

package chaos

import (
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	zmq "github.com/pebbe/zmq4"

	"github.com/stein-rl/stein/internal/python"
)

// remoteWorker starts one that listens, as on another machine, and gives its address.
func (p place) remoteWorker(t *testing.T) (address string) {
	t.Helper()
	python := must(python.Find(""))(t)
	address = freeAddress(t)
	c := p.command(python, "-m", "stein_env.worker", "--listen", "tcp://"+address)
	c.Env = append(c.Env, "PYTHONPATH=../../python_env:"+pythonPath)
	w := start(t, c)
	t.Cleanup(func() {
		w.signal(t, syscall.SIGTERM)
		w.wantCode(t, 0)
	})
	w.until(t, "a worker that listens", func() bool { return strings.Contains(w.logs.String(), "listening on tcp://"+address) })
	return address
}

// freeAddress is one of this machine that was free a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	defer l.Close()
	return l.Addr().String()
}

// A relay stands between a trainer and a real worker, and does to the worker's answers
// what a broken worker would.
type relay struct {
	address string
	worker  string
	// spoil gives the messages that go out in place of the nth outcome of a step.
	spoil func(n int, answer string) []string
	steps atomic.Int64 // outcomes so far
	sent  atomic.Int64 // messages beyond one for each
}

// startRelay relays until the test ends.
func startRelay(t *testing.T, worker string, spoil func(n int, answer string) []string) *relay {
	t.Helper()
	r := &relay{address: freeAddress(t), worker: worker, spoil: spoil}
	zctx := must(zmq.NewContext())(t)
	front := must(zctx.NewSocket(zmq.ROUTER))(t)
	if err := front.Bind("tcp://" + r.address); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() { stopped <- r.run(zctx, front, stop) }()
	t.Cleanup(func() {
		close(stop)
		if err := <-stopped; err != nil {
			t.Errorf("the relay: %v", err)
		}
	})
	return r
}

// run passes messages on: a connection to the worker for each client.
func (r *relay) run(zctx *zmq.Context, front *zmq.Socket, stop <-chan struct{}) error {
	backs := map[string]*zmq.Socket{}
	clients := map[*zmq.Socket]string{}
	defer func() {
		for back := range clients {
			back.SetLinger(0)
			back.Close()
		}
		front.SetLinger(0)
		front.Close()
		zctx.Term()
	}()
	poller := zmq.NewPoller()
	poller.Add(front, zmq.POLLIN)
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		ready, err := poller.Poll(20 * time.Millisecond)
		if err != nil {
			return err
		}
		for _, one := range ready {
			frames, err := one.Socket.RecvMessage(0)
			if err != nil {
				return err
			}
			if one.Socket != front {
				r.answer(front, clients[one.Socket], frames[0])
				continue
			}
			back := backs[frames[0]]
			if back == nil {
				if back, err = zctx.NewSocket(zmq.DEALER); err != nil {
					return err
				}
				if err := back.Connect("tcp://" + r.worker); err != nil {
					return err
				}
				backs[frames[0]], clients[back] = back, frames[0]
				poller.Add(back, zmq.POLLIN)
			}
			back.SendMessage(frames[1])
		}
	}
}

const kindResult = 6 // docs/protocol.md

func (r *relay) answer(front *zmq.Socket, client, answer string) {
	out := []string{answer}
	if len(answer) > 5 && answer[5] == kindResult {
		out = r.spoil(int(r.steps.Add(1)), answer)
		r.sent.Add(int64(len(out) - 1))
	}
	for _, message := range out {
		front.SendMessage(client, message)
	}
}

// junk gives messages that look ever more like the answer that is due, and aren't.
func junk(rng *rand.Rand, answer, before string) []string {
	random := make([]byte, rng.IntN(200))
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	all := []string{
		"",
		string(random),
		answer[:rng.IntN(16)],            // a part of its header
		"X" + answer[1:],                 // none of ours
		answer[:5] + "\x63" + answer[6:], // of an unknown kind
		answer[:5] + "\x0a" + answer[6:16] + "\xff\xff",               // a failure that isn't
		answer[:8] + "\xff\xff\xff\xff\xff\xff\xff\xff" + answer[16:], // to a request not yet made
	}
	if before != "" {
		all = append(all, before) // to another request
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

// A cutter passes bytes between a trainer and a worker, and once, after so many of the
// worker's, cuts the connection: in the midst of a message, if so it happens.
type cutter struct {
	address string
	left    atomic.Int64
	cut     atomic.Bool
}

func startCutter(t *testing.T, worker string, after int64) *cutter {
	t.Helper()
	l := must(net.Listen("tcp", "127.0.0.1:0"))(t)
	c := &cutter{address: l.Addr().String()}
	c.left.Store(after)
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return // closed
			}
			server, err := net.Dial("tcp", worker)
			if err != nil {
				client.Close()
				continue
			}
			go c.pass(client, server, false)
			go c.pass(server, client, true)
		}
	}()
	t.Cleanup(func() { l.Close() })
	return c
}

func (c *cutter) pass(from, to net.Conn, counted bool) {
	defer from.Close()
	defer to.Close()
	buffer := make([]byte, 4096)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if counted && !c.cut.Load() {
			if left := c.left.Add(-int64(n)); left < 0 {
				c.cut.Store(true)
				to.Write(buffer[:int64(n)+left])
				return
			}
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}
