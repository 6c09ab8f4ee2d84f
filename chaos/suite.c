/* SPDX-License-Identifier: MIT */
/*
 * One loop over pidfds: start runners while there is room, wait for one to end or to be overdue.
 *
 * A runner writes its result, flat memory, into a pipe that holds it whole, so it never waits for
 * us; its end, not the pipe's, says that it is done (descendants of it may hold the pipe open).
 * Signals are taken from a signalfd. Runners have process groups of their own, so Ctrl-C reaches
 * this process alone: it kills the runners, their guardians see that and undo, and since we are
 * the sub-reaper of all of them, we do not leave before they have.
 */
#include "chaos/suite.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SLACK_US UINT64_C(15000000)
#define GUARDIANS_LIMIT_NS UINT64_C(10000000000)
#define KILLED_LIMIT_NS UINT64_C(200000000) /* for orphans of the killed to show up */
#define PIPE_SIZE 65536

static_assert(sizeof(struct ch_result) <= PIPE_SIZE, "a result fits into a pipe");

/* A runner at work; entry NULL: a free place. */
struct runner {
    struct ch_entry *entry;
    int pid;
    int pidfd;
    int pipe_fd;
    uint64_t started_ns;
    uint64_t deadline_ns;
    bool killed; /* overdue */
};

