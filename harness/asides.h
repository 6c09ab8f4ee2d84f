/* SPDX-License-Identifier: MIT */
/*
 * asides: what an application does beside its pool that opens a pool for one moment: libpool_call and
 * libpool_check, again and again, whatever is done to the pool and to the application meanwhile.
 *
 * Each has to come to what it comes to alone, and nothing of it may stay.
 */
#ifndef HARNESS_ASIDES_H
#define HARNESS_ASIDES_H

#include <stdatomic.h>

#include "harness/findings.h"
#include "harness/sabotage.h"

struct hn_asides {
    _Atomic uint32_t
        *stopping; /* leaves at the end of a round when it is set; one is made at least */
    enum hn_sabotage sabotage;
    struct hn_findings *findings;
};

/* A thread's function: struct hn_asides. */
void *hn_asides_run(void *asides);

#endif
