package driver

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

// output is a log that a driver's process writes while the test reads.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// wait waits for text in the log, which is another pipe than the answers'.
func (o *output) wait(t *testing.T, text string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !strings.Contains(o.String(), text); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("log %q, want %q", o, text)
		}
	}
}

// child starts testdata/child.py in Python, and closes it with the test.
func child(t *testing.T) (*Driver, *output) {
	t.Helper()
	file, err := filepath.Abs("testdata/child.py")
	if err != nil {
		t.Fatal(err)
	}
	log := &output{}
	d, err := start("child", "", log, file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(d.Dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", d.Dir, err)
		}
	})
	return d, log
}

// Ensure that requests are answered, several at a time, and that what the child prints
// goes to the log and not among the answers.
func TestCall(t *testing.T) {
	d, log := child(t)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			var got struct{ Number int }
			if err := d.Call(t.Context(), "echo", map[string]any{"number": i}, &got); err != nil || got.Number != i {
				t.Errorf("echo of %d: %d, %v", i, got.Number, err)
			}
		})
	}
	all.Wait()
	if err := d.Call(t.Context(), "echo", nil, nil); err != nil {
		t.Errorf("an answer that nobody reads: %v", err)
	}
	if err := d.Call(t.Context(), "echo", map[string]any{"number": "seven"}, &struct{ Number int }{}); err == nil || !strings.Contains(err.Error(), "cannot decode the answer") {
		t.Errorf("an answer of another type: %v", err)
	}
	if err := d.Call(t.Context(), "echo", func() {}, nil); err == nil {
		t.Error("a request that is not JSON was sent")
	}
	log.wait(t, "echoing {'number': 7}")
}

// Ensure that news arrive in order before the answer, and no more after Forget.
func TestNews(t *testing.T) {
	d, _ := child(t)
	number, replies, err := d.Send("count", func(int) any { return map[string]any{"to": 3} })
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for len(got) < 4 {
		select {
		case r := <-replies:
			got = append(got, string(r.News)+string(r.Done))
		case <-d.Ended():
			t.Fatalf("got %q, then %v", got, d.Err())
		}
	}
	if want := []string{`{"at": 0}`, `{"at": 1}`, `{"at": 2}`, `{"counted": 3}`}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	d.Forget(number)
	if err := d.Call(t.Context(), "echo", nil, nil); err != nil {
		t.Error(err)
	}
}

// Ensure that news which nobody takes hold up other requests only until Forget, and never
// Close.
func TestUnreadNews(t *testing.T) {
	d, _ := child(t)
	more := func(int) any { return map[string]any{"to": 100} }
	number, _, err := d.Send("count", more)
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() { d.Forget(number) })
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := d.Call(ctx, "echo", nil, nil); err != nil {
		t.Errorf("after Forget: %v", err)
	}
	if _, _, err := d.Send("count", more); err != nil { // for Close
		t.Fatal(err)
	}
}

// Ensure that a request which fails says why in one line, and leaves the child running.
func TestErrorWords(t *testing.T) {
	d, log := child(t)
	for op, want := range map[string]string{
		"refuse":  "no cluster at localhost:1",
		"stumble": "ValueError: has no trials",
		"fly":     "KeyError: 'fly'",
	} {
		if err := d.Call(t.Context(), op, nil, nil); err == nil || err.Error() != want {
			t.Errorf("%s: error %v, want %q", op, err, want)
		}
	}
	if err := d.Call(t.Context(), "echo", nil, nil); err != nil {
		t.Errorf("after the errors: %v", err)
	}
	log.wait(t, "KeyError: 'fly'")
	log.wait(t, "has no trials")
	if text := log.String(); strings.Contains(text, "no cluster at localhost:1") {
		t.Errorf("the log has the traceback of an expected failure: %s", text)
	}
}

// Ensure that a child which dies ends the call that waits, and those that follow, with
// its last words.
func TestDeath(t *testing.T) {
	d, log := child(t)
	for _, op := range []string{"die", "echo"} {
		err := d.Call(t.Context(), op, nil, nil)
		if !errors.Is(err, errGone) || !strings.Contains(err.Error(), "child: ") || !strings.Contains(err.Error(), "MemoryError: out of paper") {
			t.Errorf("%s: error %v, want errGone with the child's last words", op, err)
		}
	}
	if _, _, err := d.Send("echo", func(int) any { return nil }); !errors.Is(err, errGone) {
		t.Errorf("Send: error %v, want errGone", err)
	}
	<-d.Ended()
	if !errors.Is(d.Err(), errGone) {
		t.Errorf("Err is %v, want errGone", d.Err())
	}
	if !strings.Contains(log.String(), "out of paper") {
		t.Errorf("log %q", log)
	}
}

// Ensure that the end of a context ends the wait alone: the child goes on and answers the
// next request, not with the answer to the one before.
func TestContextEnds(t *testing.T) {
	d, _ := child(t)
	if err := d.Call(t.Context(), "echo", nil, nil); err != nil { // it has started
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := d.Call(ctx, "sleep", map[string]any{"seconds": 0.2}, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want %v", err, context.DeadlineExceeded)
	}
	var got struct{ Slept, Number float64 }
	if err := d.Call(t.Context(), "sleep", map[string]any{"seconds": 0.3}, &got); err != nil || got.Slept != 0.3 {
		t.Errorf("%+v, %v", got, err)
	}
}

// Ensure that Close ends a child in the middle of a request, and that a second one is no
// error.
func TestCloseTwice(t *testing.T) {
	d, _ := child(t)
	_, replies, err := d.Send("sleep", func(int) any { return map[string]any{"seconds": 60} })
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	select {
	case <-d.Ended():
	default:
		t.Error("Close returned before the end of the child")
	}
	select {
	case r := <-replies:
		t.Errorf("an answer: %+v", r)
	default:
	}
	if err := d.Call(t.Context(), "echo", nil, nil); !errors.Is(err, errGone) {
		t.Errorf("a call after Close: %v, want errGone", err)
	}
}

// Ensure that Start runs a module of stein_env.cluster, which lines is: it ends at once.
func TestStart(t *testing.T) {
	d, err := Start("lines", "", &output{})
	if err != nil {
		t.Fatal(err)
	}
	<-d.Ended()
	if err := d.Call(t.Context(), "echo", nil, nil); !errors.Is(err, errGone) || !strings.HasPrefix(err.Error(), "lines: ") {
		t.Errorf("error %v, want errGone of lines", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// Ensure that a missing package is named, with the command that installs it.
func TestMissingPackage(t *testing.T) {
	d, err := start("child", "", &output{}, "-c", "import stein_has_no_such_package")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	err = d.Call(t.Context(), "echo", nil, nil)
	for _, want := range []string{"No module named 'stein_has_no_such_package'", "--cluster"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

// Ensure that an interpreter that cannot run is an error, and leaves no folder.
func TestNoInterpreter(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	broken := filepath.Join(t.TempDir(), "python")
	if err := os.WriteFile(broken, []byte("no program"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, interpreter := range []string{broken, broken + ".none"} {
		if _, err := Start("lines", interpreter, &output{}); err == nil || !strings.Contains(err.Error(), interpreter) {
			t.Errorf("%s: error %v", interpreter, err)
		}
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("left %v, %v", left, err)
	}
}
