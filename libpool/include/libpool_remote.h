/* SPDX-License-Identifier: MIT */
/*
 * libpool_remote: one pool for several processes. In an archive of its own, which is an application of
 * libpool.h: link a server with -lpool_remote -lpool. For a client -lpool_remote is enough, unless it calls
 * a function of libpool.h, as libpool_cause_name.
 *
 *     the process with the pool                        another process
 *     libpool_remote_serve(&server, pool, &options);   libpool_remote_open(&remote, connected, NULL);
 *                                                      libpool_remote_submit(remote, &task, -1, &future);
 *                                                      libpool_remote_wait(future, -1);
 *     libpool_remote_server_close(server, 0, 1000);    use(libpool_remote_result(future)->data);
 *
 * Words
 *   session    one client's connection, and what it has submitted. A client may have several.
 *   offer      a task that clients may submit, by its name. They never send code, paths or addresses.
 *
 * A client is not trusted: what it sends is checked, what it may hold here is limited, and whatever it
 * does costs its own session only. One that does not read its results stalls nobody else. Nothing is
 * encrypted here: beyond one machine use libpool_remote_tls.h, or a tunnel (libpool_remote_adopt).
 * The rules of libpool.h hold here, too: errors, times, structs, ownership, threads. -ECHILD: in a forked
 * copy of the process. No signal is ever raised (SIGPIPE neither).
 */
#ifndef LIBPOOL_REMOTE_H
#define LIBPOOL_REMOTE_H

#include <libpool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct libpool_remote_server libpool_remote_server; /* what serves a pool */
typedef struct libpool_remote libpool_remote;               /* a client's session */
typedef struct libpool_remote_future libpool_remote_future; /* a client's task */

/* What becomes of the tasks that the server has of a session, when its client is gone in whatever way. */
typedef enum libpool_remote_policy {
    LIBPOOL_REMOTE_CANCEL = 0, /* all are cancelled */
    LIBPOOL_REMOTE_FINISH,     /* those that wait at the server are, the pool's go on */
    LIBPOOL_REMOTE_CONTINUE    /* all are run, and their results dropped */
} libpool_remote_policy;

/* ---- The server -------------------------------------------------------------------------- */

/*
 * A server sits between listening sockets, which the application has made where and as it likes, and a
 * pool, which stays the application's and can be used beside it. The pool has to make callbacks
 * (LIBPOOL_CALLBACKS, or LIBPOOL_NO_THREAD and the application dispatches). Tasks wait in one queue for each
 * session; sessions take turns to hand one over, so that who has a thousand waiting does not delay who has
 * one, and only `window` tasks are in the pool at once. While the pool is full of the application's own tasks
 * it is tried every 5 ms, then more seldom, to 200 ms: the pool counts a try as a task that was rejected.
 * `priority` orders the tasks of one session, and what is in the pool.
 */

/*
 * What clients may run. `task` is how: the function by address or by name, and all that the application
 * decides (grace_ms, retries, kind...). Of what a client may ask for it has the bounds: its priority is the
 * highest, its run_timeout_ms and queue_timeout_ms (0: no bound) are the longest. No input, callbacks, or
 * flags. All that is pointed to stays as it is until the server is closed.
 */
typedef struct libpool_remote_offer {
    const char *name; /* 1 to 255 bytes */
    libpool_task task;
} libpool_remote_offer;

/* Who wants to open a session. */
typedef struct libpool_remote_peer {
    size_t size;
    int fd;            /* its connection, for getpeername(2)...; nothing may be read or closed */
    int pid;           /* AF_UNIX: as the kernel knows it; else 0, */
    uint32_t uid, gid; /* and UINT32_MAX */
    uint32_t sessions; /* that are open, or have tasks left, of the same uid */
    const void *credential; /* what it has sent to prove who it is, at most 4096 bytes */
    size_t credential_size;
} libpool_remote_peer;

