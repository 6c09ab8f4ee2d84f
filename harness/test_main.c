/* SPDX-License-Identifier: MIT */
/*
 * Runs the unit tests: build/unit [-v] [-l] [-j LANES] [FILTER...], a filter being a part of
 * "suite/name".
 *
 * The tests run in a forked child, and the parent, their lane, looks on. So a test that crashes or
 * hangs costs that test only (the next child goes on behind it), the process under test has no
 * child of ours that would meet its wait(-1), and what it leaves behind lands in the lane, which is
 * a sub-reaper. What each test came to stands in memory that all share.
 *
 * With one lane, the program is the lane. Of several, each is a process that takes the next test
 * that none has; what its tests write goes to a file and is printed test by test, in their order.
 * Tests that can't bear a neighbour (TEST_ALONE) come after all others, in one lane.
 *
 * CUnit alone would report success for failed assertions, for suites that could not start and for
 * an empty registry; here all three are failures, and so is a test that asserted nothing.
 */
#include "harness/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RESIDUE_LIMIT_MS 2000
#define LOOK_EVERY_MS 200
#define LANES_AT_MOST 64

enum verdict {
    WAITING,
    RUNNING,
    PASSED,
    FAILED,
    SKIPPED,
    VERDICTS
};

/* Which tests a lane takes. */
enum phase {
    ALL,
    TOGETHER,
    ALONE
};

/* Written by the child, read by its lane. */
struct lane {
    _Atomic int running; /* index of the running test, -1 between two */
    _Atomic int64_t deadline_ms;
    _Atomic int failures;   /* of no single test */
    _Atomic bool finished;  /* its process has come to the end of the list */
    int pid, file;          /* of several: the process, and where its tests write */
    _Atomic int begun_last; /* index of the test whose text grows in the file, -1 for none */
};

struct entry {
    _Atomic int verdict;
    struct lane *lane; /* of several: what the test wrote is in this one's file, */
    int64_t begins, ends;
    _Atomic bool closed; /* and complete */
};

/* In memory that all share, so it survives any child's death. */
struct board {
    enum phase phase;
    struct lane lanes[LANES_AT_MOST];
    struct entry entries[];
};

static struct {
    struct hn_test *first, **last;
    const struct hn_alone *alone;
    const char *skip_reason;
    int count, lanes;
    bool verbose;
    char **filters;
} run = {.lanes = 1};

void hn_test_register(struct hn_test *test)
{
    if (run.last == NULL)
        run.last = &run.first;
    *run.last = test;
    run.last = &test->next;
}

void hn_test_alone(struct hn_alone *alone)
{
    alone->next = run.alone;
    run.alone = alone;
}

void hn_test_skip(const char *why)
{
    run.skip_reason = why;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Instrumented builds are slower; they say by how much. */
static int64_t scaled_ms(int limit_ms)
{
    const char *factor = getenv("TEST_TIME_FACTOR");
    int times = factor != NULL ? atoi(factor) : 1;
    return (int64_t)limit_ms * (times > 0 ? times : 1);
}

/* ---- A child of a test ------------------------------------------------------------------- */

/* 1 when the process ended within the time, 0 when not, or a negated errno. */
static int wait_for_end(int pid, int64_t limit_ms)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return -errno;
    int64_t deadline_ms = now_ms() + limit_ms;
    int ended;
    do {
        int64_t left_ms = deadline_ms - now_ms();
        ended = poll(&(struct pollfd){.fd = pidfd, .events = POLLIN}, 1,
                     left_ms > 0 ? (int)left_ms : 0);
    } while (ended < 0 && errno == EINTR);
    int error = ended < 0 ? -errno : ended;
    close(pidfd);
    return error;
}

/* The wait status of a child that is dead or about to die. */
static int reap(int pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return status & ~0x80; /* whether a core was written depends on the machine */
}

int hn_test_child(int (*body)(void *arg), void *arg, int limit_ms)
{
    fflush(NULL);
    int pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0) {
        int code = body(arg);
        fflush(NULL);
        _exit(code);
    }
    int ended = wait_for_end(pid, scaled_ms(limit_ms));
    if (ended != 1)
        kill(pid, SIGKILL);
    int status = reap(pid);
    if (ended == 0)
        return -ETIMEDOUT;
    return ended < 0 ? ended : status;
}

