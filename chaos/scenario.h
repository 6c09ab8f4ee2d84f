/* SPDX-License-Identifier: MIT */
/*
 * A scenario as parsed: what is to be done and what has to hold, and where the file says so.
 *
 * Nothing here acts. The parser fills these structs, the runner reads them; all names are resolved
 * (a reference is an index, never a string), all units converted, all defaults that belong to the
 * language filled in. A field in the pool's options that is zero means libpool's own default, as in
 * libpool_options. Every statement remembers its place, so that a verdict can point at its line.
 *
 * A file with a `matrix` line yields one scenario for each value; they are otherwise independent.
 */
#ifndef CHAOS_SCENARIO_H
#define CHAOS_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpool.h>
#include <libpool_remote.h>

#define CH_NOBODY (-1)         /* no name was given */
#define CH_UNSET UINT64_MAX    /* a number the file does not give and that has no default */
#define CH_FOR_EVER UINT32_MAX /* wait=forever */

/* What one scenario may hold; the harness keeps its books in tables of these sizes. */
#define CH_SCENARIO_STEPS 64
#define CH_SCENARIO_SUBMITS 63
#define CH_SCENARIO_NAMES 128
#define CH_SCENARIO_AWAITED 64  /* tasks that emit, or of groups with `late` */
#define CH_SCENARIO_TASKS 65000 /* of all submits together */

/* Both count from 1; columns count bytes. line 0: implied by the language, in no line. */
struct ch_place {
    uint32_t line;
    uint32_t column;
};

/* ---- Capabilities: `needs` -------------------------------------------------------------- */

enum ch_capability {
    CH_NEEDS_MEMCG = 0,   /* a memory cgroup of our own, v1 or v2 */
    CH_NEEDS_PIDS_CGROUP, /* a pids cgroup of our own */
    CH_NEEDS_CGROUP_KILL, /* cgroup.kill */
    CH_NEEDS_FREEZER,     /* a freezer cgroup of our own */
    CH_NEEDS_ROOT,        /* uid 0 */
    CH_NEEDS_USER,        /* not uid 0 */
    CH_NEEDS_STRESS_NG,   /* the stress-ng command */
    CH_NEEDS_SECCOMP,     /* a seccomp rule that answers a system call */
    CH_CAPABILITIES
};

struct ch_need {
    struct ch_place place;
    enum ch_capability capability;
};

/* ---- The application: `pool`, `host` ---------------------------------------------------- */

/* What the pool's initializer or finalizer does in each worker. */
enum ch_callback {
    CH_CALLBACK_NONE = 0, /* there is none */
    CH_CALLBACK_OK,       /* works */
    CH_CALLBACK_ERROR,    /* initializer: returns an error, always */
    CH_CALLBACK_EXIT,     /* initializer: _exit(3) */
    CH_CALLBACK_EXIT0,    /* finalizer: exit(0) */
    CH_CALLBACK_SEGV,     /* a real bad access */
    CH_CALLBACK_ABORT,    /* abort() */
    CH_CALLBACK_HANG,     /* sleeps for ever */
    CH_CALLBACK_REENTER,  /* finalizer: calls submit, shutdown and close of its own pool */
    CH_CALLBACK_FAIL,     /* initializer: fails `initializer_fails` times in all, then works */
    CH_CALLBACKS
};

/* A profile of libpool_sandbox_profile, in which all workers are. */
enum ch_sandbox {
    CH_SANDBOX_NONE = 0,
    CH_SANDBOX_NO_NETWORK,
    CH_SANDBOX_NO_EXEC,
    CH_SANDBOX_COMPUTE,
    CH_SANDBOXES
};

/* What the pool tells by callbacks. */
enum ch_telling {
    CH_TELLING_NONE = 0,
    CH_TELLING_ALL,
    CH_TELLING_STALL, /* the first end that is told is held until all other tasks have ended */
    CH_TELLINGS
};

