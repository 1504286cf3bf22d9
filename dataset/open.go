package dataset

import (
	"context"
	"fmt"
	"slices"
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
	if !slices.Contains(Names, s.Name) {
		return nil, fmt.Errorf("dataset: no data set %q: want one of %s", s.Name, strings.Join(Names, ", "))
	}
	return nil, fmt.Errorf("dataset: %s cannot be read yet", s.Name)
}

// Nearest gives, for each picture of m, the k pictures of among that are closest to
// it (sum of squared differences), the closest first.
func (m *Images) Nearest(ctx context.Context, among *Images, k int) ([][]int, error) {
	return nil, fmt.Errorf("dataset: nearest pictures cannot be found yet")
}
