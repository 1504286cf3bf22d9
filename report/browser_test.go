package report_test

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

	"github.com/stein-rl/stein/report"
)

// A browser is a headless Chromium that is spoken to over two pipes in the DevTools
// protocol: JSON messages, each ended by a zero byte.
type browser struct {
	t       *testing.T
	in      *os.File
	out     *bufio.Reader
	id      int
	session string
	noise   []string // errors that the page caused
}

// chromium finds the browser. Without one the test is skipped, except where the
// project's own set-up has installed it.
func chromium(t *testing.T) string {
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

func openBrowser(t *testing.T, size string) *browser {
	t.Helper()
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
	b := &browser{t: t, in: in, out: bufio.NewReader(out)}
	t.Cleanup(func() {
		fmt.Fprintf(in, `{"id":0,"method":"Browser.close"}`+"\x00")
		if err := cmd.Wait(); err != nil && t.Failed() {
			t.Logf("chromium: %v, %s", err, log.String())
		}
		in.Close()
		out.Close()
	})
	target := b.call("Target.createTarget", map[string]any{"url": "about:blank"})["targetId"]
	b.session = b.call("Target.attachToTarget", map[string]any{"targetId": target, "flatten": true})["sessionId"].(string)
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		b.call(domain+".enable", nil)
	}
	return b
}

// call sends a command and waits for its answer. What else comes is listened to.
func (b *browser) call(method string, params map[string]any) map[string]any {
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

func (b *browser) next() map[string]any {
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
		b.noise = append(b.noise, fmt.Sprint(params))
	case "Runtime.consoleAPICalled":
		if params["type"] == "error" || params["type"] == "warning" {
			b.noise = append(b.noise, fmt.Sprint(params))
		}
	}
	return m
}

func (b *browser) open(path string) {
	b.t.Helper()
	b.call("Page.navigate", map[string]any{"url": "file://" + path})
	for b.next()["method"] != "Page.loadEventFired" {
	}
}

// eval gives the value of an expression of JavaScript.
func (b *browser) eval(expression string) any {
	b.t.Helper()
	got := b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true})
	if e := got["exceptionDetails"]; e != nil {
		b.t.Fatalf("%s: %v", expression, e)
	}
	return got["result"].(map[string]any)["value"]
}

// want compares the text of a value.
func (b *browser) want(expression, want string) {
	b.t.Helper()
	if got := fmt.Sprint(b.eval(expression)); got != want {
		b.t.Errorf("%s\nis %q, want %q", expression, got, want)
	}
}

// shot writes a picture of the page to the folder STEIN_SCREENSHOTS, where one is named.
func (b *browser) shot(name string, all bool) {
	b.t.Helper()
	dir := os.Getenv("STEIN_SCREENSHOTS")
	if dir == "" {
		return
	}
	data, err := base64.StdEncoding.DecodeString(b.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": all})["data"].(string))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), data, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// Ensure that the page works in a real browser: no error, all figures drawn, tables
// that sort by a click, configurations and enlarged figures that open, light and dark.
func TestPageInChromium(t *testing.T) {
	b := openBrowser(t, "1280,1000")
	dir, out := t.TempDir(), t.TempDir()
	matrix(t, dir, 5, 100)
	for seed := range 3 {
		synthetic{config: "hopper/sac", seed: uint64(seed), points: 20, every: 500, top: 1000}.write(t, filepath.Join(dir, fmt.Sprint("hopper-", seed)))
	}
	r, err := report.New([]string{dir}, report.Options{Title: "Walker2d <and> hopper", Bootstrap: report.Bootstrap{Resamples: 200}})
	if err != nil {
		t.Fatal(err)
	}
	paths, err := r.Write(out)
	if err != nil {
		t.Fatal(err)
	}
	b.open(paths[0])
	b.want(`document.title`, "Walker2d <and> hopper")
	b.want(`document.querySelectorAll("section").length`, "2")
	b.want(`[...document.querySelectorAll("figure svg")].filter(s => s.getBoundingClientRect().height < 100 || !s.querySelector("path")).length`, "0")
	b.want(`document.querySelectorAll("figure svg").length`, "8")
	b.want(`document.documentElement.scrollWidth <= innerWidth`, "true")
	b.shot("light", true)

	b.want(`document.querySelectorAll("#s0 table.sortable tbody tr").length`, fmt.Sprint(14+70))
	testSorting(t, b)
	testDialogs(b)

	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": "dark"}}})
	b.want(`getComputedStyle(document.body).backgroundColor`, "rgb(20, 23, 27)")
	b.want(`getComputedStyle(document.querySelector("figure svg text")).fill`, "rgb(228, 232, 236)")
	b.shot("dark", true)
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": true})
	b.want(`document.documentElement.scrollWidth <= innerWidth`, "true")
	b.shot("phone", false)
	if len(b.noise) > 0 {
		t.Errorf("the page complains: %v", b.noise)
	}
}

func testSorting(t *testing.T, b *browser) {
	t.Helper()
	const values = `[...document.querySelector("#s0 table.sortable").tBodies[0].rows].map(r => parseFloat(r.cells[3].dataset.v))`
	const head = `document.querySelector("#s0 table.sortable").tHead.rows[0].cells[3]`
	const click = head + `.querySelector("button").click()`
	b.want(values+`.every((x, i, all) => i === 0 || all[i-1] >= x)`, "false") // in the order of the configurations
	b.eval(click)
	b.want(values+`.every((x, i, all) => i === 0 || all[i-1] >= x)`, "true")
	b.want(head+`.getAttribute("aria-sort")`, "descending")
	b.eval(click)
	b.want(values+`.every((x, i, all) => i === 0 || all[i-1] <= x)`, "true")
	b.eval(`document.querySelector("#s0 table.sortable th button").click()`)
	b.want(`document.querySelector("#s0 table.sortable").tBodies[0].rows[0].cells[0].textContent.trim()`, "walker2d/met-lc-m10")
	b.want(head+`.hasAttribute("aria-sort")`, "false")
}

func testDialogs(b *browser) {
	b.eval(`document.querySelector("#s0 table.sortable button.link").click()`)
	b.want(`document.getElementById("config").open`, "true")
	b.want(`document.querySelector("#config pre").textContent.includes("id: Walker2d-v5")`, "true")
	b.shot("config", false)
	b.eval(`document.querySelector('#config [data-do="close"]').click()`)

	b.eval(`document.querySelector("#s0 .drawing").click()`)
	b.want(`document.getElementById("zoom").open`, "true")
	const box = `document.querySelector("#zoom svg").getAttribute("viewBox").split(" ").map(Number)`
	const whole = `document.querySelector("#s0 .drawing svg").getAttribute("viewBox").split(" ").map(Number)`
	b.want(box+`[2] === `+whole+`[2]`, "true")
	b.eval(`document.querySelector("#zoom .stage").dispatchEvent(new WheelEvent("wheel", {deltaY: -400, clientX: 700, clientY: 500, cancelable: true}))`)
	b.want(box+`[2] < 0.7 * `+whole+`[2]`, "true")
	b.shot("zoom", false)
	b.eval(`document.querySelector('#zoom [data-do="all"]').click()`)
	b.want(box+`.join() === `+whole+`.join()`, "true")
	b.eval(`document.querySelector('#zoom [data-do="close"]').click()`)
	b.want(`document.getElementById("zoom").open`, "false")
}
