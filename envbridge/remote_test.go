package envbridge_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	zmq "github.com/pebbe/zmq4"
	"github.com/stretchr/testify/require"

	"github.com/stein-rl/stein/envbridge"
	"github.com/stein-rl/stein/envbridge/envpb"
	"github.com/stein-rl/stein/internal/python"
)

// remote starts a worker as a user would, and waits until it listens. It returns
// what it says then, or its last words.
func remote(t *testing.T, args ...string) (said string, worker *exec.Cmd) {
	t.Helper()
	python, err := python.Find("")
	require.NoError(t, err)
	cmd := exec.Command(python, append([]string{"-m", "stein_env.worker", "--log-format", "text"}, args...)...)
	cmd.Env = append(os.Environ(), "PYTHONPATH=../python_env:"+os.Getenv("PYTHONPATH"))
	out, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	said = lines.Text()
	go func() { // let it write on
		for lines.Scan() {
			t.Log("worker:", lines.Text())
		}
	}()
	return said, cmd
}

// freeEndpoint is a loopback endpoint that was free a moment ago.
func freeEndpoint(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return "tcp://" + l.Addr().String()
}

// Ensure that a worker elsewhere serves several clients, one with two workers, and
// that it stops when told.
func TestRemote(t *testing.T) {
	t.Parallel()
	one, two := freeEndpoint(t), freeEndpoint(t)
	said, first := remote(t, "--listen", one)
	require.Equal(t, "stein_env: listening on "+one, said)
	remote(t, "--listen", two)

	w := probe("Probe", map[string]any{"length": 5})
	w.Copies = 2
	env, err := envbridge.Dial(t.Context(), one+", "+two, w)
	require.NoError(t, err)
	defer env.Close()
	require.Equal(t, 4, env.Spec().Copies)
	local := start(t, envbridge.Worker{Env: w.Env, Kwargs: w.Kwargs, Copies: 4})
	require.Equal(t, reset(t, local, 3)[2], reset(t, env, 3)[2])

	second, err := envbridge.Dial(t.Context(), one, probe("Scaled", nil))
	require.NoError(t, err)
	reset(t, second, 0)
	for range 7 {
		step(t, second, 1)
		require.Equal(t, step(t, local, 0.5).Reward, step(t, env, 0.5).Reward)
	}
	require.NoError(t, second.Close())

	require.NoError(t, first.Process.Signal(syscall.SIGTERM))
	state, err := first.Process.Wait()
	require.NoError(t, err)
	require.Equal(t, 0, state.ExitCode())
}

// Ensure that a remote worker that was started anew, and so knows nobody, gets its
// session back, with a step lost.
func TestRemoteRestarts(t *testing.T) {
	t.Parallel()
	endpoint := freeEndpoint(t)
	_, worker := remote(t, "--listen", endpoint)
	w := probe("Probe", nil)
	w.Timeout = 5 * time.Second
	env, err := envbridge.Dial(t.Context(), endpoint, w)
	require.NoError(t, err)
	defer env.Close()
	reset(t, env, 0)
	step(t, env, 0)

	require.NoError(t, worker.Process.Kill())
	_, err = worker.Process.Wait()
	require.NoError(t, err)
	remote(t, "--listen", endpoint)
	// Whether this action meets the new worker or died with the old one, the
	// answer is the same.
	require.True(t, step(t, env, 0).Lost)
	require.False(t, step(t, env, 0).Lost)
	require.Equal(t, uint64(1), env.Stats().Restarts)
}

// Ensure that both sides refuse a network without keys, and a port in use.
func TestRefusesToListenOrDial(t *testing.T) {
	t.Parallel()
	_, err := envbridge.Dial(t.Context(), "tcp://10.1.2.3:5555", probe("Probe", nil))
	require.ErrorContains(t, err, "remote workers need keys")
	said, _ := remote(t, "--listen", "tcp://0.0.0.0:5555")
	require.Contains(t, said, "endpoints reachable from other machines need keys")
	said, _ = remote(t, "--listen", "tcp://*:5555")
	require.Contains(t, said, "need keys")

	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	said, _ = remote(t, "--listen", "tcp://"+l.Addr().String())
	require.Contains(t, said, "cannot listen on tcp://127.0.0.1:")
	require.Contains(t, said, "Address already in use")

	w := probe("Probe", nil)
	w.StartTimeout = 200 * time.Millisecond
	_, err = envbridge.Dial(t.Context(), freeEndpoint(t), w)
	require.ErrorContains(t, err, "no answer within 200ms (env.start_timeout); is one listening there")
}