/*
 * 0: it may. A negated errno: it may not, and is told that. On the server's thread: everybody waits for
 * it, so it should take no time. It may call nothing of its server but libpool_remote_stats_read.
 */
typedef int libpool_remote_admit(void *arg, const libpool_remote_peer *peer);

enum {
    LIBPOOL_REMOTE_NO_THREAD = 1u << 0 /* the application drives: _server_fd, _server_dispatch */
};

typedef struct libpool_remote_options {
    size_t size;    /* sizeof(libpool_remote_options) */
    uint32_t flags; /* LIBPOOL_REMOTE_NO_THREAD */
    uint32_t offers_count;
    const libpool_remote_offer *offers; /* 1 or more */
    const int *listeners;     /* listening stream sockets, AF_UNIX or TCP. The server's from now
                                       on: made non-blocking, closed by it. May be none: _adopt */
    uint32_t listeners_count; /* 64 at most */
    uint32_t window;          /* tasks in the pool at once; default: 4 for each of
                                       libpool_default_workers(), at least 16 */
    uint32_t session_window;  /* of one session's; default: window */
    uint32_t sessions;        /* open at once; default 64, to 65536. One that is gone counts as
                                       long as a task of its is left */
    uint32_t session_tasks;   /* that wait, run, or were not told yet; default 1024, to 65536 */
    uint32_t handshake_ms;    /* for a client to say who it is; default 5000. 64 may be at it: for
                                       one more the one that came first has to go, as STALLED */
    uint32_t stall_ms;        /* a client that takes nothing for so long is gone; default 60000 */
    uint32_t policy;          /* the most lasting libpool_remote_policy a client may ask for */
    uint64_t payload_bytes;   /* one input or result; default 16 MiB, to 2 GiB - 64 KiB */
    uint64_t session_bytes;   /* inputs of one session's tasks; default 4 payloads, at least one */
    uint64_t unsent_bytes;    /* while as much waits for a client that does not read none of its
                                       tasks is given to the pool; default: payload_bytes */
    libpool_remote_admit
        *admit; /* default: AF_UNIX: the own effective user and root; others: none */
    void *admit_arg;
} libpool_remote_options;

/*
 * Serves the pool. Memory of a session at most: session_bytes, 1 KiB for each of session_tasks, a message
 * that is coming, 128 KiB, unsent_bytes, and the results of its tasks that are in the pool. Three
 * descriptors, and one for each session. When there is none left for a client it waits until there is. TCP
 * connections are kept alive and without delay.
 * Errors: -EINVAL, -E2BIG (struct size), -ENOTSUP (the pool makes no callbacks), -ENOTSOCK, -EPERM (a
 * listener that is not AF_UNIX, without `admit`), -ENOMEM, -EMFILE, -EAGAIN (no thread), -EDEADLK, -ECHILD.
 * The listeners stay the application's then.
 */
int libpool_remote_serve(libpool_remote_server **server, libpool *pool,
                         const libpool_remote_options *options);

/*
 * A session over a connected stream socket, such as one end of a socketpair(2): the application vouches for
 * who is at the other, `admit` is not asked. The descriptor is the server's from now on, also if this fails:
 * -EINVAL (no stream, or no server), -ENOMEM, -ENOTSOCK, -EBADF, -ESHUTDOWN, -ECHILD.
 */
int libpool_remote_adopt(libpool_remote_server *server, int fd);

/* As libpool_fd and libpool_dispatch, with LIBPOOL_REMOTE_NO_THREAD; else -EINVAL. */
int libpool_remote_server_fd(const libpool_remote_server *server);
int libpool_remote_server_dispatch(libpool_remote_server *server);

