package report

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"math"
	"path/filepath"
	"strconv"
)

//go:embed web
var web embed.FS

// page is the template of the report.
var page = template.Must(template.New("page.html").Funcs(template.FuncMap{
	"colour": func(style int) string { return hex(colourOf(style)) },
	"inline": func(f *Figure) (template.HTML, error) {
		svg, err := f.Inline()
		return template.HTML(svg), err // gonum/plot escapes texts
	},
	"style":     func() (template.CSS, error) { t, err := web.ReadFile("web/page.css"); return template.CSS(t), err },
	"script":    func() (template.JS, error) { t, err := web.ReadFile("web/page.js"); return template.JS(t), err },
	"short":     short,
	"interval":  func(i Interval) string { return short(i.Low) + " … " + short(i.High) },
	"percent":   func(x float64) string { return fmt.Sprintf("%.0f", 100*x) },
	"known":     func(x float64) bool { return !math.IsNaN(x) },
	"base":      filepath.Base,
	"steps":     func(x float64) string { return thousands(int64(x)) },
	"thousands": thousands,
	"endOf":     func(r *Run, metric string) float64 { x, _ := r.Last(metric); return x },
	"duration": func(seconds float64) string {
		switch {
		case seconds < 100:
			return fmt.Sprintf("%.0f s", seconds)
		case seconds < 6000:
			return fmt.Sprintf("%.0f min", seconds/60)
		}
		return fmt.Sprintf("%.1f h", seconds/3600)
	},
	"finished": func(r *Run) bool { return strconv.FormatInt(r.Step, 10) == r.Total() },
}).ParseFS(web, "web/page.html"))

// HTML is the report as one self-contained page.
func (r *Report) HTML() ([]byte, error) {
	var out bytes.Buffer
	if err := page.Execute(&out, r); err != nil {
		return nil, fmt.Errorf("report: page: %w", err)
	}
	return out.Bytes(), nil
}

// short formats a number with about four digits.
func short(x float64) string {
	switch size := math.Abs(x); {
	case math.IsNaN(x):
		return "–"
	case size >= 1000:
		return fmt.Sprintf("%.0f", x)
	case size >= 100:
		return fmt.Sprintf("%.1f", x)
	case size >= 0.01 || size == 0:
		return fmt.Sprintf("%.3g", x)
	}
	return fmt.Sprintf("%.2e", x)
}

// thousands formats 12345 as 12,345.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