/* Options of the pool; zero: libpool's default. Times that libpool takes in ms are in ms. */
struct ch_pool {
    struct ch_place place;
    const char *name;
    uint32_t min_workers;
    uint32_t max_workers;
    uint32_t spare_workers;
    uint32_t waiting_workers;
    uint32_t backlog_tasks;
    uint64_t backlog_bytes;
    uint32_t idle_timeout_ms;
    uint32_t ageing_ms;
    uint32_t tasks_per_worker;
    uint32_t start_timeout_ms;
    uint32_t initializer_timeout_ms;
    uint32_t finalizer_timeout_ms;
    uint32_t initializer_failures;
    uint32_t backoff_min_ms;
    uint32_t backoff_max_ms;
    bool exclusive; /* LIBPOOL_EXCLUSIVE */
    bool no_cgroup; /* LIBPOOL_NO_CGROUP */
    bool trace;     /* LIBPOOL_TRACE */
    uint32_t start; /* LIBPOOL_FORK ... */
    enum ch_callback initializer;
    uint32_t initializer_fails; /* CH_CALLBACK_FAIL: how often */
    enum ch_callback finalizer;
    uint32_t max_age_ms;
    uint32_t recycle_jitter;
    uint32_t variables; /* libpool_outfit, as the next ones; see harness/outfit.h */
    uint32_t nice;
    uint32_t stdio; /* LIBPOOL_STDIO_... */
    bool deal_cpus;
    bool no_core;
    uint64_t limit_as;
    uint32_t directory_late;
    uint64_t memory_limit_bytes;
    uint64_t recycle_bytes;
    uint64_t trim_bytes;
    uint32_t retry_percent;     /* 0: no budget */
    uint32_t quarantine_deaths; /* 0: never */
    uint32_t quarantine_ms;     /* 0: for ever */
    uint64_t admit_free_bytes;
    uint32_t admit_pressure;
    uint32_t governor; /* the limit of one that this pool has for itself; 0: none */
    enum ch_telling telling;
    bool driven; /* LIBPOOL_NO_THREAD */
    enum ch_sandbox sandbox;
    uint32_t event_buffer;
    uint32_t neighbour;     /* workers of a second pool; 0: there is none */
    uint32_t clients;       /* processes that use it, too; 0: none */
    uint32_t client_policy; /* LIBPOOL_REMOTE_CANCEL ... */
    uint32_t client_stall_ms;
    uint32_t client_window;
};

enum ch_disposition {
    CH_SIGNAL_DEFAULT = 0,
    CH_SIGNAL_IGNORE,
    CH_SIGNAL_HANDLER, /* a handler that only counts */
    CH_DISPOSITIONS
};

/* A system call that this kernel is told not to have. */
enum ch_denied {
    CH_DENIED_NONE = 0,
    CH_DENIED_CLONE3,
    CH_DENIED_CLOSE_RANGE,
    CH_DENIED_PIDFD_OPEN,
    CH_DENIED_PIDFD_SEND_SIGNAL,
    CH_DENIED_MEMFD_CREATE,
    CH_DENIED_EVENTFD2,
    CH_DENIED_TIMERFD_CREATE,
    CH_DENIED_EPOLL_CREATE1,
    CH_DENIED_FUTEX_WAITV,
    CH_DENIED_MEMBARRIER,
    CH_DENIED_MKDIR,
    CH_DENIED_PRCTL,
    CH_DENIEDS
};