/*
 * Ends the server and frees it. No new session, no new task; what there is:
 *
 *     flags                          waiting here   in the pool
 *     0, or LIBPOOL_CANCEL           SHUTDOWN       cancelled: SHUTDOWN
 *     LIBPOOL_WAIT | LIBPOOL_CANCEL  SHUTDOWN       finish
 *     LIBPOOL_WAIT                   run            finish
 *
 * timeout_ms (-1: none) bounds the waiting: what is left then is cancelled. Then there is a second for what
 * does not end at once (a grace), and one to tell the clients. Close the server before the pool; a pool that
 * was shut down is fine: its clients' tasks end as SHUTDOWN. Returns 0, or -ETIME: somebody was not told,
 * or had been waiting. Over AF_UNIX who can read it was told; over others, who has: a client that makes no
 * call in that second was not. NULL is allowed.
 */
int libpool_remote_server_close(libpool_remote_server *server, uint32_t flags, int timeout_ms);

/* Why a session ended. */
typedef enum libpool_remote_end {
    LIBPOOL_REMOTE_LEFT = 0,  /* the client closed it, or was killed */
    LIBPOOL_REMOTE_RESET,     /* the connection failed */
    LIBPOOL_REMOTE_REFUSED,   /* not admitted, one too many, of another version */
    LIBPOOL_REMOTE_MALFORMED, /* it sent what it must not */
    LIBPOOL_REMOTE_STALLED,   /* it did not say who it is, or did not read */
    LIBPOOL_REMOTE_CLOSED,    /* by the server's end */
    LIBPOOL_REMOTE_SCARCE,    /* there was no memory for it */
    LIBPOOL_REMOTE_ENDS
} libpool_remote_end;

/*
 * One consistent snapshot. In every snapshot
 *   sessions_accepted = sessions_open + sum of sessions_ended[]
 *   tasks_received = tasks_waiting + tasks_in_pool + sum of tasks_ended[]
 */
typedef struct libpool_remote_stats {
    size_t size; /* sizeof(libpool_remote_stats) */
    uint64_t sessions_accepted;
    uint64_t sessions_open;      /* gauge: connected */
    uint64_t sessions_lingering; /* gauge: ended, and tasks of theirs are left */
    uint64_t sessions_ended[8];  /* by libpool_remote_end */
    uint64_t accept_pauses;      /* so often there was no descriptor or memory for a client */
    uint64_t tasks_received;
    uint64_t tasks_waiting;                   /* gauge: here */
    uint64_t tasks_in_pool;                   /* gauge */
    uint64_t tasks_ended[LIBPOOL_CAUSES_MAX]; /* by cause */
    uint64_t results_dropped;                 /* ended, and the client was gone */
    uint64_t received_bytes, sent_bytes;
} libpool_remote_stats;

int libpool_remote_stats_read(libpool_remote_server *server, libpool_remote_stats *stats);

/* ---- A client ---------------------------------------------------------------------------- */

/*
 * A client has no thread: bytes move while a call waits, of whichever thread, and in libpool_remote_dispatch.
 * It needs four descriptors. When the connection is lost, its tasks end as LIBPOOL_LOST: with certainty
 * NOT_STARTED what had not been sent entirely, MAY_HAVE_RUN what had. Nothing is submitted again.
 * One that makes no call while more results wait than a socket holds is gone for the server after its
 * stall_ms.
 */

typedef struct libpool_remote_client_options {
    size_t size;            /* sizeof(libpool_remote_client_options) */
    uint32_t policy;        /* a libpool_remote_policy; default: CANCEL */
    uint32_t handshake_ms;  /* for the server to answer; default 10000 */
    uint32_t silence_ms;    /* while a call waits a server that says nothing for so long is asked
                                  whether it is there, and lost after as long; default 30000 */
    uint32_t reserved;      /* 0 */
    const void *credential; /* for the server's `admit` */
    size_t credential_size; /* 4096 at most */
} libpool_remote_client_options;

