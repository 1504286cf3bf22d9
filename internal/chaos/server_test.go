//go:build linux

package chaos

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/stein-rl/stein/serve/client"
	"github.com/stein-rl/stein/serve/servepb"
)

// A server is a stein serve at work.
type server struct {
	*process
	address, metrics string
}

// serve serves the run of a place, which must have a checkpoint.
func (p place) serve(t *testing.T, args ...string) server {
	t.Helper()
	address, metrics := freeAddress(t), freeAddress(t)
	all := []string{"serve", p.path("run"), "--listen", address, "--metrics", metrics, "--backend", "go:ops_sequential",
		"--threads", "1", "--batch", "8", "--reload", "100ms", "--log-format", "json"}
	s := server{start(t, p.command(stein, append(all, args...)...)), address, metrics}
	s.until(t, "an answer", func() bool {
		c, err := net.Dial("tcp", metrics)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return s
}

// served trains a little, and serves that.
func (p place) served(t *testing.T) server {
	t.Helper()
	p.train(t, "--steps", "100").wantCode(t, 0)
	return p.serve(t)
}

// end has it stop, as an operator would, and wants that to go well.
func (s server) end(t *testing.T) {
	t.Helper()
	s.signal(t, syscall.SIGTERM)
	s.wantCode(t, 0)
}

// holds is what a server has in hand.
type holds struct{ goroutines, files, megabytes float64 }

func (s server) holds(t *testing.T) (h holds) {
	t.Helper()
	m, err := scrape(s.metrics)
	if err != nil {
		t.Fatal(err)
	}
	return holds{m["go_goroutines"], m["process_open_fds"], m["process_resident_memory_bytes"] / (1 << 20)}
}

// scrape asks for the metrics at an address: those of Go and of the process by their
// names alone, whatever labels they have.
func scrape(address string) (map[string]float64, error) {
	asker := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := asker.Get("http://" + address + "/metrics")
	if err != nil {
		return nil, err
	}
	defer r.Body.Close()
	all := map[string]float64{}
	for lines := bufio.NewScanner(r.Body); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if plain, _, _ := strings.Cut(name, "{"); strings.HasPrefix(plain, "go_") || strings.HasPrefix(plain, "process_") {
			name = plain
		}
		if x, err := strconv.ParseFloat(value, 64); ok && err == nil {
			all[name] = x
		}
	}
	if all["go_goroutines"] == 0 || all["process_open_fds"] == 0 {
		return nil, fmt.Errorf("no metrics of a process at %s", address)
	}
	return all, nil
}

// wantHolds waits until a server holds no more than before.
func (s server) wantHolds(t *testing.T, before holds) {
	t.Helper()
	var now holds
	s.until(t, "as little in hand as before", func() bool {
		time.Sleep(50 * time.Millisecond)
		now = s.holds(t)
		return now.goroutines <= before.goroutines && now.files <= before.files
	})
	if now.megabytes > before.megabytes+64 {
		t.Errorf("%.0f MB in memory, %.0f before", now.megabytes, before.megabytes)
	}
	t.Logf("in hand before %+v, after %+v", before, now)
}

var question = []float32{1, 0, 0.5} // of Pendulum

// A steady client asks all the time, and wants every answer.
type steady struct {
	stop          context.CancelFunc
	asked, failed atomic.Int64
	why           atomic.Value
	done          sync.WaitGroup
}

func (s server) steady(t *testing.T) *steady {
	t.Helper()
	c := must(client.Dial(s.address, client.Options{}))(t)
	ctx, cancel := context.WithCancel(context.Background())
	a := &steady{stop: cancel}
	a.done.Go(func() {
		defer c.Close()
		for ctx.Err() == nil {
			within, done := context.WithTimeout(context.Background(), patience)
			if _, err := c.Act(within, question, client.Ask{}); err != nil {
				a.failed.Add(1)
				a.why.Store(err)
			}
			done()
			a.asked.Add(1)
			time.Sleep(time.Millisecond)
		}
	})
	s.until(t, "answers to a steady client", func() bool { return a.asked.Load() > 5 })
	return a
}

// end wants it to have been answered, all the time.
func (a *steady) end(t *testing.T) {
	t.Helper()
	a.stop()
	a.done.Wait()
	if a.failed.Load() > 0 || a.asked.Load() < 20 {
		t.Errorf("%d of %d requests of another client failed (%v)", a.failed.Load(), a.asked.Load(), a.why.Load())
	}
}

// dialRaw gives a client of gRPC and the connection below it.
func dialRaw(t *testing.T, address string, wrap func(net.Conn) net.Conn) (servepb.PoliciesClient, *grpc.ClientConn) {
	t.Helper()
	conn := must(grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
			if err != nil {
				return nil, err
			}
			return wrap(c), nil
		})))(t)
	return servepb.NewPoliciesClient(conn), conn
}

