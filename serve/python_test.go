package serve_test

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/stein-rl/stein/internal/python"
	"github.com/stein-rl/stein/serve"
	"github.com/stein-rl/stein/serve/servepb"
)

// asking starts testdata/client.py, which calls the Python client with these arguments.
func asking(t *testing.T, ask map[string]any) *exec.Cmd {
	t.Helper()
	interpreter, err := python.Find("")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(ask)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(interpreter, "testdata/client.py", string(text))
	c.Env = append(os.Environ(), "PYTHONPATH=../python_env", "GRPC_VERBOSITY=NONE")
	return c
}

// A pythonAnswer is what testdata/client.py prints for each kind of call.
type pythonAnswer struct {
	Error   string
	Actions int
	Step    int64
}

// Ensure that the Python client works with TLS, mutual TLS and the token, for calls and
// streams, and gets an error if one of them is missing.
func TestPythonSecurity(t *testing.T) {
	ours, theirs := newAuthority(t, "ours"), newAuthority(t, "theirs")
	r := newRun(t, "pendulum/sac", small...)
	r.save(t, 7, r.learner(t, 1))
	cert, key := ours.leaf(t, "server")
	mine, mineKey := ours.leaf(t, "client")
	other, otherKey := theirs.leaf(t, "client")
	serving := func(s serve.Security) string {
		c := config(t, r)
		c.Limits.Batch, c.Security = 1, s
		return start(t, c)
	}
	tls := serving(serve.Security{Cert: cert, Key: key})
	mutual := serving(serve.Security{Cert: cert, Key: key, ClientCA: ours.file, Token: "secret"})
	type ask = map[string]any
	cases := []struct {
		want string // gRPC code; empty: an answer
		ask
	}{
		{"", ask{"address": tls, "root_certificates": ours.file}},
		{"UNAVAILABLE", ask{"address": tls, "root_certificates": theirs.file}},
		{"UNAVAILABLE", ask{"address": tls}},
		{"UNAVAILABLE", ask{"address": tls, "tls": true}},
		{"", ask{"address": mutual, "root_certificates": ours.file, "certificate": mine, "key": mineKey, "token": "secret"}},
		{"UNAUTHENTICATED", ask{"address": mutual, "root_certificates": ours.file, "certificate": mine, "key": mineKey}},
		{"UNAUTHENTICATED", ask{"address": mutual, "root_certificates": ours.file, "certificate": mine, "key": mineKey, "token": "secreT"}},
		{"UNAVAILABLE", ask{"address": mutual, "root_certificates": ours.file, "token": "secret"}},
		{"UNAVAILABLE", ask{"address": mutual, "root_certificates": ours.file, "certificate": other, "key": otherKey, "token": "secret"}},
		{"ValueError", ask{"address": "192.0.2.1:50051", "token": "secret"}},
	}
	asks := make([]ask, len(cases))
	for i, c := range cases {
		asks[i] = c.ask
	}
	text, err := asking(t, ask{"asks": asks}).CombinedOutput()
	var answers []pythonAnswer
	if err == nil {
		err = json.Unmarshal(text, &answers)
	}
	if err != nil || len(answers) != 2*len(cases) { // by a call, then by a stream
		t.Fatalf("%v: %s", err, text)
	}
	for i, got := range answers {
		c := cases[i/2]
		if got.Error != c.want || c.want == "" && (got.Actions != actDim || got.Step != 7) {
			t.Errorf("%v: %+v, want %q", c.ask, got, c.want)
		}
	}
}

// Ensure that a server stops at once even with idle streams open, from Go and from
// Python, and that the streams end with the reason.
func TestIdleStreams(t *testing.T) {
	r := newRun(t, "pendulum/sac", small...)
	r.save(t, 1, r.learner(t, 1))
	c := config(t, r)
	c.Limits.Batch = 1
	server, err := serve.New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	at, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx, at) }()

	conn, err := grpc.NewClient(at.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stream, err := servepb.NewPoliciesClient(conn).Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&servepb.ActRequest{Observations: make([]float32, obsDim)}); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		t.Fatal(err)
	}
	other := asking(t, map[string]any{"idle": at.Addr().String()})
	other.Stderr = os.Stderr
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := other.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	if line, err := lines.ReadString('\n'); err != nil || line != "idle\n" {
		t.Fatalf("%q, %v", line, err)
	}

	stop()
	started := time.Now()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the server did not end")
	}
	// Streams that had to be cut off would have taken the 5 s of grace.
	if took := time.Since(started); took > 3*time.Second {
		t.Errorf("the server took %v to end", took)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("the stream ends with %v", err)
	}
	if _, err := io.WriteString(in, "go on\n"); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(lines)
	if err := other.Wait(); err != nil || string(rest) != "UNAVAILABLE\n" {
		t.Errorf("Python's stream: %q, %v", rest, err)
	}
	if err != nil {
		t.Error(err)
	}
}
