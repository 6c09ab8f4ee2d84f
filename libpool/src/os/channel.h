/* SPDX-License-Identifier: MIT */
/*
 * channel: the one private line between the host and one worker.
 *
 * A window of shared memory holds two single-producer single-consumer byte rings, requests (host to
 * worker) and replies (worker to host), each carrying 64-byte headers followed by their payload
 * (padded to 64 bytes). Doorbells ring only for a sleeper: a futex wakes the worker, an eventfd the
 * host. What the worker writes is untrusted: the host keeps its own indices, reads the worker's
 * index once per look and checks it; nonsense is -EPROTO and costs that worker.
 */
#ifndef LP_OS_CHANNEL_H
#define LP_OS_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "os/board.h"
#include "os/omen.h"
#include "os/tail.h"
#include "os/trace.h"

#define LP_CHANNEL_RING_BYTES (256 * 1024) /* each way */

enum lp_message_kind {
    LP_MESSAGE_TASK = 1, /* to the worker: function or name, task_id, epoch; payload: name, input */
    LP_MESSAGE_RETIRE,   /* to the worker: run the finalizer and leave */
    LP_MESSAGE_START,    /* to the worker, first of all: the host knows it (its pid was reported) */
    LP_MESSAGE_READY,    /* to the host: initializer done */
    LP_MESSAGE_INIT_FAILED, /* to the host: code */
    LP_MESSAGE_REPLY,  /* to the host, before the result: task_id; payload: some of the result */
    LP_MESSAGE_RESULT, /* to the host: task_id, code; payload: the rest of the result */
    LP_MESSAGE_PART,   /* to the host, before the result: task_id; payload: the part */
    LP_MESSAGE_FINAL_STARTED, /* to the host */
    LP_MESSAGE_FINALIZED,     /* to the host: finalizer returned; the worker leaves now */
    /* A task has others do something (subs.h): all with task_id and call. */
    LP_MESSAGE_CALL,      /* to the host: it wants to wait for so many tasks: count, bytes */
    LP_MESSAGE_GO,        /* to the worker: code; 0: it may send them */
    LP_MESSAGE_SUBTASK,   /* to the host, each: name_size; payload: libpool_task, name, input */
    LP_MESSAGE_HANG_UP,   /* to the host: it waits no longer */
    LP_MESSAGE_SUBRESULT, /* to the worker: count (which); payload: libpool_result, data */
    LP_MESSAGE_CALLED,    /* to the worker, last: code */
    LP_MESSAGE_N
};

enum lp_leaves {
    LP_LEAVES_NOT = 0,
    LP_LEAVES_REST,    /* it could not clear up after the task */
    LP_LEAVES_OUTGROWN /* it has grown too big */
};

struct lp_message { /* 64 bytes: one cache line */
    uint32_t kind;
    int32_t code;
    uint64_t task_id;
    uint64_t size; /* payload bytes that follow */
    union {
        uint64_t function; /* TASK: its address */
        uint64_t user_ns;  /* RESULT, with the two below: what the task has used; 0: not measured */
    };
    union {
        struct {                           /* RESULT */
            uint64_t started_ns, ended_ns; /* the function was entered (0: it was not) and left */
            uint32_t leaves;               /* the worker asks to be retired: LP_LEAVES_... */
            uint32_t max_rss_kib;
        };
        struct {            /* CALL and what follows */
            uint64_t call;  /* a task's calls are numbered */
            uint64_t bytes; /* of all names and inputs */
            uint32_t count;
        };
        struct { /* TASK */
            uint64_t epoch;
            uint64_t mapped_size; /* 0: nothing is */
            int32_t mapped_fd;    /* the host's */
            uint32_t writable;
        };
    };
    union {
        uint64_t system_ns;      /* RESULT */
        struct {                 /* TASK */
            int32_t soft_signal; /* 0: none */
            uint32_t
                name_size; /* so much of the payload is its name (load.h); 0: none. SUBTASK, too */
        };
    };
};

struct lp_window; /* the shared memory */

struct lp_channel { /* private to one side */
    struct lp_window *window;
    int doorbell_fd; /* eventfd, non-blocking: host reads, worker writes; borrowed */
    bool is_host;
    uint32_t spin_ns;  /* worker: for how long it pays to wait awake */
    bool bell_owed;    /* worker: it has not rung for what it wrote last */
    bool holds;        /* what is sent is not published before the next bell */
    bool mute;         /* worker: its bell is gone, as user code may have closed it */
    dev_t bell_device; /* worker: what its bell is */
    ino_t bell_inode;
    uint32_t epoch;      /* host */
    uint64_t head, tail; /* own copies: head of the ring we write, tail of the ring we read */
    uint64_t peer_tail, peer_head; /* the other side's, as last seen and found plausible */
};

/* Bytes of one window, a multiple of the page size. */
size_t lp_channel_window_bytes(void);

/* Binds one side to a window. The host side also wipes it: only when no process maps it any more. */
void lp_channel_init_host(struct lp_channel *channel, struct lp_window *window, int doorbell_fd);
void lp_channel_init_worker(struct lp_channel *channel, struct lp_window *window, int doorbell_fd);

/* Header out. 1: sent; 0: no room (arm and wait); -EPROTO. */
int lp_channel_send(struct lp_channel *channel, const struct lp_message *message);
/* The same without a copy: its place in the ring (NULL: no room, or nonsense), and when it is filled in. */
struct lp_message *lp_channel_place(struct lp_channel *channel);
void lp_channel_send_placed(struct lp_channel *channel);
/*
 * Payload out, as much as fits, a quarter of the ring at most. Bytes taken (0: none fits) or -EPROTO.
 * `last` adds the padding.
 */