// Ensure that with keys, the client of the same pair is served and nobody else.
func TestCurve(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	server, client, err := envbridge.GenerateKeys(filepath.Join(dir, "ours"))
	require.NoError(t, err)
	for _, path := range []string{server, client} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	_, _, err = envbridge.GenerateKeys(filepath.Join(dir, "ours"))
	require.ErrorIs(t, err, os.ErrExist)

	endpoint := freeEndpoint(t)
	said, _ := remote(t, "--listen", endpoint, "--key", server)
	require.Equal(t, "stein_env: listening on "+endpoint+" with CURVE keys", said)
	w := probe("Probe", nil)
	w.Key, err = envbridge.LoadKey(client)
	require.NoError(t, err)
	env, err := envbridge.Dial(t.Context(), endpoint, w)
	require.NoError(t, err)
	defer env.Close()
	reset(t, env, 0)
	step(t, env, 0)

	// A stranger who knows the server's public key, and one without keys.
	_, other, err := envbridge.GenerateKeys(filepath.Join(dir, "theirs"))
	require.NoError(t, err)
	stranger, err := envbridge.LoadKey(other)
	require.NoError(t, err)
	stranger.Peer = w.Key.Peer
	for _, key := range []*envbridge.Key{stranger, nil} {
		w := probe("Probe", nil)
		w.Key, w.StartTimeout = key, 500*time.Millisecond
		_, err = envbridge.Dial(t.Context(), endpoint, w)
		require.ErrorContains(t, err, "no answer within 500ms")
	}
	step(t, env, 0)
}

