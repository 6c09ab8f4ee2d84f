/* SPDX-License-Identifier: MIT */
#include "traces.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "os/trace.h"

#pragma weak dladdr

struct block {
    libpool_trace trace;
    libpool_frame frames[LP_TRACE_FRAMES];
    struct lp_trace copy; /* its names */
};

libpool_trace *lp_traces_take(struct lp_window *window, uint64_t task_id, int signal,
                              const libpool_allocator *allocator)
{
    struct block *block = lp_alloc(allocator, sizeof *block);
    if (!block)
        return NULL;
    const struct lp_trace *copy = &block->copy;
    if (!lp_trace_read(lp_window_trace(window), task_id, &block->copy) || copy->signal != signal) {
        lp_release(allocator, block, sizeof *block);
        return NULL;
    }
    for (uint32_t i = 0; i < copy->count; i++) {
        const struct lp_trace_frame *frame = &copy->frames[i];
        block->frames[i] = (libpool_frame){.address = frame->address, .offset = frame->offset};
        if (frame->name)
            block->frames[i].object = copy->names + frame->name;
    }
    block->trace = (libpool_trace){.frames = block->frames,
                                   .count = copy->count,
                                   .code = copy->code,
                                   .sender = copy->sender,
                                   .fault_address = copy->fault_address};
    return &block->trace;
}

void lp_traces_release(const libpool_trace *trace, const libpool_allocator *allocator)
{
    lp_release(allocator, (void *)(uintptr_t)trace, sizeof(struct block));
}

/* ---- text ----------------------------------------------------------------------------------- */

/* Counts what it is given, whether or not there is room. */
struct sink {
    struct lp_text text;
    size_t size;
};

/* A worker has written the paths: what is no letter stays out of somebody's log. */
static void put(struct sink *sink, const char *words)
{
    for (; *words; words++) {
        bool is_plain = (unsigned char)*words >= ' ' || *words == '\n';
        lp_text_add(&sink->text, (char[]){is_plain && *words != 127 ? *words : '?', 0});
        sink->size++;
    }
}

static void put_number(struct sink *sink, const char *words, int64_t number)
{
    char digits[24];
    struct lp_text text = lp_text_begin(digits, sizeof digits);
    lp_text_add_number(&text, number);
    put(sink, words);
    put(sink, digits);
}

static void put_hex(struct sink *sink, const char *words, uint64_t number)
{
    char digits[17];
    char *at = digits + sizeof digits - 1;
    *at = 0;
    do
        *--at = "0123456789abcdef"[number % 16];
    while (number /= 16);
    put(sink, words);
    put(sink, at);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* If the same object lies in the same place here. A return address may be the next function's first. */
static bool find_symbol(const libpool_frame *frame, bool returns, Dl_info *symbol)
{
    uintptr_t address = (uintptr_t)frame->address - returns;
    if (!dladdr || !frame->object || !dladdr((const void *)address, symbol)) /* NOLINT: so it is */
        return false;
    return symbol->dli_sname && symbol->dli_fname &&
           (uintptr_t)symbol->dli_fbase == frame->address - frame->offset &&
           strcmp(base_name(symbol->dli_fname), base_name(frame->object)) == 0;
}

static void put_frame(struct sink *sink, const libpool_frame *frame, uint32_t i)
{
    Dl_info symbol;
    put_number(sink, "#", i);
    put_hex(sink, " 0x", frame->address);
    if (find_symbol(frame, i > 0, &symbol)) {
        put(sink, " ");
        put(sink, symbol.dli_sname);
        put_hex(sink, "+0x", frame->address - (uintptr_t)symbol.dli_saddr);
    }
    if (frame->object) {
        put(sink, " (");
        put(sink, frame->object);
        put_hex(sink, "+0x", frame->offset);
        put(sink, ")");
    }
    put(sink, "\n");
}

int64_t libpool_trace_text(const libpool_result *result, char *buffer, size_t size)
{
    char none[1];
    if (!result || (!buffer && size))
        return -EINVAL;
    const libpool_trace *trace = result->trace;
    if (!trace)
        return -ENOENT;
    struct sink sink = {.text = size ? lp_text_begin(buffer, size) : lp_text_begin(none, 1)};
    put_number(&sink, "signal ", result->signal);
    if (trace->code > 0)
        put_hex(&sink, ", a fault at 0x", trace->fault_address);
    else if (trace->sender == result->pid)
        put(&sink, ", raised by the worker itself");
    else
        put_number(&sink, ", sent by process ", trace->sender);
    put(&sink, "\n");
    for (uint32_t i = 0; i < trace->count; i++)
        put_frame(&sink, &trace->frames[i], i);
    return (int64_t)sink.size;
}
