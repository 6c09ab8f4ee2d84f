/* SPDX-License-Identifier: MIT */
/*
 * libpool - a pool of worker processes that is really hard to kill.
 *
 * A pool runs tasks in worker processes. A task may crash, leak, hang or be killed by the kernel;
 * it costs that task only. Every future ends exactly once, with the true reason. A kill leaves
 * nothing running. The library never touches the application's process: no signal handler, no
 * child visible to wait() (an application that is init or a sub-reaper adopts the zygote),
 * nothing printed, no exit.
 *
 *     libpool *pool;
 *     libpool_open(&pool, NULL);
 *     libpool_future *future;
 *     libpool_submit(pool, &(libpool_task){.size = sizeof(libpool_task), .function = parse,
 *                                          .input = text, .input_size = n}, -1, &future);
 *     libpool_future_wait(future, -1);
 *     const libpool_result *result = libpool_future_result(future);
 *     if (result->cause == LIBPOOL_COMPLETED) use(result->data, result->data_size);
 *     libpool_future_free(future);
 *     libpool_close(pool);
 *
 * Words
 *   worker     a process that runs one task after the other. Its tree is the worker and all that was
 *              started there. To leave is to end in order: after the task, with the finalizer.
 *              With LIBPOOL_THREADS it is a thread, which is all that changes where nothing else is said.
 *   slot       a worker's number: the lowest free one when it is started, so that a replacement has that
 *              of the worker whose place it takes. No two that are given tasks share one.
 *   zygote     the process from which all workers are forked. The pool starts it, and starts another
 *              one when it is lost.
 *   backlog    the tasks that are pending: not with a worker yet.
 *
 * Rules that hold for all functions
 *   Errors     0 is success, a negative value is a negated errno(3) code. Positive values are named
 *              outcomes that the function's own comment lists. errno itself is left alone. These
 *              three are not listed again: -EINVAL (a pool or future is NULL, an argument is out of
 *              its range), -EDEADLK (called in a worker of that pool), -ECHILD (in another forked
 *              copy of the application). A future that has ended can be read everywhere.
 *   Times      fields are unsigned, in milliseconds (_ms) or nanoseconds (_ns). Timeouts of calls: -1
 *              (any negative value) waits for ever, 0 does not wait. All clocks are CLOCK_MONOTONIC. Sizes
 *              are in bytes.
 *   Structs    one that begins with `size` has it set by the caller to sizeof its own struct, also if
 *              it is to be filled. Zero (NULL) in any other field means the default. A newer caller
 *              is accepted by an older library only if what that library does not know is zero
 *              (-E2BIG otherwise). A struct that is filled gets what it has room for.
 *   Ownership  what is passed is the caller's and may go when the call returns, unless it says
 *              otherwise. What is handed out is given back by the function named _free or _close.
 *   Threads    every function may be called from any thread, also while others are under way, unless
 *              it says otherwise; none from a signal handler.
 */
#ifndef LIBPOOL_H
#define LIBPOOL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LIBPOOL_VERSION_MAJOR 0
#define LIBPOOL_VERSION_MINOR 1
#define LIBPOOL_PRIORITIES 64 /* 0 is the highest, 63 the lowest */
#define LIBPOOL_CAUSES_MAX 24 /* room for causes to come */

typedef struct libpool libpool;                   /* one pool */
typedef struct libpool_future libpool_future;     /* one task, and what became of it */
typedef struct libpool_worker libpool_worker;     /* inside a worker: the process and its task */
typedef struct libpool_governor libpool_governor; /* what several pools have in common */

/* ---- Why a task or a worker ended -------------------------------------------------------- */

/*
 * One list for tasks and workers. For a task it says why its future ended, for a worker why its
 * process ended: one that the pool killed for its task has the cause of that.
 */
typedef enum libpool_cause {
    LIBPOOL_PENDING = 0,   /* not ended yet */
    LIBPOOL_COMPLETED,     /* task: returned 0. worker: left in order when told to */
    LIBPOOL_ERROR,         /* task: returned another value, or could not be entered: code */
    LIBPOOL_CRASH,         /* died of SEGV, BUS, FPE, ILL, TRAP, SYS, ABRT, XCPU or XFSZ */
    LIBPOOL_EXIT,          /* the worker exited without a result, whatever the exit code */
    LIBPOOL_OOM,           /* killed by the kernel's OOM killer: its own cgroup counted it */
    LIBPOOL_TIMEOUT,       /* the task overran its run timeout or gave no sign of life */
    LIBPOOL_QUEUE_TIMEOUT, /* task: waited too long in the backlog, never started */
    LIBPOOL_CANCELLED,     /* the task was cancelled, or withdrawn by its batch */
    LIBPOOL_KILLED,        /* killed from outside: SIGKILL, SIGTERM... sent by somebody else */
    LIBPOOL_INIT_FAILED,   /* worker: initializer failed. task: no worker could be initialised */
    LIBPOOL_FINAL_FAILED,  /* worker: the finalizer died or overran its time */
    LIBPOOL_SHUTDOWN,      /* ended by the pool's shutdown */
    LIBPOOL_CORRUPT,       /* the worker wrote nonsense into its channel and was killed */
    LIBPOOL_LOST,          /* dead, and nobody could tell why. worker: never began its task */
    LIBPOOL_MEMORY,        /* killed by the pool: its tree was seen above memory_limit_bytes */
    LIBPOOL_QUARANTINED,   /* task: not run, or not again: too many workers had died of its kind */
    LIBPOOL_CAUSES         /* how many there are; at most LIBPOOL_CAUSES_MAX */
} libpool_cause;

/*
 * Whether a task ran: what a caller must know before it submits the task again.
 *
 * That a task was begun is told by a word in its worker's own memory, which a task that writes where it
 * likes can wipe out. Such a task looks as if it had never been begun: when its worker dies it is given
 * to another one, and may so be run up to four times.
 */
typedef enum libpool_certainty {
    LIBPOOL_NOT_STARTED = 0, /* it left no trace */
    LIBPOOL_MAY_HAVE_RUN,    /* it was started and did not end by itself, or had an earlier run */
    LIBPOOL_HAS_RUN          /* it ran to its end */
} libpool_certainty;

/* Short stable name of a cause ("completed", "oom", "timeout"...). Static; never NULL. */
const char *libpool_cause_name(libpool_cause cause);

/* ---- Pool ------------------------------------------------------------------------------- */

/*
 * A pool is opened with options, and closed. In between its size, its workers and what they wear can be
 * changed without a pause. What runs in its workers are the three kinds of function below.
 */

/*
 * A task. Runs in a worker process; `input` is private memory of the worker, aligned to 16 bytes,
 * valid until the function returns. Returning 0 completes the task, any other value ends it as
 * LIBPOOL_ERROR with that code. The result is what libpool_reply() was given.
 *
 * A function that is passed by its address must be mapped when the pool is opened; otherwise the task
 * ends as LIBPOOL_ERROR, not started, with code -EFAULT, and the worker lives on.
 * Descriptor 3 is the pool's: a task that closes or replaces it costs its worker. So does one that ends its
 * thread by pthread_exit() while others go on: nobody is left to answer, and its timeout ends it.
 */
typedef int libpool_task_function(libpool_worker *worker, const void *input, size_t input_size);

/*
 * What a task sees of the application's memory is a copy: that of the moment in which the zygote was
 * started (LIBPOOL_SPAWN: nothing). What is set later reaches a task as its input only, and what a task
 * writes stays in its worker, for the tasks that follow there. What the application has written to stdout
 * or stderr and not flushed is dropped there, and its exit handlers don't run there, whatever a task
 * calls (quick_exit, on musl exit, too, ends a worker with the code 1). A task may open a pool of its
 * own, which is killed with it, if need be.
 */

/* Runs in each worker before its first task; non-zero is failure. */
typedef int libpool_initializer(libpool_worker *worker, void *arg);

/* Runs at most once in a worker that leaves in order; never in one that is killed. */
typedef void libpool_finalizer(libpool_worker *worker, void *arg);

/*
 * Memory in the application only, none in workers; release gets the size that was asked for. Both NULL:
 * malloc and free. Both may be called from any thread and must not call back into libpool.
 */
typedef struct libpool_allocator {
    void *context;
    void *(*allocate)(void *context, size_t size);
    void (*release)(void *context, void *pointer, size_t size);
} libpool_allocator;

/* libpool_options.flags */
enum {
    LIBPOOL_NO_THREAD = 1u << 0, /* the application drives the pool: libpool_fd, libpool_dispatch,
                                    or any call that waits, drive it. No thread but
                                    with LIBPOOL_STDIO_TAIL, see there */
    LIBPOOL_NO_CGROUP = 1u << 1, /* never make cgroups: trees are killed by walking /proc */
    LIBPOOL_EXCLUSIVE = 1u << 2, /* a replacement waits until the old worker's tree is gone */
    LIBPOOL_PRELOAD = 1u << 3,   /* SPAWN only: the zygote loads options.object, see below */
    LIBPOOL_CALLBACKS =
        1u << 4,            /* a thread of the pool's makes the callbacks, see libpool_callback;
                                    not with NO_THREAD */
    LIBPOOL_TRACE = 1u << 5 /* a worker that crashes says where, see libpool_trace */
};