/* A lie that the target tells on purpose, for scenarios that must fail; see harness/sabotage.h. */
enum ch_sabotage {
    CH_SABOTAGE_NONE = 0,
    CH_SABOTAGE_LEAK_FD,
    CH_SABOTAGE_LEAK_MAPPING,
    CH_SABOTAGE_LEAK_THREAD,
    CH_SABOTAGE_LEAK_PROCESS,
    CH_SABOTAGE_LEAK_CGROUP,
    CH_SABOTAGE_SIGNAL_STRANGER,
    CH_SABOTAGE_LOSE_END,
    CH_SABOTAGE_END_TWICE,
    CH_SABOTAGE_WRONG_PID,
    CH_SABOTAGE_KILL_INNOCENT,
    CH_SABOTAGE_WRONG_BYTES,
    CH_SABOTAGE_START_TWICE,
    CH_SABOTAGE_DENY_START,
    CH_SABOTAGE_LOSE_COUNT,
    CH_SABOTAGE_COUNT_BACK,
    CH_SABOTAGE_COUNT_OTHERWISE,
    CH_SABOTAGE_WEAR_OUT,
    CH_SABOTAGE_NO_PROBE,
    CH_SABOTAGE_SLOW_CALL,
    CH_SABOTAGE_BLAME_INNOCENT,
    CH_SABOTAGE_FINAL_TWICE,
    CH_SABOTAGE_CLOBBER_ERRNO,
    CH_SABOTAGE_TAKE_SIGNAL,
    CH_SABOTAGE_OWN_CHILD,
    CH_SABOTAGE_WAKE_LATE,
    CH_SABOTAGE_DIE_EARLY,
    CH_SABOTAGE_SHAM_FAULT,
    CH_SABOTAGE_RECYCLE_ALL,
    CH_SABOTAGE_COUNT_RUN,
    CH_SABOTAGE_LOSE_PART,
    CH_SABOTAGE_LOSE_LAST_PART,
    CH_SABOTAGE_FORGET_DONE,
    CH_SABOTAGE_DONE_TWICE,
    CH_SABOTAGE_START_LATE,
    CH_SABOTAGE_SWAP_DONE,
    CH_SABOTAGE_TELL_CLOSED,
    CH_SABOTAGE_STOP_DRIVING,
    CH_SABOTAGE_LOSE_ELEMENT,
    CH_SABOTAGE_SWAP_ELEMENTS,
    CH_SABOTAGE_WRONG_FILE,
    CH_SABOTAGE_HARM_NEIGHBOUR,
    CH_SABOTAGE_LOSE_EVENT,
    CH_SABOTAGE_NO_SANDBOX,
    CH_SABOTAGE_WRONG_ASIDE,
    CH_SABOTAGE_LOSE_GATHERED,
    CH_SABOTAGE_NO_DRESS,
    CH_SABOTAGE_LOSE_TOLD,
    CH_SABOTAGE_COUNT_TOLD,
    CH_SABOTAGES
};

/* How the application around the pool behaves; all zero when the file has no `host` line. */
struct ch_host {
    struct ch_place place;
    enum ch_disposition sigchld;
    enum ch_disposition sigpipe;
    bool thief;      /* a thread loops on waitpid(-1) */
    uint32_t nofile; /* its RLIMIT_NOFILE; 0: as inherited */
    enum ch_denied denied;
    int denied_errno;   /* with which; 0: ENOSYS */
    bool asides;        /* libpool_call and libpool_check beside the pool */
    bool reader_stalls; /* no event is read before the close */
    enum ch_sabotage sabotage;
};

/* ---- Names bound by `as` ---------------------------------------------------------------- */

enum ch_name_kind {
    CH_NAME_TASKS = 0, /* a group of tasks: index into scenario.submits */
    CH_NAME_EVENT,     /* what a trigger saw, a worker above all: index into scenario.steps */
    CH_NAME_ACTION,    /* what an action did, its victim above all: index into scenario.steps */
    CH_NAME_KINDS
};

/* Referred to elsewhere by its index in scenario.names; CH_NOBODY: none. */
struct ch_name {
    struct ch_place place;
    const char *text;
    enum ch_name_kind kind;
    uint32_t index;
};

/* ---- Tasks: `submit` -------------------------------------------------------------------- */

