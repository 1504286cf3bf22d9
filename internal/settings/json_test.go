package settings_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stein-rl/stein/internal/settings"
)

type jsonFile struct {
	Name  string    `json:"name"`
	Seed  uint64    `json:"seed"`
	Steps int       `json:"steps"`
	On    bool      `json:"on"`
	Share float64   `json:"share"`
	Made  time.Time `json:"made"`
	Parts []struct {
		Size int `json:"size"`
	} `json:"parts"`
}

var damagedJSON = map[string]string{ // and the reason
	"": "it is empty", " \n": "it is empty", "null": "want an object, got null", `{"name": "x`: "it is truncated",
	"[]": "want an object, got a list", `"x"`: "want an object, got text", "7": "want an object, got a number",
	`{"name": 5}`: "name: want text, got a number", `{"seed": "7"}`: "seed: want a whole number of at least 0 that fits, got text",
	`{"seed": -1}`: "got -1", `{"seed": 18446744073709551616}`: "got 18446744073709551616", `{"steps": 1.5}`: "steps: want a whole number that fits, got 1.5",
	`{"on": "yes"}`: "on: want true or false, got text", `{"share": []}`: "share: want a number, got a list",
	`{"made": "yesterday"}`: `want a time such as 2026-11-24T17:00:00Z, got "yesterday"`, `{"parts": {}}`: "parts: want a list, got an object",
	`{"parts": [{"size": true}]}`: "parts.size: want a whole number that fits, got true or false", "version: 2": "not JSON at byte 1",
	"\xff\xfe{\x00}\x00": "not JSON at byte 1", "{}\x00\x00": "not JSON at byte 3",
}

// Ensure that JSON is read, with a byte order mark too, and that damage is named in the
// terms of the file, never in those of Go.
func TestFromJSON(t *testing.T) {
	var f jsonFile
	if err := settings.FromJSON([]byte("\xef\xbb\xbf{\"name\": \"x\", \"seed\": 18446744073709551615}\r\n"), &f); err != nil || f.Name != "x" || f.Seed != 1<<64-1 {
		t.Errorf("%+v, %v", f, err)
	}
	for text, want := range damagedJSON {
		err := settings.FromJSON([]byte(text), new(jsonFile))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q in it", text, err, want)
		}
	}
}

// FuzzFromJSON looks for bytes on which decoding panics, or says a Go type.
func FuzzFromJSON(f *testing.F) {
	for text := range damagedJSON {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := settings.FromJSON(data, new(jsonFile))
		if err != nil && !bytes.Contains(data, []byte("Go")) && (strings.Contains(err.Error(), "Go ") || strings.Contains(err.Error(), "jsonFile")) {
			t.Errorf("%q: %v", data, err)
		}
	})
}