static const char *describe_end(int end, char *text, size_t size)
{
    if (end == -ETIMEDOUT)
        snprintf(text, size, "its time limit");
    else if (end < 0)
        snprintf(text, size, "no child: %s", strerror(-end));
    else if (WIFEXITED(end))
        snprintf(text, size, "exit code %d", WEXITSTATUS(end));
    else
        snprintf(text, size, "SIG%s", sigabbrev_np(WTERMSIG(end)));
    return text;
}

void hn_test_child_ends(int (*body)(void *arg), void *arg, int limit_ms, int expected,
                        const char *file, unsigned line)
{
    char wanted[64], got[64], text[160];
    int end = hn_test_child(body, arg, limit_ms);
    snprintf(text, sizeof(text), "child ends with %s, expected %s",
             describe_end(end, got, sizeof(got)), describe_end(expected, wanted, sizeof(wanted)));
    CU_assertImplementation(end == expected, line, text, file, "", CU_FALSE);
}

/* ---- The child: runs tests --------------------------------------------------------------- */

static bool selected(const struct hn_test *test)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", test->suite, test->name);
    for (char **filter = run.filters; *filter != NULL; filter++)
        if (strstr(path, *filter) != NULL)
            return true;
    return *run.filters == NULL;
}

static CU_pSuite suite_of(const struct hn_test *test)
{
    CU_pSuite suite = CU_get_suite(test->suite);
    return suite != NULL ? suite : CU_add_suite(test->suite, NULL, NULL);
}

static void print_failures(void)
{
    for (CU_pFailureRecord record = CU_get_failure_list(); record != NULL; record = record->pNext)
        printf("    %s:%u: %s\n", record->strFileName ? record->strFileName : "?",
               record->uiLineNumber, record->strCondition ? record->strCondition : "?");
}

static enum verdict verdict_of(CU_ErrorCode error)
{
    if (error != CUE_SUCCESS || CU_get_number_of_tests_run() != 1)
        printf("    CUnit did not run it: %s\n", CU_get_error_msg());
    else if (CU_get_number_of_failures() > 0)
        print_failures();
    else if (run.skip_reason != NULL)
        return SKIPPED;
    else if (CU_get_number_of_asserts() == 0)
        printf("    it asserted nothing\n");
    else
        return PASSED;
    return FAILED;
}

static void say(const struct hn_test *test, enum verdict verdict, int64_t took_ms)
{
    static const char *const words[VERDICTS] = {
        [PASSED] = "ok", [FAILED] = "FAILED", [SKIPPED] = "skip"};
    if (verdict != PASSED || run.verbose)
        printf("%-6s %s/%s%s%s (%lld ms)\n", words[verdict], test->suite, test->name,
               verdict == SKIPPED ? ": " : "", verdict == SKIPPED ? run.skip_reason : "",
               (long long)took_ms);
    fflush(stdout);
}

/* Of several lanes: from here on, what is written is this test's. */
static void turn_page(struct board *board, struct lane *lane, int index)
{
    fflush(stdout);
    int64_t written = lseek(STDOUT_FILENO, 0, SEEK_END);
    if (lane->begun_last >= 0) {
        board->entries[lane->begun_last].ends = written;
        board->entries[lane->begun_last].closed = true;
    }
    board->entries[index].lane = lane;
    board->entries[index].begins = written;
    lane->begun_last = index;
}

static void run_one(const struct hn_test *test, struct lane *lane, struct entry *entry, int index)
{
    CU_pSuite suite = suite_of(test);
    CU_pTest added = suite != NULL ? CU_add_test(suite, test->name, test->body) : NULL;
    int64_t begun_ms = now_ms();
    run.skip_reason = NULL;
    lane->deadline_ms = begun_ms + scaled_ms(test->limit_ms);
    lane->running = index;
    CU_ErrorCode error = added != NULL ? CU_run_test(suite, added) : CU_get_error();
    lane->running = -1;
    lane->finished = false;
    lane->deadline_ms = now_ms() + scaled_ms(HN_TEST_LIMIT_MS);
    enum verdict verdict = verdict_of(error);
    say(test, verdict, now_ms() - begun_ms);
    entry->verdict = (int)verdict;
}

