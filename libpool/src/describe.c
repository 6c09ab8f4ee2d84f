/* SPDX-License-Identifier: MIT */
#include "describe.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include "base/text.h"

#define SIGNALS (sizeof signal_names / sizeof signal_names[0])

static const struct {
    int number;
    const char *name;
} signal_names[] = {
    {SIGKILL, "SIGKILL"}, {SIGSEGV, "SIGSEGV"}, {SIGABRT, "SIGABRT"}, {SIGBUS, "SIGBUS"},
    {SIGTERM, "SIGTERM"}, {SIGFPE, "SIGFPE"},   {SIGILL, "SIGILL"},   {SIGTRAP, "SIGTRAP"},
    {SIGSYS, "SIGSYS"},   {SIGINT, "SIGINT"},   {SIGHUP, "SIGHUP"},   {SIGQUIT, "SIGQUIT"},
    {SIGPIPE, "SIGPIPE"}, {SIGALRM, "SIGALRM"}, {SIGXCPU, "SIGXCPU"}, {SIGXFSZ, "SIGXFSZ"},
    {SIGUSR1, "SIGUSR1"}, {SIGUSR2, "SIGUSR2"},
};

static const char *const cause_names[LIBPOOL_CAUSES] = {
    [LIBPOOL_PENDING] = "pending",
    [LIBPOOL_COMPLETED] = "completed",
    [LIBPOOL_ERROR] = "error",
    [LIBPOOL_CRASH] = "crash",
    [LIBPOOL_EXIT] = "exit",
    [LIBPOOL_OOM] = "oom",
    [LIBPOOL_TIMEOUT] = "timeout",
    [LIBPOOL_QUEUE_TIMEOUT] = "queue-timeout",
    [LIBPOOL_CANCELLED] = "cancelled",
    [LIBPOOL_KILLED] = "killed",
    [LIBPOOL_INIT_FAILED] = "init-failed",
    [LIBPOOL_FINAL_FAILED] = "final-failed",
    [LIBPOOL_SHUTDOWN] = "shutdown",
    [LIBPOOL_CORRUPT] = "corrupt",
    [LIBPOOL_LOST] = "lost",
    [LIBPOOL_MEMORY] = "memory",
    [LIBPOOL_QUARANTINED] = "quarantined",
};

static const char completed[] = "completed";

static const char *const cause_sentences[LIBPOOL_CAUSES] = {
    [LIBPOOL_PENDING] = "not ended yet",
    [LIBPOOL_COMPLETED] = completed,
    [LIBPOOL_ERROR] = "the task returned an error",
    [LIBPOOL_CRASH] = "the worker crashed",
    [LIBPOOL_EXIT] = "the worker exited without a result",
    [LIBPOOL_OOM] = "the kernel's OOM killer killed the worker",
    [LIBPOOL_TIMEOUT] = "the task overran its run timeout",
    [LIBPOOL_QUEUE_TIMEOUT] = "the task waited too long in the backlog",
    [LIBPOOL_CANCELLED] = "the task was cancelled",
    [LIBPOOL_KILLED] = "the worker was killed from outside the pool",
    [LIBPOOL_INIT_FAILED] = "no worker could be initialised",
    [LIBPOOL_FINAL_FAILED] = "the finalizer failed",
    [LIBPOOL_SHUTDOWN] = "the pool was shut down",
    [LIBPOOL_CORRUPT] = "the worker wrote nonsense into its channel",
    [LIBPOOL_LOST] = "the worker was lost, nobody could tell why",
    [LIBPOOL_MEMORY] = "the task was above its memory limit and was killed",
    [LIBPOOL_QUARANTINED] = "workers died of other tasks of its kind",
};

static const char *const event_names[LIBPOOL_EVENT_KINDS] = {
    [LIBPOOL_EVENT_TASK_RECEIVED] = "task-received",
    [LIBPOOL_EVENT_TASK_LAUNCHED] = "task-launched",
    [LIBPOOL_EVENT_TASK_RETURNED] = "task-returned",
    [LIBPOOL_EVENT_TASK_ENDED] = "task-ended",
    [LIBPOOL_EVENT_WORKER_SPAWNED] = "worker-spawned",
    [LIBPOOL_EVENT_WORKER_READY] = "worker-ready",
    [LIBPOOL_EVENT_WORKER_RETIRED] = "worker-retired",
    [LIBPOOL_EVENT_WORKER_KILLED] = "worker-killed",
    [LIBPOOL_EVENT_WORKER_EXITED] = "worker-exited",
    [LIBPOOL_EVENT_SPAWN_FAILED] = "spawn-failed",
    [LIBPOOL_EVENT_INIT_FAILED] = "init-failed",
    [LIBPOOL_EVENT_ZYGOTE_STARTED] = "zygote-started",
    [LIBPOOL_EVENT_ZYGOTE_LOST] = "zygote-lost",
    [LIBPOOL_EVENT_SHUTDOWN_BEGUN] = "shutdown-begun",
    [LIBPOOL_EVENT_SHUTDOWN_DONE] = "shutdown-done",
    [LIBPOOL_EVENT_TASK_ASKED] = "task-asked",
    [LIBPOOL_EVENT_RECYCLE_BEGUN] = "recycle-begun",
    [LIBPOOL_EVENT_DRAINED] = "drained",
    [LIBPOOL_EVENT_TASK_RETRIED] = "task-retried",
    [LIBPOOL_EVENT_KIND_QUARANTINED] = "kind-quarantined",
    [LIBPOOL_EVENT_ADMISSION_PAUSED] = "admission-paused",
    [LIBPOOL_EVENT_ADMISSION_RESUMED] = "admission-resumed",
};