int64_t lp_channel_write(struct lp_channel *channel, const void *data, size_t size, bool last);
/* Header in. 1: got one; 0: nothing there; -EPROTO: nonsense. */
int lp_channel_receive(struct lp_channel *channel, struct lp_message *message);
/* The next one if it is of this kind and has no payload; false: something else, or nothing, or nonsense. */
bool lp_channel_receive_short(struct lp_channel *channel, uint32_t kind,
                              struct lp_message *message);
/*
 * Payload in. Bytes given (0: nothing there yet) or -EPROTO. `last`: this read ends the payload if it
 * is filled.
 */
int64_t lp_channel_read(struct lp_channel *channel, void *data, size_t size, bool last);

/* Wakes the other side if it sleeps; call after sending, writing or reading. */
void lp_channel_ring(struct lp_channel *channel);
/* Until the next ring, what is sent is shown to the other side all at once. */
void lp_channel_hold(struct lp_channel *channel);

/*
 * Host, before sleeping in epoll: asks for a doorbell; true when there is something to read already
 * (don't sleep). want_room: also when the ring we write to has room again.
 */
bool lp_channel_arm(struct lp_channel *channel, bool want_room);
/*
 * Host, before a new worker gets it: empties the eventfd. Its open file is shared with the worker that
 * was there, so it is made non-blocking again first; no other read of it is safe.
 */
void lp_channel_hush(struct lp_channel *channel);
/*
 * Worker: waits (bounded yield-spin, then futex) until there is something to read; with want_room
 * until the ring it writes to has room, whatever there is to read. False: timeout_ms (-1: none)
 * passed, or the channel is mute: it can't be heard, only its death can.
 */
bool lp_channel_wait(struct lp_channel *channel, bool want_room, int timeout_ms);

/*
 * A bell that may not be needed. A host thread that looks into the window by itself says so; then the
 * worker keeps its bell back until its own spinning has missed, or it begins a task that may take long,
 * and rings only if what it wrote is still unread. Both words are hints: with a wrong one the bell is
 * rung once too often or a spin too late.
 */
/* Host, any thread, no lock. `cpu`: where it runs, a worker there had better not spin; < 0: over. */
void lp_window_watch(struct lp_window *window, int cpu);
bool lp_window_has_reply(const struct lp_window *window); /* host, any thread, no lock */
void lp_channel_ring_unless_watched(struct lp_channel *channel);
void lp_channel_owe_bell(struct lp_channel *channel); /* the worker will settle it later */
/* Worker: there is something to read without waiting. */
bool lp_channel_has_more(struct lp_channel *channel);
void lp_channel_settle_bell(struct lp_channel *channel);

/*
 * Who may begin a task that was sent: the gate, one word of an epoch and a count. The worker claims
 * each task before it begins it, in the order in which they came, and only if the task is of the gate's
 * epoch; what is not is dropped. The host recalls all that is not claimed by moving the gate to the
 * next epoch: of that it is certain that it never begins, and *claimed tells how many (of all that were
 * ever sent, modulo 2^32) were begun. 0, or -EPROTO: the worker has written nonsense there.
 */
bool lp_channel_claim(struct lp_channel *channel, const struct lp_message *message);
int lp_channel_recall(struct lp_channel *channel, uint32_t *claimed);
/* As that tells, and nothing is recalled. */
uint32_t lp_channel_claimed(const struct lp_channel *channel);

/*
 * The worker's own word on what it has begun: written before the task's function is entered, read by
 * the host when the worker died or a deadline passed. Untrusted.
 */
void lp_channel_mark_started(struct lp_channel *channel, uint64_t task_id, uint64_t now_ns);
void lp_channel_read_started(const struct lp_channel *channel, uint64_t *task_id,
                             uint64_t *since_ns);

/*
 * Asking a task to end by itself. The host names it in the window: whoever runs another is not meant.
 * Its signal must not reach the next task either. So the worker opens a door for it, with the task's id,
 * before it looks whether the task was asked already; the host, having asked, claims the door before it
 * sends, and says when it has. When the task's function has returned, the worker closes the door: then
 * nothing is sent any more, or (true) was sent, and the worker, which blocks the signal by then, takes it
 * back. Only the worker ever waits: for the host's one system call.
 */
void lp_channel_ask(struct lp_channel *channel, uint64_t task_id);            /* host */
bool lp_channel_claim_door(struct lp_channel *channel, uint64_t task_id);     /* host */
void lp_channel_signal_sent(struct lp_channel *channel);                      /* host */
void lp_channel_open_door(struct lp_channel *channel, uint64_t task_id);      /* worker */
bool lp_channel_is_asked(const struct lp_channel *channel, uint64_t task_id); /* worker */
bool lp_channel_close_door(struct lp_channel *channel, uint64_t task_id);     /* worker */

/* What the worker had used before the task that it runs: its own word, to a millisecond or so. */
void lp_window_set_usage(struct lp_window *window, uint64_t user_ns, uint64_t system_ns);
void lp_window_usage(const struct lp_window *window, uint64_t *user_ns, uint64_t *system_ns);

/* Where its task reports. Read without the lock; the worker's to write. */
struct lp_board *lp_window_board(struct lp_window *window);
/* What it holds for life. */
struct lp_omen *lp_window_omen(struct lp_window *window);
/* Where it says which part of its output is whose. Untouched unless a tail is kept. */
struct lp_tail *lp_window_tail(struct lp_window *window);
/* Where it was when it crashed. Untouched unless traces are written. */
struct lp_trace *lp_window_trace(struct lp_window *window);

#endif
