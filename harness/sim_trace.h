/* SPDX-License-Identifier: MIT */
/*
 * sim_trace: the transcript of one schedule: time, actor, event or decision. Off while schedules
 * pass; the one that failed is run again from its seed with the transcript on.
 */
#ifndef HARNESS_SIM_TRACE_H
#define HARNESS_SIM_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#define HN_TRACE_LINES 40u
#define HN_TRACE_WIDTH 160u

struct hn_trace {
    bool on;
    bool verbose; /* print each line as it comes */
    uint64_t now_ns;
    uint64_t count;
    char lines[HN_TRACE_LINES][HN_TRACE_WIDTH]; /* the last ones */
    char violated[HN_TRACE_WIDTH];              /* the first property that did not hold; "" */
};

__attribute__((format(printf, 3, 4))) void hn_trace_line(struct hn_trace *trace, const char *actor,
                                                         const char *format, ...);
/* Remembers the first violation. */
__attribute__((format(printf, 2, 3))) void hn_trace_fail(struct hn_trace *trace, const char *format,
                                                         ...);
void hn_trace_print(const struct hn_trace *trace); /* the lines kept, oldest first */

#define HN_TRACE(trace, actor, ...)                       \
    do {                                                  \
        if ((trace)->on)                                  \
            hn_trace_line((trace), (actor), __VA_ARGS__); \
    } while (0)

#endif
