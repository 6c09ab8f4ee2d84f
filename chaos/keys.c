/* SPDX-License-Identifier: MIT */
/*
 * The keys of the language. A row is the whole truth about a key: its name, the values it takes,
 * the field it fills, what holds without it, and a sentence for `chaos explain`.
 */
#include <errno.h>

#include "chaos/parser.h"
#include "chaos/scenario.h"
#include "chaos/vocabulary.h"

#define SECOND UINT64_C(1000000)
#define HOUR (3600 * SECOND)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)

/* Struct and field of the parsed form, or the first of the fields that a value fills. */
#define FIELD(type, field) \
    .offset = offsetof(struct type, field), .width = sizeof(((struct type *)0)->field)
#define VALUE(name, value_kind, from, to, type, field) \
    .word = name, .kind = value_kind, .low = from, .high = to, FIELD(type, field)
#define NUMBER(name, from, to, type, field) VALUE(name, CH_VALUE_NUMBER, from, to, type, field)
#define SIZE(name, from, to, type, field) VALUE(name, CH_VALUE_SIZE, from, to, type, field)
#define TIME_US(name, from, to, type, field) \
    VALUE(name, CH_VALUE_TIME, from, to, type, field), .divisor = 1
#define TIME_MS(name, from, to, type, field) \
    VALUE(name, CH_VALUE_TIME, from, to, type, field), .divisor = 1000
#define CHOICE(name, of, type, field) \
    .word = name, .kind = CH_VALUE_CHOICE, .choices = of, FIELD(type, field)
#define FLAG(name, value, type, field) \
    .word = name, .form = CH_FORM_BARE, .kind = CH_VALUE_FLAG, .low = value, FIELD(type, field)
#define WORKER(type) .word = "worker", .kind = CH_VALUE_SELECTOR, FIELD(type, worker)
#define AS .word = "as", .form = CH_FORM_WORD, .kind = CH_VALUE_NEW_NAME
#define END          \
    {                \
        .word = NULL \
    }

static const struct ch_choice yes_no[] = {{"yes", 1}, {"no", 0}, {NULL, 0}};
static const struct ch_choice no_yes[] = {{"yes", 0}, {"no", 1}, {NULL, 0}};
static const struct ch_choice only_yes[] = {{"yes", 1}, {NULL, 0}};

/* ---- pool, host ------------------------------------------------------------------------- */

static const struct ch_choice initializers[] = {
    {"none", CH_CALLBACK_NONE}, {"ok", CH_CALLBACK_OK},       {"error", CH_CALLBACK_ERROR},
    {"exit", CH_CALLBACK_EXIT}, {"segv", CH_CALLBACK_SEGV},   {"abort", CH_CALLBACK_ABORT},
    {"hang", CH_CALLBACK_HANG}, {"fail-N", CH_CALLBACK_FAIL}, {NULL, 0},
};

static const struct ch_choice starts[] = {
    {"fork", LIBPOOL_FORK}, {"spawn", LIBPOOL_SPAWN}, {"threads", LIBPOOL_THREADS}, {NULL, 0}};

static const struct ch_choice finalizers[] = {
    {"none", CH_CALLBACK_NONE},       {"ok", CH_CALLBACK_OK},
    {"segv", CH_CALLBACK_SEGV},       {"abort", CH_CALLBACK_ABORT},
    {"hang", CH_CALLBACK_HANG},       {"exit0", CH_CALLBACK_EXIT0},
    {"reenter", CH_CALLBACK_REENTER}, {NULL, 0},
};

static const struct ch_choice stdios[] = {
    {"default", LIBPOOL_STDIO_DEFAULT},
    {"inherit", LIBPOOL_STDIO_INHERIT},
    {"null", LIBPOOL_STDIO_NULL},
    {"tail", LIBPOOL_STDIO_TAIL},
    {NULL, 0},
};

static const struct ch_choice tellings[] = {
    {"no", CH_TELLING_NONE}, {"yes", CH_TELLING_ALL}, {"stall", CH_TELLING_STALL}, {NULL, 0}};

static const struct ch_choice policies[] = {{"cancel", LIBPOOL_REMOTE_CANCEL},
                                            {"finish", LIBPOOL_REMOTE_FINISH},
                                            {"continue", LIBPOOL_REMOTE_CONTINUE},
                                            {NULL, 0}};

static const struct ch_choice sandboxes[] = {{"none", CH_SANDBOX_NONE},
                                             {"no-network", CH_SANDBOX_NO_NETWORK},
                                             {"no-exec", CH_SANDBOX_NO_EXEC},
                                             {"compute", CH_SANDBOX_COMPUTE},
                                             {NULL, 0}};