enum ch_task_kind {
    CH_TASK_NOOP = 0,
    CH_TASK_SLEEP,    /* work */
    CH_TASK_SPIN,     /* work, of CPU time */
    CH_TASK_FAIL,     /* returns code */
    CH_TASK_HOG,      /* touches bytes, sleeps work, frees */
    CH_TASK_ECHO,     /* replies its input of bytes; the target compares */
    CH_TASK_EXIT,     /* exit(code) */
    CH_TASK_EXIT_NOW, /* _exit(code) */
    CH_TASK_SEGV,     /* a real bad access */
    CH_TASK_ABORT,
    CH_TASK_BUS,
    CH_TASK_FPE,
    CH_TASK_ILL,
    CH_TASK_STACK_OVERFLOW,
    CH_TASK_HANG, /* sleeps for ever */
    CH_TASK_SPIN_FOREVER,
    CH_TASK_STOP_SELF,     /* SIGSTOPs itself */
    CH_TASK_BLOCK_SIGNALS, /* blocks all it can, then sleeps for ever */
    CH_TASK_GRANDCHILD,    /* style, work, end */
    CH_TASK_LEAK_FDS,      /* opens descriptors to EMFILE, leaves them open, completes */
    CH_TASK_DIE,           /* raises signal */
    CH_TASK_SCRIBBLE,      /* garbage over its channel window */
    CH_TASK_KILL_SELF,     /* kill(getpid(), SIGKILL) */
    CH_TASK_HOG_TREE,      /* so many children do what hog does; waits for them */
    CH_TASK_LEAK,          /* touches bytes, sleeps work, keeps them */
    CH_TASK_HEED,          /* until it is asked to end; then works, and returns */
    CH_TASK_BEAT,          /* gives signs of life while it works, then hangs */
    CH_TASK_EMIT,          /* sends parts of bytes each; work, end */
    CH_TASK_HELD,          /* waits for `release` */
    CH_TASK_TRESPASS,      /* makes a call that a sandbox forbids */
    CH_TASK_CALL,          /* has other tasks work, and waits for them */
    CH_TASK_KINDS
};

enum ch_grandchild_style {
    CH_GRANDCHILD_PLAIN = 0,
    CH_GRANDCHILD_SETSID,
    CH_GRANDCHILD_DOUBLE_FORK,
    CH_GRANDCHILD_HOLD_FDS,    /* keeps every descriptor it inherited */
    CH_GRANDCHILD_STORM,       /* a bounded fork storm that goes on until killed */
    CH_GRANDCHILD_IGNORE_TERM, /* ignores every signal it can */
    CH_GRANDCHILD_STYLES
};

/* How the task ends after it has started its descendants. */
enum ch_grandchild_end {
    CH_END_RETURN = 0,
    CH_END_HANG,
    CH_END_SEGV,
    CH_GRANDCHILD_ENDS
};

/* What a trespass calls. */
enum ch_trespass {
    CH_TRESPASS_SOCKET = 0,
    CH_TRESPASS_EXEC,
    CH_TRESPASS_FORK,
    CH_TRESPASSES
};

/* How the pool gets a task's input. */
enum ch_input {
    CH_INPUT_COPY = 0,
    CH_INPUT_BORROW,
    CH_INPUT_FILE,
    CH_INPUT_FILE_SHARED,
    CH_INPUTS
};

/* Through libpool_map, or one by one. */
enum ch_batch {
    CH_BATCH_NONE = 0,
    CH_BATCH_ANY_ORDER,
    CH_BATCH_IN_ORDER,
    CH_BATCHES
};

/* One `submit`: a group of equal tasks, from the load or from an action. */
struct ch_submit {
    struct ch_place place;
    int name; /* of `as`, or CH_NOBODY */
    uint32_t count;
    enum ch_task_kind kind;
    uint64_t work_us;
    int code;
    uint64_t bytes;
    int signal;
    enum ch_grandchild_style style;
    enum ch_grandchild_end end;
    uint32_t priority;
    uint32_t run_timeout_ms;       /* 0: none */
    uint32_t queue_timeout_ms;     /* 0: none */
    uint32_t heartbeat_timeout_ms; /* 0: none */
    uint32_t grace_ms;             /* 0: none */
    int soft_signal;               /* 0: none */
    uint32_t wait_ms;              /* submit may wait so long for room; CH_FOR_EVER */
    bool ordered;                  /* order=yes: tasks of the group start in order of submission */
    uint32_t children;             /* hog-tree */
    uint32_t retries;
    uint32_t retry_causes; /* retry-on: as in libpool_task */
    uint32_t retry_min_ms; /* and the next: retry-pause */
    uint32_t retry_max_ms;
    uint32_t works_at; /* 0: no run of it does anything else */
    uint32_t family;   /* libpool_task.kind */
    uint32_t parts;
    uint32_t many;  /* at a time; 0: one by one */
    uint32_t wears; /* 0: any */
    bool gathered;  /* taken through libpool_gather, too */
    enum ch_trespass trespass;
    enum ch_input input;
    enum ch_batch batch;
    uint32_t halt_failures;
    bool take_late;              /* nobody takes the parts before it has ended */
    uint64_t memory_limit_bytes; /* 0: none of its own */
    uint32_t subs, depth;        /* call */
    uint32_t client;             /* by that one, from 1; 0: by the application */
};

