/* SPDX-License-Identifier: MIT */
/* findings: lists that many processes append to; see the header. */
#include "harness/findings.h"

#include <stdarg.h>
#include <stdio.h>

void hn_findings_add(struct hn_findings *findings, enum hn_clause clause, const char *read,
                     const char *expected, const char *actual, ...)
{
    struct hn_findings_of *of = &findings->of[clause];
    uint32_t index = atomic_fetch_add(&of->count, 1);
    if (index >= HN_FINDINGS_MAX)
        return;
    struct hn_finding *finding = &of->list[index];
    va_list arguments;
    snprintf(finding->read, sizeof finding->read, "%s", read);
    snprintf(finding->expected, sizeof finding->expected, "%s", expected);
    va_start(arguments, actual);
    vsnprintf(finding->actual, sizeof finding->actual, actual, arguments);
    va_end(arguments);
    atomic_store_explicit(&finding->whole, 1, memory_order_release);
}

const struct hn_finding *hn_findings_at(const struct hn_findings *findings, enum hn_clause clause,
                                        uint32_t index)
{
    const struct hn_finding *finding = &findings->of[clause].list[index];
    return atomic_load_explicit(&finding->whole, memory_order_acquire) ? finding : NULL;
}

uint32_t hn_findings_count(const struct hn_findings *findings, enum hn_clause clause)
{
    return atomic_load(&findings->of[clause].count);
}

uint32_t hn_findings_total(const struct hn_findings *findings)
{
    uint32_t total = 0;
    for (int clause = 0; clause < HN_CLAUSES; clause++)
        total += hn_findings_count(findings, (enum hn_clause)clause);
    return total;
}

const char *hn_clause_name(enum hn_clause clause)
{
    static const char *const names[HN_CLAUSES] = {
        [HN_HARNESS] = "harness",   [HN_I1_RESOLUTION] = "I1",  [HN_I2_BOOKS] = "I2",
        [HN_I3_LIVENESS] = "I3",    [HN_I4_RESIDUE] = "I4",     [HN_I5_ISOLATION] = "I5",
        [HN_I6_BOUNDED] = "I6",     [HN_I7_CERTAINTY] = "I7",   [HN_I8_OWN_PROCESSES] = "I8",
        [HN_I9_CONTAINMENT] = "I9", [HN_I10_FINALIZER] = "I10", [HN_I11_HOST] = "I11",
    };
    return (unsigned)clause < HN_CLAUSES ? names[clause] : "?";
}
