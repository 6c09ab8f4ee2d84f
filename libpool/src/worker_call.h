/* SPDX-License-Identifier: MIT */
/*
 * worker_call: a task that has others do something, in its worker: libpool_worker_call. The words are those
 * of subs.h.
 */
#ifndef LP_WORKER_CALL_H
#define LP_WORKER_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpool.h>

#include "os/channel.h"

struct lp_held_result;

/* What a worker keeps of it. All zero: nothing. */
struct lp_calling {
    uint64_t number;              /* of the last call */
    struct lp_held_result **held; /* its results; NULL: there is none */
    size_t n;
};

/* Results are given back: their task has ended. */
void lp_calling_forget(struct lp_calling *calling);

/* What it needs of worker_main.c. */
struct lp_calling *lp_worker_calling(libpool_worker *worker);
/* 0; -EINVAL: it has no task; -ECHILD: this process is not the worker. */
int lp_worker_may_call(const libpool_worker *worker);
/* Each waits for room; the last bell is the caller's. `last`: the payload, not empty, ends with it. */
void lp_worker_send(libpool_worker *worker, const struct lp_message *message);
void lp_worker_send_bytes(libpool_worker *worker, const void *data, size_t size, bool last);
void lp_worker_ring(libpool_worker *worker);
/* False: the time is up. */
bool lp_worker_receive(libpool_worker *worker, struct lp_message *message, int timeout_ms);
/* Payload, to nowhere if `to` is NULL. `last`: with it the payload ends. */
void lp_worker_receive_bytes(libpool_worker *worker, void *to, size_t size, bool last);
/* The host has broken the protocol. */
_Noreturn void lp_worker_give_up(libpool_worker *worker);

#endif