/* ---- Timeline: triggers ----------------------------------------------------------------- */

enum ch_event {
    CH_EVENT_TASK_START = 0, /* gate: written in the worker before the task's own code */
    CH_EVENT_TASK_END,       /* written in the worker after it; not a gate */
    CH_EVENT_WORKER_INIT,    /* gate, in the initializer */
    CH_EVENT_WORKER_FINAL,   /* gate, in the finalizer */
    CH_EVENT_TASK_RECEIVED,  /* from here: the pool's own event stream, observed, not gated */
    CH_EVENT_TASK_LAUNCHED,
    CH_EVENT_TASK_RETURNED,
    CH_EVENT_TASK_ENDED,
    CH_EVENT_WORKER_SPAWNED,
    CH_EVENT_WORKER_READY,
    CH_EVENT_WORKER_RETIRED,
    CH_EVENT_WORKER_KILLED,
    CH_EVENT_WORKER_EXITED,
    CH_EVENT_SPAWN_FAILED,
    CH_EVENT_INIT_FAILED,
    CH_EVENT_ZYGOTE_STARTED,
    CH_EVENT_ZYGOTE_LOST,
    CH_EVENT_SHUTDOWN_BEGUN,
    CH_EVENT_SHUTDOWN_DONE,
    CH_EVENT_TASK_ASKED,
    CH_EVENT_RECYCLE_BEGUN,
    CH_EVENT_DRAINED,
    CH_EVENT_TASK_RETRIED,
    CH_EVENT_KIND_QUARANTINED,
    CH_EVENT_ADMISSION_PAUSED,
    CH_EVENT_ADMISSION_RESUMED,
    CH_EVENT_PART_TAKEN,     /* written in the target; not a gate */
    CH_EVENT_TASK_REFUSED,   /* the same: libpool_submit has */
    CH_EVENT_POOL_CLOSED,    /* the same: libpool_close has returned */
    CH_EVENT_TASK_SUBMITTED, /* the same, or in a client: it was accepted */
    CH_EVENTS
};

enum ch_trigger_kind {
    CH_TRIGGER_AT = 0,     /* at T: time since the load began */
    CH_TRIGGER_THEN,       /* +T: after the previous step took effect */
    CH_TRIGGER_ON,         /* on EVENT ... */
    CH_TRIGGER_EVERY,      /* every T for T */
    CH_TRIGGER_AFTER_LOAD, /* all submitted tasks have ended */
    CH_TRIGGER_KINDS
};

enum ch_slot_kind {
    CH_SLOT_ANY = 0,
    CH_SLOT_NUMBER,
    CH_SLOT_OF_NAME, /* NAME.slot */
    CH_SLOT_KINDS
};

struct ch_trigger {
    struct ch_place place;
    enum ch_trigger_kind kind;
    uint64_t time_us;    /* AT, THEN; EVERY: the interval */
    uint64_t for_us;     /* EVERY: how long */
    enum ch_event event; /* ON, and the rest of this struct */
    int of;              /* a group of tasks, or a worker; CH_NOBODY: anybody */
    enum ch_slot_kind slot_kind;
    uint32_t slot;      /* CH_SLOT_NUMBER */
    int slot_of;        /* CH_SLOT_OF_NAME */
    uint32_t nth;       /* the nth that matches, from 1 */
    uint64_t within_us; /* after the previous step took effect; CH_UNSET: the scenario's limit */
    int name;           /* of `as`, or CH_NOBODY */
};

/* ---- Conditions ------------------------------------------------------------------------- */

