/* SPDX-License-Identifier: MIT */
#include "os/pages.h"

#include <stdint.h>

#include "sys/sys.h"

/*
 * To the page's borders, not to a huge page's: a block of which only a part is advised is several mappings
 * to the kernel, which refuses to move them as one, and realloc() copies it then.
 */
#define LEAST_BYTES ((size_t)4 << 20)
#define PAGE_BYTES \
    ((uintptr_t)4096) /* where pages are larger the kernel refuses, and nothing is lost */

void lp_pages_will_fill(void *memory, size_t size)
{
    uintptr_t begin = (uintptr_t)memory & ~(PAGE_BYTES - 1);
    uintptr_t end = ((uintptr_t)memory + size + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
    if (memory && size >= LEAST_BYTES)
        (void)lp_sys.use_huge_pages((char *)memory + (begin - (uintptr_t)memory), end - begin);
}
