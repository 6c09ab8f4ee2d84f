/* SPDX-License-Identifier: MIT */
/*
 * neighbour: a second pool in the target, that works on quietly while the first one is tormented.
 *
 * Nothing is done to it, so nothing may happen to it: every task of its completes, byte for byte, with the
 * workers and the zygote that it began with. It is opened before the other pool and closed after it.
 */
#ifndef HARNESS_NEIGHBOUR_H
#define HARNESS_NEIGHBOUR_H

#include <stdint.h>

#include <libpool.h>

#include "harness/findings.h"
#include "harness/sabotage.h"

struct hn_neighbour;

/* With so many workers, and a thread that keeps them busy. governor may be NULL. 0, or -errno. */
int hn_neighbour_open(struct hn_neighbour **neighbour, uint32_t workers, libpool_governor *governor,
                      enum hn_sabotage how, struct hn_findings *findings);

/* Has it end its work, and says what was wrong (I5). NULL is allowed. */
void hn_neighbour_close(struct hn_neighbour *neighbour);

#endif