/*
 * Opens a session over a connected stream socket; options may be NULL. The descriptor is the session's from
 * now on (one of TCP is made to send without delay), also if this fails: -EINVAL, -E2BIG (struct size),
 * -ENOMEM, -EMFILE, -ETIMEDOUT (handshake_ms), -EPROTO (that is no server), -ECONNRESET..., or what the
 * server says: -EACCES (not admitted) or what its `admit` returned, -EPERM (policy), -EBUSY (too many
 * sessions), -EPROTONOSUPPORT, -ESHUTDOWN.
 */
int libpool_remote_open(libpool_remote **remote, int fd,
                        const libpool_remote_client_options *options);

typedef struct libpool_remote_task {
    size_t size;       /* sizeof(libpool_remote_task) */
    const char *name;  /* of an offer */
    const void *input; /* copied */
    size_t input_size; /* at most the server's payload_bytes */
    uint32_t priority; /* as in libpool_task, these three: as far as the offer allows */
    uint32_t run_timeout_ms;
    uint32_t queue_timeout_ms; /* counted from when the server has it */
    uint32_t reserved;         /* 0 */
    uint64_t group;            /* for libpool_remote_cancel_group, this session's; 0: none */
} libpool_remote_task;

/*
 * Waits up to timeout_ms for room (the server's session_tasks and session_bytes) and until the task is on its
 * way; what is not by then is sent by calls that follow. *future is the caller's; future may be NULL: the
 * result is dropped. A name that is not offered ends the task as LIBPOOL_ERROR, not started, with -ENOENT.
 * Errors: -EINVAL, -E2BIG (struct size), -EMSGSIZE (the input), -EAGAIN (no room, with timeout 0),
 * -ETIMEDOUT, -ENOMEM, -ECHILD; the session's, see libpool_remote_status.
 */
int libpool_remote_submit(libpool_remote *remote, const libpool_remote_task *task, int timeout_ms,
                          libpool_remote_future **future);

/* 0 when the task has ended, -ETIMEDOUT when it has not; -ECHILD. */
int libpool_remote_wait(libpool_remote_future *future, int timeout_ms);

/*
 * As libpool_future_result: what it came to in the pool. pending_ns counts from the server's receipt. There
 * is no trace. LIBPOOL_LOST with pid 0: the connection was lost. A result larger than the server's
 * payload_bytes: LIBPOOL_ERROR, has run, -EMSGSIZE. NULL as long as the task has not ended.
 */
const libpool_result *libpool_remote_result(const libpool_remote_future *future);

/*
 * Asks the server to cancel it: 0, and it ends soon; or LIBPOOL_CANCEL_DEQUEUED, it had not been sent and has
 * ended; or LIBPOOL_CANCEL_DONE. The other: all tasks of this session and group that the server has by
 * then; 0. Errors: -ENOMEM, -ECHILD, the session's.
 */
int libpool_remote_cancel(libpool_remote_future *future);
int libpool_remote_cancel_group(libpool_remote *remote, uint64_t group);

/* Gives the future back, also after libpool_remote_close; what has not ended goes on. NULL is allowed. */
void libpool_remote_free(libpool_remote_future *future);

/*
 * For event loops: readable when libpool_remote_dispatch has work, and until its next call when another call,
 * of whichever thread, has ended a task; that never blocks. 0, or the session's error. Owned by the session.
 */
int libpool_remote_fd(const libpool_remote *remote);
int libpool_remote_dispatch(libpool_remote *remote);

/*
 * 0: it is open, as far as is known. Else why not, for good: -ESHUTDOWN (the server's end), -ETIMEDOUT
 * (silence), -EPROTO, -ECONNRESET..., with a sentence in text (may be NULL), cut to size.
 */
int libpool_remote_status(libpool_remote *remote, char *text, size_t size);

/*
 * Ends the session and frees it; tasks that have not ended do so as LIBPOOL_LOST, and the server does with
 * them what the policy says. No other call on the session may be under way. In a forked copy of the process
 * it closes the copies of the descriptors; one that keeps them keeps the connection. NULL is allowed.
 */
void libpool_remote_close(libpool_remote *remote);

#ifdef __cplusplus
}
#endif
#endif
