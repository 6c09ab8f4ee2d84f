/* SPDX-License-Identifier: MIT */
/*
 * target: the application under test, a process of its own with a live pool.
 *
 * It behaves as an honest application would: threads that submit, wait for futures, read events and
 * numbers, all through libpool.h only. Everything it sees goes into the world. The judge tells it
 * what to do by commands over a SOCK_SEQPACKET socket; some threads of its own take them, so one
 * that blocks (a shutdown that waits) keeps no other from being done, and none needs a new thread
 * while forks fail. A command is answered by an HN_REPLY record.
 */
#ifndef HARNESS_TARGET_H
#define HARNESS_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpool.h>

#include "harness/deny.h"
#include "harness/sabotage.h"
#include "harness/tasks.h"
#include "harness/world.h"

#define HN_WAITERS_MAX 64 /* tasks of groups that are awaited one by one */

enum hn_disposition {
    HN_DISPOSITION_DEFAULT = 0,
    HN_DISPOSITION_IGNORE,
    HN_DISPOSITION_HANDLER,
    HN_DISPOSITIONS
};

/* LIBPOOL_CALLBACKS, or those of a driven pool. */
enum hn_telling {
    HN_TELLING_NONE = 0,
    HN_TELLING_ALL,
    HN_TELLING_STALL, /* the first end that is told is held until all other tasks have ended */
    HN_TELLINGS
};

struct hn_target_options {
    struct hn_world *world;
    uint32_t governor_limit; /* 0: no governor */
    libpool_options pool;    /* numbers and flags; the rest is filled in here */
    enum hn_callback initializer, finalizer;
    uint32_t initializer_fails;
    enum hn_disposition sigchld, sigpipe;
    bool thief;      /* a thread loops on waitpid(-1) */
    uint32_t nofile; /* 0: as inherited */
    struct hn_denial denials[HN_DENIALS_MAX];
    size_t denials_count;
    enum hn_sabotage sabotage;
    const struct hn_group *groups;
    uint32_t groups_count;
    uint32_t groups_in_load; /* the first ones */
    struct hn_outfit outfit;
    enum hn_telling telling;
    bool asides;              /* a thread calls what opens a pool for one moment, see asides.h */
    const char *sandbox;      /* a profile of libpool_sandbox_profile; NULL: none */
    bool reader_stalls;       /* nobody reads events before the pool is to be closed */
    uint32_t event_buffer;    /* 0: large enough for all */
    uint32_t neighbour;       /* workers of a second pool; 0: there is none */
    bool driven;              /* LIBPOOL_NO_THREAD: by an event loop of the target's */
    uint32_t clients;         /* processes that use the pool, too; 0: it is not served */
    uint32_t client_policy;   /* libpool_remote_policy, of each */
    uint32_t client_stall_ms; /* 0: libpool_remote's own, as the next */
    uint32_t client_window;   /* of one's tasks in the pool at once */
};

enum hn_command_kind {
    HN_COMMAND_SUBMIT = 1, /* group; reply: how many tasks of it were never offered */
    HN_COMMAND_CANCEL, /* group, nth (0: all), flags: 1: at once; reply: how many were cancelled */
    HN_COMMAND_SHUTDOWN, /* flags, deadline_ms; reply: what it returned */
    HN_COMMAND_SETTLE,   /* deadline_ns; reply 0 or -ETIMEDOUT */
    HN_COMMAND_STATS,    /* into world->answer; reply: what libpool_stats_read returned */
    HN_COMMAND_PROBE,    /* deadline_ns; a task of its own; reply: its cause, or negative */
    HN_COMMAND_FILL_FDS, /* reply: how many */
    HN_COMMAND_EMPTY_FDS,
    HN_COMMAND_CLOSE,   /* the numbers as STATS, then libpool_close */
    HN_COMMAND_DRAIN,   /* deadline_ns; reply: what it returned */
    HN_COMMAND_RECYCLE, /* nth: parallel; reply: what it returned */
    HN_COMMAND_DRESS,   /* reply: what libpool_set_outfit returned */
    HN_COMMAND_UNSERVE, /* flags, deadline_ms; reply: what libpool_remote_server_close returned */
    HN_COMMAND_NOISE,   /* nth: connections; reply: how many the server has ended */
    HN_COMMAND_QUIT,    /* takes the second snapshot and leaves; no reply: the target is gone */
    HN_COMMANDS
};

struct hn_command {
    uint32_t kind;
    uint32_t number; /* comes back as `a` of the reply */
    uint32_t group;
    uint32_t nth;
    uint32_t flags;
    int32_t deadline_ms;
    uint64_t deadline_ns;
};

/* Group number of the probe task. */
#define HN_PROBE_GROUP (HN_GROUPS_MAX - 1u)

/* The whole life of the target. Returns its exit code: 0, or 1 when it could not begin. */
int hn_target_live(const struct hn_target_options *options, int command_fd);

#endif
