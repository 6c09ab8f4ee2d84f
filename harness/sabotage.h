/* SPDX-License-Identifier: MIT */
/*
 * sabotage: lies told on purpose, to see that the checkers notice.
 *
 * A target told to sabotage behaves at one point as if its pool, or the harness itself, had a bug:
 * it leaves a descriptor, loses a future, cooks the books. Scenarios in must-fail/ name the checker
 * that has to object; a checker that lets its lie pass is worth nothing. Without an order to
 * sabotage all of this does nothing.
 */
#ifndef HARNESS_SABOTAGE_H
#define HARNESS_SABOTAGE_H

#include <stdbool.h>

#include <libpool.h>

#include "harness/history.h"

enum hn_sabotage {
    HN_SABOTAGE_NONE = 0,
    HN_SABOTAGE_LEAK_FD,         /* I4: a descriptor is left after close */
    HN_SABOTAGE_LEAK_MAPPING,    /* I4: a shared mapping is */
    HN_SABOTAGE_LEAK_THREAD,     /* I4: a thread is */
    HN_SABOTAGE_LEAK_PROCESS,    /* I4: a process is, that is nobody's child */
    HN_SABOTAGE_LEAK_CGROUP,     /* I4: a cgroup is */
    HN_SABOTAGE_SIGNAL_STRANGER, /* I8: a process beside the application is signalled */
    HN_SABOTAGE_LOSE_END,        /* I1: one future's end is not seen */
    HN_SABOTAGE_END_TWICE,       /* I1: one future ends twice */
    HN_SABOTAGE_WRONG_PID,       /* I1: a result names another worker */
    HN_SABOTAGE_KILL_INNOCENT,   /* I5: a completed task is told as killed */
    HN_SABOTAGE_WRONG_BYTES,     /* I5: a result is not what was sent */
    HN_SABOTAGE_START_TWICE,     /* I7: one task writes two starts */
    HN_SABOTAGE_DENY_START,      /* I7: a task that ran is told as not started */
    HN_SABOTAGE_LOSE_COUNT,      /* I2: a task is missing from one snapshot */
    HN_SABOTAGE_COUNT_BACK,      /* I2: a counter goes back */
    HN_SABOTAGE_COUNT_OTHERWISE, /* I2: the books balance, but not with what happened */
    HN_SABOTAGE_WEAR_OUT,        /* workers come and go in order, and for nothing */
    HN_SABOTAGE_NO_PROBE,        /* I3: the probe task is not answered */
    HN_SABOTAGE_SLOW_CALL,       /* I6: a call takes longer than its bound */
    HN_SABOTAGE_BLAME_INNOCENT,  /* I9: a worker that did nothing is told as corrupt */
    HN_SABOTAGE_FINAL_TWICE,     /* I10: a worker writes two finalizers */
    HN_SABOTAGE_CLOBBER_ERRNO,   /* I11: a call changes errno */
    HN_SABOTAGE_TAKE_SIGNAL,     /* I11: a signal's disposition is changed */
    HN_SABOTAGE_OWN_CHILD,       /* I11: a child is left that the application's wait would see */
    HN_SABOTAGE_WAKE_LATE,       /* who waits for a future is woken a second late */
    HN_SABOTAGE_DIE_EARLY,       /* the application dies before it has a pool */
    HN_SABOTAGE_SHAM_FAULT,      /* a fault is claimed to have struck and did nothing */
    HN_SABOTAGE_RECYCLE_ALL,     /* I3: a recycle takes all workers at once */
    HN_SABOTAGE_COUNT_RUN,       /* I7: a result tells of a run that never was */
    HN_SABOTAGE_LOSE_PART,       /* I5: a part is missing between two others */
    HN_SABOTAGE_LOSE_LAST_PART,  /* I5: the last one of a task is */
    HN_SABOTAGE_FORGET_DONE,     /* I1: one end is not told by its callback */
    HN_SABOTAGE_DONE_TWICE,      /* I1: one is told twice */
    HN_SABOTAGE_START_LATE,      /* I1: one start is told behind the end */
    HN_SABOTAGE_SWAP_DONE,       /* I1: two ends are told in the wrong order */
    HN_SABOTAGE_TELL_CLOSED,     /* I1: one is told when the pool is closed */
    HN_SABOTAGE_STOP_DRIVING,    /* I3: the application's loop sees its pool's descriptor no more */
    HN_SABOTAGE_LOSE_ELEMENT,    /* I1: the result of one element is not handed over */
    HN_SABOTAGE_SWAP_ELEMENTS,   /* I5: those of two are, in each other's place */
    HN_SABOTAGE_WRONG_FILE,      /* I5: a shared input has a byte that nobody wrote */
    HN_SABOTAGE_HARM_NEIGHBOUR,  /* I5: a task of the pool beside kills its worker */
    HN_SABOTAGE_LOSE_EVENT,      /* I2: an event that was kept is not there */
    HN_SABOTAGE_NO_SANDBOX,      /* I1: workers are not confined, as they are told to be */
    HN_SABOTAGE_WRONG_ASIDE,     /* I1: a call without a pool comes to something else */
    HN_SABOTAGE_LOSE_GATHERED,   /* I1: one end is not told by its gather */
    HN_SABOTAGE_NO_DRESS,        /* I5: workers do not get the outfit that they are to have */
    HN_SABOTAGE_LOSE_TOLD,       /* I1: one result that a client has had is lost */
    HN_SABOTAGE_COUNT_TOLD,      /* I2: a client says that it has had one more */
    HN_SABOTAGES
};

struct hn_parts;
struct hn_row;
struct hn_world;

/* Each returns at once when it is not its turn. A lie that is told once is told of the first. */
void hn_sabotage_result(enum hn_sabotage how, struct hn_row *row);
void hn_sabotage_stats(enum hn_sabotage how, libpool_stats *stats);
void hn_sabotage_event(enum hn_sabotage how, struct hn_record *record);
void hn_sabotage_call(enum hn_sabotage how, struct hn_record *call);
/* Before a part is looked at: true when it is not to be. */
bool hn_sabotage_part(enum hn_sabotage how, const struct hn_parts *parts);
uint64_t hn_sabotage_wake(enum hn_sabotage how, uint64_t woken_ns);
/* Whose result this is said to be; UINT64_MAX: nobody's. */
uint64_t hn_sabotage_element(enum hn_sabotage how, uint64_t element);
/* Writes down what a callback has told. */
void hn_sabotage_told(enum hn_sabotage how, struct hn_history *history,
                      const struct hn_record *record);
/* Before open. */
void hn_sabotage_open(enum hn_sabotage how);
/* After close, before the judge looks for residue. */
void hn_sabotage_close(enum hn_sabotage how, struct hn_world *world);

#endif
