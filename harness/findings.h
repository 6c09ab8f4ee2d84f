/* SPDX-License-Identifier: MIT */
/*
 * findings: what the checkers object to.
 *
 * A finding names the clause of the invariant that is broken, what was read, what was expected and
 * what was there. The list is flat memory with an atomic count, so that it can lie in memory shared
 * by processes: the target's sampler adds to the same list as the judge. A finding whose writer was
 * killed half-way is never whole, and is not shown.
 */
#ifndef HARNESS_FINDINGS_H
#define HARNESS_FINDINGS_H

#include <stdatomic.h>
#include <stdint.h>

enum hn_clause {
    HN_HARNESS = 0, /* not the pool: the harness broke, nothing was shown */
    HN_I1_RESOLUTION,
    HN_I2_BOOKS,
    HN_I3_LIVENESS,
    HN_I4_RESIDUE,
    HN_I5_ISOLATION,
    HN_I6_BOUNDED,
    HN_I7_CERTAINTY,
    HN_I8_OWN_PROCESSES,
    HN_I9_CONTAINMENT,
    HN_I10_FINALIZER,
    HN_I11_HOST,
    HN_CLAUSES
};

#define HN_FINDINGS_MAX 128

struct hn_finding {
    _Atomic uint32_t whole; /* 1 when all below is written */
    enum hn_clause clause;
    char read[120]; /* where `actual` was found */
    char expected[120];
    char actual[264];
};

struct hn_findings {
    _Atomic uint32_t count; /* may exceed HN_FINDINGS_MAX: the rest is only counted */
    struct hn_finding list[HN_FINDINGS_MAX];
};

/* Texts are cut to fit. May be called by several processes at once. */
__attribute__((format(printf, 5, 6))) void hn_findings_add(struct hn_findings *findings,
                                                           enum hn_clause clause, const char *read,
                                                           const char *expected, const char *actual,
                                                           ...);

/* How many of this clause are whole. */
uint32_t hn_findings_count(const struct hn_findings *findings, enum hn_clause clause);

/* How many in all, also those that found no room. */
uint32_t hn_findings_total(const struct hn_findings *findings);

/* "I4"; the harness itself is "harness". */
const char *hn_clause_name(enum hn_clause clause);

#endif