enum ch_operator {
    CH_EQUAL = 0, /* == (in keys: =) */
    CH_NOT_EQUAL, /* != */
    CH_AT_MOST,   /* <= */
    CH_AT_LEAST,  /* >= */
    CH_IN,        /* in LOW..HIGH because "..." */
    CH_OPERATORS
};

/* ACTUAL operator low; CH_IN: low <= ACTUAL <= high, and because says why it can't be exact. */
struct ch_bound {
    struct ch_place place;
    enum ch_operator operator;
    uint64_t low;
    uint64_t high;
    const char *because; /* CH_IN only, else NULL */
    bool implied;        /* by a file that says nothing of this number */
};

enum ch_counter_kind { /* libpool_stats */
    CH_TASKS_RECEIVED = 0,
    CH_TASKS_LAUNCHED,
    CH_TASKS_FAILED,
    CH_TASKS_PENDING,
    CH_TASKS_RUNNING,
    CH_TASKS_REJECTED,
    CH_TASKS_RETURNED,
    CH_TASKS_RETRIED,
    CH_KINDS_HELD,
    CH_ADMISSION_PAUSES,
    CH_TASKS_ENDED, /* ended.CAUSE */
    CH_WORKER_PROCESSES_CREATED,
    CH_WORKER_PROCESSES_STILL_ALIVE,
    CH_WORKER_PROCESSES_IDLE,
    CH_WORKER_PROCESSES_BUSY,
    CH_MAX_WORKERS_BUSY_CONCURRENTLY,
    CH_WORKERS_ENDED, /* workers_ended.CAUSE */
    CH_SPAWNS_FAILED,
    CH_INITIALIZERS_FAILED,
    CH_FINALIZERS_STARTED,
    CH_FINALIZERS_OK,
    CH_FINALIZERS_FAILED,
    CH_ZYGOTES_STARTED,
    CH_ZYGOTES_LOST,
    CH_DEGRADED,
    CH_WORKERS_OUTGROWN,
    CH_TASKS_ASKED,
    CH_SESSIONS_ACCEPTED, /* from here: libpool_remote_stats */
    CH_SESSIONS_LEFT,
    CH_SESSIONS_MALFORMED,
    CH_SESSIONS_STALLED,
    CH_TASKS_SERVED,
    CH_RESULTS_DROPPED,
    CH_COUNTERS
};

struct ch_counter {
    enum ch_counter_kind kind;
    libpool_cause cause; /* CH_TASKS_ENDED and CH_WORKERS_ENDED only */
};

/* What `expect` in the timeline looks at: fields of the event that triggered it, or a counter. */
enum ch_check_kind {
    CH_CHECK_CAUSE = 0, /* bound.low is a libpool_cause */
    CH_CHECK_SIGNAL,    /* a signal number */
    CH_CHECK_CODE,      /* exit or return code; compare as (int64_t) */
    CH_CHECK_ERRNO,     /* an errno number, 0: none; of spawn-failed, shutdown-done */
    CH_CHECK_PID,       /* against the pid of `reference` */
    CH_CHECK_SLOT,      /* a number, or the slot of `reference` */
    CH_CHECK_COUNTER,   /* libpool_stats at this moment */
    CH_CHECK_KINDS
};

struct ch_check {
    enum ch_check_kind kind;
    struct ch_counter counter; /* CH_CHECK_COUNTER */
    int reference;             /* a name; CH_NOBODY: compare with bound.low */
    struct ch_bound bound;
};

/* ---- Timeline: actions ------------------------------------------------------------------ */

enum ch_process {
    CH_PROCESS_WORKER = 0, /* those that the selector says */
    CH_PROCESS_ZYGOTE,
    CH_PROCESS_HOST, /* the target */
    CH_PROCESS_CLIENT,
    CH_PROCESSES
};

enum ch_selector_kind {
    CH_WORKER_ONE = 0, /* any, drawn from the seed */
    CH_WORKER_ALL,
    CH_WORKER_BUSY, /* one that runs a task */
    CH_WORKER_IDLE,
    CH_WORKER_STARTING,
    CH_WORKER_RETIRING,
    CH_WORKER_OLDEST,
    CH_WORKER_SLOT,    /* number */
    CH_WORKER_PERCENT, /* number */
    CH_WORKER_NAME,    /* the worker bound to name */
    CH_SELECTORS
};

