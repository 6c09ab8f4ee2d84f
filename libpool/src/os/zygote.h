/* SPDX-License-Identifier: MIT */
/*
 * zygote: the small single-threaded helper process from which all workers are forked.
 *
 * Host side ("the link") and helper side share the fixed-size messages below, over one
 * SOCK_SEQPACKET socket pair. The helper is parent and sub-reaper of all workers: it reaps them,
 * kills whatever lands on it, proves their trees empty, reads their cgroup's OOM counter, and ends
 * everything when the host dies (it watches a pidfd of the host).
 *
 * How it is born. The helper must be invisible to the host's wait(-1) and SIGCHLD, and still have
 * a consistent malloc although the host has threads. So the calling thread makes a short-lived
 * midwife with clone(CLONE_VM | CLONE_VFORK, exit_signal 0), which runs on a stack carved out of the
 * caller's own (or a mapped one, when that is small) and calls glibc's fork() (locks of malloc and
 * stdio are taken and released properly); its child is the zygote. The midwife leaves at once and is
 * waited for with __WALL; the zygote is adopted by init or the nearest sub-reaper. All signals are
 * blocked in the caller meanwhile.
 */
#ifndef LP_OS_ZYGOTE_H
#define LP_OS_ZYGOTE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct lp_cgroup_place;
struct lp_program;

/* What the host asks. */
enum lp_request_kind {
    LP_REQUEST_SPAWN = 1, /* fork a worker into a vacant slot */
    LP_REQUEST_KILL,      /* kill slot's whole tree, then prove it empty (EXITED, EMPTY follow) */
    LP_REQUEST_WEIGH, /* WEIGHED follows, or the end of a tree that the kernel has reached into */
    LP_REQUEST_QUIT,  /* kill everything, remove the cgroups, leave */
    LP_REQUEST_N
};

struct lp_request {
    uint32_t kind;
    uint32_t slot;
    uint32_t generation;  /* SPAWN: of the new worker; KILL: only if the slot is still that one */
    uint32_t number;      /* SPAWN: what it is known by; WEIGH: MiB it holds that its tree's memory
                            does not tell of */
    uint64_t limit_bytes; /* WEIGH: what it may hold, the pool's limit or less */
};

/*
 * WEIGH is for trees that the kernel does not keep to their limit as a whole: in cgroup v1 it kills one
 * process of a tree, and the zygote the others; and nowhere does it know of a limit below the pool's.
 *
 * KILL of a slot into which this zygote has not spawned yet is about what an earlier zygote left
 * there: its cgroup and its heir (see the options) are killed, and EMPTY follows without EXITED.
 * SPAWN into such a slot is refused with -EBUSY while something lives there. A KILL that comes too
 * late is not answered.
 */

/* What the zygote tells. */
enum lp_report_kind {
    LP_REPORT_HELLO = 1, /* up; pid is its own; containment and oom_evidence are set */
    LP_REPORT_FAILED,    /* error: it lacks what it needs to serve, and has left; the only report */
    LP_REPORT_SPAWNED,   /* pid; a pidfd travels along unless the host has no descriptor free */
    LP_REPORT_SPAWN_FAILED, /* error: negated errno of fork or of a preparation step */
    LP_REPORT_EXITED,       /* the worker itself is dead: code, signal, core, oom_kills, rusage */
    LP_REPORT_EMPTY,        /* its tree is proven empty: slot may be used again */
    LP_REPORT_WEIGHED,      /* memory_bytes; nothing is said of what is not there */
    LP_REPORT_N
};

struct lp_report {
    uint32_t kind;
    uint32_t slot;
    uint32_t generation;
    int32_t pid;
    int32_t error;       /* FAILED; SPAWN_FAILED; HELLO: why there is no cgroup.kill, or 0 */
    int32_t code;        /* EXITED: exit code when signal is 0 */
    int32_t signal;      /* EXITED: signal that killed it, or 0 */
    int32_t core_dumped; /* EXITED: 0 or 1 */
    uint64_t born_from_ns, born_by_ns; /* SPAWNED: CLOCK_BOOTTIME before and after its birth */
    uint64_t oom_kills;                /* EXITED: OOM kills its cgroup counted during its life */
    uint64_t user_us, system_us, max_rss_kib; /* EXITED: rusage */
    uint32_t containment;                     /* HELLO: 0 walking /proc, 2 cgroup v2 kill */
    uint32_t oom_evidence;       /* HELLO: 0 none, 1 cgroup v1 memory, 2 cgroup v2 memory */
    uint32_t memory_enforcement; /* HELLO: LIBPOOL_MEMORY_... */
    uint32_t can_weigh;          /* HELLO: 0 or 1 */
    uint64_t memory_bytes; /* WEIGHED: what the tree holds (weight.h); 0: no more than is allowed */
};