const struct ch_key ch_keys_pool[] = {
    {NUMBER("min-workers", 0, 1024, ch_pool, min_workers), .standard = "0",
     .help = "kept alive when idle"},
    {NUMBER("max-workers", 1, 1024, ch_pool, max_workers), .standard = "the CPUs",
     .help = "alive at most"},
    {VALUE("workers", CH_VALUE_WORKERS, 1, 1024, ch_pool, min_workers),
     .help = "sets min-workers and max-workers"},
    {NUMBER("spare-workers", 0, 1024, ch_pool, spare_workers), .standard = "0",
     .help = "kept ready beyond those"},
    {NUMBER("waiting-workers", 0, 1024, ch_pool, waiting_workers), .standard = "0",
     .help = "whose tasks may wait for others at once"},
    {NUMBER("backlog", 1, 1000000, ch_pool, backlog_tasks), .standard = "1000",
     .help = "pending tasks at most"},
    {SIZE("backlog-bytes", 1, TIB, ch_pool, backlog_bytes), .standard = "256MiB",
     .help = "input of pending tasks at most"},
    {TIME_MS("idle-timeout", 1000, HOUR, ch_pool, idle_timeout_ms), .standard = "1s",
     .help = "above min-workers, an idle worker leaves after"},
    {NUMBER("tasks-per-worker", 1, 1000000, ch_pool, tasks_per_worker), .standard = "no limit",
     .help = "a worker is replaced after so many"},
    {TIME_MS("ageing", 1000, HOUR, ch_pool, ageing_ms), .standard = "never",
     .help = "a pending task rises one priority in so long"},
    {TIME_MS("start-timeout", 1000, HOUR, ch_pool, start_timeout_ms), .standard = "10s",
     .help = "from its fork to a worker's first word"},
    {TIME_MS("initializer-timeout", 1000, HOUR, ch_pool, initializer_timeout_ms),
     .standard = "1min", .help = "of one initializer"},
    {TIME_MS("finalizer-timeout", 1000, HOUR, ch_pool, finalizer_timeout_ms), .standard = "5s",
     .help = "of one finalizer"},
    {NUMBER("initializer-failures", 1, 1000000, ch_pool, initializer_failures), .standard = "5",
     .help = "in a row, before pending tasks end as init-failed"},
    {VALUE("backoff", CH_VALUE_TIME_RANGE, 1000, HOUR, ch_pool, backoff_min_ms), .divisor = 1000,
     .standard = "10ms..1s", .help = "first and longest pause after a failed spawn"},
    {CHOICE("exclusive", yes_no, ch_pool, exclusive), .standard = "no",
     .help = "a replacement waits until the old worker's tree is gone"},
    {CHOICE("cgroup", no_yes, ch_pool, no_cgroup), .standard = "yes",
     .help = "no: trees are killed by walking /proc"},
    {CHOICE("trace", yes_no, ch_pool, trace), .standard = "no",
     .help = "who crashes says where; each result that has to say so is looked at"},
    {CHOICE("start", starts, ch_pool, start), .standard = "fork",
     .help = "workers are copies of the application, of a program of its own, or its threads"},
    {VALUE("initializer", CH_VALUE_CALLBACK, 1, 1000000, ch_pool, initializer),
     .choices = initializers, .standard = "none",
     .help = "what runs first in each worker; fail-N fails N times in all, then works"},
    {VALUE("finalizer", CH_VALUE_CALLBACK, 1, 1000000, ch_pool, finalizer), .choices = finalizers,
     .standard = "none", .help = "what runs last in a worker that leaves in order"},
    {TIME_MS("max-age", SECOND, HOUR, ch_pool, max_age_ms), .standard = "no limit",
     .help = "a worker is replaced when it is so old"},
    {NUMBER("recycle-jitter", 0, 100, ch_pool, recycle_jitter), .standard = "0",
     .help = "percent less, at random, of max-age and tasks-per-worker"},
    {NUMBER("variables", 1, 64, ch_pool, variables), .standard = "0",
     .help = "of its environment that each worker has set; each task looks"},
    {NUMBER("nice", 1, 39, ch_pool, nice), .standard = "0", .help = "added to the application's"},
    {CHOICE("stdio", stdios, ch_pool, stdio), .standard = "default",
     .help = "where a worker's output leads; tail: each task says a line, which its failure has"},
    {CHOICE("deal-cpus", yes_no, ch_pool, deal_cpus), .standard = "no",
     .help = "each slot has one of the CPUs for itself"},
    {CHOICE("core", no_yes, ch_pool, no_core), .standard = "yes",
     .help = "no: RLIMIT_CORE of each worker is 0"},
    {SIZE("limit-as", MIB, TIB, ch_pool, limit_as), .standard = "no limit",
     .help = "RLIMIT_AS of each worker; a hog of as much fails"},
    {NUMBER("directory-late", 1, 1000000, ch_pool, directory_late), .standard = "not set",
     .help = "a working directory that is missing until so many initializers have failed, or a "
             "`dress`"},
    {SIZE("memory-limit", MIB, TIB, ch_pool, memory_limit_bytes), .standard = "none",
     .help = "of a worker and all it starts"},
    {SIZE("recycle", 1, TIB, ch_pool, recycle_bytes), .standard = "never",
     .help = "a worker that has grown by more is replaced"},
    {SIZE("trim", 1, TIB, ch_pool, trim_bytes), .standard = "never",
     .help = "a worker that has grown by more gives back what is free"},
    {NUMBER("retry-percent", 1, 100, ch_pool, retry_percent), .standard = "no limit",
     .help = "retries at most for 100 tasks received"},
    {NUMBER("quarantine-deaths", 1, 1000000, ch_pool, quarantine_deaths), .standard = "never",
     .help = "deaths in a row by a family of tasks, before it is refused"},
    {TIME_MS("quarantine", 1000, HOUR, ch_pool, quarantine_ms), .standard = "for ever",
     .help = "for how long"},
    {SIZE("admit-free", 1, 1024 * TIB, ch_pool, admit_free_bytes), .standard = "not looked at",
     .help = "tasks start one at a time while less memory is free"},
    {NUMBER("admit-pressure", 1, 10000, ch_pool, admit_pressure), .standard = "not looked at",
     .help = "or while the pressure (PSI, 1/100 %) is so high"},
    {NUMBER("governor", 1, 4096, ch_pool, governor), .standard = "none",
     .help = "one that has so many workers at most alive"},
    {CHOICE("callbacks", tellings, ch_pool, telling), .standard = "no",
     .help =
         "each task's start and end are told, and looked at; stall: the first end that is told is "
         "held until all other tasks have ended"},
    {CHOICE("driven", yes_no, ch_pool, driven), .standard = "no",
     .help = "the pool has no thread: an event loop of the application's drives it"},
    {CHOICE("sandbox", sandboxes, ch_pool, sandbox), .standard = "none",
     .help = "what each worker is confined to (libpool_sandbox_profile)"},
    {NUMBER("event-buffer", 1, 1000000, ch_pool, event_buffer), .standard = "65536",
     .help = "events that are kept for a reader"},
    {NUMBER("clients", 1, 16, ch_pool, clients), .standard = "none",
     .help = "other processes that use the pool through libpool_remote; see client=N"},
    {CHOICE("client-policy", policies, ch_pool, client_policy), .standard = "cancel",
     .help = "what becomes of a client's tasks when it is gone"},
    {NUMBER("client-window", 1, 65536, ch_pool, client_window), .standard = "the server's",
     .help = "of one client's tasks in the pool at once; the others wait at the server"},
    {TIME_MS("client-stall", 1000, HOUR, ch_pool, client_stall_ms), .standard = "1min",
     .help = "a client that takes nothing for so long is gone"},
    {NUMBER("neighbour", 1, 64, ch_pool, neighbour), .standard = "none",
     .help =
         "a second pool of so many workers, to which nothing may happen; it shares the governor"},
    END,
};