/* libpool_options.start: what the zygote is, from which all workers are forked */
enum {
    LIBPOOL_FORK = 0, /* a copy of the application: tasks are pointers, its memory is there */
    LIBPOOL_SPAWN,  /* a program of its own: tasks are named, nothing of the application is there */
    LIBPOOL_THREADS /* no processes: workers are threads of the application, see below */
};

/* libpool_outfit.flags */
enum {
    LIBPOOL_SET_UMASK = 1u << 0, /* `umask` counts */
    LIBPOOL_DEAL_CPUS = 1u << 1  /* each slot has one of `cpus` (not NULL), dealt round robin */
};

/* libpool_outfit.stdio */
enum {
    LIBPOOL_STDIO_DEFAULT = 0, /* 0: /dev/null. 1 and 2: the application's */
    LIBPOOL_STDIO_INHERIT,     /* the application's; /dev/null if it is closed there */
    LIBPOOL_STDIO_NULL,        /* /dev/null */
    LIBPOOL_STDIO_TAIL         /* not 0: kept, the end of it for libpool_result.tail; see below */
};

/*
 * LIBPOOL_STDIO_TAIL: what the worker and what it starts write there goes into one file in memory. The last
 * options.tail_bytes of what was written during a task are in its result, unless that COMPLETED; also what it
 * wrote by write(2) just before it died. stdout is line buffered. Nobody waits: a write never blocks, the
 * application has nothing to read. The worker opens the file through /proc: where that is refused (see
 * LIBPOOL_FILE) its initializer fails.
 *
 * Of what is older 1 MiB a slot may stay, and what is written within 20 ms; of a dead worker's nothing. A
 * thread of the pool's gives the rest back, also with LIBPOOL_NO_THREAD: it takes no signal and calls nothing
 * of the application's. It has to wait for a write that is under way: a worker that never ends one keeps all
 * files of its pool from being cut as long as it lives, and holds up nothing else. Nobody looks while all
 * workers are idle. The file counts as the worker's memory for memory_limit_bytes (sampled: in whole MiB) and
 * for nothing else: without that an untrusted worker can put there what it likes, until it is dead.
 */

#define LIBPOOL_UNLIMITED UINT64_MAX

/* As setrlimit(2) has it: RLIMIT_CORE, RLIMIT_AS... in that resource's own unit. */
typedef struct libpool_limit {
    int resource;
    uint64_t soft, hard; /* soft is at most hard; LIBPOOL_UNLIMITED: none */
} libpool_limit;

/*
 * What each worker process wears: put on in the worker, before the initializer runs, in the order of
 * enum libpool_step. What can't be had is a failed initializer: the worker leaves, the INIT_FAILED
 * event's code tells which step it was and why, and after options.initializer_failures in a row
 * pending tasks end as LIBPOOL_INIT_FAILED with that code. Zero or NULL in a field: as the application has it
 * when the pool is opened, or later, when a new zygote has to be started.
 *
 * A limit is that of one process, not of its tree, and of address space, not of memory (RLIMIT_AS);
 * RLIMIT_CPU counts over all tasks of a worker, RLIMIT_NPROC over all processes of the user. A worker
 * has five descriptors, 0 to 2 among them (RLIMIT_NOFILE). Workers are sessions of their own: a kernel
 * that groups by session (sched_autogroup) weighs `nice` inside one only.
 */
typedef struct libpool_outfit {
    size_t size;                    /* sizeof(libpool_outfit) */
    uint32_t flags;                 /* LIBPOOL_SET_UMASK ... */
    uint32_t stdio[3];              /* descriptors 0, 1, 2: LIBPOOL_STDIO_... */
    const char *directory;          /* the working directory, an absolute path */
    uint32_t umask;                 /* 0 to 0777, with LIBPOOL_SET_UMASK; else 0 */
    uint32_t environment_count;     /* at most 4096, as the two below; 0: the array is NULL */
    const char *const *environment; /* "NAME=VALUE": set; "NAME" (not ""): unset; in their order */
    const uint32_t *cpus;           /* CPU numbers to 8191. Those that are not there are left out as
                                       long as one is. With fewer CPUs than slots they are shared */
    uint32_t cpus_count;
    uint32_t limits_count;
    const libpool_limit *limits;
    int32_t nice;      /* added to the application's, -39 to 39 */
    uint32_t reserved; /* 0 */
} libpool_outfit;

/*
 * The step of the outfit that failed: -code / 1000 * 1000 of an INIT_FAILED event or result with a code
 * of -1000 or less; -code % 1000 is the errno. Initializers that return such codes are not told apart.
 */
typedef enum libpool_step {
    LIBPOOL_STEP_STDIO = 1000,
    LIBPOOL_STEP_DIRECTORY = 2000, /* and the umask */
    LIBPOOL_STEP_ENVIRONMENT = 3000,
    LIBPOOL_STEP_CPUS = 4000,
    LIBPOOL_STEP_NICE = 5000,
    LIBPOOL_STEP_LIMITS = 6000 /* the last: limits may forbid what came before */
} libpool_step;

/* Where no range is named any value will do. All that is pointed to is copied, but for the two args. */
typedef struct libpool_options {
    size_t size;               /* sizeof(libpool_options) */
    uint32_t flags;            /* LIBPOOL_NO_THREAD ... */
    uint32_t min_workers;      /* kept alive when idle; default 0: spawned on demand */
    uint32_t max_workers;      /* busy at most, min_workers to workers_limit; default:
                                  libpool_default_workers(), or min_workers if that is more */
    uint32_t workers_limit;    /* libpool_resize may go up to; default: max_workers */
    uint32_t spare_workers;    /* kept ready beyond max_workers, to stand in for one that dies;
                                  default 0; with workers_limit 4096 at most */
    uint32_t idle_timeout_ms;  /* above min_workers, an idle worker leaves after; default 1000 */
    uint32_t tasks_per_worker; /* a worker is replaced after so many; default: never */
    uint32_t backlog_tasks;    /* pending tasks at most; default 1000, to 16,777,216 */
    uint64_t backlog_bytes;    /* their input at most; default 256 MiB */
    uint64_t result_bytes;     /* one result at most; default 1 GiB */
    uint32_t start_timeout_ms; /* for the zygote to fork a worker or answer, and for a worker
                                  to begin a task it was given; default 10000 */
    uint32_t initializer_timeout_ms; /* fork to end of the initializer; default 60000 */
    uint32_t finalizer_timeout_ms;   /* for a worker to leave; default 5000 */
    uint32_t initializer_failures;   /* in a row, before pending tasks fail; default 5 */
    uint32_t backoff_min_ms;         /* first pause after a failed spawn; default 10 */
    uint32_t backoff_max_ms;         /* longest pause; default 1000, or backoff_min_ms if more */
    uint32_t event_buffer; /* events kept for libpool_event_next, to 16,777,216; default 0 */
    libpool_initializer *initializer; /* FORK only, as the next three; default: none */
    void *initializer_arg;            /* points into the copy of the application's memory */
    libpool_finalizer *finalizer;     /* default: none */
    void *finalizer_arg;
    const char *name;   /* process names: NAME:zygote, NAME:0..., cut to fit; default "pool" */
    const char *cgroup; /* a delegated v2 directory, see below; default: the application's own */
    const libpool_allocator *allocator; /* default: malloc and free */
    const libpool_outfit *outfit;       /* default: as the application */
    uint32_t max_age_ms;                /* a worker is replaced when so old; default: never */
    uint32_t recycle_jitter_percent;    /* not all are replaced at once; 0 to 100, default 0 */
    uint64_t memory_limit_bytes;        /* of a worker's tree; 1 MiB at least; default: none */
    uint64_t recycle_bytes; /* a worker that has grown by more is replaced; default: never */
    uint64_t trim_bytes;    /* one that has grown by more gives back what is free; default: never */
    uint32_t start;         /* LIBPOOL_FORK (default), SPAWN or THREADS, see below */
    const char *zygote_path;        /* SPAWN only: the program, absolute; default: as installed */
    const char *object;             /* a shared object with the two below, as in libpool_task */
    const char *initializer_symbol; /* instead of initializer */
    const char *finalizer_symbol;   /* instead of finalizer */
    uint32_t ageing_ms;         /* a pending task rises one priority in so long; default: never */
    uint32_t retry_percent;     /* retries for 100 tasks, 100 at most; default: no limit */
    uint32_t quarantine_deaths; /* in a row, before a kind of tasks is refused; default: never */
    uint32_t quarantine_ms;     /* for how long; default: until libpool_pardon */
    uint32_t
        tail_bytes; /* with LIBPOOL_STDIO_TAIL: 1 MiB at most; default 4096. If it is set a later
                            outfit may have that, too */
    uint64_t admit_free_bytes;  /* no task starts while less memory is free; default: they do */
    uint32_t admit_pressure;    /* nor while the pressure is so high, in 1/100 %, 10000 at most */
    libpool_governor *governor; /* has the number of workers capped, see below; default: none */
    uint32_t waiting_workers;   /* that may be in libpool_worker_call at once; default: none; with
                                   workers_limit and spare_workers 4096 at most */
    uint32_t reserved;          /* 0 */
} libpool_options;