/*
 * Runs in the freshly forked worker, after the preparation of child.h (empty mask, default
 * signals, own session, sub-reaper, oom_score_adj, cgroup, process name; descriptors: 0 is
 * /dev/null or the host's (keep_stdin), 1 and 2 are the host's, 3 is the slot's doorbell, 4 its
 * lifeline). Never returns.
 */
typedef void lp_worker_main(void *context, uint32_t slot, uint32_t number, uint32_t generation);

struct lp_zygote_memory {
    void *memory;
    size_t bytes;
};

#define LP_ZYGOTE_NUMBERS 6

struct lp_zygote_options {
    uint32_t slots;
    void (*begin)(
        void); /* runs in the zygote before its first word, so that one which hangs there is
                            replaced: what takes a lock of libc that fork() leaves as it was. NULL */
    lp_worker_main *worker_main;
    void *context;    /* passed to worker_main; a copy-on-write copy of the host's memory */
    bool keep_stdin;  /* 0 stays the host's */
    int lifeline_fd;  /* the host's end (lifeline.h), borrowed; 0: none */
    const char *name; /* process names NAME:zygote and NAME:NUMBER; borrowed */
    const struct lp_cgroup_place *place; /* of the cgroups; NULL: none; borrowed */
    uint64_t memory_limit_bytes;         /* of each slot's tree; 0: none */
    /*
     * Workers that an earlier zygote left alive, one a slot: their pidfds (the host's numbers) or -1,
     * and their pids. Borrowed; both may be NULL. They are killed, with what can be seen of their
     * trees, by a KILL of their slot, by QUIT, and when the host dies.
     */
    const int *heir_fds;
    const pid_t *heir_pids;
    const struct lp_program *program; /* NULL: it is forked. Else it is this program, which has
                                         all but descriptors from its manifest; borrowed */
    /*
     * Shared memory that children don't inherit (MADV_DONTFORK), but a forked zygote does: else all
     * zygotes and workers of other pools had it, too. While this one is being forked a thread that
     * forks has it in its child as well, so what lies there is never believed.
     */
    struct lp_zygote_memory lent[2];
    int numbers
        [LP_ZYGOTE_NUMBERS]; /* of descriptors that the pool holds for as long as it is open: the
                                       zygote may have its own there; 0: none */
};

struct lp_zygote_link {
    int socket_fd; /* -1: down */
    int pid_fd;    /* pidfd of the zygote; -1: down */
    pid_t pid;
};

#define LP_ZYGOTE_LINK_NULL ((struct lp_zygote_link){.socket_fd = -1, .pid_fd = -1})

/*
 * Starts a zygote. 0 or -errno (of the exec, too). On success the link owns its two descriptors (both
 * CLOEXEC, the socket non-blocking). HELLO follows as the first report. The caller's signal mask, errno and
 * children are as before. Takes 64 KiB of the calling thread's stack for a moment; what is left of
 * that stack is what tasks have in the workers. With less than 256 KiB left they have 8 MiB elsewhere.
 */
int lp_zygote_start(struct lp_zygote_link *link, const struct lp_zygote_options *options);

/*
 * 0; -EAGAIN: socket full, wait for it to be writable; -EPIPE: the zygote is gone. Never blocks,
 * never raises SIGPIPE. doorbell_fd is for the worker of a SPAWN, which is refused without (-EMFILE);
 * else -1. Borrowed.
 */
int lp_zygote_send(struct lp_zygote_link *link, const struct lp_request *request, int doorbell_fd);

/* As lp_zygote_receive, but the report stays, and so does its descriptor. */
int lp_zygote_peek(struct lp_zygote_link *link, struct lp_report *report);

/*
 * 1: *report is filled, *pidfd is the pidfd that came along (owned by the caller, CLOEXEC) or -1.
 * 0: nothing there. -EPIPE: the zygote is gone. -EPROTO: not a report.
 */
int lp_zygote_receive(struct lp_zygote_link *link, struct lp_report *report, int *pidfd);

/* SIGKILLs the zygote (pidfd) if it still runs; closes both descriptors. Idempotent. */
void lp_zygote_drop(struct lp_zygote_link *link);

#endif