_Static_assert(sizeof(ch_keys_pool) / sizeof(ch_keys_pool[0]) <= CH_KEYS_MAX, "they fit");
/* What `retry-on` says: causes as libpool_task.retry_causes has them. */
#define ON(cause) (1u << LIBPOOL_##cause)
#define ON_DEATH                                                                          \
    (ON(CRASH) | ON(EXIT) | ON(OOM) | ON(TIMEOUT) | ON(KILLED) | ON(CORRUPT) | ON(LOST) | \
     ON(MEMORY))

static const struct ch_choice retry_causes[] = {
    {"error", ON(ERROR)},
    {"crash", ON(CRASH)},
    {"exit", ON(EXIT)},
    {"oom", ON(OOM)},
    {"timeout", ON(TIMEOUT)},
    {"killed", ON(KILLED)},
    {"corrupt", ON(CORRUPT)},
    {"lost", ON(LOST)},
    {"memory", ON(MEMORY)},
    {"death", ON_DEATH},
    {"any", ON_DEATH | ON(ERROR)},
    {NULL, 0},
};

static const struct ch_choice dispositions[] = {
    {"default", CH_SIGNAL_DEFAULT},
    {"ignore", CH_SIGNAL_IGNORE},
    {"handler", CH_SIGNAL_HANDLER},
    {NULL, 0},
};