/*
 * LIBPOOL_FORK copies the application as it is when the pool is opened (or when a lost zygote is replaced):
 * cheap, and all its memory is there (thread-local variables may be a new thread's). What its other
 * threads were in the middle of is there, too: a task that needs a lock which one of them held waits for
 * ever, and what does not bear a fork (OpenMP, CUDA, gRPC in use) breaks.
 *
 * LIBPOOL_SPAWN executes a small program, libpool-zygote, which is installed with the library: no lock,
 * thread state or heap of the application is in its workers, and opening takes as long however large the
 * application is (measured 2 ms, where a fork of 2 GiB in small pages took 600). Workers have the
 * environment as it is at the opening, and the stack that RLIMIT_STACK allows. All other options and calls
 * work with both:
 *
 *                                                 LIBPOOL_FORK    LIBPOOL_SPAWN   LIBPOOL_THREADS
 *     initializer, finalizer, their args          yes             -EINVAL         yes
 *     libpool_task.function                       yes             -EINVAL         yes
 *     object and symbols, here and in a task      yes             yes             yes
 *     zygote_path, LIBPOOL_PRELOAD                -EINVAL         yes             -EINVAL
 *     libpool_set_outfit                          yes             yes             -ENOTSUP
 *     outfit, tail_bytes, cgroup, recycle_bytes,
 *     trim_bytes, memory_limit_bytes, TRACE       yes             yes             -EINVAL
 *     libpool_task.soft_signal, LIBPOOL_FILE,
 *     libpool_task.memory_limit_bytes             yes             yes             -EINVAL
 *     libpool_call                                yes             yes             -EINVAL
 *
 * LIBPOOL_PRELOAD has the zygote load `object` once, for all workers. It must not start a thread then
 * (-EDEADLK). A constructor that crashes is a zygote that dies at the start: -EAGAIN from libpool_open.
 *
 * `initializer_symbol` or `finalizer_symbol` that is not in the object: a failed initializer, -ENOENT.
 */

/*
 * LIBPOOL_THREADS is for code that has to share the application's memory. Nothing protects the application
 * from its tasks then: one that crashes or calls exit() ends it (pthread_exit(): LIBPOOL_EXIT). And nobody
 * can end a task: all time limits are cooperative.
 *   Asked    Wherever a task would be killed it is asked to end, by a shutdown, too, and its grace has no
 *            end (grace_ms counts for nothing). Its future ends when it returns, as what it was asked for:
 *            TIMEOUT, CANCELLED or SHUTDOWN, certainty HAS_RUN. Then its worker lives on. Parts that it
 *            sends when LIBPOOL_PARTS_BYTES of them wait are lost from then on, as for want of memory.
 *   Waited   A task that never returns keeps its worker and its future, and libpool_close waits for it. So
 *            it is with an initializer and a finalizer: one that overruns is counted as failed, WORKER_KILLED
 *            tells, and it keeps its slot until it returns; a late initializer's finalizer runs.
 *   Inside   A worker may use its own pool, but not wait for it, lest all wait for each other: what waits
 *            returns -EDEADLK there unless its timeout is 0, libpool_submit -EAGAIN when there is no room.
 *            libpool_worker_call is the way to wait for others.
 *   Numbers  A pid is a thread's, CPU time, too; max_rss_bytes is the application's.
 *   Threads  have 8 MiB of stack, the CPUs and the priority of the thread that opened the pool, and block
 *            all signals but those of their own faults. Beside them there is one that starts and joins them.
 */

/*
 * options.max_age_ms counts from the end of a worker's initializer, and is never less than a second. A
 * worker that has reached it leaves when it is idle, or after its task, and another takes its place.
 * Of max_age_ms and tasks_per_worker each worker is given up to recycle_jitter_percent less, at random.
 *
 * With options.ageing_ms a task of low priority can't starve: a task of priority p goes before every one
 * of priority q that was submitted more than (p - q) * ageing_ms after it. First in, first out inside one
 * priority, as without. A choice costs a look at one task of each priority that is pending.
 *
 * options.memory_limit_bytes holds for a worker's whole tree. How, libpool_stats tells:
 *   CGROUP_V1, CGROUP_V2: by the kernel, in a memory cgroup of the worker's own. All it touches counts,
 *     files and shared memory, too; what can't be had kills the tree: LIBPOOL_OOM. No worker is
 *     started without its limit (`degraded` tells).
 *   SAMPLED: where there is no such cgroup, or with LIBPOOL_NO_CGROUP. Every 100 ms the pool looks at those
 *     who run something: at their resident anonymous memory beyond what they have inherited from the zygote,
 *     and at their tails. Between two looks it can be exceeded. A tree that is above is killed:
 *     LIBPOOL_MEMORY. With LIBPOOL_NO_THREAD the application has to drive the pool for it.
 * A limit in which no initializer can end is a failed initializer: see initializer_failures.
 *
 * options.recycle_bytes and trim_bytes are about what a worker has grown by since the end of its
 * initializer, in resident anonymous memory of its own; so none is too big from the start. It looks by
 * itself after a task that took a millisecond, or 10 ms after it has looked last. Above trim_bytes it
 * calls malloc_trim(3), once for each such look; above recycle_bytes it leaves in order, and another
 * takes its place (workers_outgrown). Where a limit is sampled it leaves when it is above that, too.
 *
 * options.cgroup: in cgroup v2 an OOM kill can be told only in a directory that has the memory
 * controller and holds no process, such as one made beside the application's own in a systemd unit with
 * Delegate=yes. An absolute path, not with LIBPOOL_NO_CGROUP. Without it the pool uses what cgroups it
 * can, and libpool_stats says what that is; a directory that was named and can't be used fails libpool_open.
 */

/*
 * Admission. While less than options.admit_free_bytes is free, or memory pressure (PSI: some avg10) has
 * reached options.admit_pressure, tasks start one at a time only: in a pool that runs nothing the next
 * one does. No worker is started for those that wait; their queue timeouts count. What runs goes on, as do
 * tiny tasks that a worker was sent ahead. `admission_paused` and `degraded` (-ENOMEM) tell. Free is what
 * /proc/meminfo calls MemAvailable, or what is left to the application's memory cgroup, to options.cgroup
 * or to one above them before its limit (v2: or its memory.high), without counting inactive file pages;
 * pressure is the machine's or that of these two, whichever is highest.
 * The pool looks every 100 ms while something waits that could run, and never otherwise: all tasks that
 * start between two looks find the same memory free. With LIBPOOL_NO_THREAD the application has to drive
 * the pool for it.
 */

/*
 * Opens a pool and starts min_workers workers in the background. options may be NULL. It holds 7
 * descriptors (LIBPOOL_SPAWN: 8; LIBPOOL_NO_THREAD, or no io_uring: one less) and 2 for each of
 * workers_limit + spare_workers + waiting_workers + 2 slots (+ 1 when workers_limit is 1), 3 with tails (4
 * where a worker has just died), all CLOEXEC. Full tables don't stop it: a worker that can't have its pidfd
 * is watched by the zygote alone. A limit that is too low for all that is told: by -EMFILE here, by
 * `degraded` of libpool_stats later on. LIBPOOL_THREADS: 6, and 1 for each slot.
 * With Linux 6.7, and io_uring allowed, the pool's thread hears of a worker's death before the kernel has
 * freed its memory, and its replacement starts meanwhile; else when that is done (25 to 90 ms a GiB).
 * Errors: -EINVAL (also: a malformed outfit), -E2BIG (struct size), -ENOMEM, -EMFILE, -EAGAIN (also: the
 * zygote died before it was ready), -ENOSYS (no pidfd_open: Linux 5.4 is needed, and valgrind 3.19 does not
 * know it);
 * LIBPOOL_SPAWN: -ENOENT, -EACCES, -ENOEXEC... (the program can't be executed; with PRELOAD -ENOENT also: the
 * object can't be loaded, which it is access(2) of zygote_path tells), -EPROTO (it is of another version; a
 * program that is no zygote runs, with the application's stdio, and is -EAGAIN when it ends), -EDEADLK,
 * -ENAMETOOLONG;
 * admit_...: -ENOTSUP (this kernel does not tell); governor: -ENOSPC (see there), -ECHILD;
 * options.cgroup: -ENOENT, -EACCES... (no directory can be made in it), -EOPNOTSUPP (no cgroup.kill
 * there), -ENAMETOOLONG.
 */
int libpool_open(libpool **pool, const libpool_options *options);

/*
 * How many workers can run at once here: the CPUs of the calling thread's affinity mask, or fewer when
 * the process's cgroup, or one above it, has a quota (v2 cpu.max, v1 cpu.cfs_quota_us, rounded up to
 * whole CPUs). At least 1; reads /proc each time, so it follows what changes. What can't be read is no
 * limit.
 */
uint32_t libpool_default_workers(void);

/* The same for work that gains nothing from a core's second hardware thread: those count once. */
uint32_t libpool_default_cores(void);

/*
 * A governor caps the workers of all pools that are opened with it: together they have `limit` (1 or
 * more) alive at most; one that was killed and is long in dying counts no more. Each pool has min_workers,
 * or 1, reserved (-ENOSPC from libpool_open and libpool_resize: that is more than there is), and a fair
 * share, which is its reserve and an equal part of the rest. What a pool does not use others may, beyond
 * their share, too. Who wants more than there is waits; a place that is given back goes to whoever waits
 * for longest, first among those below their share. While one waits, idle workers of the others leave,
 * down to the reserve; while it is below its share, workers of a pool that is above leave after their task.
 * Not with spare_workers or waiting_workers (-EINVAL). A pool with LIBPOOL_NO_THREAD gives back only when it
 * is driven. For one process: -ECHILD in a copy.
 * libpool_governor_close: -EBUSY while a pool that was opened with it is; NULL is allowed.
 */
