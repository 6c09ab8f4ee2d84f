/* SPDX-License-Identifier: MIT */
/*
 * A process that clears up after itself, as a worker does behind a task. It runs in a child of the
 * test, which is a sub-reaper and tells by its exit code which check failed.
 */
#include "os/tree.h"

#include "harness/test.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT_MS 5000

static void stay(void)
{
    for (;;)
        pause();
}

/* Writes a byte when it has come so far. */
static void tell_and_stay(int pipe_fd)
{
    if (write(pipe_fd, "x", 1) != 1)
        _exit(1);
    stay();
}

static pid_t start(void (*body)(int pipe_fd), int pipe_fd)
{
    pid_t pid = fork();
    if (pid == 0)
        body(pipe_fd);
    return pid;
}

static void daemonize(int pipe_fd)
{
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_IGN);
    if (setsid() < 0 || fork() != 0)
        _exit(0);
    setsid();
    tell_and_stay(pipe_fd);
}

static void stop_oneself(int pipe_fd)
{
    if (write(pipe_fd, "x", 1) != 1)
        _exit(1);
    raise(SIGSTOP);
    stay();
}

static void have_a_stopped_child(int pipe_fd)
{
    start(stop_oneself, pipe_fd);
    tell_and_stay(pipe_fd);
}

static int become_a_reaper(int fds[2])
{
    return prctl(PR_SET_CHILD_SUBREAPER, 1) != 0 || pipe2(fds, O_CLOEXEC) != 0;
}

static bool wait_for_bytes(int fd, int count)
{
    char byte;
    while (count > 0 && read(fd, &byte, 1) == 1)
        count--;
    return count == 0;
}

TEST_IN_CHILD(tree, has_no_children_at_first, 5000, TEST_EXIT(0))
{
    if (lp_tree_has_children())
        return 1;
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    if (!lp_tree_has_children())
        return 2;
    waitpid(pid, NULL, 0);
    return lp_tree_has_children() ? 3 : 0;
}

TEST_IN_CHILD(tree, kills_all_its_children, 10000, TEST_EXIT(0))
{
    int fds[2];
    if (become_a_reaper(fds) != 0 || !lp_tree_can_walk())
        return 90;
    start(tell_and_stay, fds[1]);
    start(daemonize, fds[1]);
    start(have_a_stopped_child, fds[1]);
    if (!wait_for_bytes(fds[0], 4))
        return 1;
    if (lp_tree_kill_children(NULL, 0, LIMIT_MS) != 0)
        return 2;
    return lp_tree_has_children() ? 3 : 0;
}

TEST_IN_CHILD(tree, spares_those_to_keep_with_all_theirs, 10000, TEST_EXIT(0))
{
    int fds[2];
    if (become_a_reaper(fds) != 0)
        return 90;
    pid_t kept = start(have_a_stopped_child, fds[1]);
    start(tell_and_stay, fds[1]);
    if (!wait_for_bytes(fds[0], 3))
        return 1;
    if (lp_tree_kill_children(&kept, 1, LIMIT_MS) != 0)
        return 2;
    pid_t left[4];
    if (lp_tree_children(left, 4) != 1 || left[0] != kept || waitpid(kept, NULL, WNOHANG) != 0)
        return 3;
    return lp_tree_kill_children(NULL, 0, LIMIT_MS) == 0 && !lp_tree_has_children() ? 0 : 4;
}

static void *start_in_a_thread(void *pipe_fd)
{
    start(tell_and_stay, *(int *)pipe_fd);
    start(daemonize, *(int *)pipe_fd);
    stay();
    return NULL;
}

TEST_IN_CHILD(tree, finds_the_children_of_other_threads, 10000, TEST_EXIT(0))
{
    int fds[2];
    pthread_t thread;
    if (become_a_reaper(fds) != 0)
        return 90;
    pthread_create(&thread, NULL, start_in_a_thread, &fds[1]);
    if (!wait_for_bytes(fds[0], 2))
        return 1;
    return lp_tree_kill_children(NULL, 0, LIMIT_MS) == 0 && !lp_tree_has_children() ? 0 : 2;
}