static const struct ch_choice denieds[] = {
    {"clone3", CH_DENIED_CLONE3},
    {"close_range", CH_DENIED_CLOSE_RANGE},
    {"pidfd_open", CH_DENIED_PIDFD_OPEN},
    {"pidfd_send_signal", CH_DENIED_PIDFD_SEND_SIGNAL},
    {"memfd_create", CH_DENIED_MEMFD_CREATE},
    {"eventfd2", CH_DENIED_EVENTFD2},
    {"timerfd_create", CH_DENIED_TIMERFD_CREATE},
    {"epoll_create1", CH_DENIED_EPOLL_CREATE1},
    {"futex_waitv", CH_DENIED_FUTEX_WAITV},
    {"membarrier", CH_DENIED_MEMBARRIER},
    {"mkdir", CH_DENIED_MKDIR},
    {"prctl", CH_DENIED_PRCTL},
    {NULL, 0},
};

static const struct ch_choice denied_errnos[] = {
    {"ENOSYS", ENOSYS}, {"EPERM", EPERM}, {"EACCES", EACCES}, {"EINVAL", EINVAL}, {NULL, 0},
};

static const struct ch_choice sabotages[] = {
    {"leak-fd", CH_SABOTAGE_LEAK_FD},
    {"leak-mapping", CH_SABOTAGE_LEAK_MAPPING},
    {"leak-thread", CH_SABOTAGE_LEAK_THREAD},
    {"leak-process", CH_SABOTAGE_LEAK_PROCESS},
    {"leak-cgroup", CH_SABOTAGE_LEAK_CGROUP},
    {"signal-stranger", CH_SABOTAGE_SIGNAL_STRANGER},
    {"lose-end", CH_SABOTAGE_LOSE_END},
    {"end-twice", CH_SABOTAGE_END_TWICE},
    {"wrong-pid", CH_SABOTAGE_WRONG_PID},
    {"kill-innocent", CH_SABOTAGE_KILL_INNOCENT},
    {"wrong-bytes", CH_SABOTAGE_WRONG_BYTES},
    {"start-twice", CH_SABOTAGE_START_TWICE},
    {"deny-start", CH_SABOTAGE_DENY_START},
    {"lose-count", CH_SABOTAGE_LOSE_COUNT},
    {"count-back", CH_SABOTAGE_COUNT_BACK},
    {"count-otherwise", CH_SABOTAGE_COUNT_OTHERWISE},
    {"wear-out", CH_SABOTAGE_WEAR_OUT},
    {"no-probe", CH_SABOTAGE_NO_PROBE},
    {"slow-call", CH_SABOTAGE_SLOW_CALL},
    {"blame-innocent", CH_SABOTAGE_BLAME_INNOCENT},
    {"final-twice", CH_SABOTAGE_FINAL_TWICE},
    {"clobber-errno", CH_SABOTAGE_CLOBBER_ERRNO},
    {"take-signal", CH_SABOTAGE_TAKE_SIGNAL},
    {"own-child", CH_SABOTAGE_OWN_CHILD},
    {"wake-late", CH_SABOTAGE_WAKE_LATE},
    {"die-early", CH_SABOTAGE_DIE_EARLY},
    {"sham-fault", CH_SABOTAGE_SHAM_FAULT},
    {"recycle-all", CH_SABOTAGE_RECYCLE_ALL},
    {"count-run", CH_SABOTAGE_COUNT_RUN},
    {"lose-part", CH_SABOTAGE_LOSE_PART},
    {"lose-last-part", CH_SABOTAGE_LOSE_LAST_PART},
    {"forget-done", CH_SABOTAGE_FORGET_DONE},
    {"done-twice", CH_SABOTAGE_DONE_TWICE},
    {"start-late", CH_SABOTAGE_START_LATE},
    {"swap-done", CH_SABOTAGE_SWAP_DONE},
    {"tell-closed", CH_SABOTAGE_TELL_CLOSED},
    {"stop-driving", CH_SABOTAGE_STOP_DRIVING},
    {"lose-element", CH_SABOTAGE_LOSE_ELEMENT},
    {"swap-elements", CH_SABOTAGE_SWAP_ELEMENTS},
    {"wrong-file", CH_SABOTAGE_WRONG_FILE},
    {"harm-neighbour", CH_SABOTAGE_HARM_NEIGHBOUR},
    {"lose-event", CH_SABOTAGE_LOSE_EVENT},
    {"no-sandbox", CH_SABOTAGE_NO_SANDBOX},
    {"wrong-aside", CH_SABOTAGE_WRONG_ASIDE},
    {"lose-gathered", CH_SABOTAGE_LOSE_GATHERED},
    {"no-dress", CH_SABOTAGE_NO_DRESS},
    {"lose-told", CH_SABOTAGE_LOSE_TOLD},
    {"count-told", CH_SABOTAGE_COUNT_TOLD},
    {NULL, 0},
};

