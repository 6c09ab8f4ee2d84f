/* SPDX-License-Identifier: MIT */
/*
 * server: what the parts of a server share. One thread does everything (its own, or whoever drives) and takes
 * no lock for it; what other threads have to say they leave in the box, which outlives the server if need be.
 *
 *     bytes --> session: message by message --> queue of the session --> in turn, a few --> pool
 *     bytes <-- outbox of the session <-- result <------- box <------- callback, on a thread of the pool's
 */
#ifndef LPR_SERVER_H
#define LPR_SERVER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <libpool_remote.h>

#include "base.h"
#include "wire.h"

#define LPR_STAGING (64u << 10)

struct lpr_session;

/* ---- tasks.c: a task on its way through the server --------------------------------------- */

enum lpr_place {
    LPR_WAITING, /* in its session's queue */
    LPR_IN_POOL,
    LPR_TOLD /* its result is in the outbox */
};

struct lpr_task {
    struct lpr_parcel parcel; /* first: its result */
    struct lpr_link all;      /* of its session */
    struct lpr_link queue;    /* of its session and priority */
    struct lpr_task *next;    /* in the box */
    struct lpr_session *session;
    struct lpr_box *box;
    const libpool_remote_offer *offer;
    enum lpr_place place;
    bool closing;   /* cancelled because the server is being closed, and for nothing else */
    bool cancelled; /* at least asked for */
    uint64_t id, group;
    uint32_t priority, run_timeout_ms;
    uint64_t arrived_ns, handed_ns;
    uint64_t queue_deadline_ns; /* LPR_NEVER: none */
    unsigned char *body;        /* of its message; the input is in it */
    const void *input;
    size_t input_size;
    libpool_future *future;
    unsigned char head[LPR_HEAD_SIZE + LPR_RESULT_SIZE];
};

/* What other threads leave for the server. */
struct lpr_box {
    pthread_mutex_t lock;
    int wake_fd;
    struct lpr_task *ended, **ended_last;
    int *adopted; /* descriptors */
    uint32_t adopted_count;
    bool close; /* asked for... */
    uint32_t close_flags;
    uint64_t close_deadline_ns;
    bool abandoned; /* the server is no more: the last of `left` tasks frees the box */
    uint64_t left;
};

struct lpr_box *lpr_box_new(void);
void lpr_box_wake(const struct lpr_box *box);
/* The server is gone; `left` of its tasks are with the pool. Frees the box, now or with the last of them. */
void lpr_box_abandon(struct lpr_box *box, uint64_t left);

/* A message became a task: it waits, or has ended already. -ENOMEM: nothing happened. */
int lpr_task_receive(struct lpr_session *session, uint64_t id, const struct lpr_submit *submit,
                     unsigned char *body);
/* Ends one that waits. `text` is a literal. */
void lpr_task_end_waiting(struct lpr_task *task, libpool_cause cause, int code, const char *text);
/* Ends it soon, wherever it is. closing: as SHUTDOWN. */
void lpr_task_cancel(struct lpr_task *task, bool closing);
/* Gives tasks to the pool, each session in turn, as far as the window allows. */
void lpr_tasks_hand_over(libpool_remote_server *server);
/* Those that have ended in the pool. */
void lpr_tasks_take_ended(libpool_remote_server *server);
/* Does the pool make callbacks? 0, -ENOTSUP, or what is wrong with the pool. */
int lpr_tasks_try_pool(libpool *pool);

/* ---- session.c: one client --------------------------------------------------------------- */

/* What epoll tells of. */
enum lpr_source_kind {
    LPR_SOURCE_BOX,
    LPR_SOURCE_TIMER,
    LPR_SOURCE_LISTENER,
    LPR_SOURCE_SESSION
};

struct lpr_source {
    enum lpr_source_kind kind;
    int fd;
};

enum lpr_state {
    LPR_GREETING, /* has not said who it is */
    LPR_OPEN,
    LPR_LEAVING, /* is told why; what comes is not looked at */
    LPR_GONE     /* no connection; there may be tasks */
};

