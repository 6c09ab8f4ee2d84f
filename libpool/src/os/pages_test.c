/* SPDX-License-Identifier: MIT */
#include "os/pages.h"

#include <sys/mman.h>

#include "harness/test.h"

#define BLOCK_BYTES ((size_t)64 << 20)
#define HEADER_BYTES 16 /* what malloc has before a block that is a mapping of its own */

/* The kernel moves one mapping at a time; realloc() falls back to a copy. */
TEST(pages, a_block_that_is_advised_can_still_be_moved_as_one)
{
    char *mapping = mmap(NULL, BLOCK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                         0);
    CU_ASSERT_PTR_NOT_EQUAL_FATAL(mapping, MAP_FAILED);
    lp_pages_will_fill(mapping + HEADER_BYTES, BLOCK_BYTES - HEADER_BYTES);
    mapping[BLOCK_BYTES - 1] = 7;
    char *grown = mremap(mapping, BLOCK_BYTES, 2 * BLOCK_BYTES, MREMAP_MAYMOVE);
    CU_ASSERT_PTR_NOT_EQUAL_FATAL(grown, MAP_FAILED);
    CU_ASSERT_EQUAL(grown[BLOCK_BYTES - 1], 7);
    munmap(grown, 2 * BLOCK_BYTES);
}