/* An empty selection is an error of the scenario's run, never a fault that silently hit nobody. */
struct ch_selector {
    struct ch_place place;
    enum ch_selector_kind kind;
    uint32_t number;
    int name;
};

enum ch_action_kind {
    CH_ACTION_KILL = 0,
    CH_ACTION_STOP, /* SIGSTOP */
    CH_ACTION_CONT, /* SIGCONT */
    CH_ACTION_MEMCG,
    CH_ACTION_PIDS,
    CH_ACTION_FILL_FDS,
    CH_ACTION_PRESSURE,
    CH_ACTION_UNDO,
    CH_ACTION_CANCEL,
    CH_ACTION_SHUTDOWN,
    CH_ACTION_SUBMIT,
    CH_ACTION_CLOSE,
    CH_ACTION_EXPECT,
    CH_ACTION_SETTLE,
    CH_ACTION_NOTE,
    CH_ACTION_RECYCLE,
    CH_ACTION_DRAIN,
    CH_ACTION_RELEASE,
    CH_ACTION_DRESS,
    CH_ACTION_UNSERVE,
    CH_ACTION_NOISE,
    CH_ACTIONS
};

enum ch_shutdown_mode {
    CH_SHUTDOWN_WAIT = 0,    /* LIBPOOL_WAIT */
    CH_SHUTDOWN_WAIT_CANCEL, /* LIBPOOL_WAIT | LIBPOOL_CANCEL */
    CH_SHUTDOWN_BACKGROUND,  /* 0 */
    CH_SHUTDOWN_KILL,        /* LIBPOOL_CANCEL */
    CH_SHUTDOWN_MODES
};

struct ch_signal_action { /* KILL, STOP, CONT */
    enum ch_process process;
    struct ch_selector worker; /* CH_PROCESS_WORKER */
    int signal;
    uint32_t client; /* from 1; 0: another process */
};

struct ch_memcg_action {
    struct ch_selector worker;
    uint64_t limit_bytes;
};

struct ch_pids_action {
    bool current;   /* no more than there are now */
    uint32_t limit; /* else so many */
};

struct ch_fill_fds_action {
    enum ch_process process; /* HOST, or WORKER: the one held at the trigger's gate */
};

struct ch_pressure_action {
    uint32_t cpu_workers;
    uint32_t vm_workers;
    uint64_t vm_bytes;
};

struct ch_undo_action {       /* exactly one of the two */
    int name;                 /* a named action; CH_NOBODY: by kind */
    enum ch_action_kind kind; /* all of MEMCG, PIDS, FILL_FDS or PRESSURE */
};

struct ch_cancel_action {
    int name;     /* a group of tasks */
    uint32_t nth; /* its nth task, from 1; 0: all of them */
    bool at_once; /* by libpool_cancel_group */
};

struct ch_shutdown_action {
    enum ch_shutdown_mode mode;
    uint64_t deadline_us; /* CH_UNSET: none */
};

struct ch_settle_action { /* SETTLE, DRAIN */
    uint64_t within_us;   /* CH_UNSET: the scenario's limit */
};

struct ch_release_action {
    int name; /* a group of tasks */
};

struct ch_recycle_action {
    uint32_t parallel;
};

struct ch_noise_action {
    uint32_t connections;
};

struct ch_expect_action {
    struct ch_check *checks;
    size_t checks_count;
};

struct ch_action {
    struct ch_place place;
    enum ch_action_kind kind;
    bool optional; /* need not fire */
    int name;      /* of `as`, or CH_NOBODY */
    union {
        struct ch_signal_action signal;
        struct ch_memcg_action memcg;
        struct ch_pids_action pids;
        struct ch_fill_fds_action fill_fds;
        struct ch_pressure_action pressure;
        struct ch_undo_action undo;
        struct ch_cancel_action cancel;
        struct ch_shutdown_action shutdown; /* UNSERVE, too */
        struct ch_settle_action settle;
        struct ch_expect_action expect;
        struct ch_recycle_action recycle;
        struct ch_release_action release;
        struct ch_noise_action noise;
        uint32_t submit;  /* index into scenario.submits */
        const char *note; /* NOTE */
    };
};