struct lpr_session {
    struct lpr_source source; /* first */
    libpool_remote_server *server;
    struct lpr_link all, touched, ready, halted;
    enum lpr_state state;
    bool vouched;         /* adopted: nobody is asked */
    bool local;           /* AF_UNIX: what was sent is there */
    bool deaf;            /* it takes nothing any more: results are dropped */
    bool half_closed;     /* LEAVING: all is said */
    bool lingers;         /* GONE, and counted as such */
    uint32_t watched;     /* by epoll */
    uint64_t deadline_ns; /* GREETING, LEAVING */
    uint64_t stall_ns;    /* 0: nothing waits to be read */
    libpool_remote_policy policy;
    libpool_remote_peer peer;
    struct lpr_reader reader;
    uint32_t visits;     /* of tasks, in this step, at the client's word */
    unsigned char *rest; /* what it has sent and its next step will look at */
    size_t rest_size;
    struct lpr_outbox outbox;
    struct lpr_task **table; /* by the lower half of the id: those not told yet */
    struct lpr_link tasks;
    struct lpr_link queues[LIBPOOL_PRIORITIES];
    uint64_t occupied;                /* which of them are not empty */
    uint32_t waiting, in_pool, timed; /* waiting with a queue timeout */
    uint64_t input_bytes;
};

/* Takes over the descriptor. NULL: no memory, or the descriptor can't be watched; it is closed. */
struct lpr_session *lpr_session_open(libpool_remote_server *server, int fd, bool vouched);
void lpr_session_event(struct lpr_session *session, uint32_t events);
/* Goes on where a step has ended for it. */
void lpr_session_resume(struct lpr_session *session);
/* Ends it. error 0: at once; else the client is told that, and why. */
void lpr_session_end(struct lpr_session *session, libpool_remote_end reason, int error,
                     const char *text);
/* What time has brought. Returns when to look again. */
uint64_t lpr_session_sweep(struct lpr_session *session, uint64_t now_ns);
/* Something of it changed: it is settled at the end of the step. */
void lpr_session_touch(struct lpr_session *session);
/* Sends what can be sent; it may be gone afterwards. */
void lpr_session_settle(struct lpr_session *session);
/* Puts it among those whose turn comes, or takes it out, as it is. */
void lpr_session_line_up(struct lpr_session *session);
/* All that it is to hear has arrived, as far as can be known. */
bool lpr_session_is_told(const struct lpr_session *session);
/* Without ado: the server is no more. Tasks that are with the pool are left to the box. */
void lpr_session_destroy(struct lpr_session *session);

/* ---- serve.c: the loop --------------------------------------------------------------------- */

enum lpr_phase {
    LPR_SERVING,
    LPR_DRAINING,   /* what may finish does */
    LPR_CANCELLING, /* what was cancelled ends */
    LPR_TELLING,    /* clients are told */
    LPR_CLOSED
};

struct libpool_remote_server {
    libpool *pool;
    libpool_remote_options options;
    pid_t owner;
    pthread_t thread;
    int epoll_fd;
    struct lpr_source timer, wake, *listeners;
    uint32_t listeners_count;
    struct lpr_box *box;
    struct lpr_link sessions, touched, ready;
    struct lpr_link halted; /* sessions that have done enough in a step, and have more to do */
    uint32_t strangers;     /* sessions that are GREETING or LEAVING */
    uint32_t members;       /* that are OPEN, or linger */
    bool paused;            /* no more strangers for now */
    uint64_t resume_ns;     /* 0: when there are fewer */
    uint64_t retry_ns;      /* the pool was full; 0: it was not */
    uint32_t retry_ms;      /* how long it was left alone; 0: it has taken the last */
    uint64_t next_ns, armed_ns;
    uint32_t window;
    uint64_t waiting, in_pool;
    enum lpr_phase phase;
    uint64_t phase_ns;
    uint32_t close_flags;
    bool late;
    pthread_mutex_t books_lock;
    libpool_remote_stats books;
    unsigned char *staging;
};

/* Looks at the sessions at this time at the latest. */
void lpr_server_at(libpool_remote_server *server, uint64_t time_ns);
/* One turn of the loop, waiting up to timeout_ms. */
void lpr_server_step(libpool_remote_server *server, int timeout_ms);

/* ---- close.c ------------------------------------------------------------------------------- */

/* Goes on with the end that was asked for. */
void lpr_server_close_on(libpool_remote_server *server);
void lpr_server_free(libpool_remote_server *server);

/* ---- books.c: every number, changed in one place ------------------------------------------- */

void lpr_books_accepted(libpool_remote_server *server);
void lpr_books_ended_session(libpool_remote_server *server, libpool_remote_end reason);
void lpr_books_lingering(libpool_remote_server *server, int change);
void lpr_books_paused(libpool_remote_server *server);
void lpr_books_received(libpool_remote_server *server);
void lpr_books_handed_over(libpool_remote_server *server);
void lpr_books_ended(libpool_remote_server *server, enum lpr_place from, libpool_cause cause);
void lpr_books_dropped(libpool_remote_server *server);
void lpr_books_bytes(libpool_remote_server *server, uint64_t received, uint64_t sent);

#endif