// Ensure that key files are refused with the reason.
func TestKeyFiles(t *testing.T) {
	dir := t.TempDir()
	server, client, err := envbridge.GenerateKeys(dir)
	require.NoError(t, err)
	_, err = envbridge.LoadKey(server)
	require.ErrorContains(t, err, `is the "server" key, want the "client" key`)
	_, err = envbridge.LoadKey(filepath.Join(dir, "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NoError(t, os.Chmod(client, 0o644))
	_, err = envbridge.LoadKey(client)
	require.ErrorContains(t, err, "mode 0644 lets others read it")
	bad := filepath.Join(dir, "bad")
	require.NoError(t, os.WriteFile(bad, []byte("stein curve key v1\nrole client\npublic abc\n"), 0o600))
	_, err = envbridge.LoadKey(bad)
	require.ErrorContains(t, err, "characters, want 40")
	require.NoError(t, os.WriteFile(bad, []byte("hello"), 0o600))
	_, err = envbridge.LoadKey(bad)
	require.ErrorContains(t, err, "doesn't start with")

	said, _ := remote(t, "--listen", "tcp://127.0.0.1:0", "--key", client)
	require.Contains(t, said, "mode 0644 lets others read it")
}

// A relay stands between a client and a real worker, and throws garbage at the
// client before each answer.
type relay struct {
	endpoint string
	thrown   int
	done     chan struct{}
	cancel   context.CancelFunc
}

func startRelay(t *testing.T, worker string) *relay {
	t.Helper()
	zctx, err := zmq.NewContext()
	require.NoError(t, err)
	front, err := zctx.NewSocket(zmq.ROUTER)
	require.NoError(t, err)
	back, err := zctx.NewSocket(zmq.DEALER)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	r := &relay{endpoint: freeEndpoint(t), done: make(chan struct{}), cancel: cancel}
	require.NoError(t, front.SetLinger(0))
	require.NoError(t, back.SetLinger(0))
	require.NoError(t, front.Bind(r.endpoint))
	require.NoError(t, back.Connect(worker))
	go func() {
		defer close(r.done)
		defer func() { _, _, _ = front.Close(), back.Close(), zctx.Term() }()
		r.run(ctx, front, back)
	}()
	return r
}

func (r *relay) run(ctx context.Context, front, back *zmq.Socket) {
	poller := zmq.NewPoller()
	poller.Add(front, zmq.POLLIN)
	poller.Add(back, zmq.POLLIN)
	rng := rand.New(rand.NewPCG(1, 2))
	client, last := "", "" // the last answer that went through
	for ctx.Err() == nil {
		polled, err := poller.Poll(20 * time.Millisecond)
		if err != nil {
			return
		}
		for _, p := range polled {
			frames, err := p.Socket.RecvMessage(0)
			if err != nil {
				return
			}
			if p.Socket == front {
				client = frames[0]
				_, _ = back.SendMessage(frames[1])
				continue
			}
			for _, junk := range junkFor(frames[0], last, rng) {
				_, _ = front.SendMessage(append([]string{client}, junk...))
				r.thrown++
			}
			last = frames[0]
			_, _ = front.SendMessage(client, frames[0])
		}
	}
}

// junkFor gives messages that look ever more like the answer that is due.
func junkFor(answer, last string, rng *rand.Rand) [][]string {
	random := make([]byte, rng.IntN(64))
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	junk := [][]string{
		{""},
		{string(random)},
		{"", "", "", ""},
		{answer, answer},
		{answer[:15]},
		{"X" + answer[1:]},
		{answer[:5] + "\x63" + answer[6:]}, // another kind
		{answer[:5] + "\x0a" + answer[6:16] + "\xff\xff"}, // a failure that isn't
	}
	if last != "" {
		junk = append(junk, []string{last}) // of another request
	}
	return junk
}

// Ensure that what isn't an answer is dropped and counted, and hurts nobody.
func TestGarbageFromAWorker(t *testing.T) {
	t.Parallel()
	endpoint := freeEndpoint(t)
	remote(t, "--listen", endpoint)
	r := startRelay(t, endpoint)
	env, err := envbridge.Dial(t.Context(), r.endpoint, probe("Probe", map[string]any{"length": 4}))
	require.NoError(t, err)
	reset(t, env, 0)
	for n := range 20 {
		s := step(t, env, 0.5)
		require.Equal(t, float32(n%4+1), s.Next[1])
		require.Equal(t, []float32{1}, s.Reward)
	}
	require.NoError(t, env.Close())
	r.cancel()
	<-r.done
	require.Equal(t, uint64(r.thrown), env.Stats().Garbage)
	require.Greater(t, r.thrown, 150)
	require.Zero(t, env.Stats().Failures)
}

// Ensure that a worker of another release is told from a silent one.
func TestVersionMismatch(t *testing.T) {
	answers := map[string]string{
		// Its own Failure, under its own version, and a Welcome that means something else.
		"it answers":   "53544e42" + "63" + "0a" + "0000" + "0100000000000000" + hex.EncodeToString([]byte("\x08\x01\x12\x0bI speak 99.")),
		"it only acts": "53544e42" + "63" + "02" + "0000" + "0100000000000000" + "ffff",
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			message, err := hex.DecodeString(answer)
			require.NoError(t, err)
			zctx, err := zmq.NewContext()
			require.NoError(t, err)
			sock, err := zctx.NewSocket(zmq.ROUTER)
			require.NoError(t, err)
			require.NoError(t, sock.SetLinger(0))
			defer func() { require.NoError(t, sock.Close()); require.NoError(t, zctx.Term()) }()
			endpoint := freeEndpoint(t)
			require.NoError(t, sock.Bind(endpoint))
			failed := make(chan error, 1)
			go func() {
				_, err := envbridge.Dial(context.Background(), endpoint, probe("Probe", nil))
				failed <- err
			}()
			hello, err := sock.RecvMessage(0)
			require.NoError(t, err)
			_, err = sock.SendMessage(hello[0], message)
			require.NoError(t, err)
			err = <-failed
			var refused *envbridge.RefusedError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, envpb.Failure_VERSION, refused.Code)
			require.True(t, strings.Contains(err.Error(), "I speak 99.") || strings.Contains(err.Error(), "the worker uses protocol version 99, this program version 1"), err)
		})
	}
}
