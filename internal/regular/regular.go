// Package regular reads files that others may have put in place. Anything but a regular
// file is an error: opening a named pipe would wait for ever.
package regular

import (
	"errors"
	"io/fs"
	"os"
)

// Open opens a file, or the file that a link leads to.
func Open(path string) (*os.File, error) {
	if err := check(path); err != nil {
		return nil, err
	}
	return os.Open(path)
}

// ReadFile reads a file, or the file that a link leads to.
func ReadFile(path string) ([]byte, error) {
	if err := check(path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// Replaceable reports whether a path is free or has a file, which may be written.
func Replaceable(path string) error {
	if err := check(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func check(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if why := Irregular(info.Mode()); why != "" {
		return &fs.PathError{Op: "open", Path: path, Err: errors.New("it is " + why + ", want a file")}
	}
	return nil
}

// Irregular says what something is that is no regular file. For a regular file it is
// empty.
func Irregular(mode fs.FileMode) string {
	switch {
	case mode.IsRegular():
		return ""
	case mode.IsDir():
		return "a folder"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}
