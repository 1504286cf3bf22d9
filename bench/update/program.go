package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/stein-rl/stein/agents/sac"
)

// A product is a matrix product as XLA compiled it: the sizes of both factors, such as
// 128,256, the axes that are summed over, and those of a batch.
type product struct {
	lhs, rhs           string
	lhsSum, rhsSum     string
	lhsBatch, rhsBatch string
}

// operations is the number of multiplications and additions.
func (p product) operations() float64 {
	others := size(p.rhs)
	for _, axis := range ints(p.rhsSum + "," + p.rhsBatch) {
		others /= float64(ints(p.rhs)[axis])
	}
	return 2 * size(p.lhs) * others
}

// A program is what XLA made of a graph, as its text says it.
type program struct {
	entry  string
	bodies map[string]*computation
}

// A computation is a list of instructions: the program's own, the body of a loop, or what
// is computed in one go (a fusion).
type computation struct {
	products []product
	calls    []call
}

// A call is how often a computation runs another.
type call struct {
	to    string
	times float64
	loop  bool // body of a loop; times is 0 where XLA doesn't know it
}

// dump makes XLA write its programs to a new folder. It reads the variable once, so this
// goes before the backend is opened.
func dump() (folder string, err error) {
	if folder, err = os.MkdirTemp("", "stein-update-"); err != nil {
		return "", err
	}
	return folder, os.Setenv("XLA_FLAGS", dumpFlags(folder))
}

// dumpFlags adds the options to those that are set.
func dumpFlags(folder string) string {
	options := "--xla_dump_to=" + folder + " --xla_dump_hlo_as_text --xla_dump_hlo_module_re=.*Program.*"
	return strings.TrimSpace(os.Getenv("XLA_FLAGS") + " " + options)
}

// errNoProgram means that a backend other than XLA is in use.
var errNoProgram = errors.New("the backend wrote no program: want XLA")

