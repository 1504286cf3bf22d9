package main

import (
	"strings"

	"github.com/stein-rl/stein/sampler/known"
)

// q⁰ is N(0, 2² I) everywhere and is not learned: a learned one would be exact for a
// Gaussian target.
const initialStd = 2

const (
	systems = 64
	fit     = 60
)

// A cell is one run of the study.
type cell struct {
	known.Config
	label  string
	target string
	dim    int
}

// A method is a sampler with its settings.
type method struct {
	label  string
	config known.Config
}

var (
	pSVGD     = method{"P-SVGD, ε = 0.1", known.Config{Sampler: "p-svgd", StepSize: 0.1}}
	pSVGDLong = method{"P-SVGD, ε = 1", known.Config{Sampler: "p-svgd", StepSize: 1}}
	met       = method{"MET-SVGD", known.Config{Sampler: "met-svgd"}}
	metRef    = method{"MET-SVGD, self term", known.Config{Sampler: "met-svgd", SelfTerm: true}}
	metExact  = method{"MET-SVGD, exact log-det", known.Config{Sampler: "met-svgd", ExactDensity: true}}
)

type size struct{ m, l int }

// toys are the targets: Gaussians of 2, 10 and 50 dimensions, two mixtures.
var toys = []struct {
	name string
	dim  int
}{{"gaussian", 2}, {"gaussian", 10}, {"gaussian", 50}, {"gmm2", 2}, {"gmm4", 2}}

// A part is one question.
type part struct {
	name  string
	cells func() []cell
}

var parts = []part{
	{"methods", func() (cells []cell) { // both methods as M and L grow
		for _, t := range toys {
			for _, s := range []size{{10, 10}, {32, 10}, {32, 5}, {32, 20}} {
				for _, m := range []method{pSVGD, pSVGDLong, met} {
					cells = append(cells, m.at(t.name, t.dim, s))
				}
			}
		}
		return cells
	}},
	{"many", func() (cells []cell) { // with many particles
		for _, t := range toys {
			s := size{256, 10}
			if t.dim > 10 {
				s.m = 128 // the bound's Gram matrices grow with M³ here
			}
			for _, m := range []method{pSVGD, pSVGDLong, met} {
				c := m.at(t.name, t.dim, s)
				// The best ε grows with M and is further from where the fit starts.
				c.Systems, c.FitRate = 16, 0.1
				cells = append(cells, c)
			}
		}
		return cells
	}},
	{"forms", func() (cells []cell) { // the three forms of the log-determinant
		for _, s := range []size{{10, 10}, {32, 10}} {
			cells = append(cells, metRef.at("gaussian", 2, s), metRef.at("gaussian", 10, s), metRef.at("gmm2", 2, s),
				metExact.at("gaussian", 2, s), metExact.at("gmm2", 2, s))
		}
		return cells
	}},
	{"box", func() (cells []cell) { // no policy on (−1, 1)^A has more than A ln 2
		for _, dim := range []int{1, 2, 6} {
			for _, m := range []method{met, metRef, metExact} {
				if dim == 6 && m.config.ExactDensity {
					continue
				}
				cells = append(cells, m.at("box", dim, size{10, 3}))
			}
		}
		return cells
	}},
}

func (m method) at(target string, dim int, s size) cell {
	c := cell{Config: m.config, label: m.label, target: target, dim: dim}
	c.Particles, c.Steps, c.Systems, c.Fit = s.m, s.l, systems, fit
	return c
}

func partNames() string {
	names := make([]string, len(parts))
	for i, p := range parts {
		names[i] = p.name
	}
	return strings.Join(names, ", ")
}
