package chaos

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A test in a table: package.TestName, or file.py::test_name.
var testName = regexp.MustCompile("`(?:([a-z/]+)\\.((?:Test|Fuzz)[A-Za-z0-9]+)|([a-z_/]+\\.py)::(test_[a-z0-9_]+))`")

// Ensure that every row of docs/faults.md names tests, and that they are there.
func TestFaultsAreTested(t *testing.T) { tested(t, "faults.md", 3) }

// Ensure the same of docs/troubleshooting.md.
func TestTroubleshootingIsTested(t *testing.T) { tested(t, "troubleshooting.md", 4) }

// tested looks at the last column of a table.
func tested(t *testing.T, file string, columns int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs", file))
	if err != nil {
		t.Fatal(err)
	}
	rows := -1 // less its heading
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "|") || strings.Contains(line, "|---") {
			continue
		}
		if len(cells) != columns {
			t.Errorf("%q: %d cells, want %d", cells[0], len(cells), columns)
			continue
		}
		if rows++; rows == 0 {
			continue
		}
		last := cells[columns-1]
		names := testName.FindAllStringSubmatch(last, -1)
		if len(names) != strings.Count(last, "`")/2 || len(names) == 0 {
			t.Errorf("%q: tests %q, want `package.TestName` or `file.py::test_name`, separated by commas", cells[0], last)
		}
		for _, name := range names {
			if name[1] != "" && !hasTest(t, name[1], name[2]) || name[3] != "" && !hasPythonTest(name[3], name[4]) {
				t.Errorf("%q: there is no test %s", cells[0], name[0])
			}
		}
	}
	if rows < 20 {
		t.Errorf("%d rows in the table", rows)
	}
}

// hasPythonTest says whether a file of this repository has a test.
func hasPythonTest(file, test string) bool {
	text, err := os.ReadFile(filepath.Join("../..", file))
	return err == nil && strings.Contains(string(text), "\ndef "+test+"(")
}

// hasTest says whether a package of this repository has a test.
func hasTest(t *testing.T, dir, test string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../..", dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "\nfunc "+test+"(") {
			return true
		}
	}
	return false
}
