/* SPDX-License-Identifier: MIT */
/*
 * gate: where an event waits until the fault that it triggers is in force.
 *
 * The judge arms gates before the emitters run. An emitter (the task wrapper, initializer or
 * finalizer in a worker) first appends its event to the history, then passes the gates; the one
 * that is a gate's nth match parks there on a futex until the judge releases it. A gate may send
 * the parked emitter on an errand first: some faults can only be committed from inside a process.
 *
 * Nobody waits for ever: a gate whose judge does not come expires, which is recorded and makes the
 * run an error of the harness.
 */
#ifndef HARNESS_GATE_H
#define HARNESS_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "harness/history.h"

#define HN_GATES_MAX 64

enum hn_gate_state {
    HN_GATE_FREE = 0,
    HN_GATE_ARMED,
    HN_GATE_PARKED_AT, /* an emitter is held */
    HN_GATE_RELEASED,
    HN_GATE_EXPIRED_AT
};

enum hn_errand {
    HN_ERRAND_NONE = 0,
    HN_ERRAND_FILL_FDS /* open descriptors until there are none left */
};

struct hn_gate {
    _Atomic uint32_t state; /* futex */
    _Atomic uint32_t arrivals;
    _Atomic uint32_t errand;
    uint32_t kind;  /* enum hn_kind */
    uint32_t group; /* HN_NONE: any */
    uint32_t slot;  /* HN_NONE: any */
    uint32_t nth;   /* from 1 */
    uint64_t patience_ns;
};

struct hn_gates {
    struct hn_gate list[HN_GATES_MAX];
};

/* Arms a free gate and returns its index; -ENOSPC. Only the judge. */
int hn_gate_arm(struct hn_gates *gates, enum hn_kind kind, uint32_t group, uint32_t slot,
                uint32_t nth, uint64_t patience_ns);

/* Lets the emitter go on, errand first; a second release is nothing. True when one was held. */
bool hn_gate_release(struct hn_gates *gates, uint32_t index, enum hn_errand errand);

/* All that are held or armed: nobody parks any more. */
void hn_gates_open(struct hn_gates *gates);

/* In the emitter: appends the event, then passes the gates. Returns the errand to be done. */
enum hn_errand hn_gate_pass(struct hn_gates *gates, struct hn_history *history,
                            const struct hn_record *event);

#endif
