/* SPDX-License-Identifier: MIT */
#include "os/omen.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "harness/test.h"
#include "sys/sys.h"

#define WAIT_MS 10000

struct life { /* shared with the child */
    struct lp_omen omen;
    _Atomic int ready;
};

static struct life *share(void)
{
    struct life *life = lp_sys.map_shared(sizeof *life);
    CU_ASSERT_PTR_NOT_NULL_FATAL(life);
    return life;
}

static void get_ready(struct life *life)
{
    lp_omen_hold(&life->omen);
    atomic_store(&life->ready, 1);
}

/* A child that is ready; its pidfd. */
static int begin(struct life *life, void (*live)(struct life *life), pid_t *pid)
{
    *pid = fork();
    if (*pid == 0) {
        live(life);
        _exit(1);
    }
    while (!atomic_load(&life->ready))
        (void)poll(NULL, 0, 1);
    return lp_sys.pidfd_open(*pid);
}

static void end(pid_t pid, int pid_fd, struct life *life)
{
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    lp_fd_close(&pid_fd);
    lp_sys.unmap(life, sizeof *life);
}

/* The descriptor tells; what interrupts the wait is its news. */
static bool hears(struct lp_omens *omens, int timeout_ms, uint32_t *slot, int *error)
{
    struct pollfd news = {.fd = omens->fd, .events = POLLIN};
    int n;
    while ((n = lp_sys.poll(&news, 1, timeout_ms)) == -EINTR)
        continue;
    return n == 1 && lp_omens_take(omens, slot, error);
}

static bool is_supported(struct lp_omens *omens, uint32_t slots)
{
    bool is = lp_omens_open(omens, slots) == 0;
    if (!is)
        hn_test_skip("no io_uring here, or none that waits for futexes");
    return is;
}

static void stay(struct life *life)
{
    get_ready(life);
    for (;;)
        (void)pause();
}

TEST(omen, a_death_is_told_of_the_right_slot)
{
    struct lp_omens omens;
    if (!is_supported(&omens, 3))
        return;
    struct life *lives[3];
    pid_t pids[3];
    int pid_fds[3], error = 1;
    uint32_t slot = 7;
    for (uint32_t i = 0; i < 3; i++) {
        lives[i] = share();
        pid_fds[i] = begin(lives[i], stay, &pids[i]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(lp_omen_word(&lives[i]->omen));
        lp_omens_await(&omens, lp_omen_word(&lives[i]->omen), i);
    }
    lp_omens_submit(&omens);
    CU_ASSERT_FALSE(hears(&omens, 0, &slot, &error));
    CU_ASSERT_FALSE(lp_omen_is_true(pids[1], pid_fds[1]));
    CU_ASSERT_EQUAL(kill(pids[1], SIGKILL), 0);
    CU_ASSERT(hears(&omens, WAIT_MS, &slot, &error));
    CU_ASSERT_EQUAL(slot, 1);
    CU_ASSERT_EQUAL(error, 0);
    CU_ASSERT(lp_omen_is_true(pids[1], pid_fds[1]));
    CU_ASSERT_FALSE(hears(&omens, 0, &slot, &error));
    lp_omens_close(&omens);
    for (uint32_t i = 0; i < 3; i++)
        end(pids[i], pid_fds[i], lives[i]);
}

static void *go_on(void *unused)
{
    (void)unused;
    for (;;)
        (void)pause();
    return NULL;
}

/* Its process is there, with a thread that does not end: a pidfd tells nothing. */
static void end_first_thread(struct life *life)
{
    pthread_t thread;
    lp_omen_hold(&life->omen);
    if (pthread_create(&thread, NULL, go_on, NULL) == 0)
        atomic_store(&life->ready, 1);
    while (atomic_load(&life->ready) == 1)
        (void)poll(NULL, 0, 1);
    (void)syscall(SYS_exit, 0);
}

TEST(omen, is_not_true_while_another_thread_lives)
{
    struct lp_omens omens;
    if (!is_supported(&omens, 1))
        return;
    struct life *life = share();
    uint32_t slot = 7;
    int error = 1;
    pid_t pid;
    struct pollfd death = {.fd = begin(life, end_first_thread, &pid), .events = POLLIN};
    lp_omens_await(&omens, lp_omen_word(&life->omen), 0);
    lp_omens_submit(&omens);
    atomic_store(&life->ready, 2);
    CU_ASSERT(hears(&omens, WAIT_MS, &slot, &error));
    CU_ASSERT_EQUAL(lp_sys.poll(&death, 1, 0), 0);
    CU_ASSERT_FALSE(lp_omen_is_true(pid, death.fd));
    CU_ASSERT_EQUAL(lp_sys.poll(&death, 1, 0), 0);
    lp_omens_close(&omens);
    end(pid, death.fd, life);
}

static int no_descriptors(int pidfd, int fd)
{
    (void)pidfd, (void)fd;
    return -EPERM;
}

/* Where nobody may ask for descriptors /proc tells. */
TEST(omen, is_asked_about_in_proc)
{
    struct life *life = share();
    pid_t pid;
    struct pollfd death = {.fd = begin(life, stay, &pid), .events = POLLIN};
    lp_sys.pidfd_getfd = no_descriptors;
    CU_ASSERT_FALSE(lp_omen_is_true(pid, death.fd));
    CU_ASSERT_EQUAL(kill(pid, SIGKILL), 0);
    CU_ASSERT_EQUAL(lp_sys.poll(&death, 1, WAIT_MS), 1);
    CU_ASSERT(lp_omen_is_true(pid, death.fd)); /* it is not reaped yet */
    CU_ASSERT_EQUAL(waitpid(pid, NULL, 0), pid);
    CU_ASSERT_FALSE(lp_omen_is_true(getpid(), death.fd)); /* that number is another's by now */
    lp_sys.pidfd_getfd = lp_sys_kernel.pidfd_getfd;
    CU_ASSERT_FALSE(lp_omen_is_true(pid, death.fd));
    end(pid, death.fd, life);
}

/* What the worker says of its place is looked at before it is believed. */
TEST(omen, a_place_outside_is_none)
{
    struct life *life = share();
    static const uint32_t places[] = {0,
                                      2,
                                      3,
                                      4,
                                      sizeof(pthread_mutex_t),
                                      sizeof(struct lp_omen) + 1,
                                      UINT32_MAX,
                                      UINT32_MAX - 2};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        atomic_store(&life->omen.place, places[i]);
        CU_ASSERT_PTR_NULL(lp_omen_word(&life->omen));
    }
    atomic_store(&life->omen.place, sizeof(pthread_mutex_t) - 3);
    CU_ASSERT_PTR_NOT_NULL(lp_omen_word(&life->omen));
    lp_omen_wipe(&life->omen);
    CU_ASSERT_PTR_NULL(lp_omen_word(&life->omen));
    lp_sys.unmap(life, sizeof *life);
}

