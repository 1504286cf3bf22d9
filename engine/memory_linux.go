package engine

/*
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

static void keep_memory(int bytes) {
#ifdef __GLIBC__
	mallopt(M_MMAP_THRESHOLD, bytes);
	mallopt(M_TRIM_THRESHOLD, bytes);
	mallopt(M_TOP_PAD, 64 << 20); // as long as a heap of a thread: one that is empty stays
#endif
}
*/
import "C"

import "os"

// keepMemory has the C library keep what XLA frees. XLA allocates the intermediate
// results of a graph anew at each call; beyond 32 MB glibc hands them back to the
// kernel each time, which then fills page after page with zeros for the next call. For
// an update of a small image model, 60 MB, that was a quarter of the time. The price is
// memory: each thread that has made a call may keep as much, 150 MB more at the peak of
// that model. A thread's heap ends at 64 MB: larger results still come and go. Whoever
// has set glibc's allocator by the environment is left alone.
func keepMemory() {
	for _, name := range []string{"GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"} {
		if os.Getenv(name) != "" {
			return
		}
	}
	const most = 1 << 30 // bytes
	C.keep_memory(most)
}
