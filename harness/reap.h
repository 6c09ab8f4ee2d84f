/* SPDX-License-Identifier: MIT */
/*
 * reap: ending everything below the calling process, which has to be a sub-reaper.
 */
#ifndef HARNESS_REAP_H
#define HARNESS_REAP_H

#include <stdint.h>

/*
 * SIGKILLs all descendants, and what they start meanwhile, until there is none. How many are left at
 * the deadline. Children are waited for.
 */
int hn_reap_all(uint64_t deadline_ns);

#endif
