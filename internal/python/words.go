package python

import (
	"regexp"
	"slices"
	"strings"
)

// The last line of a traceback: an exception's type, with or without a message.
var exception = regexp.MustCompile(`^[A-Za-z_][\w.]*(Error|Exception|Exit|Interrupt|Warning|Failure|Refusal)(:|$)`)

// A frame of a traceback with a file.
var frame = regexp.MustCompile(`^\s*File "([^"<]+)", line (\d+)`)

// LastWords summarises in one line what a Python process wrote before it ended: the last
// exception or fatal error of Python's with the file where it happened, else the last line.
// It is empty if the process wrote nothing.
func LastWords(lines []string) string {
	words := ""
	for i, line := range slices.Backward(lines) {
		line = strings.TrimRight(line, " \r")
		at := ""
		switch {
		case exception.MatchString(line):
			at = raisedAt(lines[:i])
		case strings.HasPrefix(line, "Fatal Python error"):
			at = crashedAt(lines[i+1:])
		default:
			continue
		}
		words = line
		if at != "" {
			words += " (" + at + ")"
		}
		break
	}
	for _, line := range slices.Backward(lines) {
		line = strings.TrimSpace(line)
		if words == "" && strings.HasPrefix(line, "Unknown option: -P") {
			words = line
		}
	}
	if strings.HasPrefix(words, "Unknown option: -P") {
		return "this Python is older than the required 3.11"
	}
	for _, line := range slices.Backward(lines) {
		if words == "" {
			words = strings.TrimSpace(line)
		}
	}
	if strings.Contains(words, "No module named 'encodings'") {
		words += "; unset PYTHONHOME, which belongs to another Python"
	}
	return words
}

// crashedAt is the innermost file of the stack that Python prints after a fatal error.
func crashedAt(lines []string) string {
	for i, line := range lines {
		if m := frame.FindStringSubmatch(line); m != nil && i > 0 && strings.Contains(lines[i-1], "most recent call first") {
			return m[1] + ", line " + m[2]
		}
	}
	return ""
}

// raisedAt is the innermost file of a traceback: its last frame, shortly before the
// exception.
func raisedAt(lines []string) string {
	for _, line := range slices.Backward(lines[max(0, len(lines)-4):]) {
		if m := frame.FindStringSubmatch(line); m != nil {
			return m[1] + ", line " + m[2]
		}
		if line != "" && line[0] != ' ' {
			return ""
		}
	}
	return ""
}