const char *libpool_cause_name(libpool_cause cause)
{
    return (unsigned)cause < LIBPOOL_CAUSES ? cause_names[cause] : "unknown";
}

const char *libpool_event_name(libpool_event_kind kind)
{
    return (unsigned)kind < LIBPOOL_EVENT_KINDS ? event_names[kind] : "unknown";
}

static void add_signal(struct lp_text *text, int number)
{
    lp_text_add(text, " (");
    for (size_t i = 0; i < SIGNALS; i++)
        if (signal_names[i].number == number) {
            lp_text_add(text, signal_names[i].name);
            lp_text_add(text, ")");
            return;
        }
    lp_text_add(text, "signal ");
    lp_text_add_number(text, number);
    lp_text_add(text, ")");
}

static void add_where(struct lp_text *text, const libpool_result *result)
{
    lp_text_add(text, ": task ");
    lp_text_add_number(text, (int64_t)result->task_id);
    if (result->pid == 0) {
        lp_text_add(text, ", never started");
        return;
    }
    lp_text_add(text, ", worker ");
    lp_text_add_number(text, result->slot);
    lp_text_add(text, ", pid ");
    lp_text_add_number(text, result->pid);
    if (result->certainty == LIBPOOL_NOT_STARTED)
        lp_text_add(text, ", never started");
    if (result->attempts > 1) {
        lp_text_add(text, ", run ");
        lp_text_add_number(text, result->attempts);
    }
}

void lp_describe_refusal(libpool_result *result, const unsigned char *why, size_t size)
{
    struct lp_text text = lp_text_begin(result->text, sizeof result->text);
    lp_text_add(&text, "not there: ");
    for (size_t i = 0; i < size; i++) {
        char letter[2] = {why[i] < ' ' || why[i] == 0x7f ? '?' : (char)why[i], 0};
        lp_text_add(&text, letter);
    }
}

static void add_cause(struct lp_text *text, const libpool_result *result, uint32_t silent_ms)
{
    bool refused = result->cause == LIBPOOL_ERROR && result->code < 0 &&
                   result->certainty == LIBPOOL_NOT_STARTED;
    if (refused) {
        lp_text_add(text, result->code == -EFAULT
                              ? "the task's function is not mapped in the worker"
                              : "the task could not be begun");
        return;
    }
    if (!silent_ms) {
        lp_text_add(text, cause_sentences[result->cause]);
        return;
    }
    lp_text_add(text, "no heartbeat for ");
    lp_text_add_number(text, silent_ms);
    lp_text_add(text, " ms");
}

/* Of one that was asked, or is not asked. */
static void add_how_it_ended(struct lp_text *text, const libpool_result *result)
{
    bool timeout = result->cause == LIBPOOL_TIMEOUT;
    if (result->certainty == LIBPOOL_HAS_RUN && (timeout || result->cause == LIBPOOL_CANCELLED))
        lp_text_add(text, " and returned when asked to");
    else if (timeout)
        lp_text_add(text, " and was killed");
}

void lp_describe(const libpool_result *result, uint32_t silent_ms, char *buffer, size_t size)
{
    if (result->cause == LIBPOOL_COMPLETED && size >= sizeof completed) {
        memcpy(buffer, completed, sizeof completed);
        return; /* nobody asks where, and it is said a million times a second */
    }
    struct lp_text text = lp_text_begin(buffer, size);
    add_cause(&text, result, silent_ms);
    add_how_it_ended(&text, result);
    if (result->signal)
        add_signal(&text, result->signal);
    bool init_failed = result->cause == LIBPOOL_INIT_FAILED && result->code;
    if (result->cause == LIBPOOL_ERROR || result->cause == LIBPOOL_EXIT || init_failed) {
        lp_text_add(&text, result->cause == LIBPOOL_EXIT ? ", exit code " : ", code ");
        lp_text_add_number(&text, result->code);
    }
    add_where(&text, result);
}

static void add_kib(struct lp_text *text, uint64_t bytes)
{
    lp_text_add_number(text, (int64_t)(bytes / 1024));
    lp_text_add(text, " KiB");
}

void lp_describe_memory(const libpool_result *result, uint64_t limit_bytes, char *buffer,
                        size_t size)
{
    struct lp_text text = lp_text_begin(buffer, size);
    lp_text_add(&text, cause_sentences[result->cause]);
    lp_text_add(&text, " (");
    if (result->memory_bytes) { /* else it only was in the hands of such a worker */
        lp_text_add(&text, "its tree held ");
        add_kib(&text, result->memory_bytes);
        lp_text_add(&text, ", ");
    }
    add_kib(&text, limit_bytes);
    lp_text_add(&text, " are allowed)");
    add_where(&text, result);
}