struct state {
    struct ch_suite *suite;
    const struct ch_suite_options *options;
    struct runner runners[CH_JOBS_MAX];
    unsigned jobs;
    unsigned running;
    size_t next; /* entry to start */
    int signal_fd;
    sigset_t old_mask;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- Seeds ------------------------------------------------------------------------------- */

/* splitmix64 */
static uint64_t mix(uint64_t value)
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

/* FNV-1a */
static uint64_t hash(uint64_t value, const char *text)
{
    for (; text != NULL && *text != '\0'; text++)
        value = (value ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return value;
}

uint64_t ch_seed_of_repeat(uint64_t seed, uint32_t repeat)
{
    return repeat == 0 ? seed : mix(seed + repeat);
}

uint64_t ch_seed_of_run(uint64_t seed, const struct ch_scenario *scenario)
{
    const char *slash = strrchr(scenario->path, '/');
    uint64_t file = hash(UINT64_C(0xcbf29ce484222325), slash != NULL ? slash + 1 : scenario->path);
    return mix(seed ^ hash(file, scenario->matrix_value));
}

/* ---- The runner's process ---------------------------------------------------------------- */

static void write_result(int fd, const struct ch_result *result)
{
    const char *bytes = (const char *)result;
    size_t done = 0;
    while (done < sizeof(*result)) {
        ssize_t written = write(fd, bytes + done, sizeof(*result) - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            _exit(1);
        done += (size_t)written;
    }
}

extern void __gcov_dump(void) __attribute__((weak)); /* there in a coverage build */

static _Noreturn void be_runner(const struct state *state, const struct ch_entry *entry, int fd)
{
    struct ch_result result = entry->result;
    struct ch_run_options options = {
        .seed = ch_seed_of_run(result.seed, entry->scenario),
        .evidence_dir = state->options->evidence_dir,
        .verbose = state->options->verbose,
    };
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(state->signal_fd);
    for (unsigned i = 0; i < state->jobs; i++)
        if (state->runners[i].entry != NULL) {
            close(state->runners[i].pidfd);
            close(state->runners[i].pipe_fd);
        }
    sigprocmask(SIG_SETMASK, &state->old_mask, NULL);
    int error = state->options->run(entry->scenario, &options, &result);
    if (error < 0)
        ch_result_object(&result, CH_ERROR, entry->scenario->place, "harness",
                         "the harness can run it", strerror(-error), "its own return value");
    write_result(fd, &result);
    if (__gcov_dump != NULL)
        __gcov_dump();
    _exit(0);
}

/* ---- Starting and ending runners --------------------------------------------------------- */

static struct runner *find_place(struct state *state)
{
    for (unsigned i = 0; i < state->jobs; i++)
        if (state->runners[i].entry == NULL)
            return &state->runners[i];
    return NULL;
}

/* 0 or -errno; nothing is kept on an error. */
static int start_runner(struct state *state, struct ch_entry *entry)
{
    int pipe_fds[2];
    struct runner *runner = find_place(state);
    uint64_t slack_us = state->options->slack_us != 0 ? state->options->slack_us : SLACK_US;
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return -errno;
    fflush(NULL);
    int pid = fork();
    if (pid == 0) {
        close(pipe_fds[0]);
        be_runner(state, entry, pipe_fds[1]);
    }
    int error = pid < 0 ? -errno : 0;
    close(pipe_fds[1]);
    if (pid > 0)
        setpgid(pid, pid);
    int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    if (pid > 0 && pidfd < 0) {
        error = -errno;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    if (error < 0) {
        close(pipe_fds[0]);
        return error;
    }
    fcntl(pipe_fds[0], F_SETFL, O_NONBLOCK);
    uint64_t now = now_ns();
    *runner = (struct runner){
        .entry = entry,
        .pid = pid,
        .pidfd = pidfd,
        .pipe_fd = pipe_fds[0],
        .started_ns = now,
        .deadline_ns = now + (entry->scenario->limit_us + slack_us) * 1000,
    };
    state->running++;
    return 0;
}

/* True when the runner has left a whole result. */
static bool take_result(const struct runner *runner, struct ch_result *result)
{
    char *bytes = (char *)result;
    size_t done = 0;
    while (done < sizeof(*result)) {
        ssize_t got = read(runner->pipe_fd, bytes + done, sizeof(*result) - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return result->reasons_count <= CH_REASONS_MAX;
}

static void describe_end(const struct runner *runner, int status, char *text, size_t size)
{
    if (runner->killed)
        snprintf(text, size, "the runner was still at work beyond the limit and was killed");
    else if (WIFSIGNALED(status))
        snprintf(text, size, "the runner died of SIG%s", sigabbrev_np(WTERMSIG(status)));
    else
        snprintf(text, size, "the runner left with code %d and no result", WEXITSTATUS(status));
}

static void judge(const struct state *state, const struct runner *runner, int status)
{
    char end[128];
    struct ch_result result;
    struct ch_entry *entry = runner->entry;
    bool whole = take_result(runner, &result);
    if (whole) {
        entry->result = result;
    } else {
        describe_end(runner, status, end, sizeof(end));
        ch_result_object(&entry->result, CH_ERROR, entry->scenario->place, "harness",
                         "the runner says how it went", end, "the wait status of its process");
    }
    entry->result.duration_ns = now_ns() - runner->started_ns;
    if (state->suite->must_fail)
        ch_must_fail_judge(entry->scenario, &entry->result);
    entry->done = true;
    if (state->options->changed != NULL)
        state->options->changed(state->suite, state->options->context);
}

static void end_runner(struct state *state, struct runner *runner)
{
    int status = 0;
    while (waitpid(runner->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    if (!state->suite->interrupted)
        judge(state, runner, status);
    close(runner->pidfd);
    close(runner->pipe_fd);
    *runner = (struct runner){.entry = NULL};
    state->running--;
}

/* ---- The loop ---------------------------------------------------------------------------- */

static int poll_timeout_ms(const struct state *state)
{
    uint64_t now = now_ns(), first = UINT64_MAX;
    for (unsigned i = 0; i < state->jobs; i++)
        if (state->runners[i].entry != NULL && !state->runners[i].killed &&
            state->runners[i].deadline_ns < first)
            first = state->runners[i].deadline_ns;
    if (first == UINT64_MAX)
        return -1;
    return first <= now ? 0 : (int)((first - now) / 1000000 + 1);
}

static void kill_overdue(struct state *state)
{
    uint64_t now = now_ns();
    for (unsigned i = 0; i < state->jobs; i++) {
        struct runner *runner = &state->runners[i];
        if (runner->entry == NULL || runner->killed || runner->deadline_ns > now)
            continue;
        runner->killed = true;
        kill(runner->pid, SIGKILL);
    }
}

static void interrupt(struct state *state)
{
    struct signalfd_siginfo info;
    if (read(state->signal_fd, &info, sizeof(info)) != sizeof(info))
        return;
    state->suite->interrupted = true;
    for (unsigned i = 0; i < state->jobs; i++)
        if (state->runners[i].entry != NULL)
            kill(state->runners[i].pid, SIGKILL);
}

static void wait_for_something(struct state *state)
{
    struct pollfd fds[CH_JOBS_MAX + 1];
    for (unsigned i = 0; i < state->jobs; i++) {
        bool used = state->runners[i].entry != NULL;
        fds[i] = (struct pollfd){.fd = used ? state->runners[i].pidfd : -1, .events = POLLIN};
    }
    fds[state->jobs] = (struct pollfd){.fd = state->signal_fd, .events = POLLIN};
    int ready = poll(fds, state->jobs + 1, poll_timeout_ms(state));
    kill_overdue(state);
    if (ready <= 0)
        return;
    if (fds[state->jobs].revents != 0)
        interrupt(state);
    for (unsigned i = 0; i < state->jobs; i++)
        if (fds[i].fd >= 0 && fds[i].revents != 0)
            end_runner(state, &state->runners[i]);
}

/* An entry whose process can't be started is judged at once; the suite goes on. */
static int start_some(struct state *state)
{
    while (state->running < state->jobs && state->next < state->suite->count &&
           !state->suite->interrupted) {
        struct ch_entry *entry = &state->suite->entries[state->next];
        int error = start_runner(state, entry);
        if (error < 0 && state->running > 0)
            return 0; /* there will be room when one of them has ended */
        if (error < 0)
            return error;
        state->next++;
    }
    return 0;
}

/* Guardians of killed runners are our children now: they undo, then they end. True when all have. */
static bool wait_for_guardians(uint64_t limit_ns)
{
    uint64_t deadline_ns = now_ns() + limit_ns;
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    for (;;) {
        int pid = waitpid(-1, NULL, WNOHANG | __WALL);
        uint64_t now = now_ns();
        if (pid < 0 && errno == ECHILD)
            return true;
        if (now >= deadline_ns)
            return false;
        uint64_t left_ns = deadline_ns - now;
        if (pid == 0)
            sigtimedwait(
                &child, NULL,
                &(struct timespec){(time_t)(left_ns / 1000000000u), (long)(left_ns % 1000000000u)});
    }
}

/* Ends what is still there; returns how many that were. */
static size_t kill_left_behind(void)
{
    char path[64];
    int pid;
    size_t count = 0;
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
    FILE *file = fopen(path, "re");
    while (file != NULL && fscanf(file, "%d", &pid) == 1) {
        kill(pid, SIGKILL);
        count++;
    }
    if (file != NULL)
        fclose(file);
    return count;
}

static void clear_up(struct ch_suite *suite)
{
    if (wait_for_guardians(GUARDIANS_LIMIT_NS))
        return;
    suite->left_behind = kill_left_behind();
    for (int round = 0; round < 10 && !wait_for_guardians(KILLED_LIMIT_NS); round++)
        kill_left_behind();
}

static int take_signals(struct state *state)
{
    sigset_t mask, fatal;
    sigemptyset(&fatal);
    sigaddset(&fatal, SIGINT);
    sigaddset(&fatal, SIGTERM);
    sigaddset(&fatal, SIGHUP);
    mask = fatal;
    sigaddset(&mask, SIGCHLD);
    sigprocmask(SIG_BLOCK, &mask, &state->old_mask);
    state->signal_fd = signalfd(-1, &fatal, SFD_CLOEXEC | SFD_NONBLOCK);
    return state->signal_fd < 0 ? -errno : 0;
}

int ch_suite_run(struct ch_suite *suite, const struct ch_suite_options *options)
{
    struct state state = {.suite = suite, .options = options, .jobs = options->jobs};
    uint64_t started_ns = now_ns();
    if (state.jobs < 1 || state.jobs > CH_JOBS_MAX)
        return -EINVAL;
    int error = take_signals(&state);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    while (error == 0 && ((state.next < suite->count && !suite->interrupted) || state.running)) {
        error = start_some(&state);
        if (error == 0)
            wait_for_something(&state);
    }
    clear_up(suite);
    close(state.signal_fd);
    sigprocmask(SIG_SETMASK, &state.old_mask, NULL);
    suite->duration_ns = now_ns() - started_ns;
    return error;
}

/* ---- Verdicts ---------------------------------------------------------------------------- */

static bool objected(const struct ch_reason *reason, const char *checker)
{
    size_t length = strlen(checker);
    bool named = strncmp(reason->checker, checker, length) == 0 &&
                 (reason->checker[length] == '\0' || reason->checker[length] == ' ');
    return named && (reason->verdict == CH_FAIL || reason->verdict == CH_INCONCLUSIVE);
}

void ch_must_fail_judge(const struct ch_scenario *scenario, struct ch_result *result)
{
    enum ch_verdict verdict = ch_result_verdict(result);
    if (scenario->must_fail == NULL || verdict == CH_SKIP || verdict == CH_ERROR)
        return;
    for (uint32_t i = 0; i < result->reasons_count; i++)
        if (result->reasons[i].verdict == CH_ERROR) /* whoever objects, it may be to that */
            return;
    char wanted[96], actual[384];
    int used = snprintf(actual, sizeof(actual), "%s", ch_verdict_name(verdict));
    for (uint32_t i = 0; i < result->reasons_count; i++) {
        if (objected(&result->reasons[i], scenario->must_fail)) {
            result->reasons_count = 0;
            result->reasons_lost = 0;
            return;
        }
        if (used >= 0 && (size_t)used < sizeof(actual))
            used += snprintf(actual + used, sizeof(actual) - (size_t)used, "%s%s",
                             i == 0 ? ", objected to by " : ", ", result->reasons[i].checker);
    }
    snprintf(wanted, sizeof(wanted), "%s objects", scenario->must_fail);
    if (result->reasons_count == CH_REASONS_MAX)
        result->reasons_count--;
    memmove(&result->reasons[1], &result->reasons[0],
            result->reasons_count * sizeof(result->reasons[0]));
    uint32_t count = result->reasons_count;
    result->reasons_count = 0;
    ch_result_object(result, CH_FAIL, scenario->must_fail_place, "must-fail", wanted, actual,
                     "the reasons of this run");
    result->reasons_count += count;
}

size_t ch_suite_count(const struct ch_suite *suite, enum ch_verdict verdict)
{
    size_t count = 0;
    for (size_t i = 0; i < suite->count; i++)
        count += suite->entries[i].done && ch_result_verdict(&suite->entries[i].result) == verdict;
    return count;
}

int ch_suite_exit_code(const struct ch_suite *suite)
{
    enum ch_verdict gravest = CH_PASS;
    for (size_t i = 0; i < suite->count; i++) {
        enum ch_verdict verdict = suite->entries[i].done
                                      ? ch_result_verdict(&suite->entries[i].result)
                                      : CH_ERROR;
        gravest = verdict > gravest ? verdict : gravest;
    }
    if (suite->left_behind > 0 && gravest < CH_ERROR)
        gravest = CH_ERROR;
    if (gravest == CH_SKIP && ch_suite_count(suite, CH_PASS) > 0)
        return 0;
    return ch_verdict_exit_code(gravest);
}
