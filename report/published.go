package report

import (
	"embed"
	"encoding/csv"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed published/*.csv
var publishedFiles embed.FS

// A Published holds published figures of a configuration.
type Published struct {
	Steps, Values []float64 // the curve; empty if none was published
	Final         float64   // at the end; NaN if not published
	Low, High     float64   // of its 95 % interval; NaN if not published
	Source        string
}

// known are the configurations with published figures and their columns. Their order sets
// their colours.
var known = []struct{ name, column string }{
	{"walker2d/sac", "sac_m10"},
	{"walker2d/sac-nf", "sac_nf_m10"},
	{"walker2d/p-svgd", "p_svgd_m10"},
	{"walker2d/met-sigma", "met_sigma_m10"},
	{"walker2d/met-sigma-eps-notrace", "met_sigma_eps_no_trace_m10"},
	{"walker2d/met-sigma-eps", "met_sigma_eps_trace_m10"},
	{"walker2d/met-sigma-eps-nobound", "met_sigma_eps_trace_no_bound_m10"},
	{"walker2d/met-lc-m10", "met_adaptive_steps_m10"},
	{"walker2d/met-mh-m10", "met_mh_m10"},
	{"walker2d/met-mh-greedy-m10", "met_mh_egreedy_m10"},
	{"walker2d/met-m64", "met_m64"},
	{"walker2d/met-lc-m64", "met_adaptive_steps_m64"},
	{"walker2d/met-mh-m64", "met_mh_m64"},
	{"walker2d/met-mh-greedy-m64", "met_mh_egreedy_m64"},
	{"ebm/glow", "glow_nf"},
	{"ebm/langevin", "langevin"},
	{"ebm/p-svgd", "p_svgd"},
	{"ebm/met-sigma", "met_sigma_trace"},
	{"ebm/met-sigma-eps", "met_sigma_eps_trace"},
	{"ebm/met-sigma-eps-notrace", "met_sigma_eps_no_trace"},
	{"ebm/met-lc", "met_adaptive_steps"},
	{"ebm/met-mh", "met_mh"},
	{"ebm/met-sigma-eps-nobound", "met_no_bound"},
}

// familySize is the number of styles reserved for the published configurations of a
// folder.
const familySize = 14

// curveFiles maps a folder and a metric to a file.
var curveFiles = map[string]string{
	"walker2d eval/mean_reward": "walker2d_return_iqm",
	"ebm eval/fid":              "cifar10_fid",
	"ebm sampler/score_norm":    "cifar10_score_norm",
	"ebm sampler/rejection":     "cifar10_mh_rejection",
}

const publishedSource = "MET-SVGD web page, SafaMessaoud/met_svgd_website at 7c7493c, read off its figures"

// IsPublished reports whether a configuration has a published figure.
func IsPublished(config string) bool { return rank(config) < len(known) }

// PublishedNames lists the configurations with a published figure.
func PublishedNames() []string {
	var names []string
	for _, k := range known {
		names = append(names, k.name)
	}
	return names
}

// rank is a configuration's index among the published ones, or their number.
func rank(config string) int {
	if i := slices.IndexFunc(known, func(k struct{ name, column string }) bool { return k.name == config }); i >= 0 {
		return i
	}
	return len(known)
}

// PublishedOf returns the published figures of a configuration's metric; nil if there are
// none.
func PublishedOf(config, metric string) *Published {
	i := rank(config)
	if i == len(known) {
		return nil
	}
	folder, _, _ := strings.Cut(config, "/")
	file := curveFiles[folder+" "+metric]
	if file == "" {
		return nil
	}
	tables := publishedTables()
	p := &Published{Final: math.NaN(), Low: math.NaN(), High: math.NaN(), Source: publishedSource}
	column := known[i].column
	table := tables[file]
	at := slices.Index(table[0], column)
	if at < 0 {
		return nil
	}
	for _, row := range table[1:] {
		step, value := cell(row[0]), cell(row[at])
		if !math.IsNaN(value) {
			p.Steps, p.Values = append(p.Steps, step), append(p.Values, value)
		}
	}
	if folder == "walker2d" {
		for _, row := range tables["walker2d_final_iqm"][1:] {
			if row[0] == column {
				p.Final, p.Low, p.High = cell(row[1]), cell(row[2]), cell(row[3])
			}
		}
	}
	return p
}

// published returns the published figures of the group's metric. They apply only to
// Walker2d and CIFAR-10.
func (g *Group) published(metric string) *Published {
	if strings.HasPrefix(g.Name, "walker2d/") && !strings.HasPrefix(g.Env, "Walker2d-") || strings.HasPrefix(g.Name, "ebm/") && g.Env != "cifar10" {
		return nil
	}
	return PublishedOf(g.Name, metric)
}

// publishedTables are the embedded files. A malformed one is a bug in this package; a
// test reads them all.
var publishedTables = sync.OnceValue(func() map[string][][]string {
	tables := map[string][][]string{}
	paths, _ := fs.Glob(publishedFiles, "published/*.csv")
	for _, path := range paths {
		f, err := publishedFiles.Open(path)
		if err != nil {
			panic(fmt.Sprintf("report: %s: %v", path, err))
		}
		rows, err := csv.NewReader(f).ReadAll()
		if err != nil {
			panic(fmt.Sprintf("report: %s: %v", path, err))
		}
		tables[strings.TrimSuffix(strings.TrimPrefix(path, "published/"), ".csv")] = rows
	}
	return tables
})

func cell(text string) float64 {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return math.NaN()
	}
	return x
}
