package cmd

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/stein-rl/stein/internal/regular"
	"github.com/stein-rl/stein/report"
	"github.com/stein-rl/stein/runs"
)

func (a *app) runsCmd() *cobra.Command {
	var tag string
	var asJSON bool
	list := &cobra.Command{
		Use:   "runs [list|diff|tag|rm] …",
		Short: "List, compare, tag and remove run folders",
		Example: `  stein runs
  stein runs list runs/sweep-walker2d --tag good
  stein runs diff runs/A runs/B
  stein runs tag runs/A good "to plot"
  stein runs rm runs/A runs/B`,
		Args: knownCommand,
		RunE: func(c *cobra.Command, _ []string) error {
			return interruptible(c.Context(), func() error { return a.listRuns([]string{"runs"}, tag, asJSON) })
		},
	}
	listed := &cobra.Command{
		Use:   "list [FOLDER…]",
		Short: "List the runs in folders and below",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = []string{"runs"}
			}
			return interruptible(c.Context(), func() error { return a.listRuns(args, tag, asJSON) })
		},
	}
	for _, c := range []*cobra.Command{list, listed} {
		c.Flags().StringVar(&tag, "tag", "", "only runs with this `TAG`")
		c.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	}
	diff := &cobra.Command{
		Use:   "diff RUN RUN",
		Short: "Print the settings in which two runs differ",
		Args:  cobra.ExactArgs(2),
		RunE:  func(_ *cobra.Command, args []string) error { return a.diffRuns(args[0], args[1]) },
	}
	var remove bool
	tagging := &cobra.Command{
		Use:   "tag RUN TAG…",
		Short: "Add tags to a run, or remove them with --remove",
		Args:  cobra.MinimumNArgs(2),
		RunE:  func(_ *cobra.Command, args []string) error { return tagRun(args[0], args[1:], remove) },
	}
	tagging.Flags().BoolVar(&remove, "remove", false, "remove these tags")
	var yes bool
	rm := &cobra.Command{
		Use:   "rm RUN…",
		Short: "Remove run folders, after confirmation",
		Args:  cobra.MinimumNArgs(1),
		RunE:  func(c *cobra.Command, args []string) error { return a.removeRuns(c.InOrStdin(), args, yes) },
	}
	rm.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask for confirmation")
	list.AddCommand(listed, diff, tagging, rm)
	return list
}

// runLine is a run in the table or in JSON.
type runLine struct {
	Folder  string     `json:"folder"`
	Config  string     `json:"config"`
	Env     string     `json:"env"`
	Seed    uint64     `json:"seed"`
	Step    int64      `json:"step"`
	Steps   string     `json:"steps"`
	Return  *float64   `json:"return,omitempty"` // of the last evaluation, else while training
	Created *time.Time `json:"created,omitempty"`
	Tags    []string   `json:"tags,omitempty"`
}

func (a *app) listRuns(dirs []string, tag string, asJSON bool) error {
	found, left, err := report.Find(dirs...)
	if err != nil {
		return err
	}
	lines := []runLine{}
	for _, dir := range found {
		line, err := lineOf(dir)
		if err != nil {
			left = append(left, report.Left{Dir: dir, Why: err.Error()})
			continue
		}
		if tag == "" || slices.Contains(line.Tags, tag) {
			lines = append(lines, line)
		}
	}
	for _, l := range left {
		a.leftOut(l.Dir, l.Why)
	}
	if asJSON {
		return a.printJSON(lines)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "run\tconfiguration\tseed\tsteps\treturn\tstarted\ttags")
	for _, l := range lines {
		value := math.NaN()
		if l.Return != nil {
			value = *l.Return
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d/%s\t%s\t%s\t%s\n", onLine(l.Folder), onLine(l.Config), l.Seed, l.Step, l.Steps, figure(value),
			l.Created.Local().Format("2006-01-02 15:04"), onLine(strings.Join(l.Tags, ", ")))
	}
	return w.Flush()
}

