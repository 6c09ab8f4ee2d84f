/* SPDX-License-Identifier: MIT */
/*
 * parts: what a task sends before its result, and the look at what arrives.
 *
 * Each part says whose it is, of which run, and the how manieth, and is filled with a pattern of its
 * own. The worker writes down in the world how many the pool has taken from it, which survives it; so
 * what has arrived is held against what was sent, whoever died in between.
 */
#ifndef HARNESS_PARTS_H
#define HARNESS_PARTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpool.h>

#define HN_PART_MIN 16u /* bytes: what it says of itself */

struct hn_parts {
    _Atomic uint64_t
        sent;       /* by the worker: the run, from 1, << 32 | parts that were taken from it */
    uint32_t run;   /* by the target: of the last part that came; 0: none did */
    uint32_t taken; /* of that run */
    uint32_t runs;  /* of which some came */
    uint32_t wrong; /* that were not the next one, or not as they were sent */
    int32_t end;    /* what the last call of libpool_future_part returned */
    bool over;      /* there was a last one */
};

/* What part `index`, from 0, of a task's run is: size bytes, HN_PART_MIN at least. */
void hn_parts_fill(uint8_t *bytes, uint32_t task, uint32_t run, uint32_t index, size_t size);

/* In the worker: sends that many of such a size. 0, or what libpool_emit says. */
int hn_parts_send(libpool_worker *worker, struct hn_parts *parts, uint32_t task, uint32_t count,
                  size_t size);

/* In the target: the next that came. False: it is not the next, or not what was sent. */
bool hn_parts_note(struct hn_parts *parts, uint32_t task, const void *data, size_t size);

/* Of the last run: sent, and arrived. */
uint32_t hn_parts_sent(const struct hn_parts *parts);
uint32_t hn_parts_arrived(const struct hn_parts *parts);

#endif
