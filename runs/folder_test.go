package runs

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// settingsOf are the settings of a run that has no more than these.
type settingsOf struct {
	Seed  *Seed
	Steps int64
}

func (s settingsOf) RunSeed() Seed { return *s.Seed }

func settingsWith(seed Seed, steps int64) settingsOf { return settingsOf{&seed, steps} }

// Ensure that runs which begin in the same second have folders of their own.
func TestFoldersOfOneSecond(t *testing.T) {
	below := filepath.Join(t.TempDir(), "runs")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			f, err := Create("", below, "walker2d/sac", settingsWith(1, 10))
			if err != nil {
				t.Error(err)
				return
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if made, err := os.ReadDir(below); err != nil || len(made) != 8 {
		t.Errorf("%d folders, %v", len(made), err)
	}
}

// Ensure that the folder of a run which was ended before its first checkpoint is taken
// by the same command, with its identity, and by no other; and none that has a checkpoint.
func TestUnstartedFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	first, err := Create(dir, "", "walker2d/sac", settingsWith(7, 10))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(dir, "", "walker2d/sac", settingsWith(7, 10)); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("beside the first process: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if info, ok := Unstarted(dir); !ok || info.Seed != 7 {
		t.Errorf("%+v, %v", info, ok)
	}
	again, err := Create(dir, "", "walker2d/sac", settingsWith(7, 10))
	if err != nil {
		t.Fatal(err)
	}
	if again.Info.ID != first.Info.ID || !again.Info.Created.Equal(first.Info.Created) {
		t.Errorf("%+v, the first was %+v", again.Info, first.Info)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(dir, "", "walker2d/sac", settingsWith(7, 11)); err == nil || !strings.Contains(err.Error(), "other settings") {
		t.Errorf("other settings: %v", err)
	}
	if err := os.Mkdir(filepath.Join(Checkpoints(dir), "step-000000001"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(dir, "", "walker2d/sac", settingsWith(7, 10)); err == nil || !strings.Contains(err.Error(), "--resume") {
		t.Errorf("with a checkpoint: %v", err)
	}
}

// Ensure that named pipes in the places of a folder's files are errors that name them.
func TestPipesInAFolder(t *testing.T) {
	for name, open := range map[string]func(dir string) error{
		lockName:  func(dir string) error { _, err := Take(dir); return err },
		logName:   func(dir string) error { _, err := (&Folder{Dir: dir}).OpenLog(); return err },
		jsonlName: func(dir string) error { _, err := openTable(dir, 0, slog.New(slog.DiscardHandler)); return err },
	} {
		dir := t.TempDir()
		if err := errors.Join(WriteFile(filepath.Join(dir, infoName), []byte("{}")), syscall.Mkfifo(filepath.Join(dir, name), 0o644)); err != nil {
			t.Fatal(err)
		}
		if err := open(dir); err == nil || !strings.Contains(err.Error(), name+": it is a named pipe, want a file") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
