package replay

import (
	"bytes"
	"os"
	"strconv"
)

// availableMemory is how many bytes this process can still allocate: the kernel's
// estimate without swapping, or the rest of the container's limit. It is known only on
// Linux.
func availableMemory() (free int64, known bool) {
	if meminfo, err := os.ReadFile("/proc/meminfo"); err == nil {
		if kib, ok := field(meminfo, "MemAvailable:"); ok {
			free, known = kib<<10, true
		}
	}
	if rest, ok := cgroupRest("/sys/fs/cgroup"); ok && (!known || rest < free) {
		free, known = rest, true
	}
	return free, known
}

// cgroupRest is the memory left below the limit of the control group (version 2). The
// page cache counts as used there but is reclaimed on demand.
func cgroupRest(dir string) (int64, bool) {
	limit, ok := number(dir + "/memory.max") // "max" without a limit
	if !ok {
		return 0, false
	}
	used, ok := number(dir + "/memory.current")
	if !ok {
		return 0, false
	}
	if stat, err := os.ReadFile(dir + "/memory.stat"); err == nil {
		if cache, ok := field(stat, "inactive_file"); ok {
			used -= cache
		}
	}
	return max(0, limit-used), true
}

func number(path string) (int64, bool) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(data)), 10, 64)
	return n, err == nil
}

// field reads the number after a name at the start of a line.
func field(text []byte, name string) (int64, bool) {
	for line := range bytes.Lines(text) {
		words := bytes.Fields(line)
		if len(words) >= 2 && string(words[0]) == name {
			n, err := strconv.ParseInt(string(words[1]), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