int libpool_governor_open(libpool_governor **governor, uint32_t limit);
int libpool_governor_close(libpool_governor *governor);

/*
 * New bounds for the number of workers, without a pause: missing ones are started, idle ones leave
 * first, busy ones after their task. max_workers is 1 to options.workers_limit. -ENOSPC: see governor.
 */
int libpool_resize(libpool *pool, uint32_t min_workers, uint32_t max_workers);

/*
 * Replaces every worker that is alive now, `parallel` (1 or more) at a time, idle ones at once, busy
 * ones after their task; workers that are started from now on are of a new generation. Returns at
 * once; it is done when worker_processes_outdated of libpool_stats is 0. No worker leaves for it while
 * `parallel` or more of those that the pool wants are missing, for whatever reason: so when new ones
 * can't start (a new outfit that can't be had), the rest of the old ones go on. Called again while one
 * is under way, it begins the next generation. Errors: -ESHUTDOWN.
 */
int libpool_recycle(libpool *pool, uint32_t parallel);

/*
 * What workers wear that are started from now on, instead of options.outfit; libpool_recycle brings it
 * to all. Copied with all it points to, 256 KiB at most. NULL: nothing, as the application. It is tried at
 * once: a pause for workers that failed in the one before is over (once in so long a time as the pause
 * would be), and initializer_failures count anew.
 * Errors: -EINVAL (malformed; or stdio[0] is to be inherited, or a tail kept, and was not when the pool was
 * opened), -E2BIG, -EAGAIN (workers are still starting with the outfit before the last), -ENOTSUP
 * (LIBPOOL_THREADS).
 */
int libpool_set_outfit(libpool *pool, const libpool_outfit *outfit);

/*
 * Waits until nothing is pending or running; the pool stays open, and tasks that are submitted meanwhile
 * are waited for, too. -ETIMEDOUT: something is left. For an event loop: LIBPOOL_EVENT_DRAINED.
 */
int libpool_drain(libpool *pool, int timeout_ms);

/*
 * One pool for all parts of an application that want the same, opened by the first and re-used by the others.
 * The library has no variables: the home is the application's, in static memory or wherever it outlives its
 * users, and is set to LIBPOOL_SHARED_INIT. What is in it is the library's.
 */
typedef struct libpool_shared {
    void *page;
} libpool_shared;

#define LIBPOOL_SHARED_INIT \
    {                       \
        NULL                \
    }

/*
 * Hands out the home's pool. When the options (not LIBPOOL_NO_THREAD; where no workers_limit is named it is
 * libpool_default_workers(), or max_workers if that is more) differ from those it has
 *   in min_workers and max_workers only, it is resized, for all its users, unless max_workers is beyond its
 *     workers_limit;
 *   else, or when somebody has shut it down, a new one takes its place. The one before stays with its users.
 * Strings, the outfit and the allocator are compared by content, functions, their args and the governor by
 * address; of structs all bytes, so let them begin as zeros. Who puts waits while another thread's get opens
 * a pool. A fork of the application has a pool of its own, opened when it first asks; what its parent had
 * is not to be used there.
 * Errors: those of libpool_open and libpool_resize; all is as it was then.
 */
int libpool_shared_get(libpool_shared *home, const libpool_options *options, libpool **pool);

/*
 * Gives it back, once for each time it was handed out; never libpool_close it. The home's pool stays open for
 * whoever asks next. One that was replaced, and has no user left, runs what it has in the background, and is
 * closed by the first call for its home that finds it down. Its futures stay valid. -ENOENT: nobody has it,
 * or only the parent.
 */
int libpool_shared_put(libpool_shared *home, libpool *pool);

/*
 * Closes all pools of the home, as libpool_close does; the home is as new. -EBUSY: somebody has one. No other
 * call for this home may be under way. In a fork of the application it forgets what the parent had.
 */
int libpool_shared_close(libpool_shared *home);

/* libpool_shutdown flags */
enum {
    LIBPOOL_WAIT = 1u << 0,  /* return when all is down */
    LIBPOOL_CANCEL = 1u << 1 /* don't run what is pending */
};

/*
 * Ends the pool; new tasks are refused with -ESHUTDOWN from here on.
 *
 *     flags           pending        running        returns
 *     WAIT            run            finish         when all is down
 *     WAIT | CANCEL   SHUTDOWN       finish         when all is down
 *     0               run            finish         at once
 *     CANCEL          SHUTDOWN       killed         at once
 *
 * deadline_ms after the call (-1: no deadline) everything left is killed, its futures end as
 * SHUTDOWN, and a waiting call returns soon after with -ETIME. Nobody is asked first (grace_ms). Calling
 * again is allowed: it may only hasten (a later call can add CANCEL or an earlier deadline).
 * LIBPOOL_THREADS: what runs is asked, not killed, and a waiting call returns -ETIME a second after the
 * deadline although some of it still runs.
 */
int libpool_shutdown(libpool *pool, uint32_t flags, int deadline_ms);

/*
 * Ends what is left (as CANCEL; what is not gone after a second is killed, threads are waited for) and
 * frees the pool.
 * Futures stay valid until they are freed; all have ended. NULL is allowed. No other call on the
 * pool may be under way. In a forked copy of the application it only frees memory (free the futures
 * first there), in a worker it does nothing.
 */
void libpool_close(libpool *pool);

/*
 * For event loops (LIBPOOL_NO_THREAD): one descriptor, readable when libpool_dispatch has work, timers
 * included, level-triggered. Owned by the pool. libpool_dispatch never blocks and returns 0; -EINVAL: the
 * pool has a thread of its own. Every call that waits drives the pool meanwhile; a wait with timeout 0
 * does for one turn. Tasks (LIBPOOL_FORK) have the stack of the thread that drove the pool when their
 * zygote was started, or 8 MiB when that thread had less than 256 KiB left (64 KiB are enough to drive).
 */
int libpool_fd(const libpool *pool);
int libpool_dispatch(libpool *pool);

/* ---- Tasks and futures ------------------------------------------------------------------- */

/*
 * A task is submitted and becomes a future: it can be waited for, cancelled and, when it has ended, asked
 * for its result. Each future is freed by its owner, before or after its end, and outlives the pool.
 */

/* libpool_task flags */
enum {
    LIBPOOL_BORROW = 1u << 0, /* don't copy the input: it stays as it is until the task has ended */
    LIBPOOL_FILE = 1u << 1,   /* the input is input_fd, mapped into the worker; see below */
    LIBPOOL_FILE_SHARED = 1u << 2, /* LIBPOOL_FILE: what the task writes there is in the file */
    LIBPOOL_DROP_PARTS = 1u << 3   /* nobody will take what it sends by libpool_emit */
};

/*
 * LIBPOOL_FILE: a file, such as a memfd, is handed over without a copy, in a time that does not depend on
 * its size. Its first input_size bytes are what the task's function gets: read-only, or with
 * LIBPOOL_FILE_SHARED writable, for a result as large. The descriptor is the caller's; it stays open, and
 * the file as long as it is, until the task has ended (a task that touches what was cut off dies of
 * SIGBUS). The worker opens it through /proc: where that is refused (an application that is not dumpable,
 * a file without the permission), the task ends as LIBPOOL_ERROR, not started, with code -EACCES... What
 * fstat(2) says against it, or -EINVAL for a file that is shorter, is told by libpool_submit.
 */

/*
 * What an application is told of a task: `started` when it is first handed to a worker (not of one that
 * ends before), `done` when it has ended, whatever the cause; of detached ones, too. Each is called once,
 * in the application, one after the other in the order in which things happened, with no lock held:
 *   LIBPOOL_CALLBACKS   by a thread of the pool's own, all signals blocked in it. One that blocks delays
 *                       other callbacks and nothing else.
 *   LIBPOOL_NO_THREAD   by libpool_dispatch; not by other calls, also those that drive the pool.
 *                       libpool_fd is readable while one is to be called and no other call drives the pool.
 * In other pools a task that has callbacks is -EINVAL. libpool_close makes those that are left (libpool_call
 * all) before it returns, and waits for one that is under way.
 *
 * When as many wait to be called as tasks may wait in the backlog, submitting another has to wait for room,
 * but in a callback; with LIBPOOL_NO_THREAD it is -EAGAIN at once.
 *
 * libpool_future_result(future) is the result in `done`; in `started` NULL, unless it has ended meanwhile. A
 * future that belongs to the application may be freed here, for good: libpool_submit may not have returned
 * yet, and what it hands out is not to be used then. A detached one is valid until the callback returns, and
 * freeing it here does nothing.
 *
 * All calls are allowed, on this pool, too, and may wait; one that waits for another callback waits for
 * ever. libpool_close makes those that are left and closes; the callback then returns to no pool. Called
 * from a callback while it is under way it does nothing. In a fork of the application nothing is called.
 */
typedef void libpool_callback(libpool_future *future, void *arg);