static const struct ch_choice readers[] = {{"keeps-up", 0}, {"stalls", 1}, {NULL, 0}};

const struct ch_key ch_keys_host[] = {
    {CHOICE("sigchld", dispositions, ch_host, sigchld), .standard = "default",
     .help = "the application's disposition of SIGCHLD"},
    {CHOICE("sigpipe", dispositions, ch_host, sigpipe), .standard = "default",
     .help = "the application's disposition of SIGPIPE"},
    {CHOICE("thief", only_yes, ch_host, thief), .standard = "no",
     .help = "a thread of the application loops on waitpid(-1)"},
    {NUMBER("nofile", 32, 1000000, ch_host, nofile), .standard = "as inherited",
     .help = "its RLIMIT_NOFILE"},
    {CHOICE("reader", readers, ch_host, reader_stalls), .standard = "keeps-up",
     .help =
         "of events; stalls: none before the close, then what is kept. No step can wait for them"},
    {CHOICE("asides", only_yes, ch_host, asides), .standard = "no",
     .help = "a thread calls libpool_call and libpool_check all the time; each has to be right"},
    {CHOICE("deny", denieds, ch_host, denied), .standard = "none",
     .help = "a system call that fails, as on an old kernel or in a sandbox (seccomp)"},
    {CHOICE("deny-errno", denied_errnos, ch_host, denied_errno), .standard = "ENOSYS",
     .help = "what the denied call answers"},
    {CHOICE("sabotage", sabotages, ch_host, sabotage), .standard = "none",
     .help = "a lie that the target tells, to see that a checker objects (must-fail only)"},
    END,
};

/* ---- submit ------------------------------------------------------------------------------ */

static const struct ch_choice inputs[] = {{"copy", CH_INPUT_COPY},
                                          {"borrow", CH_INPUT_BORROW},
                                          {"file", CH_INPUT_FILE},
                                          {"file-shared", CH_INPUT_FILE_SHARED},
                                          {NULL, 0}};

static const struct ch_choice batches[] = {{"no", CH_BATCH_NONE},
                                           {"any-order", CH_BATCH_ANY_ORDER},
                                           {"in-order", CH_BATCH_IN_ORDER},
                                           {NULL, 0}};

