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

// keepMemory makes the C library keep the memory that XLA frees. XLA allocates a graph's
// intermediate results at each call. Above 32 MB, glibc returns them to the kernel each
// time, which then zeroes new pages for the next call. For an update of a small image
// model, 60 MB, that took a quarter of the time. The price is memory: each thread that
// made a call may keep as much, 150 MB more at the peak of that model. A thread's heap is
// at most 64 MB, so larger results are still returned. If the environment configures
// glibc's allocator, keepMemory does nothing.
func keepMemory() {
	for _, name := range []string{"GLIBC_TUNABLES", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"} {
		if os.Getenv(name) != "" {
			return
		}
	}
	const most = 1 << 30 // bytes
	C.keep_memory(most)
}