typedef struct libpool_task {
    size_t size; /* sizeof(libpool_task) */
    libpool_task_function *function;
    const void *input; /* copied by libpool_submit, unless LIBPOOL_BORROW */
    size_t input_size;
    uint32_t priority;         /* 0 (highest, default) to 63; first in, first out inside one */
    uint32_t run_timeout_ms;   /* from its start; default: none */
    uint32_t queue_timeout_ms; /* from its submission to its start; default: none */
    uint32_t flags;            /* LIBPOOL_BORROW ... */
    int input_fd;              /* LIBPOOL_FILE only; input is NULL then */
    uint32_t grace_ms;         /* it is asked to end so long before it is killed; default: not */
    int soft_signal;           /* with grace_ms only: also by this signal; default: none */
    uint32_t heartbeat_timeout_ms; /* from one sign of life to the next; default: none */
    const char *object;            /* a named task: function is NULL. A shared object... */
    const char *symbol;            /* ...and its function. Copied; see below */
    uint64_t group;                /* for libpool_cancel_group, any number; 0: none */
    uint32_t retries;      /* further runs at most, after one that failed; default 0: none */
    uint32_t retry_causes; /* for which: 1u << LIBPOOL_CRASH | ...; see below */
    uint32_t retry_min_ms; /* the pause before the first of them; default 10 */
    uint32_t retry_max_ms; /* the longest pause, an hour at most; default 1000 */
    uint64_t kind;         /* a number of the application's, for the quarantine; 0: none */
    libpool_callback *started, *done; /* default: none */
    void *callback_arg;               /* what both are called with */
    uint64_t memory_limit_bytes;      /* of its worker's tree while it runs, below the pool's; 1 MiB
                                         at least; default: the pool's alone */
} libpool_task;

/*
 * A task that overruns is killed with its whole tree, and so is one that is cancelled. With grace_ms it is
 * asked first: libpool_worker_stopping() is true from then on, soft_signal is sent to its worker (not to
 * what that has started), and LIBPOOL_EVENT_TASK_ASKED tells its pid, to whoever wants to look at it
 * while it lives. If it returns in time its worker lives on, and what it has replied is kept: the
 * certainty is LIBPOOL_HAS_RUN. The cause is what it was asked for (TIMEOUT, CANCELLED) however it ends,
 * unless it had ended before its time was over and only its answer was late.
 * The signal is never seen by another task: it is sent only while this one runs, and taken back if it comes
 * too late. Its disposition is the task's matter: without a handler it kills the worker, as SIGTERM
 * does. It must be neither SIGKILL, SIGSTOP nor one of libc's own (-EINVAL), and is not sent where the
 * table of descriptors was too full for the worker's pidfd. A shutdown does not ask.
 *
 * heartbeat_timeout_ms: a task that calls neither libpool_worker_beat nor libpool_worker_progress for so
 * long, from its start on, has overrun: TIMEOUT, and result->text says so.
 */

/*
 * memory_limit_bytes of a task is always SAMPLED (see the options), beside whatever keeps the pool's, which
 * stays in force: every 100 ms the pool looks while the task runs, and kills a tree that is above: MEMORY.
 * In between it can be exceeded, and a shorter task may never be looked at. What earlier tasks have left in
 * the worker counts, too: give it room for that, or see recycle_bytes and tasks_per_worker. The task that
 * follows there has the pool's limit again; nothing is sent ahead with such a task. A limit that is not below
 * the pool's is none. libpool_submit: -ENOTSUP where the memory of trees can't be read (no /proc), -EINVAL
 * with LIBPOOL_THREADS.
 */

/*
 * A task may be named instead of pointed at; with LIBPOOL_SPAWN it must be. `object` is what dlopen(3)
 * takes: a path (a relative one from the worker's directory on), or a name that is searched for. The
 * worker loads it (RTLD_NOW, RTLD_LOCAL) before the first task that names it, and keeps it ("": the
 * worker's own program, with what it exports); `symbol` is a libpool_task_function, up to 511 bytes, and
 * with the object 4606. An object or symbol that is not there ends the task as LIBPOOL_ERROR, not started,
 * with code -ENOENT and the loader's words in `text`; the worker lives. (-ENOSYS: the application is
 * linked without a loader.) Both names count as input. The object's constructors run in the worker, as
 * part of the task. It finds libpool_reply() in libpool-zygote; in an application of LIBPOOL_FORK that is
 * linked with libpool.a, only if that exports it (-rdynamic).
 */

/*
 * A task is run once. Only with `retries` and `retry_causes`, both or neither, is it run again: after an
 * ERROR, CRASH, EXIT, OOM, MEMORY, TIMEOUT, KILLED, CORRUPT or LOST that is named there (-EINVAL: another).
 * Each pause is twice as long as the one before, less up to a quarter, at random, and begins when nothing
 * is left of the failed run and its process tree, or a second later; a worker runs a task once. Then
 * the task queues up behind those of its priority; its queue timeout and its age (ageing_ms) count anew.
 * Meanwhile it is pending: it has its place in the backlog, its input (BORROW, FILE) has to stay, a cancel
 * dequeues it. One that was cancelled is not run again, whatever it ends as; one that overran and
 * returned in its grace (grace_ms) is. A shutdown without CANCEL still makes the pauses and runs; nothing
 * is run again that fails in one with CANCEL or after its deadline. The future ends with what the last
 * run came to; its data and CPU time are that run's.
 *
 * options.retry_percent: a budget, so that what fails all the time does not multiply the load. 10 retries
 * are free, each task received adds so many hundredths of one, 100 may be saved up; without it a task ends.
 */

/*
 * Quarantine (options.quarantine_deaths). A worker's death by CRASH, EXIT, OOM, MEMORY, TIMEOUT, KILLED or
 * CORRUPT counts against the kind of the task that it ran, unless that was cancelled; a result, of any code
 * or in its grace, clears that. After so many in a row libpool_submit refuses the kind with -EKEYREJECTED,
 * those that are pending end as QUARANTINED when it is their turn, and none is retried; what runs goes on.
 * When quarantine_ms have passed one more death is enough. The pool remembers 64 kinds that have killed,
 * those that are refused longest.
 */

/* Takes tasks of this kind again, as if none had failed. -ENOENT: nothing is held against it. */
int libpool_pardon(libpool *pool, uint64_t kind);

/*
 * Hands a task to the pool. Waits up to timeout_ms for room in the backlog.
 * *future is the caller's, to be freed with libpool_future_free; future may be NULL: the task is
 * detached and its result dropped.
 * Errors: -E2BIG (struct size, or input larger than backlog_bytes), -ENAMETOOLONG, -EAGAIN (full, with
 * timeout 0), -ETIMEDOUT, -ESHUTDOWN, -ENOMEM, -EKEYREJECTED (quarantine), those of LIBPOOL_FILE, -ENOTSUP
 * (memory_limit_bytes).
 */
int libpool_submit(libpool *pool, const libpool_task *task, int timeout_ms,
                   libpool_future **future);

/*
 * Hands over many tasks at once, in their order: cheaper for tiny ones. tasks is an array of elements of
 * tasks[0].size bytes each, which all have that size. Waits up to timeout_ms for room, for all of them
 * together. Returns how many were taken, the first ones; futures (NULL, or n places) has a future for
 * each of those and NULL for the rest. A negative error, as above, if none was taken because of it; an
 * element that is wrong ends the call before it.
 */
int64_t libpool_submit_many(libpool *pool, const libpool_task *tasks, size_t n, int timeout_ms,
                            libpool_future **futures);

/* 0 when the task has ended, -ETIMEDOUT when it has not; the task goes on in that case. */
int libpool_future_wait(libpool_future *future, int timeout_ms);

/*
 * LIBPOOL_TRACE: before any code of the application's, a worker installs handlers for SIGSEGV, SIGBUS,
 * SIGILL, SIGFPE and SIGABRT, on a stack of their own. They write down where it is, and it dies as it would
 * have: signal, cause and core dump are the same. A handler that the application or a task installs goes
 * first. Of several threads the first to crash is traced; a stack overflow in the worker's first thread
 * only. Nothing of it is checked, but for the bounds: it is the worker's own word. With SIGABRT as its
 * soft_signal a task that overruns its run timeout says where, too.
 * glibc: callers are found by the tables that the compiler makes for exceptions; other libcs: by frame
 * pointers. A call that leads nowhere has its caller alone.
 */
typedef struct libpool_frame {
    uint64_t address;   /* in the worker: the first of what crashed, the others of what returns */
    uint64_t offset;    /* from where the object begins in memory: for addr2line(1), which wants the
                           address of a program that is not position-independent */
    const char *object; /* its path; NULL: nobody knows (no object, or /proc can't be read) */
} libpool_frame;

typedef struct libpool_trace {
    const libpool_frame *frames; /* from the inside out */
    uint32_t count;              /* of them, 1 to 32 */
    int code;                    /* si_code of sigaction(2); above 0: a fault */
    int sender;                  /* else the process that has sent the signal, maybe the worker */
    uint64_t fault_address;      /* of a fault: si_addr */
} libpool_trace;

/*
 * What a task came to. Immutable; lives until its future is freed. What does not apply is 0 or NULL: of a
 * task that ended in the backlog all but cause, code (INIT_FAILED), task_id, pending_ns and text.
 */