const struct ch_key ch_keys_submit[] = {
    {.word = "task",
     .kind = CH_VALUE_TASK,
     .required = true,
     .help = "what each task does; see `chaos explain task`"},
    {NUMBER("priority", 0, LIBPOOL_PRIORITIES - 1, ch_submit, priority), .standard = "0",
     .help = "0 is the highest"},
    {TIME_MS("run-timeout", 1000, HOUR, ch_submit, run_timeout_ms), .standard = "none",
     .help = "from its start; then its tree is killed"},
    {TIME_MS("queue-timeout", 1000, HOUR, ch_submit, queue_timeout_ms), .standard = "none",
     .help = "from its submission to its start"},
    {TIME_MS("heartbeat-timeout", 1000, HOUR, ch_submit, heartbeat_timeout_ms), .standard = "none",
     .help = "without a sign of life for so long it has overrun"},
    {TIME_MS("grace", 1000, HOUR, ch_submit, grace_ms), .standard = "none",
     .help = "it is asked to end so long before it is killed"},
    {VALUE("soft-signal", CH_VALUE_SIGNAL, 0, 0, ch_submit, soft_signal), .standard = "none",
     .help = "with a grace: it is also asked by this signal"},
    {VALUE("wait", CH_VALUE_TIME_OR_FOREVER, 0, HOUR, ch_submit, wait_ms), .divisor = 1000,
     .standard = "forever", .help = "how long submit may wait for room in the backlog"},
    {CHOICE("order", only_yes, ch_submit, ordered), .standard = "no",
     .help = "the group's tasks must start in the order of their submission"},
    {NUMBER("retries", 1, 1000000, ch_submit, retries), .standard = "0",
     .help = "further runs at most, after one that failed"},
    {CHOICE("retry-on", retry_causes, ch_submit, retry_causes), .standard = "none",
     .help = "for which cause; death: all but error"},
    {VALUE("retry-pause", CH_VALUE_TIME_RANGE, 1000, HOUR, ch_submit, retry_min_ms),
     .divisor = 1000, .standard = "10ms..1s", .help = "first and longest pause before another run"},
    {NUMBER("works-at", 2, 1000000, ch_submit, works_at), .standard = "never",
     .help = "from this run on the task does nothing and completes"},
    {NUMBER("family", 1, 1000000, ch_submit, family), .standard = "none",
     .help = "libpool_task.kind, for the quarantine"},
    {SIZE("memory-limit", MIB, TIB, ch_submit, memory_limit_bytes), .standard = "the pool's",
     .help = "of its worker's tree while it runs, sampled; below the pool's"},
    {CHOICE("input", inputs, ch_submit, input), .standard = "copy",
     .help = "how the pool gets it; file-shared: echo turns each byte over, which is looked at"},
    {NUMBER("many", 2, 4096, ch_submit, many), .standard = "one by one",
     .help = "so many at a time, by one call of libpool_submit_many"},
    {NUMBER("wears", 1, 1000, ch_submit, wears), .standard = "any",
     .help = "each of their workers has to wear what the pool was given at that `dress`"},
    {CHOICE("gather", only_yes, ch_submit, gathered), .standard = "no",
     .help = "the group's futures are gathered, too (libpool_gather): each has to come once"},
    {CHOICE("batch", batches, ch_submit, batch), .standard = "no",
     .help = "by one call of libpool_map, with results in any order or in that of the tasks"},
    {NUMBER("halt-failures", 1, 1000000, ch_submit, halt_failures), .standard = "never",
     .help = "of a batch: at so many it halts"},
    {NUMBER("client", 1, 16, ch_submit, client), .standard = "the application",
     .help = "the process that submits them"},
    {AS, .help = "names the group"},
    END,
};

#define WORK TIME_US("work", 0, HOUR, ch_submit, work_us)

const struct ch_key ch_keys_work[] = {
    {WORK, .required = true, .help = "how long"},
    END,
};

const struct ch_key ch_keys_maybe_work[] = {
    {WORK, .standard = "0us", .help = "how long"},
    END,
};

const struct ch_key ch_keys_code[] = {
    {NUMBER("code", 1, INT32_MAX, ch_submit, code), .required = true, .help = "what it returns"},
    END,
};

const struct ch_key ch_keys_exit_code[] = {
    {NUMBER("code", 0, 255, ch_submit, code), .standard = "0", .help = "its exit code"},
    END,
};

const struct ch_key ch_keys_hog[] = {
    {SIZE("bytes", 1, TIB, ch_submit, bytes), .required = true, .help = "memory that it touches"},
    {WORK, .standard = "0us", .help = "how long it holds them"},
    END,
};

const struct ch_key ch_keys_hog_tree[] = {
    {SIZE("bytes", 1, TIB, ch_submit, bytes), .required = true,
     .help = "memory that each child touches"},
    {NUMBER("children", 1, 256, ch_submit, children), .required = true, .help = "how many"},
    {WORK, .standard = "0us", .help = "how long they hold it"},
    END,
};

const struct ch_key ch_keys_call[] = {
    {NUMBER("subs", 1, 64, ch_submit, subs), .required = true, .help = "how many others"},
    {NUMBER("depth", 1, 4, ch_submit, depth), .required = true,
     .help = "1: they work; more: they call as many that are less deep"},
    {WORK, .standard = "0us", .help = "how long each of the last works"},
    END,
};

const struct ch_key ch_keys_leak[] = {
    {SIZE("bytes", 1, TIB, ch_submit, bytes), .required = true, .help = "memory that it touches"},
    {WORK, .standard = "0us", .help = "how long it goes on"},
    END,
};

const struct ch_key ch_keys_echo[] = {
    {SIZE("bytes", 0, GIB, ch_submit, bytes), .required = true, .help = "input and result"},
    END,
};

static const struct ch_choice styles[] = {
    {"plain", CH_GRANDCHILD_PLAIN},
    {"setsid", CH_GRANDCHILD_SETSID},
    {"double-fork", CH_GRANDCHILD_DOUBLE_FORK},
    {"hold-fds", CH_GRANDCHILD_HOLD_FDS},
    {"storm", CH_GRANDCHILD_STORM},
    {"ignore-term", CH_GRANDCHILD_IGNORE_TERM},
    {NULL, 0},
};