static bool in_phase(const struct hn_test *test, enum phase phase)
{
    const struct hn_alone *alone = run.alone;
    while (alone != NULL && (strcmp(alone->suite, test->suite) != 0 ||
                             (alone->name != NULL && strcmp(alone->name, test->name) != 0)))
        alone = alone->next;
    return phase == ALL || (alone != NULL) == (phase == ALONE);
}

/* Runs what nobody has run or runs. */
static int run_rest(struct board *board, struct lane *lane)
{
    if (CU_initialize_registry() != CUE_SUCCESS)
        return 1;
    CU_set_error_action(CUEA_IGNORE);
    int index = 0;
    for (const struct hn_test *test = run.first; test != NULL; test = test->next, index++) {
        int waiting = WAITING;
        struct entry *entry = &board->entries[index];
        if (!selected(test) || !in_phase(test, board->phase) ||
            !atomic_compare_exchange_strong(&entry->verdict, &waiting, RUNNING))
            continue;
        if (board->phase != ALL)
            turn_page(board, lane, index);
        run_one(test, lane, entry, index);
    }
    CU_cleanup_registry();
    lane->finished = true;
    return 0;
}

/* ---- The lane: looks on ------------------------------------------------------------------ */

static const struct hn_test *test_at(int index)
{
    const struct hn_test *test = run.first;
    while (index-- > 0)
        test = test->next;
    return test;
}

