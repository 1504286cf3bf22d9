package report_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stein-rl/stein/internal/browsertest"
	"github.com/stein-rl/stein/report"
)

// watch serves the live page of a folder until the test ends.
func watch(t *testing.T, live report.Live) string {
	t.Helper()
	server := httptest.NewServer(live.Handler())
	t.Cleanup(func() {
		server.CloseClientConnections() // Close alone waits for the page to leave
		server.Close()
	})
	return server.URL
}

// panelOf is the figure of a title, in JavaScript.
func panelOf(title string) string {
	return fmt.Sprintf(`document.querySelector('.panel[data-title=%q]')`, title)
}

// Ensure that the live page works in a real browser: figures of what was recorded, points
// and runs that come while one looks, seeds together or one by one, and no complaint.
func TestLiveInChromium(t *testing.T) {
	b := browsertest.Open(t, "1500,1100")
	b.Call("Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": textsOfCanvas})
	dir := t.TempDir()
	for i, config := range []string{"walker2d/sac", "walker2d/met-sigma-eps"} {
		synthetic{config: config, seed: uint64(i), points: 10, every: 500, top: 4000}.write(t, filepath.Join(dir, strings.TrimPrefix(config, "walker2d/")))
	}
	b.Go(watch(t, report.Live{Dirs: []string{dir}, Every: 20 * time.Millisecond}))
	points, lines := panelOf("Return")+`?.dataset.points`, panelOf("Return")+`?.dataset.lines`
	b.Until(lines, "2")
	b.Until(points, "10")
	b.Want(`document.title`, "Stein, live")
	b.Want(`document.getElementById("state").textContent`, "live")
	b.Want(`[...document.querySelectorAll(".panel")].map(p => p.dataset.title).join()`, "Return,Critic loss,Bandwidth")
	b.Want(`[...document.querySelectorAll("#chips button")].map(c => c.textContent).join()`, "walker2d/sac,walker2d/met-sigma-eps")
	b.Want(`getComputedStyle(document.querySelector("#chips .key")).getPropertyValue("--c")`, colourInReport(t, dir))
	b.Want(`document.documentElement.scrollWidth <= innerWidth`, "true")
	for ticks, want := range map[string]string{
		"[0, 0.25, 0.5]": "0.00 0.25 0.50", "[-200, 0, 200]": "-200 0 200", "[0, 12500, 25000]": "0 12.5K 25K", "[1000000, 1125000]": "1M 1.125M",
		"[12345, 12346]": "12,345 12,346", "[0, 1e-7, 2e-7]": "0 1.0e-7 2.0e-7", "[7]": "7", "[]": "",
	} {
		b.Want(`tickLabels(`+ticks+`).join(" ")`, want)
	}
	b.Shot("live", false)

	f, err := os.OpenFile(filepath.Join(dir, "sac", "metrics.csv"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("5500,33,4100,,,\n"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	b.Until(points, "11")
	synthetic{config: "walker2d/sac", seed: 7, points: 10, every: 500, top: 4000}.write(t, filepath.Join(dir, "late"))
	b.Until(`document.querySelector("#chips button").textContent`, "walker2d/sac · 2 seeds")
	b.Until(lines, "2") // a mean, and the other configuration
	b.Eval(`(() => { const m = document.getElementById("mode"); m.value = "each"; m.dispatchEvent(new Event("change")); })()`)
	b.Until(lines, "3")

	// A run that goes on from an earlier step loses the points after it.
	path := filepath.Join(dir, "sac", "metrics.csv")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.SplitAfter(string(text), "\n")
	if err := os.WriteFile(path, []byte(strings.Join(rows[:1+2*6], "")), 0o644); err != nil {
		t.Fatal(err)
	}
	b.Until(points, "10")
	b.Eval(`document.querySelector("#chips button:last-child").click()`)
	b.Until(lines+" + ' ' + "+points, "2 10")
	b.Eval(`[...document.querySelectorAll("#runs tbody tr")].find(r => r.cells[1].textContent === "late").click()`)
	b.Until(lines+" + ' ' + "+points, "1 6")
	b.Eval(`(() => { const m = document.getElementById("more"); m.value = "policy/score_norm"; m.dispatchEvent(new Event("change")); })()`)
	b.Until(panelOf("policy/score_norm")+`?.dataset.lines`, "1")
	b.Call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": "dark"}}})
	b.Want(`getComputedStyle(document.body).backgroundColor`, "rgb(20, 23, 27)")
	b.Until(`document.querySelectorAll(".panel canvas").length`, "4")
	b.Shot("live-dark", false)
	b.Want(cutTexts, "")
	b.Call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": true})
	b.Until(`document.documentElement.scrollWidth <= innerWidth`, "true")
	b.Until(cutTexts, "")
	if len(b.Noise) > 0 {
		t.Errorf("the page complains: %v", b.Noise)
	}
}

// textsOfCanvas notes of every text that is drawn on a canvas where it ends up.
const textsOfCanvas = `(() => {
  const draw = CanvasRenderingContext2D.prototype.fillText, clear = CanvasRenderingContext2D.prototype.clearRect;
  CanvasRenderingContext2D.prototype.clearRect = function (...a) { this.canvas.texts = []; return clear.apply(this, a); };
  CanvasRenderingContext2D.prototype.fillText = function (text, x, y, ...rest) {
    const m = this.measureText(text), t = this.getTransform();
    const corners = [[-m.actualBoundingBoxLeft, -m.actualBoundingBoxAscent], [m.actualBoundingBoxRight, m.actualBoundingBoxDescent]]
      .map(([dx, dy]) => t.transformPoint(new DOMPoint(x + dx, y + dy)));
    (this.canvas.texts ??= []).push({ text, corners });
    return draw.call(this, text, x, y, ...rest);
  };
})()`

// cutTexts are those that are not within their canvas, and names of canvases without any.
const cutTexts = `[...document.querySelectorAll(".panel canvas")].flatMap(c => c.texts?.length > 5
  ? c.texts.filter(t => t.corners.some(p => p.x < 0 || p.y < 0 || p.x > c.width || p.y > c.height)).map(t => t.text)
  : ["a canvas without labels"]).join()`

// Ensure that values are shown under the pointer, that a range which was dragged stays
// while points come, for all figures, and that a double click ends it.
func TestLiveZoom(t *testing.T) {
	b := browsertest.Open(t, "1500,1100")
	dir := t.TempDir()
	for seed := range 3 {
		synthetic{config: "walker2d/sac", seed: uint64(seed), points: 20, every: 500, top: 4000}.write(t, filepath.Join(dir, fmt.Sprint(seed)))
	}
	b.Go(watch(t, report.Live{Dirs: []string{dir}, Every: 20 * time.Millisecond}))
	points := panelOf("Return") + `?.dataset.points`
	b.Until(points, "20")
	over := func(title string, share float64) (x, y float64) {
		box := b.Eval(`(() => { const r = ` + panelOf(title) + `.querySelector(".u-over").getBoundingClientRect(); return [r.left, r.top, r.width, r.height]; })()`).([]any)
		return box[0].(float64) + share*box[2].(float64), box[1].(float64) + box[3].(float64)/2
	}
	x, y := over("Return", 0.5)
	b.Mouse("mouseMoved", x, y)
	tip := panelOf("Return") + `.querySelector(".tip:not([hidden])")?.textContent`
	b.Until(tip+`.startsWith("5,000 environment steps")`, "true")
	b.Until(tip+`.includes("3 seeds")`, "true")
	b.Shot("live-pointer", false)

	shown := `charts.map(c => { const {min, max} = c.u.scales.x; return min > 2400 && min < 2600 && max > 7400 && max < 7600; }).join()`
	b.Want(shown, "false,false,false")
	from, _ := over("Return", 0.25)
	to, _ := over("Return", 0.75)
	b.Mouse("mouseMoved", from, y)
	b.Mouse("mousePressed", from, y)
	b.Mouse("mouseMoved", (from+to)/2, y)
	b.Mouse("mouseMoved", to, y)
	b.Mouse("mouseReleased", to, y)
	b.Until(shown, "true,true,true")
	b.Want(`document.getElementById("all").hidden`, "false")
	f, err := os.OpenFile(filepath.Join(dir, "0", "metrics.csv"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("15000,90,4100,,2,1.5\n"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	b.Until(`document.querySelector("#runs tbody tr").cells[3].textContent`, "15,000 of 10,000")
	b.Want(shown, "true,true,true")
	b.Shot("live-zoom", false)
	b.Eval(panelOf("Critic loss") + `.querySelector(".u-over").dispatchEvent(new MouseEvent("dblclick", {bubbles: true}))`)
	b.Until(`charts.map(c => c.u.scales.x.max).join()`, "15000,15000,15000")
	if len(b.Noise) > 0 {
		t.Errorf("the page complains: %v", b.Noise)
	}
}

// colourInReport is the colour that soft actor-critic has in the report's page.
func colourInReport(t *testing.T, dir string) string {
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

// Ensure that a page of the web can't read it under a name of its own.
func TestLiveAnswersThisMachineAlone(t *testing.T) {
	url := watch(t, report.Live{Dirs: []string{t.TempDir()}})
	for host, want := range map[string]int{"example.org": http.StatusForbidden, "127.0.0.1.example.org:80": http.StatusForbidden, "localhost:1": http.StatusOK, "[::1]:1": http.StatusOK} {
		request, err := http.NewRequest(http.MethodGet, url, nil)
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
}

// events reads server-sent events until one is the last that is wanted.
func events(t *testing.T, url string, last func(kind string, data map[string]any) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 1<<22)
	kind := ""
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "event":
			kind = value
		case "data":
			var data map[string]any
			if err := json.Unmarshal([]byte(value), &data); err != nil {
				t.Fatalf("%v in %s", err, value)
			}
			if last(kind, data) {
				return
			}
		}
	}
	t.Fatalf("the wanted event does not come: %v", lines.Err())
}

// Ensure that folders which are damaged, in any way that a crash or a hand can damage
// them, are named with the reason while the whole one beside them is shown.
func TestLiveOfDamagedFolders(t *testing.T) {
	dir := t.TempDir()
	synthetic{config: "walker2d/sac", seed: 1, points: 4, every: 500, top: 10}.write(t, filepath.Join(dir, "whole"))
	damage := map[string]struct{ file, text string }{
		"no-json":      {"run.json", "{"},
		"empty-json":   {"run.json", ""},
		"no-yaml":      {"config.yaml", "\x00\x01: ["},
		"ragged":       {"metrics.csv", "step,time,x\n1,2\n"},
		"words":        {"metrics.csv", "step,time,eval/mean_reward\n1,2,high\n"},
		"no-columns":   {"metrics.csv", "a,b\n1,2\n"},
		"binary":       {"metrics.csv", "\x00\xff\xfe\n\"\n"},
		"no-steps":     {"metrics.csv", "step,time,eval/mean_reward\n,,3\nNaN,NaN,4\n"},
		"all-NaN":      {"metrics.csv", "step,time,eval/mean_reward\n500,NaN,NaN\n"},
		"back":         {"metrics.csv", "step,time,eval/mean_reward\n500,1,1\n200,2,2\n900,3,+Inf\n1e300,4,4\n"},
		"empty-yaml":   {"config.yaml", ""},
		"yaml-list":    {"config.yaml", "- 1\n- &a [*a]\n"},
		"empty-csv":    {"metrics.csv", ""},
		"header-alone": {"metrics.csv", "step,time\n"},
	}
	for name, d := range damage {
		synthetic{config: "walker2d/sac", seed: 1000, points: 1, every: 500, top: 10, sets: []string{"about=" + name, "env.id=" + name}}.write(t, filepath.Join(dir, name))
		if err := os.WriteFile(filepath.Join(dir, name, d.file), []byte(d.text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder-as-file"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "folder-as-file", "run.json"), 0o755); err != nil {
		t.Fatal(err)
	}
	closed := filepath.Join(dir, "closed") // for all but root, whom nothing is closed to
	if err := os.Mkdir(closed, 0); err != nil {
		t.Fatal(err)
	}
	_, cannot := os.ReadDir(closed)
	url := watch(t, report.Live{Dirs: []string{dir, filepath.Join(dir, "gone")}, Every: time.Millisecond})
	var problem, left, shown []string
	why := map[string]string{}
	events(t, url+"/events?metric=eval/mean_reward", func(kind string, data map[string]any) bool {
		switch kind {
		case "problem":
			problem = append(problem, data["text"].(string))
		case "runs":
			for _, x := range data["left"].([]any) {
				name := filepath.Base(x.(map[string]any)["dir"].(string))
				left = append(left, name)
				why[name] = x.(map[string]any)["why"].(string)
			}
			for _, x := range data["runs"].([]any) {
				shown = append(shown, x.(map[string]any)["name"].(string))
			}
		case "points":
			return filepath.Base(data["id"].(string)) == "whole"
		}
		return false
	})
	if len(problem) != 1 || !strings.Contains(problem[0], "gone") {
		t.Errorf("problems %q, want one about the folder that is not there", problem)
	}
	for _, name := range []string{"no-json", "empty-json", "no-yaml", "ragged", "words", "no-columns", "binary", "folder-as-file", "no-steps", "back"} {
		if !strings.Contains(strings.Join(left, " "), name) {
			t.Errorf("%s is not named as left out: %v", name, left)
		}
	}
	if (cannot != nil) != slices.Contains(left, "closed") {
		t.Errorf("a folder that can't be read (%v): left out %v", cannot, left)
	}
	// The command says the same, without a page.
	unreadable, err := report.Unreadable(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range unreadable {
		name := filepath.Base(l.Dir)
		if why[name] != l.Why {
			t.Errorf("%s: %q, on the page %q", name, l.Why, why[name])
		}
		delete(why, name)
	}
	for name, because := range why {
		if !strings.Contains(because, "same configuration and seed") {
			t.Errorf("%s is left out on the page alone: %s", name, because)
		}
	}
	for _, name := range []string{"whole", "all-NaN"} {
		if !strings.Contains(strings.Join(shown, " "), name) {
			t.Errorf("%s is not shown: %v", name, shown)
		}
	}
}
