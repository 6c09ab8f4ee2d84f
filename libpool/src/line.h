/* SPDX-License-Identifier: MIT */
/*
 * line: the host's end of one slot: its channel, the handle of its process, and what is in transit.
 *
 * Payloads of any size pass through the channel's rings in pieces; a line remembers how far it got,
 * so the supervisor never waits for a worker. All under the pool's lock.
 */
#ifndef LP_LINE_H
#define LP_LINE_H

#include "future.h"
#include "os/channel.h"
#include "os/usage.h"

#define LP_LINE_TURN_BYTES ((size_t)1 << 20) /* taken from one line in one go: others wait, too */

enum lp_owed { /* requests the zygote's socket had no room for */
    LP_OWED_SPAWN = 1u << 0,
    LP_OWED_KILL = 1u << 1,
    LP_OWED_WEIGH = 1u << 2
};

struct lp_line {
    struct lp_window *window; /* the same for good: read without the lock */
    struct lp_channel channel;
    int doorbell_fd;
    int pid_fd; /* -1: none, or its death is known */
    int spare_fd; /* holds a place in the descriptor table for the next pidfd; -1 while that is there */
    int tail_fd;       /* what its worker writes to its streams; -1: that is not kept */
    int old_tail_fd;   /* that of the one before, which has yet to be given back; -1: none */
    uint64_t tail_cut; /* so much of tail_fd was given back */
    bool watched;      /* the poller tells of its death */
    int pid;
    bool has_process; /* it is of a process's slot, which has a pidfd; not of a thread's */
    uint64_t born_from_ns, born_by_ns; /* so that its number is not believed when it is another's */
    uint32_t generation;
    uint32_t owed;
    bool orphaned;    /* the zygote that would report its death is lost */
    bool scanned;     /* in the pool's list of those that are looked at without a bell */
    bool assigned;    /* was handed a task since that list was thinned out last */
    bool again;       /* there is more to do without a doorbell */
    bool broken;      /* a send found nonsense: to be told to the core */
    bool asked;       /* a thread whose task is to end: what it sends must not hold it up */
    bool foretold;    /* its omen is waited for, this worker's or one's before it */
    uint32_t omen_of; /* the generation whose omen was looked into: once is enough */

    libpool_future *future; /* of the task it has; borrowed from the core's table */
    size_t sent;            /* bytes of the input that are in the ring */
    bool sending;

    uint32_t results;      /* how many tasks the worker has answered */
    bool has_usage;        /* its death was told with... */
    struct lp_usage usage; /* ...what it had used in all */

    struct lp_message message; /* the one being received */
    uint64_t missing;          /* payload bytes of it still to come */
    bool receiving;
    bool no_memory;       /* for all of the result that `future` waits for */
    struct lp_part *part; /* what a PART's or SUBTASK's payload goes into; NULL: nowhere */
    struct lp_subs *subs; /* its task waits for others; then `sending` is about their results */
};

/* A new process is about to live in the slot. Nothing maps the window any more. */
void lp_line_reset(struct lp_line *line, uint32_t generation);

/* A message without payload. Sets `broken` when the ring is not what it must be. */
void lp_line_post(struct lp_line *line, enum lp_message_kind kind);
/*
 * The task's header and as much of its input as fits; the rest follows from lp_line_push. Behind others
 * (prefetched): all of its input fits, and its result is received when lp_line_expect says so.
 */
void lp_line_assign(struct lp_line *line, libpool_future *future, uint64_t task_id);
void lp_line_prefetch(struct lp_line *line, const libpool_future *future, uint64_t task_id);
void lp_line_expect(struct lp_line *line, libpool_future *future);
/* Goes on sending. */
void lp_line_push(struct lp_line *line);
/* The task has ended otherwise: nothing more is sent, what still arrives is dropped. */
void lp_line_abandon(struct lp_line *line);

/*
 * 1: *message is complete, a PART's payload waits for lp_line_keep_part, a SUBTASK's for lp_line_take_part, a
 * REPLY's and a RESULT's is in the future (code -ENOMEM: there was no memory for it). 0: nothing more for
 * now, or enough for one turn (lp_line_arm tells). -EPROTO: nonsense, or a result or part beyond
 * result_bytes.
 */
int lp_line_receive(struct lp_line *line, uint64_t result_bytes, struct lp_message *message);
/* What was received is received again: it is heard later. */
void lp_line_put_back(struct lp_line *line);
/* What has come is the caller's; NULL: there was no memory for it. */
struct lp_part *lp_line_take_part(struct lp_line *line);
/* The part that has come is the task's: into its future. */
void lp_line_keep_part(struct lp_line *line);
/* Parts that wait to be taken. With so many as `most` it is not to be read. */
uint64_t lp_line_parts_bytes(const struct lp_line *line);
bool lp_line_is_stalled(const struct lp_line *line, uint64_t most);
/* Asks for a doorbell; true: don't sleep, there is something to do already. */
bool lp_line_arm(struct lp_line *line);

#endif