typedef struct libpool_result {
    libpool_cause cause;
    libpool_certainty certainty;
    int code;         /* what the function returned, the exit code (EXIT), or what the initializer
                            that failed last returned (INIT_FAILED; 0: it died or hung) */
    int signal;       /* CRASH, OOM, KILLED, or in its grace: the signal the worker died of */
    int core_dumped;  /* CRASH: 1 when a core was written */
    uint32_t slot;    /* of the worker with which it ended; UINT32_MAX: in the backlog */
    int pid;          /* of that worker; 0: in the backlog */
    uint64_t task_id; /* unique in the pool, in order of submission, from 1 */
    uint64_t pending_ns; /* submission to hand-over; retried: to the last one, runs included */
    uint64_t running_ns; /* start to end; retried: of the last run */
    const void *data;    /* what libpool_reply gave; NULL when data_size is 0 */
    size_t data_size;
    char text[160];              /* one sentence for people: which worker, which signal, why */
    uint64_t memory_bytes;       /* MEMORY: what its worker's tree held when it was looked at */
    uint64_t user_ns, system_ns; /* CPU time of the worker and of children it has waited for, to a
                                    millisecond or so; measured if running_ns was 1 ms or more, and
                                    of a task that ended with its worker (of one that the pool
                                    killed to 10 ms, as of when it was); else 0 */
    uint64_t max_rss_bytes;      /* the most memory its worker has ever had, measured then, too */
    uint32_t attempts;           /* runs, the last one included; 0: no worker ever had it */
    libpool_cause retried_cause; /* why the run before failed; PENDING: it was not retried. Where it
                                    ended in a pause: why the last one did */
    const void
        *tail; /* LIBPOOL_STDIO_TAIL: the last it wrote, any bytes; NULL when there is none */
    size_t tail_size;
    const libpool_trace *trace; /* LIBPOOL_TRACE: of the crash; NULL when there is none */
} libpool_result;

/* NULL as long as the task has not ended. */
const libpool_result *libpool_future_result(const libpool_future *future);

/*
 * The trace as text, a line for the signal and one for each frame: address, symbol, object and offset. A
 * symbol is one that is exported by an object that lies in the same place here (a forked worker's: all
 * that was loaded before). Returns its length: when that is not less than size it was cut (size 0 and
 * buffer NULL only ask). -ENOENT: there is no trace. Not in a signal handler.
 */
int64_t libpool_trace_text(const libpool_result *result, char *buffer, size_t size);

/* what libpool_future_cancel did */
enum {
    LIBPOOL_CANCEL_DONE = 1, /* nothing: the task had ended already */
    LIBPOOL_CANCEL_DEQUEUED, /* it was pending: never started, or between two runs of it */
    LIBPOOL_CANCEL_KILLED,   /* it ran, or was to at once: its worker's tree was killed */
    LIBPOOL_CANCEL_ASKED     /* the same, and it has a grace: it was asked to end, now or before */
};

/* One of these, or a negative error. The future has ended on return, unless it was ASKED. */
int libpool_future_cancel(libpool_future *future);

#define LIBPOOL_PROGRESS_TEXT 64

/* What a task that runs said of itself last. Nothing of it is checked: it is the task's own word. */
typedef struct libpool_progress {
    size_t size;                      /* sizeof(libpool_progress), set by the caller */
    uint64_t done, total;             /* as libpool_worker_progress was given them */
    uint64_t beat_ns;                 /* its last sign of life, on CLOCK_MONOTONIC */
    char text[LIBPOOL_PROGRESS_TEXT]; /* terminated; any bytes before that */
} libpool_progress;

/*
 * Fills *progress. -ENOENT: it has not reported any, or has ended; -EAGAIN: it reports faster than can
 * be read. Costs the task nothing.
 */
int libpool_future_progress(libpool_future *future, libpool_progress *progress);

#define LIBPOOL_PARTS_BYTES (1u << 20)

/*
 * Takes the next of the parts that the task has sent (libpool_emit), in their order: 1, and *data is the
 * future's until the next call or its end (16-byte aligned). 0: it has ended, and all were taken; -ETIMEDOUT;
 * -ENOMEM: there was no memory for one, told once those that came are taken. timeout_ms as in
 * libpool_future_wait. One thread at a time.
 * When LIBPOOL_PARTS_BYTES of them wait (each counts, and costs, some 64 bytes beside its data; one may be
 * in beyond that), the task waits in libpool_emit until some are taken or the future is freed, and its result
 * waits behind them: who waits for its end only, without a run timeout, waits for ever. Of a run that is made
 * again (retries) those are dropped that were not taken. What a task has sent before it crashes or exits is
 * there; of one that is killed, what was under way may be lost.
 */
int libpool_future_part(libpool_future *future, const void **data, size_t *size, int timeout_ms);

/*
 * Cancels all tasks of a group (1 or more) that have not ended, detached ones too: those that are pending
 * are dequeued, the workers' trees of the others killed. All have ended on return, but for those that run
 * and have a grace: they are asked to end, and not counted. Tasks that are submitted later are not
 * concerned. Looks at every task of the pool. Returns how many it has ended; *killed (may be NULL) is how
 * many of these ran, or were to at once.
 */
int64_t libpool_cancel_group(libpool *pool, uint64_t group, uint64_t *killed);

/*
 * Gives the future back; a task that has not ended goes on, detached. NULL is allowed. Once: not again in a
 * callback of that task.
 */
void libpool_future_free(libpool_future *future);

/* ---- Many tasks -------------------------------------------------------------------------- */

/*
 * What is done with more than one future: wait for any, for all, or take each as it ends. No thread is
 * made for it, nobody polls, and a future that nobody gathers does not pay for those that are. But for
 * libpool_wait_all, they are of one pool (-EINVAL otherwise); NULL stands for no future. To take them in
 * order of submission, call libpool_future_wait for one after the other. Above them, libpool_map runs a
 * whole batch through a pool, and libpool_call runs one function without a pool.
 */

/*
 * The index of one that has ended, the first when there are several; -ETIMEDOUT when none has;
 * -ENOENT: there is no future in the array. Looks at each, every time: libpool_gather is for many.
 * Errors: -ENOMEM (more than 16).
 */
int64_t libpool_wait_any(libpool_future *const *futures, size_t n, int timeout_ms);

/* 0 when all have ended, -ETIMEDOUT when one has not. They may be of several pools. */
int libpool_wait_all(libpool_future *const *futures, size_t n, int timeout_ms);

typedef struct libpool_gather libpool_gather; /* futures that are taken as they end */

/*
 * Gathers the futures, which stay the caller's; the array is not kept. A future may be freed meanwhile,
 * and may be in several gathers. 28 bytes a future. Errors: as libpool_wait_any.
 */
int libpool_gather_open(libpool_gather **gather, libpool_future *const *futures, size_t n);

/*
 * The index of the next one that has ended, each once, as they end; -ETIMEDOUT: none has meanwhile;
 * -ENOENT: all were taken. One thread at a time.
 */
int64_t libpool_gather_next(libpool_gather *gather, int timeout_ms);

/* Lets go of them; nothing is cancelled. At any time, also after libpool_close. NULL is allowed. */
void libpool_gather_close(libpool_gather *gather);

/*
 * Yields the next element: 1 with *input and *input_size set, 0 when there are no more; a negative value
 * ends the batch with it. *input has to stay until the next call, with LIBPOOL_BORROW until the
 * element's result was handed over.
 */
typedef int libpool_input_function(void *arg, const void **input, size_t *input_size);

/*
 * Takes the result of one element (0, 1, 2... as they were taken from the input); it is gone on return.
 * Non-zero halts the batch.
 */
typedef int libpool_result_function(void *arg, uint64_t element, const libpool_result *result);

/* libpool_batch.flags; also LIBPOOL_BORROW, for what `next` yields */
enum {
    LIBPOOL_IN_ORDER = 1u << 8, /* results are handed over in the order of the elements */
    LIBPOOL_HALT_NOW = 1u << 9  /* when it halts, what runs is killed; else that may finish */
};

/*
 * One function over many elements. They are an array (inputs, input_size, elements), which is not copied,
 * or what `next` yields. Each is a task of its own: a timeout, crash or error costs that element, when
 * its retries (`each`) are used up.
 */
typedef struct libpool_batch {
    size_t size; /* sizeof(libpool_batch) */
    libpool_task_function *function;
    const void *inputs;
    size_t input_size; /* bytes of each */
    uint64_t elements;
    libpool_input_function *next; /* instead of the three above */
    void *next_arg;
    libpool_result_function *result; /* may be NULL: only the report tells */
    void *result_arg;
    uint32_t flags;
    uint32_t priority;         /* of each task, as in libpool_task */
    uint32_t run_timeout_ms;   /* of each element; default: none */
    uint32_t queue_timeout_ms; /* of each element, from its submission; default: none */
    uint32_t timeout_ms;       /* of all: what is left then is killed; default: none */
    uint32_t in_flight;     /* elements at most that were taken from the input and not handed over
                                  yet, 1,048,576 at most; default: 4 a worker, at least 64 */
    uint32_t chunk;         /* so many are taken and submitted at once, in_flight / 2 at most;
                                  default 16; one by one what `next` yields without BORROW */
    uint32_t halt_percent;  /* halts when so many in 100 results are failures; default: never */
    uint32_t halt_sample;   /* not before there are so many results; default 20 */
    uint64_t halt_failures; /* halts at so many failures; 1: at the first; default: never */
    const char *object, *symbol; /* instead of function, as in libpool_task */
    const libpool_task *each;    /* what else each task has: grace_ms, retries, group...; the fields
                                       that are also above, and input_fd, are 0 there, with NO_THREAD
                                       the callbacks, too. Default: nothing */
} libpool_batch;