// Ensure that a thousand clients that come and go, in good manners and in bad, leave
// nothing behind, and that one that stays is answered all the time.
func TestServeThousandConnections(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s := p.served(t)
	other := s.steady(t)
	before := s.holds(t)
	rng := dice(t)
	var all sync.WaitGroup
	manners := make(chan int)
	var count [len(leavings)]atomic.Int64
	for range 8 {
		all.Go(func() {
			for m := range manners {
				leavings[m](t, s.address)
				count[m].Add(1)
			}
		})
	}
	for range 1000 {
		manners <- rng.IntN(len(leavings))
	}
	close(manners)
	all.Wait()
	for m := range leavings {
		t.Logf("left in manner %d: %d times", m, count[m].Load())
	}
	s.wantHolds(t, before)
	other.end(t)
	s.end(t)
}

// leavings are the manners in which clients leave.
var leavings = [...]func(t *testing.T, address string){
	func(t *testing.T, address string) { hello(t, address, "") },
	func(t *testing.T, address string) { hello(t, address, "PRI * HTTP/2.0\r\n\r\nS") },
	func(t *testing.T, address string) { hello(t, address, "GET / HTTP/1.1\r\n\r\n") },
	func(t *testing.T, address string) { // politely
		c, err := client.Dial(address, client.Options{})
		if err == nil {
			_, err = c.Act(context.Background(), question, client.Ask{})
			err = errors.Join(err, c.Close())
		}
		if err != nil {
			t.Error(err)
		}
	},
	func(t *testing.T, address string) { // with its questions unanswered, and the connection reset
		var raw net.Conn
		policies, conn := dialRaw(t, address, func(c net.Conn) net.Conn { raw = c; return c })
		defer conn.Close()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		stream, err := policies.Stream(ctx)
		for i := 0; err == nil && i < 10; i++ {
			err = stream.Send(&servepb.ActRequest{Observations: question})
		}
		if err != nil {
			t.Error(err)
			return
		}
		raw.(*net.TCPConn).SetLinger(0)
		raw.Close()
	},
}

// hello connects, says something that is not all of a greeting, and leaves.
func hello(t *testing.T, address, text string) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	io.WriteString(c, text)
	c.Close()
}

// Ensure that a client that never reads, be it the answers in its stream or anything at
// all on its connection, keeps no other waiting, takes no memory without bound, does
// not keep the server from ending, and leaves nothing when it goes.
func TestServeClientNeverReads(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	s := p.served(t)
	other := s.steady(t)
	before := s.holds(t)
	leave := s.deaf(t)
	time.Sleep(2 * time.Second)
	during := s.holds(t)
	if during.goroutines <= before.goroutines {
		t.Error("the deaf clients are not there")
	}
	if during.megabytes > before.megabytes+64 {
		t.Errorf("%.0f MB in memory with deaf clients, %.0f before", during.megabytes, before.megabytes)
	}
	leave()
	s.wantHolds(t, before)

	leave = s.deaf(t)
	defer leave()
	other.end(t)
	began := time.Now()
	s.end(t)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v to end with deaf clients", took)
	}
}

// deaf connects clients that ask as much as they can and never read.
func (s server) deaf(t *testing.T) (leave func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	var conns []*grpc.ClientConn

	policies, conn := dialRaw(t, s.address, func(c net.Conn) net.Conn { return c })
	conns = append(conns, conn)
	stream := must(policies.Stream(ctx))(t)
	all.Go(func() { // reads frames, but no answers
		for stream.Send(&servepb.ActRequest{Observations: make([]float32, 8*len(question))}) == nil {
		}
	})

	var deaf *deafConn
	policies, conn = dialRaw(t, s.address, func(c net.Conn) net.Conn { deaf = &deafConn{Conn: c}; return deaf })
	conns = append(conns, conn)
	if _, err := policies.Act(ctx, &servepb.ActRequest{Observations: question}); err != nil {
		t.Fatal(err)
	}
	deaf.stop.Store(true)
	for range 1000 {
		all.Go(func() { policies.Act(ctx, &servepb.ActRequest{Observations: make([]float32, 8*len(question))}) })
	}
	return func() {
		cancel()
		for _, c := range conns {
			c.Close()
		}
		all.Wait()
	}
}

// A deafConn stops reading when told.
type deafConn struct {
	net.Conn
	stop atomic.Bool
}

func (d *deafConn) Read(b []byte) (int, error) {
	for d.stop.Load() {
		if d.SetReadDeadline(time.Time{}) != nil { // closed
			return 0, net.ErrClosed
		}
		time.Sleep(10 * time.Millisecond)
	}
	return d.Conn.Read(b)
}