struct ch_step {
    struct ch_trigger trigger;
    struct ch_action action;
};

/* ---- Expectations ----------------------------------------------------------------------- */

enum ch_expectation_kind {
    CH_EXPECT_FIRED = 0,
    CH_EXPECT_KERNEL,
    CH_EXPECT_COUNTER,
    CH_EXPECT_TASK,
    CH_EXPECT_RECOVERY,
    CH_EXPECT_HOST,
    CH_EXPECT_INVARIANT,
    CH_EXPECTATION_KINDS
};

enum ch_kernel_counter {
    CH_KERNEL_OOM_KILL = 0, /* memory cgroups of the workers: processes killed */
    CH_KERNEL_PIDS_MAX,     /* pids cgroup of the target: forks refused */
    CH_KERNEL_COUNTERS
};

struct ch_fired_expectation { /* how often a fault took effect */
    int name;                 /* a named action; CH_NOBODY: all of that kind */
    enum ch_action_kind kind;
    struct ch_bound bound;
};

struct ch_kernel_expectation {
    enum ch_kernel_counter counter;
    struct ch_bound bound;
};

struct ch_counter_expectation {
    struct ch_counter counter;
    struct ch_bound bound;
};

/* Tasks of a group that end so. Several lines may name one group: their counts must then add up. */
struct ch_task_expectation {
    uint32_t submit; /* index into scenario.submits */
    libpool_cause cause;
    uint64_t count;   /* CH_UNSET: all of the group */
    int signal;       /* 0: not checked */
    uint64_t code;    /* (int64_t) of it; CH_UNSET: not checked */
    uint64_t late_us; /* end minus when its timeout was due, at most; CH_UNSET: not checked */
    int certainty;    /* libpool_certainty; -1: not checked */
    uint64_t parts;   /* taken of its last run; CH_UNSET: not checked */
};

struct ch_recovery_expectation {
    uint64_t within_us;
};

struct ch_host_expectation {
    bool dead;
};

#define CH_INVARIANTS 11 /* I1..I11 */

struct ch_invariant_expectation {
    uint32_t except;     /* bit N-1 waives IN */
    const char *because; /* NULL when nothing is waived */
};

struct ch_expectation {
    struct ch_place place;
    enum ch_expectation_kind kind;
    union {
        struct ch_fired_expectation fired;
        struct ch_kernel_expectation kernel;
        struct ch_counter_expectation counter;
        struct ch_task_expectation task;
        struct ch_recovery_expectation recovery;
        struct ch_host_expectation host;
        struct ch_invariant_expectation invariant;
    };
};

/* ---- The whole --------------------------------------------------------------------------- */

struct ch_scenario {
    const char *path;         /* as given on the command line or found below it */
    const char *title;        /* the property, one sentence */
    struct ch_place place;    /* of the `scenario` line */
    const char *matrix_name;  /* NULL: the file has no matrix */
    const char *matrix_value; /* this run's value */

    struct ch_need *needs;
    size_t needs_count;
    uint64_t limit_us; /* watchdog of the whole run */

    struct ch_pool pool;
    struct ch_host host;

    struct ch_submit *submits; /* those of the load first, in order, then those of actions */
    size_t submits_count;
    size_t submits_in_load;
    struct ch_step *steps; /* the timeline, in order */
    size_t steps_count;
    struct ch_expectation *expectations;
    size_t expectations_count;
    struct ch_place expect_place; /* of the `expect` line */
    struct ch_name *names;
    size_t names_count;

    const char
        *must_fail; /* the checker that has to object: "I2", "counter tasks_failed"; or NULL */
    struct ch_place must_fail_place;
};

/* All scenarios of one file; they live as long as the arena that they were parsed into. */
struct ch_file {
    const char *path;
    struct ch_scenario *scenarios;
    size_t scenarios_count;
};

#endif