/* What a storm of forks leaves to us, the sub-reaper, would fill the table of processes meanwhile. */
static void reap_adopted(int pid)
{
    siginfo_t ended = {.si_pid = 0};
    while (waitid(P_ALL, 0, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 && ended.si_pid != 0 &&
           ended.si_pid != pid)
        (void)waitpid(ended.si_pid, NULL, WNOHANG);
}

/* Looks again now and then, because the next test brings a deadline of its own. */
static bool outlived(int pid, const struct lane *lane)
{
    for (;;) {
        reap_adopted(pid);
        int64_t left_ms = lane->deadline_ms - now_ms();
        if (left_ms <= 0)
            return wait_for_end(pid, 0) != 1;
        if (wait_for_end(pid, left_ms < LOOK_EVERY_MS ? left_ms : LOOK_EVERY_MS) != 0)
            return false;
    }
}

/* Where the threads of a hanging process wait: the evidence that a plain "timeout" lacks. */
static void print_threads(int pid)
{
    char path[320], line[128];
    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    for (struct dirent *entry; tasks != NULL && (entry = readdir(tasks)) != NULL;) {
        snprintf(path, sizeof(path), "/proc/%d/task/%s/syscall", pid, entry->d_name);
        FILE *file = entry->d_name[0] != '.' ? fopen(path, "re") : NULL;
        if (file == NULL)
            continue;
        if (fgets(line, sizeof(line), file) != NULL)
            printf("    thread %s in system call %s", entry->d_name, line);
        fclose(file);
    }
    if (tasks != NULL)
        closedir(tasks);
}

/* Calls act for each child of this process; returns how many there are. */
static int for_each_child(void (*act)(int pid))
{
    char path[64];
    int pid, count = 0;
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
    FILE *file = fopen(path, "re");
    while (file != NULL && fscanf(file, "%d", &pid) == 1) {
        act(pid);
        count++;
    }
    if (file != NULL)
        fclose(file);
    return count;
}

static void print_left_behind(int pid)
{
    char path[64], name[64] = "?\n";
    snprintf(path, sizeof(path), "/proc/%d/comm", pid);
    FILE *file = fopen(path, "re");
    if (file != NULL && fgets(name, sizeof(name), file) == NULL)
        name[0] = '\n';
    if (file != NULL)
        fclose(file);
    printf("    left behind: process %d, %s", pid, name);
}

static void kill_it(int pid)
{
    kill(pid, SIGKILL);
}

/* True when no process is left. SIGCHLD is blocked in the parent, so none is missed. */
static bool all_gone_within(int limit_ms)
{
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    int64_t deadline_ms = now_ms() + limit_ms;
    for (;;) {
        int pid = waitpid(-1, NULL, WNOHANG | __WALL);
        if (pid < 0)
            return errno == ECHILD;
        int64_t left_ms = deadline_ms - now_ms();
        if (left_ms <= 0)
            return false;
        if (pid == 0)
            sigtimedwait(&child, NULL,
                         &(struct timespec){left_ms / 1000, left_ms % 1000 * 1000000});
    }
}

/* Returns how many failures the orphans amount to, after ending them. */
static int clear_residue(bool expect_none)
{
    if (all_gone_within((int)scaled_ms(RESIDUE_LIMIT_MS)))
        return 0;
    if (expect_none) {
        printf("FAILED processes outlive the tests\n");
        for_each_child(print_left_behind);
    }
    while (for_each_child(kill_it) > 0 && !all_gone_within(100))
        continue;
    return expect_none ? 1 : 0;
}

/* Judges a child that is dead: its running test failed; with none running, it was the exit. */
static int judge(struct board *board, const struct lane *lane, int status, bool hung)
{
    char end[64];
    int index = lane->running;
    describe_end(hung ? -ETIMEDOUT : status, end, sizeof(end));
    if (index < 0 && status == 0 && lane->finished)
        return 0;
    if (index >= 0 && board->entries[index].verdict == RUNNING) {
        const struct hn_test *test = test_at(index);
        printf("FAILED %s/%s: its process met %s\n", test->suite, test->name, end);
        fflush(stdout);
        board->entries[index].verdict = FAILED;
        return 0;
    }
    printf("FAILED %s the tests: their process met %s\n", lane->finished ? "after" : "between",
           end);
    return 1;
}

/* One child, to its end. Returns whether no test is left. */
static bool watch_one(struct board *board, struct lane *lane)
{
    fflush(NULL);
    lane->running = -1;
    lane->finished = false;
    lane->deadline_ms = now_ms() + scaled_ms(HN_TEST_LIMIT_MS);
    int pid = fork();
    if (pid == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        exit(run_rest(board, lane));
    }
    bool hung = pid > 0 && outlived(pid, lane);
    if (hung) {
        print_threads(pid);
        kill(pid, SIGKILL);
    }
    int status = pid > 0 ? reap(pid) : -errno;
    bool done = lane->running < 0;
    lane->failures += judge(board, lane, status, hung);
    lane->failures += clear_residue(status == 0);
    return done;
}

static void run_lane(struct board *board, struct lane *lane)
{
    while (!watch_one(board, lane))
        continue;
    fflush(stdout);
}

/* ---- Several lanes ----------------------------------------------------------------------- */

static int start_lane(struct board *board, struct lane *lane)
{
    lane->begun_last = -1;
    lane->file = memfd_create("lane", MFD_CLOEXEC);
    fflush(NULL);
    int pid = lane->file >= 0 ? fork() : -1;
    if (pid != 0) {
        lane->pid = pid;
        return pid > 0 ? 0 : -errno;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    fcntl(lane->file, F_SETFL, O_APPEND);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0 || dup2(lane->file, STDOUT_FILENO) < 0 ||
        dup2(lane->file, STDERR_FILENO) < 0)
        _exit(1);
    for (const struct lane *one = board->lanes; one <= lane; one++)
        close(one->file);
    run_lane(board, lane);
    _exit(0);
}

/* A lane dies of nothing but a test that reaches beyond its process. */
static void lane_ended(struct board *board, struct lane *lane, int status)
{
    char end[64];
    describe_end(status & ~0x80, end, sizeof(end));
    lane->pid = 0;
    for (int index = 0; index < run.count; index++)
        if (board->entries[index].lane == lane && board->entries[index].verdict == RUNNING) {
            const struct hn_test *test = test_at(index);
            printf("FAILED %s/%s: its lane met %s\n", test->suite, test->name, end);
            board->entries[index].verdict = FAILED;
        }
    if (status != 0)
        printf("FAILED a lane of the tests met %s\n", end);
    lane->failures += status != 0;
    if (lane->begun_last >= 0) {
        board->entries[lane->begun_last].ends = lseek(lane->file, 0, SEEK_END);
        board->entries[lane->begun_last].closed = true;
    }
}

/* Returns how many lanes are at work. */
static int look_after(struct board *board)
{
    int status, pid, left = 0;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        for (int i = 0; i < run.lanes; i++)
            if (board->lanes[i].pid == pid)
                lane_ended(board, &board->lanes[i], status);
    for (int i = 0; i < run.lanes; i++)
        left += board->lanes[i].pid > 0;
    return left;
}

static void print_text(const struct entry *entry)
{
    char text[4096];
    int64_t at = entry->begins;
    for (ssize_t got = 1; at < entry->ends && got > 0; at += got) {
        size_t left = (size_t)(entry->ends - at);
        got = pread(entry->lane->file, text, left < sizeof(text) ? left : sizeof(text), at);
        if (got > 0)
            fwrite(text, 1, (size_t)got, stdout);
    }
}

/* Prints on, up to the first test that is not over; returns that one's index. */
static int print_from(const struct board *board, int index)
{
    const struct hn_test *test = test_at(index);
    for (; test != NULL; test = test->next, index++) {
        if (!selected(test) || !in_phase(test, board->phase))
            continue;
        if (!board->entries[index].closed)
            break;
        print_text(&board->entries[index]);
    }
    fflush(stdout);
    return index;
}

static void run_phase(struct board *board, enum phase phase, int lanes)
{
    int printed = 0;
    board->phase = phase;
    for (int i = 0; i < lanes; i++)
        if (start_lane(board, &board->lanes[i]) != 0) {
            printf("FAILED no lane can be started: %s\n", strerror(errno));
            board->lanes[i].failures++;
        }
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    while (look_after(board) > 0) {
        printed = print_from(board, printed);
        sigtimedwait(&child, NULL, &(struct timespec){0, LOOK_EVERY_MS * 1000000});
    }
    print_from(board, printed);
    board->lanes[0].failures += clear_residue(true);
    for (int i = 0; i < lanes; i++)
        close(board->lanes[i].file);
}

/* ---- All of it --------------------------------------------------------------------------- */

static int list_tests(void)
{
    for (const struct hn_test *test = run.first; test != NULL; test = test->next)
        if (selected(test))
            printf("%s/%s\n", test->suite, test->name);
    return 0;
}

static int report(const struct board *board)
{
    int counts[VERDICTS] = {0};
    int index = 0;
    for (const struct hn_test *test = run.first; test != NULL; test = test->next, index++)
        if (selected(test))
            counts[board->entries[index].verdict]++;
    int failed = counts[FAILED] + counts[WAITING] + counts[RUNNING];
    for (int i = 0; i < LANES_AT_MOST; i++)
        failed += board->lanes[i].failures;
    if (counts[WAITING] > 0)
        printf("FAILED %d tests were not run\n", counts[WAITING]);
    if (counts[PASSED] == 0 && failed == 0)
        printf("no test ran\n");
    printf("%d passed, %d failed\n", counts[PASSED], failed);
    return failed > 0 || counts[PASSED] == 0;
}

static struct board *make_board(void)
{
    for (const struct hn_test *test = run.first; test != NULL; test = test->next)
        run.count++;
    size_t size = sizeof(struct board) + (size_t)run.count * sizeof(struct entry);
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

int main(int argc, char **argv)
{
    bool list = false;
    int option;
    while ((option = getopt(argc, argv, "vlj:")) != -1) {
        if (option == 'j')
            run.lanes = atoi(optarg);
        if (option == '?' || run.lanes < 1 || run.lanes > LANES_AT_MOST)
            return 2;
        run.verbose |= option == 'v';
        list |= option == 'l';
    }
    run.filters = argv + optind;
    if (list)
        return list_tests();
    struct board *board = make_board();
    if (board == NULL || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        return 1;
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, NULL);
    if (run.lanes == 1) {
        run_lane(board, &board->lanes[0]);
    } else {
        run_phase(board, TOGETHER, run.lanes);
        run_phase(board, ALONE, 1);
    }
    return report(board);
}
