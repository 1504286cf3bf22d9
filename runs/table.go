package runs

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"github.com/stein-rl/stein/internal/regular"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The files of a table.
const (
	csvName   = "metrics.csv"
	jsonlName = "metrics.jsonl"
)

// Columns of every row: environment steps, and seconds of training, excluding time
// between a stop and its resumption.
const (
	stepColumn = "step"
	timeColumn = "time"
)

// A table writes figures as metrics.csv, with a column per name, and as metrics.jsonl,
// with an object per row. Both are complete after every row.
type table struct {
	dir     string
	columns []string
	csv     *os.File
	jsonl   *os.File
	before  float64 // seconds of earlier processes
	started time.Time
}

// openTable opens the table of a run folder. It drops rows beyond step upTo (0 for a new
// run). An unreadable table is renamed, so that training can continue.
func openTable(dir string, upTo int64, log *slog.Logger) (*table, error) {
	t := &table{dir: dir, columns: []string{stepColumn, timeColumn}, started: time.Now()}
	rows, err := ReadTable(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		if err := setAside(dir, err, log); err != nil {
			return nil, err
		}
	}
	kept := Table{Columns: t.columns}
	for i, row := range rows.Rows {
		if rows.Step(i) <= upTo {
			kept.Columns, kept.Rows = rows.Columns, append(kept.Rows, row)
			if x := row[rows.column(timeColumn)]; !math.IsNaN(x) {
				t.before = x
			}
		}
	}
	if err := t.rewrite(kept.Columns, kept.Rows); err != nil {
		return nil, err
	}
	if t.jsonl, err = t.trimJSONL(upTo); err != nil {
		return nil, err
	}
	return t, nil
}

// setAside renames a damaged table.
func setAside(dir string, why error, log *slog.Logger) error {
	aside := filepath.Join(dir, "damaged-"+csvName)
	if err := os.Rename(filepath.Join(dir, csvName), aside); err != nil {
		return errors.Join(why, fmt.Errorf("runs: %w", err))
	}
	log.Warn("cannot read the metrics: renamed the file and started a new one", "path", aside, "error", why.Error())
	return nil
}

var _ Recorder = (*table)(nil)

// Record appends one row.
func (t *table) Record(step int64, m Metrics) error {
	elapsed := math.Round((t.before+time.Since(t.started).Seconds())*1e3) / 1e3
	if err := t.recordJSON(step, elapsed, m); err != nil {
		return err
	}
	columns := slices.Clone(t.columns)
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if !slices.Contains(columns, name) {
			columns = append(columns, name)
		}
	}
	if len(columns) > len(t.columns) { // a new column: rewrite the file
		rows, err := ReadTable(t.dir)
		if err != nil {
			return err
		}
		if err := t.rewrite(columns, rows.Rows); err != nil {
			return err
		}
	}
	row := make([]string, len(t.columns))
	for i, name := range t.columns {
		if x, ok := m[name]; ok {
			row[i] = number(x)
		}
	}
	// An edited file may have these two elsewhere than in front.
	row[slices.Index(t.columns, stepColumn)] = strconv.FormatInt(step, 10)
	row[slices.Index(t.columns, timeColumn)] = number(elapsed)
	return appendCSV(t.csv, row)
}

// number formats a number with full precision, so that equal runs have equal files.
func number(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

func appendCSV(f *os.File, row []string) error {
	var line bytes.Buffer
	w := csv.NewWriter(&line)
	if err := w.Write(row); err != nil {
		return fmt.Errorf("runs: %s: %w", csvName, err)
	}
	w.Flush()
	return appendLine(f, line.Bytes())
}

// appendLine appends a whole line or, on a full disk, nothing.
func appendLine(f *os.File, line []byte) error {
	end, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		if _, err = f.Write(line); err != nil {
			err = errors.Join(err, f.Truncate(end))
		}
	}
	if err != nil {
		return fmt.Errorf("runs: writing metrics: %w", err)
	}
	return nil
}

func (t *table) recordJSON(step int64, elapsed float64, m Metrics) error {
	object := map[string]any{stepColumn: step, timeColumn: elapsed}
	for name, x := range m {
		object[name] = x
		if math.IsNaN(x) || math.IsInf(x, 0) { // not representable in JSON
			object[name] = nil
		}
	}
	line, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("runs: %s: %w", jsonlName, err)
	}
	return appendLine(t.jsonl, append(line, '\n'))
}

// rewrite replaces metrics.csv by a file with these columns. Rows may have fewer. After
// an error, such as a full disk, file and columns are unchanged.
func (t *table) rewrite(columns []string, rows [][]float64) error {
	path := filepath.Join(t.dir, csvName)
	f, err := os.CreateTemp(t.dir, csvName+".*")
	if err != nil {
		return fmt.Errorf("runs: %w", err)
	}
	defer os.Remove(f.Name()) // no-op after a successful rename
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	w.Write(columns)
	for _, row := range rows {
		cells := make([]string, len(columns))
		for i, x := range row {
			if !math.IsNaN(x) {
				cells[i] = number(x)
			}
		}
		w.Write(cells)
	}
	w.Flush()
	_, err = f.Write(out.Bytes())
	if err = errors.Join(err, f.Chmod(0o644), os.Rename(f.Name(), path)); err != nil {
		f.Close()
		return fmt.Errorf("runs: %w", err)
	}
	if t.csv != nil {
		t.csv.Close()
	}
	t.csv, t.columns = f, columns
	return nil
}

