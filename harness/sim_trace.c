/* SPDX-License-Identifier: MIT */
#include "harness/sim_trace.h"

#include <stdarg.h>
#include <stdio.h>

void hn_trace_line(struct hn_trace *trace, const char *actor, const char *format, ...)
{
    char *line = trace->lines[trace->count++ % HN_TRACE_LINES];
    uint64_t us = trace->now_ns / 1000;
    int used = snprintf(line, HN_TRACE_WIDTH, "%6llu.%06llu %-10s ",
                        (unsigned long long)us / 1000000, (unsigned long long)us % 1000000, actor);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + used, HN_TRACE_WIDTH - (unsigned)used, format, arguments);
    va_end(arguments);
    if (trace->verbose)
        puts(line);
}

void hn_trace_fail(struct hn_trace *trace, const char *format, ...)
{
    if (trace->violated[0])
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(trace->violated, sizeof trace->violated, format, arguments);
    va_end(arguments);
    HN_TRACE(trace, "oracle", "VIOLATED: %s", trace->violated);
}

void hn_trace_print(const struct hn_trace *trace)
{
    uint64_t first = trace->count > HN_TRACE_LINES ? trace->count - HN_TRACE_LINES : 0;
    for (uint64_t i = first; i < trace->count; i++)
        puts(trace->lines[i % HN_TRACE_LINES]);
}
