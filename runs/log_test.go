package runs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Ensure that a log and the part before it are all that stays of one that grows on
// and on, that their lines are whole and the last ones written, and that a process
// that opens it again goes on.
func TestLogStaysSmall(t *testing.T) {
	dir := t.TempDir()
	const most, lines = 1000, 500
	for i := range lines {
		l := &runLog{dir: dir, most: most}
		if err := l.open(); err != nil {
			t.Fatal(err)
		}
		for half := range 2 {
			if _, err := fmt.Fprintf(l, "%d.%d %s\n", i, half, strings.Repeat("x", i%50)); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var text string
	for _, name := range []string{oldLogName, logName} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || len(data) > most || len(data) == 0 {
			t.Errorf("%s: %d bytes, %v; want at most %d", name, len(data), err, most)
		}
		text += string(data)
	}
	last := strings.Fields(text)
	for n, i := 2*lines-1, len(last)-1; i >= 0; i-- {
		if last[i][0] == 'x' {
			continue
		}
		if want := fmt.Sprintf("%d.%d", n/2, n%2); last[i] != want {
			t.Fatalf("line %q, want %q", last[i], want)
		}
		n--
	}
}
