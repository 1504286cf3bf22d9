package runs

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

// FuzzTable: whatever metrics.csv holds, it is refused or a table whose rows are whole,
// and training goes on in it either way.
func FuzzTable(f *testing.F) {
	for _, text := range []string{
		"", "step,time\n", "step,time,a\n1,1,5\n2,2,\n", "step,time,a\n1,1,5\n2,2", "\"step\",time,\"a\n", "step,time\nNaN,1\n", "\n\n", "time,step\n1,0x10\n", "step,time\n1,1\n1,1,1\n",
	} {
		f.Add([]byte(text))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, csvName), text, 0o644); err != nil {
			t.Fatal(err)
		}
		read, err := ReadTable(dir)
		for i, row := range read.Rows {
			if err != nil || len(row) != len(read.Columns) || read.Step(i) < 0 {
				t.Fatalf("row %v under %v, %v", row, read.Columns, err)
			}
		}
		tab, err := openTable(dir, 5, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer tab.Close()
		if err := tab.Record(6, Metrics{"b": 1}); err != nil {
			t.Fatal(err)
		}
		read, err = ReadTable(dir)
		if _, values := read.Series("b"); err != nil || len(values) == 0 || values[len(values)-1] != 1 {
			t.Fatalf("%v, b is %v in %v", err, values, read)
		}
	})
}

// FuzzInfo: whatever run.json holds, it is refused or read.
func FuzzInfo(f *testing.F) {
	for _, text := range []string{"", "{}", "null", "[]", `{"seed": 1, "sessions": [null]}`, `{"seed": -1}`, `{"created": "x"}`} {
		f.Add([]byte(text))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(filepath.Join(dir, infoName), text, 0o644); err != nil {
			t.Fatal(err)
		}
		if info, err := ReadInfo(dir); err == nil {
			folder := Folder{Dir: dir, Info: info}
			if err := folder.Begin(Session{}); err != nil {
				t.Fatalf("what was read can't be kept: %v", err)
			}
		}
	})
}
