// Package browsertest drives a headless Chromium in tests of web pages.
package browsertest

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A Browser is a headless Chromium. It is controlled over two pipes with the DevTools
// protocol: JSON messages that end with a zero byte.
type Browser struct {
	t       testing.TB
	in      *os.File
	out     *bufio.Reader
	id      int
	session string
	Noise   []string // errors and warnings logged by pages
}

// chromium finds the browser. Without one it skips the test, except in CI, where it
// fails.
func chromium(t testing.TB) string {
	t.Helper()
	for _, name := range []string{os.Getenv("STEIN_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); name != "" && err == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal("no chromium: scripts/system-packages.sh test installs it")
	}
	t.Skip("no chromium here: scripts/system-packages.sh test installs it")
	return ""
}

// Open starts a browser with a window of the given size, such as 1280,1000. It ends with
// the test, which is skipped with -short.
func Open(t testing.TB, size string) *Browser {
	t.Helper()
	if testing.Short() {
		t.Skip("starts Chromium")
	}
	toIn, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, fromOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(chromium(t), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
		"--remote-debugging-pipe", "--hide-scrollbars", "--window-size="+size, "--user-data-dir="+t.TempDir(), "about:blank")
	cmd.ExtraFiles = []*os.File{toIn, fromOut}
	var log strings.Builder
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	toIn.Close()
	fromOut.Close()
	if err := out.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	b := &Browser{t: t, in: in, out: bufio.NewReader(out)}
	t.Cleanup(func() {
		fmt.Fprintf(in, `{"id":0,"method":"Browser.close"}`+"\x00")
		if err := cmd.Wait(); err != nil && t.Failed() {
			t.Logf("chromium: %v, %s", err, log.String())
		}
		in.Close()
		out.Close()
	})
	target := b.Call("Target.createTarget", map[string]any{"url": "about:blank"})["targetId"]
	b.session = b.Call("Target.attachToTarget", map[string]any{"targetId": target, "flatten": true})["sessionId"].(string)
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		b.Call(domain+".enable", nil)
	}
	return b
}

// Call sends a command and waits for its answer. It handles events that arrive meanwhile.
func (b *Browser) Call(method string, params map[string]any) map[string]any {
	b.t.Helper()
	b.id++
	message := map[string]any{"id": b.id, "method": method, "params": params}
	if params == nil {
		message["params"] = map[string]any{}
	}
	if b.session != "" {
		message["sessionId"] = b.session
	}
	data, err := json.Marshal(message)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.in.Write(append(data, 0)); err != nil {
		b.t.Fatal(err)
	}
	for {
		answer := b.next()
		if answer["id"] == float64(b.id) {
			if e := answer["error"]; e != nil {
				b.t.Fatalf("%s: %v", method, e)
			}
			return answer["result"].(map[string]any)
		}
	}
}

func (b *Browser) next() map[string]any {
	b.t.Helper()
	data, err := b.out.ReadBytes(0)
	if err != nil {
		b.t.Fatalf("chromium says nothing more: %v", err)
	}
	var m map[string]any
	if err := json.Unmarshal(data[:len(data)-1], &m); err != nil {
		b.t.Fatal(err)
	}
	params, _ := m["params"].(map[string]any)
	switch m["method"] {
	case "Runtime.exceptionThrown", "Log.entryAdded":
		b.Noise = append(b.Noise, fmt.Sprint(params))
	case "Runtime.consoleAPICalled":
		if params["type"] == "error" || params["type"] == "warning" {
			b.Noise = append(b.Noise, fmt.Sprint(params))
		}
	}
	return m
}

// Go opens a page and waits until it has loaded.
func (b *Browser) Go(url string) {
	b.t.Helper()
	b.Call("Page.navigate", map[string]any{"url": url})
	for b.next()["method"] != "Page.loadEventFired" {
	}
}

// Eval returns the value of a JavaScript expression.
func (b *Browser) Eval(expression string) any {
	b.t.Helper()
	got := b.Call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true})
	if e := got["exceptionDetails"]; e != nil {
		b.t.Fatalf("%s: %v", expression, e)
	}
	return got["result"].(map[string]any)["value"]
}

// Want compares a value, formatted as text.
func (b *Browser) Want(expression, want string) {
	b.t.Helper()
	if got := fmt.Sprint(b.Eval(expression)); got != want {
		b.t.Errorf("%s\nis %q, want %q", expression, got, want)
	}
}

// Shot writes a screenshot of the page to the folder STEIN_SCREENSHOTS, if it is set.
func (b *Browser) Shot(name string, all bool) {
	b.t.Helper()
	dir := os.Getenv("STEIN_SCREENSHOTS")
	if dir == "" {
		return
	}
	data, err := base64.StdEncoding.DecodeString(b.Call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": all})["data"].(string))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), data, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// Until waits up to two minutes until a JavaScript expression has a value.
func (b *Browser) Until(expression, want string) {
	b.t.Helper()
	for end := time.Now().Add(2 * time.Minute); fmt.Sprint(b.Eval(expression)) != want; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("%s\nis %v, want %s", expression, b.Eval(expression), want)
		}
	}
}

// Mouse sends a movement, or a press or release of the left button, at a position in the
// window.
func (b *Browser) Mouse(kind string, x, y float64) {
	b.t.Helper()
	button, held := "none", 0
	if kind != "mouseMoved" {
		button = "left"
	}
	if kind == "mousePressed" {
		held = 1
	}
	b.Call("Input.dispatchMouseEvent", map[string]any{"type": kind, "x": x, "y": y, "button": button, "buttons": held, "clickCount": 1})
}
