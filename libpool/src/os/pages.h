/* SPDX-License-Identifier: MIT */
/*
 * pages: large blocks of memory on huge pages.
 *
 * A fresh 4 KiB page costs as much as copying several, and a payload of 64 MiB needs 16,384 of them.
 */
#ifndef LP_OS_PAGES_H
#define LP_OS_PAGES_H

#include <stddef.h>

/* Says that this block, just allocated and of 4 MiB or more, is going to be filled. A hint. */
void lp_pages_will_fill(void *memory, size_t size);

#endif