// trimJSONL keeps the complete lines up to a step.
func (t *table) trimJSONL(upTo int64) (*os.File, error) {
	path := filepath.Join(t.dir, jsonlName)
	old, err := regular.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("runs: %w", err)
	}
	var kept []byte
	for line := range bytes.Lines(old) {
		var row struct{ Step int64 }
		if json.Unmarshal(line, &row) == nil && row.Step <= upTo && bytes.HasSuffix(line, []byte("\n")) {
			kept = append(kept, line...)
		}
	}
	if !bytes.Equal(kept, old) {
		if err := os.WriteFile(path+".part", kept, 0o644); err != nil {
			return nil, fmt.Errorf("runs: %w", err)
		}
		if err := os.Rename(path+".part", path); err != nil {
			return nil, fmt.Errorf("runs: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("runs: %w", err)
	}
	return f, nil
}

// Close closes both files.
func (t *table) Close() error { return errors.Join(t.csv.Close(), t.jsonl.Close()) }

// A Table is metrics.csv in memory. Missing figures are NaN.
type Table struct {
	Columns []string
	Rows    [][]float64
}

// ReadTable reads the metrics of a run folder. It drops a last line that was cut off by a
// crash. An empty file is a table without rows.
func ReadTable(dir string) (Table, error) {
	path := filepath.Join(dir, csvName)
	data, err := regular.ReadFile(path)
	if err != nil {
		return Table{}, fmt.Errorf("runs: %w", err)
	}
	t, err := parseTable(data)
	if err != nil {
		return Table{}, fmt.Errorf("runs: %s: %w", path, err)
	}
	return t, nil
}

func parseTable(data []byte) (Table, error) {
	data = bytes.TrimPrefix(data[:bytes.LastIndexByte(data, '\n')+1], []byte("\xef\xbb\xbf")) // spreadsheets add a mark
	if len(data) == 0 {
		return Table{Columns: []string{stepColumn, timeColumn}}, nil
	}
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord = -1
	rows, err := r.ReadAll()
	if err != nil {
		return Table{}, fmt.Errorf("not a table: %w", err)
	}
	if len(rows) == 0 {
		return Table{}, errors.New("not a table: the file has only empty lines")
	}
	t := Table{Columns: rows[0]}
	step := t.column(stepColumn)
	if step < 0 || t.column(timeColumn) < 0 {
		return Table{}, fmt.Errorf("columns %s and %s are missing: the first line is %.60q", stepColumn, timeColumn, strings.Join(t.Columns, ","))
	}
	for i, name := range t.Columns {
		if slices.Index(t.Columns, name) != i {
			return Table{}, fmt.Errorf("column %.40q appears twice", name)
		}
	}
	for i, cells := range rows[1:] {
		row, err := parseRow(cells, len(t.Columns))
		if err == nil && !(row[step] >= 0 && row[step] <= maxStep && row[step] == math.Trunc(row[step])) {
			err = fmt.Errorf("%s %.40q: want a whole number of at least 0", stepColumn, cells[step])
		}
		if err != nil {
			return Table{}, fmt.Errorf("row %d: %w", i+1, err)
		}
		t.Rows = append(t.Rows, row)
	}
	return t, nil
}

// maxStep is the largest integer that float64 represents without gaps.
const maxStep = 1 << 53

func parseRow(cells []string, n int) ([]float64, error) {
	if len(cells) != n {
		return nil, fmt.Errorf("got %d cells for %d columns", len(cells), n)
	}
	row := make([]float64, n)
	for i, cell := range cells {
		row[i] = math.NaN()
		if cell != "" {
			x, err := strconv.ParseFloat(cell, 64)
			if err != nil && !errors.Is(err, strconv.ErrRange) { // 1e999 is infinite
				return nil, fmt.Errorf("%.40q is not a number", cell)
			}
			row[i] = x
		}
	}
	return row, nil
}

// Step is the number of environment steps of row i.
func (t Table) Step(i int) int64 { return int64(t.Rows[i][t.column(stepColumn)]) }

// Series returns the steps at which a figure was recorded, and its values.
func (t Table) Series(name string) (steps, values []float64) {
	c := t.column(name)
	if c < 0 {
		return nil, nil
	}
	for i, row := range t.Rows {
		if !math.IsNaN(row[c]) {
			steps, values = append(steps, float64(t.Step(i))), append(values, row[c])
		}
	}
	return steps, values
}

func (t Table) column(name string) int { return slices.Index(t.Columns, name) }