static const struct ch_choice ends[] = {
    {"return", CH_END_RETURN},
    {"hang", CH_END_HANG},
    {"segv", CH_END_SEGV},
    {NULL, 0},
};

const struct ch_key ch_keys_grandchild[] = {
    {CHOICE("style", styles, ch_submit, style), .standard = "plain",
     .help = "what the descendants do to survive"},
    {CHOICE("end", ends, ch_submit, end), .standard = "return",
     .help = "how the task itself ends, once they live"},
    {WORK, .standard = "0us", .help = "how long the task goes on before it ends"},
    END,
};

static const struct ch_choice takes[] = {{"at-once", 0}, {"at-the-end", 1}, {NULL, 0}};

const struct ch_key ch_keys_emit[] = {
    {NUMBER("parts", 1, 1000000, ch_submit, parts), .required = true, .help = "how many"},
    {SIZE("bytes", 16, GIB, ch_submit, bytes), .required = true, .help = "of each"},
    {CHOICE("take", takes, ch_submit, take_late), .standard = "at-once",
     .help = "when the application takes them; at-the-end: less than 1MiB, or a timeout ends it"},
    {WORK, .standard = "0us", .help = "how long it goes on when they are sent"},
    {CHOICE("end", ends, ch_submit, end), .standard = "return", .help = "how it ends then"},
    END,
};

static const struct ch_choice trespasses[] = {{"socket", CH_TRESPASS_SOCKET},
                                              {"exec", CH_TRESPASS_EXEC},
                                              {"fork", CH_TRESPASS_FORK},
                                              {NULL, 0}};

const struct ch_key ch_keys_trespass[] = {
    {CHOICE("call", trespasses, ch_submit, trespass), .required = true,
     .help = "a socket of AF_INET, a program, a child"},
    END,
};

const struct ch_key ch_keys_die[] = {
    {VALUE("signal", CH_VALUE_SIGNAL, 0, 0, ch_submit, signal), .required = true,
     .help = "the signal that it raises"},
    END,
};

/* ---- timeline: triggers ------------------------------------------------------------------ */

const struct ch_key ch_keys_on[] = {
    {VALUE("of", CH_VALUE_OF, 0, 0, ch_trigger, of), .standard = "any",
     .help = "a group of tasks, a worker or a shutdown, as the event has it"},
    {VALUE("slot", CH_VALUE_SLOT, 0, 1023, ch_trigger, slot_kind), .standard = "any",
     .help = "of one worker slot: a number, or NAME.slot"},
    {NUMBER("nth", 1, 1000000, ch_trigger, nth), .standard = "1", .help = "the nth that matches"},
    {TIME_US("within", 1000, HOUR, ch_trigger, within_us), .form = CH_FORM_WORD,
     .standard = "limit", .help = "after the step before; later is a failure"},
    {AS, .help = "names what the event is about"},
    END,
};

/* ---- timeline: actions ------------------------------------------------------------------- */

const struct ch_key ch_keys_action[] = {
    {FLAG("optional", 1, ch_action, optional), .help = "it need not fire"},
    {AS, .help = "names the action and what it hit"},
    END,
};

#define SIGNAL VALUE("signal", CH_VALUE_SIGNAL, 0, 0, ch_signal_action, signal)
#define CLIENT NUMBER("client", 1, 16, ch_signal_action, client)

const struct ch_key ch_keys_kill[] = {
    {WORKER(ch_signal_action), .help = "which workers"},
    {FLAG("zygote", CH_PROCESS_ZYGOTE, ch_signal_action, process), .help = "the pool's zygote"},
    {FLAG("host", CH_PROCESS_HOST, ch_signal_action, process), .help = "the application"},
    {CLIENT, .help = "one of the pool's clients"},
    {SIGNAL, .required = true, .help = "what it gets"},
    END,
};

const struct ch_key ch_keys_stop[] = {
    {WORKER(ch_signal_action), .help = "which workers"},
    {FLAG("zygote", CH_PROCESS_ZYGOTE, ch_signal_action, process), .help = "the pool's zygote"},
    {CLIENT, .help = "one of the pool's clients"},
    END,
};

const struct ch_key ch_keys_memcg[] = {
    {WORKER(ch_memcg_action), .required = true, .help = "whose own cgroup"},
    {SIZE("limit", MIB, TIB, ch_memcg_action, limit_bytes), .required = true,
     .help = "the hard limit"},
    END,
};