// lastPrograms reads the n programs that were compiled last, the last one first. Their
// numbers are in their files' names.
func lastPrograms(folder string, n int) (all []*program, err error) {
	files, err := filepath.Glob(filepath.Join(folder, "*after_optimizations.txt"))
	if err != nil {
		return nil, err
	}
	if len(files) < n {
		return nil, errNoProgram
	}
	slices.Sort(files)
	slices.Reverse(files)
	for _, file := range files[:n] {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		p, err := parse(string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// productsOf counts the products of one update, on average. The last program makes cycles
// of delay updates, the last of them with the policy, if a call consists of such cycles.
// Otherwise the update with the policy has a program of its own, the last one; the one
// before it makes the updates between, of the critics alone.
func productsOf(folder string, cfg sac.Config, fused int) (map[product]float64, error) {
	delay := cfg.PolicyDelay
	if delay == 1 || cfg.InCycles(fused) {
		all, err := lastPrograms(folder, 1)
		if err != nil {
			return nil, err
		}
		sum, err := all[0].ofUpdate(fused > delay)
		for p := range sum {
			sum[p] /= float64(delay)
		}
		return sum, err
	}
	all, err := lastPrograms(folder, 2)
	if err != nil {
		return nil, err
	}
	whole, err := all[0].ofUpdate(false)
	if err != nil {
		return nil, err
	}
	critics, err := all[1].ofUpdate(min(fused, delay-1) > 1)
	if err != nil {
		return nil, err
	}
	sum, share := map[product]float64{}, 1/float64(delay)
	for p, n := range whole {
		sum[p] += n * share
	}
	for p, n := range critics {
		sum[p] += n * (1 - share)
	}
	return sum, nil
}

var (
	opening     = regexp.MustCompile(`^(ENTRY )?%(\S+) \(.*\{$`)
	instruction = regexp.MustCompile(`^\s+(?:ROOT )?%(\S+) = (.*)$`)
	array       = regexp.MustCompile(`^\w+\[([\d,]*)\]`)
	dot         = regexp.MustCompile(` dot\(%([^\s,)]+), %([^\s,)]+)\)`)
	calling     = regexp.MustCompile(`(calls|to_apply|body)=(\{[^}]*\}|%[^\s,]+)`)
	rounds      = regexp.MustCompile(`"known_trip_count":\{"n":"(\d+)"`)
)

// parse reads a program.
func parse(text string) (*program, error) {
	p := &program{bodies: map[string]*computation{}}
	var now *computation
	var sizes map[string]string // of the arrays in now
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if m := opening.FindStringSubmatch(line); m != nil {
			now, sizes = &computation{}, map[string]string{}
			p.bodies[m[2]] = now
			if m[1] != "" {
				p.entry = m[2]
			}
			continue
		}
		m := instruction.FindStringSubmatch(line)
		if m == nil || now == nil {
			continue
		}
		if a := array.FindStringSubmatch(m[2]); a != nil {
			sizes[m[1]] = a[1]
		}
		if d := dot.FindStringSubmatch(m[2]); d != nil {
			one, err := newProduct(sizes[d[1]], sizes[d[2]], m[2])
			if err != nil {
				return nil, err
			}
			now.products = append(now.products, one)
		}
		now.calls = append(now.calls, callsIn(m[2])...)
	}
	if p.entry == "" {
		return nil, errors.New("the program has no entry")
	}
	return p, nil
}

// newProduct reads a product of factors of the given sizes from its instruction.
func newProduct(lhs, rhs, text string) (product, error) {
	axes := func(key string) string {
		_, after, _ := strings.Cut(text, key+"={")
		inside, _, _ := strings.Cut(after, "}")
		return inside
	}
	p := product{
		lhs: lhs, rhs: rhs,
		lhsSum: axes("lhs_contracting_dims"), rhsSum: axes("rhs_contracting_dims"),
		lhsBatch: axes("lhs_batch_dims"), rhsBatch: axes("rhs_batch_dims"),
	}
	if lhs == "" || rhs == "" || p.lhsSum == "" || p.rhsSum == "" {
		return p, fmt.Errorf("unknown sizes of a product: %s", text)
	}
	return p, nil
}

// callsIn are the calls of one instruction.
func callsIn(text string) (all []call) {
	for _, m := range calling.FindAllStringSubmatch(text, -1) {
		for name := range strings.SplitSeq(strings.Trim(m[2], "{}"), ",") {
			c := call{to: strings.TrimPrefix(strings.TrimSpace(name), "%"), times: 1}
			if m[1] == "body" {
				c.loop, c.times = true, 0
				if n := rounds.FindStringSubmatch(text); n != nil {
					c.times, _ = strconv.ParseFloat(n[1], 64)
				}
			}
			all = append(all, c)
		}
	}
	return all
}

// ofUpdate counts the products of one update: a loop of the program's own computation is
// the one over fused updates.
func (p *program) ofUpdate(fused bool) (map[product]float64, error) {
	sum := map[product]float64{}
	var visit func(name string, times float64) error
	visit = func(name string, times float64) error {
		c := p.bodies[name]
		if c == nil {
			return fmt.Errorf("the program has no computation %s", name)
		}
		for _, one := range c.products {
			sum[one] += times
		}
		for _, to := range c.calls {
			n := to.times
			switch {
			case to.loop && fused && name == p.entry:
				n = 1
			case to.loop && n == 0 && p.multiplies(to.to):
				return fmt.Errorf("a loop of unknown length, %s, has products", to.to)
			}
			if err := visit(to.to, times*n); err != nil {
				return err
			}
		}
		return nil
	}
	return sum, visit(p.entry, 1)
}

// multiplies reports whether a computation has products.
func (p *program) multiplies(name string) bool {
	c := p.bodies[name]
	return len(c.products) > 0 || slices.ContainsFunc(c.calls, func(c call) bool { return p.multiplies(c.to) })
}

// ints reads numbers with commas between them.
func ints(list string) (all []int) {
	for x := range strings.SplitSeq(list, ",") {
		if n, err := strconv.Atoi(x); err == nil {
			all = append(all, n)
		}
	}
	return all
}

// size is the number of elements of an array.
func size(dims string) float64 {
	n := 1.0
	for _, d := range ints(dims) {
		n *= float64(d)
	}
	return n
}