typedef struct libpool_batch_report {
    size_t size;                        /* sizeof(libpool_batch_report), set by the caller */
    uint64_t elements;                  /* taken from the input; each had its result handed over */
    uint64_t failed;                    /* ended neither COMPLETED, CANCELLED nor SHUTDOWN */
    uint64_t ended[LIBPOOL_CAUSES_MAX]; /* by cause */
} libpool_batch_report;

enum {
    LIBPOOL_HALTED = 1 /* by a halt rule or by the result callback */
};

/*
 * Runs a batch and returns when every element that was taken has ended and its result was handed over:
 * each exactly once. Both callbacks run on this thread, with no lock held; they may use the pool. When
 * the batch halts nothing more is taken, and what has not begun ends as CANCELLED (with task_id 0 if the
 * pool never had it). Other tasks of the pool go on; the batch waits for room in the backlog like any.
 * Returns 0, LIBPOOL_HALTED, -ETIMEDOUT (timeout_ms), what `next` returned, or an error of libpool_submit:
 * these four as a halt, with all results handed over and *report (may be NULL) filled. Without effect:
 * -E2BIG (struct sizes), -ENOMEM.
 */
int libpool_map(libpool *pool, const libpool_batch *batch, libpool_batch_report *report);

/*
 * Runs one task in a process of its own and returns when it has ended: *future has, and is the caller's.
 * It is a pool of one worker, opened and closed by this call and driven by this thread; options (may
 * be NULL; what libpool_open refuses is refused) are that pool's, but for the numbers of workers (those that
 * wait, too), the backlog, LIBPOOL_CALLBACKS and LIBPOOL_NO_THREAD.
 * It costs what a pool costs: this process is forked, then its copy is. Measured 2 to 4 ms where fork()
 * and wait take 0.2 ms, and 4 times as long as those where the process holds a GiB. Nothing stays. For
 * more than a few calls open a pool.
 * run_timeout_ms bounds the run, queue_timeout_ms all that comes before: with both it ends in time.
 * Errors: those of libpool_open and libpool_submit; *future is NULL then.
 */
int libpool_call(const libpool_task *task, const libpool_options *options, libpool_future **future);

/* The steps of libpool_check. */
typedef enum libpool_check_step {
    LIBPOOL_CHECK_OPEN = 0, /* the options, and the zygote */
    LIBPOOL_CHECK_START,    /* a worker: its outfit, its initializer */
    LIBPOOL_CHECK_TASK,     /* libpool_noop */
    LIBPOOL_CHECK_LEAVE,    /* its finalizer, and its end */
    LIBPOOL_CHECK_CLOSE,
    LIBPOOL_CHECK_STEPS /* how many there are; at most 8 */
} libpool_check_step;

#define LIBPOOL_CHECK_NONE UINT32_MAX /* no step, whatever steps are to come */

typedef struct libpool_check_report {
    size_t size;          /* sizeof(libpool_check_report), set by the caller */
    uint32_t failed_step; /* the first that failed; LIBPOOL_CHECK_NONE: all went well */
    int error;            /* negated errno behind it: of opening, forking, submitting; else 0 */
    libpool_cause cause;  /* of the worker's or the task's end; PENDING: error tells */
    int code;             /* as in the events and results, enum libpool_step included */
    int signal;
    uint32_t containment, oom_evidence, memory_enforcement; /* in force, as in libpool_stats */
    uint64_t step_ns[8];                                    /* what each step took; 0: not tried */
} libpool_check_report;

enum {
    LIBPOOL_CHECK_FAILED = 1 /* of libpool_check: the report tells */
};

/*
 * Tries a configuration: opens a pool of one worker with these options (as libpool_call has them, but without
 * their governor: its places are neither taken nor waited for), runs the initializer, a task that does
 * nothing and the finalizer, and closes it. What fails is not tried again. Takes what that takes: at worst
 * the sum of the options' timeouts, start_timeout_ms counted for each step. Nothing stays.
 * 0: it works; LIBPOOL_CHECK_FAILED: *report tells what does not. Without a report: -EINVAL, -E2BIG.
 */
int libpool_check(const libpool_options *options, libpool_check_report *report);

/* A task that does nothing and returns 0; LIBPOOL_SPAWN: object "", symbol "libpool_noop". */
int libpool_noop(libpool_worker *worker, const void *input, size_t input_size);

/* ---- Inside a worker --------------------------------------------------------------------- */

/*
 * For tasks, initializer and finalizer, with the libpool_worker that they are called with. The
 * functions above don't work on the pool of this worker (-EDEADLK): see libpool_worker_call.
 */

/*
 * Adds a copy of these bytes to the result of the running task. From 256 KiB on they leave at once, from
 * where they are: that takes time of the run, needs no memory of the worker, is a sign of life, and waits
 * behind parts that nobody takes (libpool_emit). -EMSGSIZE beyond result_bytes, -ENOMEM, -EINVAL outside a
 * task. Only from the thread that runs the task; in a process that it has forked nothing comes of it.
 */
int libpool_reply(libpool_worker *worker, const void *data, size_t data_size);

/*
 * Sends these bytes at once, before the result (libpool_future_part), and is a sign of life. Waits for
 * room as a pipe does: as long as the application takes none. They are dropped where nobody could take
 * them: of detached tasks, with LIBPOOL_DROP_PARTS, of libpool_map, libpool_call and libpool_worker_call.
 * Only from the thread that runs the task. -EMSGSIZE beyond result_bytes, -EINVAL outside a task, -ECHILD
 * in a process that the task has forked.
 */
int libpool_emit(libpool_worker *worker, const void *data, size_t size);

#define LIBPOOL_CALL_TASKS 1024 /* at most for one libpool_worker_call */

/*
 * Runs n tasks in other workers of this pool and returns when all have ended. They are tasks like any, in
 * all counters and events, and belong to this one: what is left when it ends, in whatever way, is
 * cancelled. Elements are as in libpool_submit_many; priority 0 is the caller's own; no callbacks, no
 * LIBPOOL_FILE; a function by its address is one that the zygote had. results (NULL, or n places) are
 * valid until the next call or the task's end, without tail and trace. NULL: it was cancelled, has a
 * grace, and goes on; or none was taken, or there was no memory for it.
 *
 * While it waits its worker does not count against max_workers: another is started, and what was sent
 * ahead to it goes to others. At most options.waiting_workers wait at once and the next is refused, so
 * nobody waits for ever for want of a worker, however deep tasks call tasks. Who is refused had better do
 * the work by itself than try again. When a wait ends nobody makes room first: for a moment up to
 * waiting_workers more run than max_workers; such surplus workers stay for the next call, and leave as
 * idle ones do. The run timeout goes on, the heartbeat is not missed. A shutdown that drains lets tasks
 * call. Until a set is taken it is no part of the backlog: for each that waits backlog_bytes more may be
 * held. timeout_ms counts from the call, but what is sent waits first behind parts that nobody takes
 * (libpool_emit), however long. Only from the thread that runs the task.
 *
 * 0: all have ended, as their results say. -ETIMEDOUT, -ECANCELED (this task was asked to end): those that
 * had not were cancelled, also before any could begin, and say so. Else none was taken: -EDEADLK (as many
 * wait as may), -EAGAIN (no room for all in the backlog; that is not waited for), -ESHUTDOWN,
 * -EKEYREJECTED, -E2BIG (n, or more than the backlog ever takes), -ENAMETOOLONG, -ENOMEM (or: for a
 * result, which is NULL), -EINVAL (also: outside a task), -ECHILD in a process that the task has forked.
 */
int libpool_worker_call(libpool_worker *worker, const libpool_task *tasks, size_t n, int timeout_ms,
                        const libpool_result **results);

/*
 * 1: the running task was asked to end (libpool_task.grace_ms), and had better return soon; else 0, also in a
 * process that a thread's task has forked.
 */
int libpool_worker_stopping(const libpool_worker *worker);

/*
 * A sign of life of the running task, and one that says how far it is (text may be NULL, and is cut to
 * what fits). Neither makes a system call or wakes anybody. -EINVAL outside a task. From one thread at a
 * time; a process that the task forks may call them, too (LIBPOOL_THREADS: unheard, -ECHILD).
 */
void libpool_worker_beat(libpool_worker *worker);
int libpool_worker_progress(libpool_worker *worker, uint64_t done, uint64_t total,
                            const char *text);

/*
 * Less than max_workers + spare_workers + waiting_workers as that was when it was started. A replacement
 * has it while the old worker finalizes or dies; with LIBPOOL_EXCLUSIVE not before nothing is left of
 * that.
 */
uint32_t libpool_worker_slot(const libpool_worker *worker);
uint64_t libpool_worker_task_id(const libpool_worker *worker); /* 0 in initializer and finalizer */
void libpool_worker_set_data(libpool_worker *worker, void *data); /* for later tasks there */
void *libpool_worker_data(const libpool_worker *worker);

/* ---- Numbers and events ------------------------------------------------------------------ */

/*
 * What a pool tells of itself: counters and gauges that balance, distributions of times, both also as
 * text, and a stream of what happens.
 */

