package dataset

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A Source says which pictures to read. Only Name has to be given.
type Source struct {
	Name string // cifar10, mnist, fashion-mnist, folder
	// Path is the folder or archive. Empty: where downloads and system packages lie
	// (a folder of pictures has no such place).
	Path  string
	Split string // train or test; empty: train. A folder of pictures has one split only
	// Size is the side to which pictures are brought, by averaging areas; 0: as they
	// are. A folder of pictures needs one: its pictures are cut to a square first.
	Size int
	Grey bool // one channel of luma (ITU-R BT.601) in place of three

	// Download fetches what is missing (CIFAR-10), with a checksum and where the last
	// try stopped.
	Download bool
	// Progress, where not nil, is told of bytes that have come, of how many.
	Progress func(done, total int64)
}

// Names are the data sets that Open knows.
var Names = []string{"cifar10", "mnist", "fashion-mnist", "folder"}

// Open reads a data set into memory. A file that is cut short or does not hold what
// it should is an error that names it and the place in it.
func Open(ctx context.Context, s Source) (*Images, error) {
	if s.Split == "" {
		s.Split = "train"
	}
	if s.Split != "train" && s.Split != "test" {
		return nil, fmt.Errorf("dataset: split %q: want train or test", s.Split)
	}
	var m *Images
	var err error
	switch s.Name {
	case "cifar10":
		m, err = openCIFAR(ctx, s)
	case "mnist", "fashion-mnist":
		m, err = openIDX(ctx, s)
	case "folder":
		m, err = openFolder(ctx, s)
	default:
		return nil, fmt.Errorf("dataset: no data set %q: want one of %s", s.Name, strings.Join(Names, ", "))
	}
	if err != nil {
		return nil, err
	}
	if s.Grey {
		m = m.grey()
	}
	if s.Size > 0 {
		if m, err = m.shrink(s.Size); err != nil {
			return nil, err
		}
	}
	m.Name = fmt.Sprintf("%s %s, %d×%d", s.Name, s.Split, m.Width, m.Height)
	if s.Name == "folder" {
		m.Name = fmt.Sprintf("%s, %d×%d", s.Path, m.Width, m.Height)
	}
	return m, nil
}

// folders are the places where a data set is looked for when no path is given. The
// first is where a download goes.
func folders(name string) []string {
	cache, err := os.UserCacheDir()
	if err != nil { // no home folder
		cache = os.TempDir()
	}
	return []string{filepath.Join(cache, "stein", "data", name)}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
