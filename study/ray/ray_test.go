package ray

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// Ensure that a runtime_env is read as Ray takes it, and that what is none is named.
func TestReadRuntimeEnv(t *testing.T) {
	file := filepath.Join(t.TempDir(), "env.yaml")
	for text, want := range map[string]map[string]any{
		"pip: [gymnasium]\nenv_vars: {A: \"1\"}\n": {"pip": []any{"gymnasium"}, "env_vars": map[string]any{"A": "1"}},
		`{"working_dir": "x"}`:                     {"working_dir": "x"},
		"":                                         nil,
	} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadRuntimeEnv(file); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	if err := os.WriteFile(file, []byte("- a list\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{file, file + ".none"} {
		if _, err := ReadRuntimeEnv(bad); err == nil || !strings.Contains(err.Error(), filepath.Base(bad)) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// Ensure that the program which nodes are given is the one that runs, and can be run.
func TestCopyProgram(t *testing.T) {
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	if err := os.WriteFile(from, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := copyProgram(from, to); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(to)
	if err != nil || info.Mode().Perm()&0o111 == 0 {
		t.Errorf("%v, %v", info, err)
	}
	if err := copyProgram(from+".none", to+"2"); err == nil {
		t.Error("a program that isn't there was copied")
	}
}
