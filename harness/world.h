/* SPDX-License-Identifier: MIT */
/*
 * world: all that the processes of one run share, in one piece of memory.
 *
 * The judge makes it before the first fork; guardian, target, zygote and workers inherit the
 * mapping. Each part has one writer or is atomic. Nothing in it is a pointer.
 */
#ifndef HARNESS_WORLD_H
#define HARNESS_WORLD_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include <libpool.h>
#include <libpool_remote.h>

#include "harness/cgroups.h"
#include "harness/findings.h"
#include "harness/gate.h"
#include "harness/history.h"
#include "harness/outfit.h"
#include "harness/parts.h"
#include "harness/procfs.h"
#include "harness/snapshot.h"

#define HN_TASKS_MAX 65536
#define HN_GROUPS_MAX 64 /* with the probe's, which is the last */
#define HN_RECORDS_MAX (1u << 20)
#define HN_CENSUS_MAX 256
#define HN_CLIENTS_MAX 16
#define HN_MEMFD_NAME "chaos-world"
#define HN_WORLD_VARIABLE "CHAOS_WORLD" /* a path to it, for workers that did not inherit it */

enum hn_task_state {
    HN_TASK_UNUSED = 0,
    HN_TASK_OFFERED, /* libpool_submit is under way */
    HN_TASK_REFUSED, /* error says why */
    HN_TASK_ACCEPTED,
    HN_TASK_COLLECTED, /* its future has ended; the result is below */
    HN_TASK_WITHDRAWN, /* by its batch, before the pool had it */
    HN_TASK_ABANDONED  /* by its client, which is gone: nobody was told what became of it */
};

enum hn_echo {
    HN_ECHO_NONE = 0, /* not an echo, or not completed */
    HN_ECHO_EXACT,
    HN_ECHO_WRONG
};

/* What a result has of a crash. */
enum hn_trace {
    HN_TRACE_UNKNOWN = 0, /* it was not asked for */
    HN_TRACE_NONE,
    HN_TRACE_THERE,
    HN_TRACE_UNASKED
};

/* What the target knows of one task. */
struct hn_row {
    _Atomic uint32_t state;
    uint32_t group;
    int32_t error;
    uint32_t ends; /* how often its future was seen to end: exactly once */
    uint64_t offered_ns, accepted_ns, collected_ns;
    uint64_t awaited_ns; /* its waiter came back from libpool_future_wait; 0: it had none */
    uint64_t task_id;
    libpool_cause cause;
    libpool_certainty certainty;
    int32_t code, signal, pid;
    uint32_t slot;
    uint64_t pending_ns, running_ns;
    uint64_t data_size;
    enum hn_echo echo;
    char text[160];
    uint32_t attempts;
    libpool_cause retried_cause;
    enum hn_tail tail;
    enum hn_trace trace;
    _Atomic uint32_t runs; /* begun, counted by the workers of a task that works at some time */
    struct hn_parts parts;
    uint32_t gathered; /* so often its end was told by a gather */
};

/*
 * Written by the target's sampler, read by anybody. Two places in turn: a writer that was killed
 * half-way leaves the sample before it.
 */
struct hn_sample_place {
    uint64_t time_ns;
    libpool_stats stats;
};

#define HN_SAMPLE_WORDS (sizeof(struct hn_sample_place) / sizeof(uint64_t))

struct hn_sample {
    _Atomic uint64_t version; /* samples that are whole; 0: none yet */
    _Atomic uint64_t places[2][HN_SAMPLE_WORDS];
};

/* What the guardian found alive below itself. */
struct hn_census {
    uint32_t count;    /* may exceed HN_CENSUS_MAX */
    int32_t error;     /* /proc could not be read: the count says nothing */
    uint64_t taken_ns; /* 0: never */
    struct hn_process list[HN_CENSUS_MAX];
};

/* As hn_tasks_bind was told, for workers that did not inherit it. */
struct hn_role {
    int initializer, finalizer, sabotage;
    uint32_t initializer_fails;
};

/* Of tasks that tasks have submitted: by the workers. They have no row. */
struct hn_calls {
    _Atomic uint64_t called; /* asked for and not refused, or still under way */
    _Atomic uint64_t begun;
    _Atomic uint64_t told[LIBPOOL_CAUSES_MAX]; /* how they ended, by what their callers were told */
};

/* A process that uses the pool. */
struct hn_client {
    struct hn_process process;
    _Atomic uint64_t told; /* by itself: results that it has had of the server */
};

struct hn_world {
    int judge_pid; /* who holds... */
    int memory_fd; /* ...a descriptor of this memory, of this number */
    struct hn_role role;
    struct hn_findings findings;
    struct hn_gates gates;
    struct hn_snapshot before, after; /* by the target */
    struct hn_sample sample;
    libpool_stats answer;    /* by the target: to the last `stats` command */
    struct hn_census census; /* by the guardian: to the last `census` command */
    struct hn_process target, sentinel;
    struct hn_calls calls;
    struct hn_client clients[HN_CLIENTS_MAX];
    libpool_remote_stats served; /* by the target: with the answer */
    _Atomic uint32_t initializer_runs;
    _Atomic uint32_t tasks_count;             /* rows in use */
    _Atomic uint32_t released[HN_GROUPS_MAX]; /* futex: by the judge, what HELD tasks wait for */
    char pool_cgroup[HN_PATH_MAX]; /* by the guardian, for libpool_options.cgroup; "": default */
    uint64_t oom_kills;            /* by the guardian: counted in the workers' cgroups */
    char oom_source[160];
    uint64_t pids_refused; /* by the guardian */
    struct hn_row rows[HN_TASKS_MAX];
    struct hn_history history; /* last: it ends in its records */
};

/* NULL when there is no memory. */
struct hn_world *hn_world_new(void);
/* The world of other processes, by a path to its memory; NULL: it is not there. */
struct hn_world *hn_world_attach(const char *path);
void hn_world_free(struct hn_world *world);

/* A consistent copy of the last sample. False when there is none yet. */
bool hn_sample_read(const struct hn_sample *sample, libpool_stats *stats, uint64_t *time_ns);
void hn_sample_write(struct hn_sample *sample, const libpool_stats *stats, uint64_t time_ns);

#endif
