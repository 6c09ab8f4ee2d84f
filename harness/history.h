/* SPDX-License-Identifier: MIT */
/*
 * history: everything that happened in one run, in one order, written by everybody.
 *
 * Records of one cache line are appended to memory that judge, guardian, target, zygote and workers
 * all map. Appending is one atomic add and one release store: no lock, no system call unless
 * somebody sleeps, safe in a signal handler. So nobody's death can hold it up or take it away. A
 * writer killed between the two leaves a hole; a reader passes over a hole after HN_HOLE_NS, and
 * looks at it again when it goes through the history as a whole.
 *
 * The history does not wrap: what finds no room is counted as dropped, and the run shows nothing.
 */
#ifndef HARNESS_HISTORY_H
#define HARNESS_HISTORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <libpool.h>

#define HN_NONE UINT32_MAX /* no slot, no task, no group */
#define HN_NOBODY (-1)     /* pid of a record that is about no process */
#define HN_HOLE_NS 100000000ull

enum hn_kind {
    HN_TASK_START = 1, /* gate; in the worker, before the task's own code; a: the pool's task id */
    HN_TASK_END,       /* in the worker, after it; code */
    HN_WORKER_INIT,    /* gate; in the worker's initializer */
    HN_WORKER_FINAL,   /* gate; in the worker's finalizer */
    HN_FINAL_END,      /* in the worker, the finalizer returns */
    HN_REENTERED,      /* in the worker, a call of its own pool came back; code; a: enum hn_call */
    HN_DESCENDANT,     /* in a process that a task started; pid; a: the worker's pid */
    HN_SUBMITTED,      /* in the target: accepted; a: its rank among those, from 1 */
    HN_REFUSED,        /* in the target: code is the negated errno */
    HN_COLLECTED,      /* in the target: its future has ended; cause, code, signal, a: task id */
    HN_CALL, /* in the target: a: enum hn_call; b: ns it took; code; signal: bound in ms */
    HN_LOAD_BEGUN,
    HN_LOAD_ENDED,   /* every task submitted so far has ended */
    HN_REPLY,        /* a command is done; a: its number; code; b: how long it took */
    HN_GATE_PARKED,  /* a: the gate; b: number of the record that is held there */
    HN_GATE_LEFT,    /* a: the gate */
    HN_GATE_EXPIRED, /* a: the gate; nobody came to release it */
    HN_FAULT,        /* in force; a: the step; b: begun, in ns, or 0; pid, slot: the victim */
    HN_FAULT_UNDONE, /* a: the step */
    HN_TARGET_GONE,  /* code, signal: how it ended */
    HN_NOTE,         /* a: the step */
    HN_ERRAND,       /* in the worker that a gate held: its errand is done; code: descriptors */
    HN_PART,         /* in the target: a part of its was taken; b: its rank, from 1 */
    HN_TOLD_STARTED, /* in the target: a callback; a: task id if it has ended; cause */
    HN_TOLD_DONE,    /* the same, of an end */
    HN_POOL = 32,    /* HN_POOL + libpool_event_kind: the pool's own event; a: task id, b: number */
    HN_KINDS = HN_POOL + LIBPOOL_EVENT_KINDS
};

/* The calls of the target into the pool. */
enum hn_call {
    HN_CALL_OPEN = 0,
    HN_CALL_SUBMIT,
    HN_CALL_WAIT,
    HN_CALL_CANCEL,
    HN_CALL_SHUTDOWN,
    HN_CALL_CLOSE,
    HN_CALL_STATS,
    HN_CALL_RECYCLE,
    HN_CALL_DRAIN,
    HN_CALL_CANCEL_GROUP,
    HN_CALL_DISPATCH,
    HN_CALL_SET_OUTFIT,
    HN_CALL_SUBMIT_MANY,
    HN_CALL_MAP,
    HN_CALL_UNSERVE,
    HN_CALLS
};

struct hn_record {
    _Atomic uint64_t number; /* from 1; written last: the record is whole */
    uint64_t time_ns;
    uint32_t kind;
    int32_t pid;
    uint32_t slot;
    int32_t cause;
    uint32_t group; /* of tasks: the submit statement */
    uint32_t task;  /* our own number of the task, from 0 */
    int32_t code;
    int32_t signal;
    uint64_t a;
    uint64_t b;
};
_Static_assert(sizeof(struct hn_record) == 64, "one cache line a record");

struct hn_history {
    _Atomic uint64_t next;
    _Atomic uint64_t dropped;
    uint64_t capacity;
    _Atomic uint32_t bell;     /* futex: changes with each record */
    _Atomic uint32_t sleepers; /* a sleeper that was killed is never taken off: harmless */
    char padding[32];
    struct hn_record records[];
};

/* Bytes of a history for so many records. */
static inline uint64_t hn_history_bytes(uint64_t capacity)
{
    return sizeof(struct hn_history) + capacity * sizeof(struct hn_record);
}

/* The memory is zero, or becomes so. */
void hn_history_init(struct hn_history *history, uint64_t capacity);

/* A record about nobody, to be filled. */
struct hn_record hn_record_of(enum hn_kind kind);

/*
 * Appends a copy; time and pid are filled in when they are zero (HN_NOBODY becomes 0). Returns its
 * number, 0 when there was no room.
 */
uint64_t hn_history_append(struct hn_history *history, const struct hn_record *record);

/* The whole record of that number; NULL: a hole, or not yet. */
const struct hn_record *hn_history_at(const struct hn_history *history, uint64_t number);

/* How many numbers have been given. */
uint64_t hn_history_count(const struct hn_history *history);

/* How many of them are holes now. */
uint64_t hn_history_holes(const struct hn_history *history);

/* Where a reader stands. Zeroed at the start. */
struct hn_cursor {
    uint64_t passed;
    uint64_t hole_since_ns; /* 0: no hole ahead */
};

/* The next whole record, or NULL: nothing more at present. */
const struct hn_record *hn_cursor_next(struct hn_cursor *cursor, const struct hn_history *history);

/*
 * Sleeps until there may be more to read than the reader has passed. 0, or -ETIMEDOUT. Wakes early
 * for a hole whose time is up.
 */
int hn_cursor_wait(const struct hn_cursor *cursor, struct hn_history *history,
                   uint64_t deadline_ns);

const char *hn_kind_name(uint32_t kind);
const char *hn_call_name(enum hn_call call);

#endif