/* libpool_stats.memory_enforcement, see options.memory_limit_bytes */
enum {
    LIBPOOL_MEMORY_NONE = 0, /* no limit was asked for */
    LIBPOOL_MEMORY_SAMPLED,
    LIBPOOL_MEMORY_CGROUP_V1,
    LIBPOOL_MEMORY_CGROUP_V2
};

/*
 * One consistent snapshot. In every snapshot
 *   tasks_received = tasks_pending + tasks_running + sum of tasks_ended[]
 *   worker_processes_created = worker_processes_still_alive + sum of workers_ended[]
 * and no counter ever goes back.
 */
typedef struct libpool_stats {
    size_t size; /* sizeof(libpool_stats) */
    uint64_t tasks_received;
    uint64_t tasks_launched; /* handed to a worker at least once: counts tasks, not runs */
    uint64_t tasks_pending;  /* gauge: in the backlog, or between two runs */
    uint64_t tasks_running;  /* gauge: with a worker */
    uint64_t tasks_failed;   /* ended neither COMPLETED, CANCELLED nor SHUTDOWN */
    uint64_t tasks_rejected; /* refused by libpool_submit: full, quarantined, after shutdown */
    uint64_t tasks_returned; /* put back into the backlog: their worker died before the start */
    uint64_t tasks_ended[LIBPOOL_CAUSES_MAX]; /* by cause */
    uint64_t worker_processes_created;
    uint64_t worker_processes_still_alive; /* gauge */
    uint64_t worker_processes_idle;        /* gauge */
    uint64_t worker_processes_busy;        /* gauge */
    uint64_t max_workers_busy_concurrently;
    uint64_t workers_ended[LIBPOOL_CAUSES_MAX]; /* by cause */
    uint64_t spawns_failed;                     /* forks refused by the kernel */
    uint64_t initializers_failed;
    uint64_t finalizers_started, finalizers_ok, finalizers_failed;
    uint64_t zygotes_started, zygotes_lost;
    uint64_t backlog_bytes;      /* gauge */
    uint32_t degraded;           /* gauge: 1 while the pool can't reach the strength it wants, or
                                    start tasks (admit_free_bytes...) */
    int32_t degraded_error;      /* the negated errno behind it; 0: initializer or early deaths */
    uint32_t containment;        /* how trees are killed: 0 walking /proc, 2 cgroup v2 kill */
    uint32_t oom_evidence;       /* how OOM is proven: 0 not at all, 1 cgroup v1, 2 cgroup v2 */
    uint64_t workers_outgrown;   /* told to leave for their memory, see recycle_bytes */
    uint32_t memory_enforcement; /* of options.memory_limit_bytes: LIBPOOL_MEMORY_... */
    uint64_t tasks_asked;        /* asked to end, with a grace before the kill */
    uint64_t generation;         /* gauge: 1, one more with each libpool_recycle */
    uint64_t worker_processes_outdated; /* gauge: alive and of an older generation */
    uint64_t tasks_retried;             /* runs that failed and were followed by another */
    uint64_t kinds_held;                /* so often a quarantine has begun */
    uint64_t admission_pauses;          /* so often there was no memory left to start tasks */
    uint32_t admission_paused;          /* gauge: 1 while tasks wait for that */
    uint32_t reserved;                  /* 0 */
    uint64_t workers_waiting;           /* gauge: busy, in libpool_worker_call */
} libpool_stats;

/* Fills *stats. */
int libpool_stats_read(libpool *pool, libpool_stats *stats);

/* What libpool_histogram_read tells of. All times since the pool was opened. */
typedef enum libpool_histogram_kind {
    LIBPOOL_HISTOGRAM_WAIT = 0, /* submission to start, of tasks that ended with a worker... */
    LIBPOOL_HISTOGRAM_RUN,      /* ...and their start to end. Each run of a task that is retried
                                   counts, and waits from the end of its pause */
    LIBPOOL_HISTOGRAM_SPAWN,    /* a worker asked for to the end of its initializer */
    LIBPOOL_HISTOGRAM_KILL,     /* a worker killed by the pool to the proof that its tree is gone */
    LIBPOOL_HISTOGRAMS
} libpool_histogram_kind;

#define LIBPOOL_HISTOGRAM_BUCKETS 496

/* Eight buckets for each power of two: a bound is never more than 12.5 % above what is counted there. */
typedef struct libpool_histogram {
    size_t size; /* sizeof(libpool_histogram), set by the caller */
    uint64_t count, sum_ns, max_ns;
    uint64_t buckets[LIBPOOL_HISTOGRAM_BUCKETS]; /* libpool_histogram_bound says of which times */
} libpool_histogram;

/* Fills *histogram. */
int libpool_histogram_read(libpool *pool, libpool_histogram_kind kind,
                           libpool_histogram *histogram);

/* The longest time in ns that a bucket counts; the shortest is that of the bucket before, and one more. */
uint64_t libpool_histogram_bound(uint32_t bucket);

/*
 * The time that a share (0.5: the median, 0.99...) of them did not exceed: its bucket's bound, or max_ns if
 * that is less; 0 when there are none.
 */
uint64_t libpool_histogram_quantile(const libpool_histogram *histogram, double share);

typedef enum libpool_format {
    LIBPOOL_FORMAT_JSON = 0,  /* one object, with quantiles of the times */
    LIBPOOL_FORMAT_PROMETHEUS /* exposition format 0.0.4: libpool_..., with the pool's name */
} libpool_format;

/*
 * Each field of libpool_stats and all histograms of one moment as text, a zero byte behind it. Returns its
 * length: when that is not less than size it was cut (size 0 and buffer NULL only ask; 32 KiB are enough
 * for this version). No locale, no allocation.
 */
int64_t libpool_stats_text(libpool *pool, libpool_format format, char *buffer, size_t size);

/* What is named is set; beside it the task's id, and the worker's slot and pid, wherever there is one. */
typedef enum libpool_event_kind {
    LIBPOOL_EVENT_TASK_RECEIVED = 0,
    LIBPOOL_EVENT_TASK_LAUNCHED,  /* handed to a worker */
    LIBPOOL_EVENT_TASK_RETURNED,  /* back in the backlog: its worker died before the start */
    LIBPOOL_EVENT_TASK_ENDED,     /* cause, code, signal */
    LIBPOOL_EVENT_WORKER_SPAWNED, /* forked */
    LIBPOOL_EVENT_WORKER_READY,   /* initialised: takes tasks */
    LIBPOOL_EVENT_WORKER_RETIRED, /* told to leave; cause MEMORY: for its memory */
    LIBPOOL_EVENT_WORKER_KILLED,  /* killed by the pool; cause */
    LIBPOOL_EVENT_WORKER_EXITED,  /* dead; cause, code, signal */
    LIBPOOL_EVENT_SPAWN_FAILED,   /* code: negated errno; without a slot: of a zygote */
    LIBPOOL_EVENT_INIT_FAILED,    /* cause; code: what the initializer returned */
    LIBPOOL_EVENT_ZYGOTE_STARTED, /* pid */
    LIBPOOL_EVENT_ZYGOTE_LOST,    /* pid */
    LIBPOOL_EVENT_SHUTDOWN_BEGUN,
    LIBPOOL_EVENT_SHUTDOWN_DONE,
    LIBPOOL_EVENT_TASK_ASKED,    /* cause: why it was asked to end; it is killed after its grace */
    LIBPOOL_EVENT_RECYCLE_BEGUN, /* code: the new generation */
    LIBPOOL_EVENT_DRAINED,       /* the last task that was pending or running has ended */
    LIBPOOL_EVENT_TASK_RETRIED,  /* a run failed, another follows: its cause, code, signal */
    LIBPOOL_EVENT_KIND_QUARANTINED, /* of the task whose worker died last; cause: of what */
    LIBPOOL_EVENT_ADMISSION_PAUSED, /* tasks start one at a time, see admit_free_bytes */
    LIBPOOL_EVENT_ADMISSION_RESUMED,
    LIBPOOL_EVENT_KINDS
} libpool_event_kind;

typedef struct libpool_event {
    size_t size;      /* sizeof(libpool_event), set by the caller */
    uint64_t number;  /* 1, 2, 3...; a gap says how many a slow reader missed */
    uint64_t time_ns; /* CLOCK_MONOTONIC */
    libpool_event_kind kind;
    libpool_cause cause; /* PENDING: none */
    uint64_t task_id;    /* 0: none */
    uint32_t slot;       /* UINT32_MAX: none */
    int pid;             /* 0: none */
    int code;
    int signal; /* 0: none */
} libpool_event;

/*
 * Fills *event with the oldest kept (options.event_buffer) and takes it; waits up to timeout_ms for
 * one. The pool never waits for a reader. -ETIMEDOUT: none came; -ESHUTDOWN: all is down and none is
 * left; -ENOTSUP: event_buffer is 0.
 */
int libpool_event_next(libpool *pool, libpool_event *event, int timeout_ms);

/* Short stable name ("worker-exited"...). Static; never NULL. */
const char *libpool_event_name(libpool_event_kind kind);

/* The library's, "0.1.0"; the header's is LIBPOOL_VERSION_MAJOR and MINOR. Static. */
const char *libpool_version(void);

#ifdef __cplusplus
}
#endif
#endif