// leftOut says that a folder is not counted, and why.
func (a *app) leftOut(dir, why string) {
	if strings.HasPrefix(why, dir+": ") { // it names the folder already
		why = why[len(dir)+2:]
	}
	fmt.Fprintf(a.stderr, "skipped: %s: %s\n", onLine(dir), onLine(why))
}

// onLine removes characters from a name that would break a table or control a terminal.
func onLine(name string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return '?'
		}
		return c
	}, name)
}

func lineOf(dir string) (runLine, error) {
	r, err := report.ReadRun(dir)
	if err != nil {
		return runLine{}, err
	}
	l := runLine{ // an image model has a data set and updates instead of an environment and steps
		Folder: dir, Config: r.Info.Config, Env: cmp.Or(r.Settings["env.id"], r.Settings["data.name"]), Seed: uint64(r.Info.Seed),
		Step: r.Step, Steps: r.Total(), Created: &r.Info.Created,
	}
	if x, ok := r.Last(evalReturn); ok {
		l.Return = &x
	} else if x, ok := r.Last(trainReturn); ok {
		l.Return = &x
	}
	l.Tags, err = tagsOf(dir)
	return l, err
}

func (a *app) diffRuns(x, y string) error {
	var settings [2]report.Settings
	for i, dir := range []string{x, y} {
		if _, err := runs.ReadInfo(dir); err != nil {
			return err
		}
		_, s, err := report.ReadSettings(dir) // whatever the metrics hold
		if err != nil {
			return err
		}
		settings[i] = s
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	for _, d := range report.Diff(settings[0], settings[1]) {
		fmt.Fprintf(w, "%s\t%s\t%s\n", d.Key, orDash(d.A), orDash(d.B))
	}
	return w.Flush()
}

func orDash(text string) string {
	if text == "" {
		return "–"
	}
	return text
}

// tagsName is the file with a run's tags, one per line.
const tagsName = "tags"

func tagsOf(dir string) ([]string, error) {
	data, err := regular.ReadFile(filepath.Join(dir, tagsName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("tags: %w", err)
	}
	return strings.FieldsFunc(string(data), func(c rune) bool { return c == '\n' }), nil
}

func tagRun(dir string, tags []string, remove bool) error {
	if _, err := runs.ReadInfo(dir); err != nil {
		return err
	}
	all, err := tagsOf(dir)
	if err != nil {
		return err
	}
	for _, t := range tags {
		if strings.TrimSpace(t) == "" || strings.ContainsAny(t, "\n\r") {
			return usageError{fmt.Errorf("tag %q: want one line of text", t)}
		}
		all = slices.DeleteFunc(all, func(old string) bool { return old == t })
		if !remove {
			all = append(all, t)
		}
	}
	path := filepath.Join(dir, tagsName)
	if len(all) == 0 {
		err = os.Remove(path)
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	} else {
		err = os.WriteFile(path, []byte(strings.Join(all, "\n")+"\n"), 0o644)
	}
	if err != nil {
		return fmt.Errorf("tags: %w", err)
	}
	return nil
}

// removeRuns asks once for all runs. It keeps runs that are training.
func (a *app) removeRuns(in io.Reader, dirs []string, yes bool) error {
	for _, dir := range dirs { // check all before removing any
		folder, err := runs.Take(dir)
		if err != nil {
			return err
		}
		if err := folder.Close(); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	if !yes {
		for _, dir := range dirs {
			line, err := lineOf(dir)
			if err != nil {
				line = runLine{Config: err.Error()}
			}
			fmt.Fprintf(a.stderr, "%s  %s, step %s, %s\n", onLine(dir), onLine(line.Config), thousands(line.Step), onLine(strings.Join(line.Tags, ", ")))
		}
		fmt.Fprintf(a.stderr, "remove %d run folders with their checkpoints? [y/N] ", len(dirs))
		answer, err := bufio.NewReader(in).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("no answer: %w", err)
		}
		if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
			return errors.New("cancelled: no run was removed")
		}
	}
	for _, dir := range dirs {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("removing %s: %w", dir, err)
		}
		fmt.Fprintf(a.stdout, "removed %s\n", dir)
	}
	return nil
}
