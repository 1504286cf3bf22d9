package report_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stein-rl/stein/report"
)

// Ensure that the live page works in a real browser: a curve for each run in the
// report's colours, points and runs that come while one looks, another figure by
// choice, runs that a click hides, and no complaint.
func TestLiveInChromium(t *testing.T) {
	b := openBrowser(t, "1280,1000")
	dir := t.TempDir()
	for i, config := range []string{"walker2d/sac", "walker2d/met-sigma-eps"} {
		synthetic{config: config, seed: uint64(i), points: 10, every: 500, top: 4000}.write(t, filepath.Join(dir, strings.TrimPrefix(config, "walker2d/")))
	}
	server := httptest.NewServer(report.Live{Dirs: []string{dir}, Every: 20 * time.Millisecond}.Handler())
	defer func() {
		server.CloseClientConnections() // Close alone waits for the page to leave
		server.Close()
	}()
	b.call("Page.navigate", map[string]any{"url": server.URL})
	for b.next()["method"] != "Page.loadEventFired" {
	}
	const points = `document.querySelector('.curve[data-run="sac"]')?.getAttribute("d").match(/[ML]/g).length`
	b.until(`document.querySelectorAll(".curve").length`, "2")
	b.until(points, "10")
	b.want(`document.title`, "Stein, live")
	b.want(`document.getElementById("state").textContent`, "live")
	b.want(`document.querySelectorAll("#runs tbody tr").length`, "2")
	b.want(`document.querySelector('.curve[data-run="sac"]').getAttribute("stroke")`, colourInReport(t, b, dir))
	b.want(`document.documentElement.scrollWidth <= innerWidth`, "true")
	b.shot("live", false)

	more := "5500,33,4100,,,\n"
	f, err := os.OpenFile(filepath.Join(dir, "sac", "metrics.csv"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(more); err != nil {
		t.Fatal(err)
	}
	f.Close()
	b.until(points, "11")
	synthetic{config: "walker2d/sac", seed: 7, points: 4, every: 500, top: 4000}.write(t, filepath.Join(dir, "late"))
	b.until(`document.querySelectorAll(".curve").length`, "3")

	// A run that goes on from an earlier step loses the points after it.
	synthetic{config: "walker2d/sac", seed: 0, points: 6, every: 500, top: 3000}.write(t, filepath.Join(dir, "sac"))
	b.until(points, "6")

	b.eval(`document.querySelector("#runs tbody tr").click()`)
	b.until(`document.querySelectorAll(".curve").length`, "2")
	b.eval(`(() => { const m = document.getElementById("metric"); m.value = "policy/sigma"; m.dispatchEvent(new Event("change")); })()`)
	b.until(`document.querySelectorAll(".curve").length + " " + document.getElementById("metric").value`, "2 policy/sigma")
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": "dark"}}})
	b.want(`getComputedStyle(document.body).backgroundColor`, "rgb(20, 23, 27)")
	b.shot("live-dark", false)
	if len(b.noise) > 0 {
		t.Errorf("the page complains: %v", b.noise)
	}
}

// until waits for a value.
func (b *browser) until(expression, want string) {
	b.t.Helper()
	for end := time.Now().Add(time.Minute); fmt.Sprint(b.eval(expression)) != want; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("%s\nis %v, want %s", expression, b.eval(expression), want)
		}
	}
}

// colourInReport is the colour that soft actor-critic has in the report's page.
func colourInReport(t *testing.T, b *browser, dir string) string {
	t.Helper()
	r, err := report.New([]string{dir}, report.Options{Bootstrap: report.Bootstrap{Resamples: 10}})
	if err != nil {
		t.Fatal(err)
	}
	page, err := r.HTML()
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(page), "--c: ")
	colour, _, _ := strings.Cut(after, `"`)
	if !found || !strings.HasPrefix(colour, "#") || !strings.Contains(strings.SplitN(after, "</td>", 2)[0], "walker2d/sac") {
		t.Fatalf("no colour of walker2d/sac: %.80q", after)
	}
	return colour
}

// Ensure that a page of the web can't read it under a name of its own, and that an
// event says what is wrong with a folder.
func TestLiveAnswersThisMachineAlone(t *testing.T) {
	dir := t.TempDir()
	server := httptest.NewServer(report.Live{Dirs: []string{dir}}.Handler())
	defer server.Close()
	for host, want := range map[string]int{"example.org": http.StatusForbidden, "127.0.0.1.example.org:80": http.StatusForbidden, "localhost:1": http.StatusOK, "[::1]:1": http.StatusOK} {
		request, err := http.NewRequest(http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s: %d, want %d", host, answer.StatusCode, want)
		}
	}
	answer, err := http.Get(server.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || !strings.Contains(string(text), "event: problem") || !strings.Contains(string(text), "none is in it") {
		t.Errorf("%v, %s", err, text)
	}
}