/* The thread's own list of robust mutexes is as it was: the libc's, with one more. */
TEST_IN_CHILD(omen, other_robust_mutexes_work_beside_it, 10000, TEST_EXIT(0))
{
    struct life *life = lp_sys.map_shared(sizeof *life);
    pthread_mutexattr_t attributes;
    pthread_mutex_t *mutexes = lp_sys.map_shared(2 * sizeof *mutexes);
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    for (int i = 0; i < 2; i++)
        pthread_mutex_init(&mutexes[i], &attributes);
    pid_t pid = fork();
    if (pid == 0) {
        pthread_mutex_lock(&mutexes[0]);
        lp_omen_hold(&life->omen);
        pthread_mutex_lock(&mutexes[1]);
        _exit(lp_omen_word(&life->omen) ? 0 : 1);
    }
    int status = 1;
    if (waitpid(pid, &status, 0) != pid || status)
        return 1;
    uint32_t word = atomic_load(lp_omen_word(&life->omen));
    if (!(word & FUTEX_OWNER_DIED))
        return 2;
    for (int i = 0; i < 2; i++)
        if (pthread_mutex_lock(&mutexes[i]) != EOWNERDEAD)
            return 3;
    return 0;
}

static struct lp_omens *waiting;

static int know_no_futexes(int ring_fd, uint32_t submit)
{
    *(uint8_t *)waiting->entries = UINT8_MAX; /* an operation that no kernel knows */
    return lp_sys_kernel.io_uring_enter(ring_fd, submit);
}

TEST(omen, a_kernel_that_does_not_know_it_says_so)
{
    struct lp_omens omens;
    if (!is_supported(&omens, 1))
        return;
    struct life *life = share();
    uint32_t slot = 7;
    int error = 0;
    atomic_store(&life->omen.place, 1);
    waiting = &omens;
    lp_sys.io_uring_enter = know_no_futexes;
    lp_omens_await(&omens, lp_omen_word(&life->omen), 0);
    lp_omens_submit(&omens);
    lp_sys.io_uring_enter = lp_sys_kernel.io_uring_enter;
    CU_ASSERT(hears(&omens, WAIT_MS, &slot, &error));
    CU_ASSERT_EQUAL(error, -EINVAL);
    lp_omens_close(&omens);
    CU_ASSERT_EQUAL(omens.fd, -1);
    lp_omens_submit(&omens);
    CU_ASSERT_FALSE(lp_omens_take(&omens, &slot, &error));
    lp_sys.unmap(life, sizeof *life);
}
