/* SPDX-License-Identifier: MIT */
#include "os/pages.h"

#include <stdint.h>

#include "sys/sys.h"

#define LEAST_BYTES ((size_t)4 << 20)
#define HUGE_BYTES ((uintptr_t)2 << 20)

void lp_pages_will_fill(void *memory, size_t size)
{
    uintptr_t begin = ((uintptr_t)memory + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1);
    uintptr_t end = ((uintptr_t)memory + size) & ~(HUGE_BYTES - 1);
    if (memory && size >= LEAST_BYTES)
        (void)lp_sys.use_huge_pages((char *)memory + (begin - (uintptr_t)memory), end - begin);
}
