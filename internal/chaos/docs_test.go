package chaos

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var testName = regexp.MustCompile("`([a-z/]+)\\.(Test[A-Za-z]+)`")

// Ensure that every row of docs/faults.md names tests, and that they are there.
func TestFaultsAreTested(t *testing.T) {
	text, err := os.ReadFile("../../docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "|") || len(cells) != 3 || strings.Contains(line, "|---") || strings.TrimSpace(cells[0]) == "fault" {
			continue
		}
		rows++
		names := testName.FindAllStringSubmatch(cells[2], -1)
		if len(names) != strings.Count(cells[2], "`")/2 || len(names) == 0 {
			t.Errorf("%q: tests %q, want `package.TestName`, separated by commas", cells[0], cells[2])
		}
		for _, name := range names {
			if !hasTest(t, name[1], name[2]) {
				t.Errorf("%q: there is no test %s in %s", cells[0], name[2], name[1])
			}
		}
	}
	if rows < 20 {
		t.Errorf("%d faults in the table", rows)
	}
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
		if strings.Contains(string(text), "\nfunc "+test+"(t *testing.T) {") {
			return true
		}
	}
	return false
}
