/* SPDX-License-Identifier: MIT */
/*
 * admission: whether a task may start now, by what was last told of the machine's memory.
 *
 * The policy asks (SAMPLE) when something waits that a worker could run, at most every LP_ADMIT_NS, and is
 * told whether there is enough (ADMISSION). An answer holds until the next may be asked for. Where none
 * holds, or the last was no, tasks start one at a time: a pool in which nothing runs always starts one, so
 * none starves, and none waits for the first answer. What was sent ahead to a worker has started.
 */
#ifndef LP_CORE_ADMISSION_H
#define LP_CORE_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

struct lp_event;
struct lp_pool;

struct lp_admission {
    bool closed;      /* the last answer was no */
    bool asked;       /* an answer is awaited */
    bool told;        /* there was one... */
    uint64_t told_ns; /* ...then */
};

/* Any number of tasks may start. */
bool lp_admission_is_open(const struct lp_pool *pool);
/* One may. */
bool lp_admission_admits(const struct lp_pool *pool);
/* Of so many that wait those that may start now. */
uint32_t lp_admission_share(const struct lp_pool *pool, uint32_t waiting);
/* The answer was no, and something waits for a better one. */
bool lp_admission_is_paused(const struct lp_pool *pool);

void lp_admission_told(struct lp_pool *pool, const struct lp_event *event);
/* Asks, if it is time. */
void lp_admission_settle(struct lp_pool *pool);
/* When that is; UINT64_MAX: when something waits, or an answer has come. */
uint64_t lp_admission_next_ns(const struct lp_pool *pool);

#endif
