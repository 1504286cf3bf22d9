package report_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stein-rl/stein/internal/browsertest"
	"github.com/stein-rl/stein/report"
)

// Ensure that the page works in a real browser: no error, all figures drawn, tables
// that sort by a click, configurations and enlarged figures that open, light and dark.
func TestPageInChromium(t *testing.T) {
	b := browsertest.Open(t, "1280,1000")
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
	b.Go("file://" + paths[0])
	b.Want(`document.title`, "Walker2d <and> hopper")
	b.Want(`document.querySelectorAll("section").length`, "2")
	b.Want(`[...document.querySelectorAll("figure svg")].filter(s => s.getBoundingClientRect().height < 100 || !s.querySelector("path")).length`, "0")
	b.Want(`document.querySelectorAll("figure svg").length`, "8")
	b.Want(`document.documentElement.scrollWidth <= innerWidth`, "true")
	b.Shot("light", true)

	b.Want(`document.querySelectorAll("#s0 table.sortable tbody tr").length`, fmt.Sprint(14+70))
	testSorting(t, b)
	testDialogs(b)

	b.Call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": "dark"}}})
	b.Want(`getComputedStyle(document.body).backgroundColor`, "rgb(20, 23, 27)")
	b.Want(`getComputedStyle(document.querySelector("figure svg text")).fill`, "rgb(228, 232, 236)")
	b.Shot("dark", true)
	b.Call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": true})
	b.Want(`document.documentElement.scrollWidth <= innerWidth`, "true")
	b.Shot("phone", false)
	if len(b.Noise) > 0 {
		t.Errorf("the page complains: %v", b.Noise)
	}
}

func testSorting(t *testing.T, b *browsertest.Browser) {
	t.Helper()
	const values = `[...document.querySelector("#s0 table.sortable").tBodies[0].rows].map(r => parseFloat(r.cells[3].dataset.v))`
	const head = `document.querySelector("#s0 table.sortable").tHead.rows[0].cells[3]`
	const click = head + `.querySelector("button").click()`
	b.Want(values+`.every((x, i, all) => i === 0 || all[i-1] >= x)`, "false") // in the order of the configurations
	b.Eval(click)
	b.Want(values+`.every((x, i, all) => i === 0 || all[i-1] >= x)`, "true")
	b.Want(head+`.getAttribute("aria-sort")`, "descending")
	b.Eval(click)
	b.Want(values+`.every((x, i, all) => i === 0 || all[i-1] <= x)`, "true")
	b.Eval(`document.querySelector("#s0 table.sortable th button").click()`)
	b.Want(`document.querySelector("#s0 table.sortable").tBodies[0].rows[0].cells[0].textContent.trim()`, "walker2d/met-lc-m10")
	b.Want(head+`.hasAttribute("aria-sort")`, "false")
}

func testDialogs(b *browsertest.Browser) {
	b.Eval(`document.querySelector("#s0 table.sortable button.link").click()`)
	b.Want(`document.getElementById("config").open`, "true")
	b.Want(`document.querySelector("#config pre").textContent.includes("id: Walker2d-v5")`, "true")
	b.Shot("config", false)
	b.Eval(`document.querySelector('#config [data-do="close"]').click()`)

	b.Eval(`document.querySelector("#s0 .drawing").click()`)
	b.Want(`document.getElementById("zoom").open`, "true")
	const box = `document.querySelector("#zoom svg").getAttribute("viewBox").split(" ").map(Number)`
	const whole = `document.querySelector("#s0 .drawing svg").getAttribute("viewBox").split(" ").map(Number)`
	b.Want(box+`[2] === `+whole+`[2]`, "true")
	b.Eval(`document.querySelector("#zoom .stage").dispatchEvent(new WheelEvent("wheel", {deltaY: -400, clientX: 700, clientY: 500, cancelable: true}))`)
	b.Want(box+`[2] < 0.7 * `+whole+`[2]`, "true")
	b.Shot("zoom", false)
	b.Eval(`document.querySelector('#zoom [data-do="all"]').click()`)
	b.Want(box+`.join() === `+whole+`.join()`, "true")
	b.Eval(`document.querySelector('#zoom [data-do="close"]').click()`)
	b.Want(`document.getElementById("zoom").open`, "false")
}