const struct ch_key ch_keys_pids[] = {
    {.word = "limit",
     .kind = CH_VALUE_NUMBER_OR_CURRENT,
     .high = 1000000,
     .required = true,
     .help = "processes and threads of the target at most; current: no more than now"},
    END,
};

static const struct ch_choice processes[] = {
    {"host", CH_PROCESS_HOST},
    {"worker", CH_PROCESS_WORKER},
    {NULL, 0},
};

const struct ch_key ch_keys_fill_fds[] = {
    {CHOICE("proc", processes, ch_fill_fds_action, process), .required = true,
     .help = "whose table; the worker is the one that the trigger's gate holds"},
    END,
};

const struct ch_key ch_keys_pressure[] = {
    {NUMBER("cpu", 1, 256, ch_pressure_action, cpu_workers), .standard = "0",
     .help = "stress-ng --cpu"},
    {NUMBER("vm", 1, 256, ch_pressure_action, vm_workers), .standard = "0",
     .help = "stress-ng --vm"},
    {SIZE("bytes", MIB, TIB, ch_pressure_action, vm_bytes), .help = "stress-ng --vm-bytes"},
    END,
};

const struct ch_key ch_keys_cancel[] = {
    {NUMBER("nth", 1, 1000000, ch_cancel_action, nth), .standard = "all of the group",
     .help = "which task of the group"},
    {CHOICE("at-once", only_yes, ch_cancel_action, at_once), .standard = "no",
     .help = "one call of libpool_cancel_group, instead of one for each future"},
    END,
};

static const struct ch_choice modes[] = {
    {"wait", CH_SHUTDOWN_WAIT},
    {"wait-cancel", CH_SHUTDOWN_WAIT_CANCEL},
    {"background", CH_SHUTDOWN_BACKGROUND},
    {"kill", CH_SHUTDOWN_KILL},
    {NULL, 0},
};

const struct ch_key ch_keys_shutdown[] = {
    {CHOICE("mode", modes, ch_shutdown_action, mode), .required = true,
     .help = "the flags WAIT, WAIT|CANCEL, none, CANCEL of libpool_shutdown"},
    {TIME_US("deadline", 0, HOUR, ch_shutdown_action, deadline_us), .standard = "none",
     .help = "what is left then is killed"},
    END,
};

const struct ch_key ch_keys_noise[] = {
    {NUMBER("connections", 1, 1000, ch_noise_action, connections), .required = true,
     .help = "how many, one after the other"},
    END,
};

const struct ch_key ch_keys_settle[] = {
    {TIME_US("within", 1000, HOUR, ch_settle_action, within_us), .form = CH_FORM_WORD,
     .standard = "limit", .help = "later is a failure"},
    END,
};

const struct ch_key ch_keys_recycle[] = {
    {NUMBER("parallel", 1, 1024, ch_recycle_action, parallel), .required = true,
     .help = "how many are replaced at a time"},
    END,
};

/* ---- expect ------------------------------------------------------------------------------ */

static const struct ch_choice certainties[] = {
    {"not-started", LIBPOOL_NOT_STARTED},
    {"may-have-run", LIBPOOL_MAY_HAVE_RUN},
    {"has-run", LIBPOOL_HAS_RUN},
    {NULL, 0},
};

const struct ch_key ch_keys_task[] = {
    {VALUE("cause", CH_VALUE_CAUSE, 0, 0, ch_task_expectation, cause), .required = true,
     .help = "how they end"},
    {NUMBER("count", 1, 1000000, ch_task_expectation, count), .standard = "all of the group",
     .help = "how many of them end so"},
    {VALUE("signal", CH_VALUE_SIGNAL, 0, 0, ch_task_expectation, signal), .standard = "any",
     .help = "the signal that their workers died of"},
    {VALUE("code", CH_VALUE_CODE, 0, 0, ch_task_expectation, code), .standard = "any",
     .help = "what they returned, or the exit code of their workers"},
    {TIME_US("late", 0, HOUR, ch_task_expectation, late_us), .form = CH_FORM_AT_MOST,
     .standard = "any",
     .help = "how long after their timeout they end, as who waits for them sees it"},
    {CHOICE("certainty", certainties, ch_task_expectation, certainty), .standard = "any",
     .help = "what the result says about whether they ran"},
    {NUMBER("parts", 0, 1000000, ch_task_expectation, parts), .standard = "any",
     .help = "parts that were taken of each, of its last run"},
    END,
};