/* Each forks and exits, all the time. */
static void run_on(int pipe_fd)
{
    if (write(pipe_fd, "x", 1) != 1)
        _exit(1);
    for (;;)
        if (fork() > 0)
            _exit(0);
}

TEST_IN_CHILD(tree, comes_to_an_end_with_what_forks_for_ever, 10000, TEST_EXIT(0))
{
    int fds[2];
    if (become_a_reaper(fds) != 0)
        return 90;
    for (int i = 0; i < 4; i++)
        start(run_on, fds[1]);
    if (!wait_for_bytes(fds[0], 4))
        return 1;
    return lp_tree_kill_children(NULL, 0, LIMIT_MS) == 0 && !lp_tree_has_children() ? 0 : 2;
}

TEST_IN_CHILD(tree, says_so_when_it_has_no_descriptor_left, 10000, TEST_EXIT(0))
{
    int fds[2];
    if (become_a_reaper(fds) != 0)
        return 90;
    pid_t pid = start(tell_and_stay, fds[1]);
    if (!wait_for_bytes(fds[0], 1))
        return 1;
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_NOFILE, &none);
    int error = lp_tree_kill_children(NULL, 0, LIMIT_MS);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    return error < 0 ? 0 : 2;
}

TEST_ALONE(tree, kills_a_crowd,
           "under a sanitizer its forks and kills take most of its five seconds")

/* More children than one look can hold. */
TEST_IN_CHILD(tree, kills_a_crowd, 20000, TEST_EXIT(0))
{
    int fds[2];
    if (become_a_reaper(fds) != 0)
        return 90;
    for (int i = 0; i < 300; i++)
        if (start(tell_and_stay, fds[1]) < 0)
            return 91;
    if (!wait_for_bytes(fds[0], 300))
        return 1;
    return lp_tree_kill_children(NULL, 0, LIMIT_MS) == 0 && !lp_tree_has_children() ? 0 : 2;
}

static bool dies_within(pid_t pid, int limit_ms)
{
    struct pollfd death = {.fd = lp_sys.pidfd_open(pid), .events = POLLIN};
    return death.fd >= 0 && poll(&death, 1, limit_ms) == 1;
}

/* Its number, and then what every such child does. */
static void tell_a_number_and_stay(int pipe_fd)
{
    pid_t pid = getpid();
    if (write(pipe_fd, &pid, sizeof(pid)) != (ssize_t)sizeof(pid))
        _exit(1);
    stay();
}

static void have_a_grandchild(int pipe_fd)
{
    if (fork() == 0) {
        start(tell_a_number_and_stay, pipe_fd);
        stay();
    }
    stay();
}

/* One walk reaches all generations, before any of them has been reaped. */
TEST_IN_CHILD(tree, walk_reaches_the_grandchildren, 10000, TEST_EXIT(0))
{
    int fds[2];
    pid_t grandchild = 0;
    if (become_a_reaper(fds) != 0)
        return 90;
    pid_t child = start(have_a_grandchild, fds[1]);
    if (read(fds[0], &grandchild, sizeof(grandchild)) != (ssize_t)sizeof(grandchild))
        return 1;
    lp_tree_kill(child);
    if (!dies_within(child, LIMIT_MS) || !dies_within(grandchild, LIMIT_MS))
        return 2;
    return lp_tree_kill_children(NULL, 0, LIMIT_MS) == 0 ? 0 : 3;
}

/* A process that is somebody else's is left alone, whatever its number. */
TEST_IN_CHILD(tree, stranger_is_left_alone, 10000, TEST_EXIT(0))
{
    int fds[2], status;
    if (pipe2(fds, O_CLOEXEC) != 0) /* no reaper: the grandchild stays the child's */
        return 90;
    pid_t stranger = 0, child = fork();
    if (child == 0) {
        pid_t pid = start(tell_a_number_and_stay, fds[1]);
        waitpid(pid, &status, 0);
        _exit(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM ? 0 : 1);
    }
    if (read(fds[0], &stranger, sizeof(stranger)) != (ssize_t)sizeof(stranger))
        return 1;
    lp_tree_kill(stranger);
    kill(stranger, SIGTERM); /* it is still there to die of this */
    if (waitpid(child, &status, 0) != child)
        return 2;
    return status == 0 ? 0 : 3;
}
