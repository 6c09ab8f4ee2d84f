/* SPDX-License-Identifier: MIT */
/*
 * The host's side: the birth of a zygote, and the messages to and from it.
 *
 * The midwife shares the host's memory and descriptor table, and the host's thread stands still
 * until it is gone. It is the zygote's parent, and therefore the one that can open a pidfd which
 * certainly means the zygote: as long as it lives the number is not free.
 *
 * Its stack is an array in the frame below. What the zygote and its workers need beyond it grows
 * into the rest of the thread's stack, of which they have a copy of their own; that is why the
 * array must lie on it, where libc and language run-times look for a stack. The midwife itself stays
 * within: it only forks. A thread with too little left (or a coroutine, whose stack nobody knows)
 * lends nothing: a stack is mapped for the birth, and stays in the zygote's copy of the memory.
 */
#include "os/zygote.h"

#include "base/fd.h"
#include "os/fds.h"
#include "os/lifeline.h"
#include "os/program.h"
#include "os/zygote_main.h"
#include "sys/sys.h"

#include <errno.h>
#include <sched.h>
#include <stdalign.h>
#include <string.h>
#include <unistd.h>

#define MIDWIFE_STACK_BYTES ((size_t)64 * 1024)
#define NEWBORN_STACK_BYTES ((size_t)32 * 1024)
#define LENT_STACK_BYTES ((size_t)256 * 1024) /* at least, for tasks, too */
#define MAPPED_STACK_BYTES ((size_t)8 * 1024 * 1024)
#define REAP_WAIT_MS 1000

/* ---- Birth ------------------------------------------------------------------------------- */

struct delivery {
    struct lp_zygote_birth birth;
    pid_t pid;  /* of the zygote, or -errno */
    int pid_fd; /* in the host's table, because the midwife shares it */
    int error;  /* of the exec */
};

static void abandon(struct delivery *delivery, int error)
{
    (void)lp_sys.kill(delivery->pid, SIGKILL);
    (void)lp_sys.wait4(delivery->pid, NULL, __WALL, NULL);
    delivery->pid = error;
}

/* In the host's memory, with a descriptor table of its own; what it writes here the midwife reads. */
static int become_program(void *arg)
{
    struct delivery *delivery = arg;
    delivery->error = lp_program_exec(&delivery->birth);
    lp_sys.exit_group(0);
    return 0;
}

/* CLONE_VFORK: when the call returns there was an exec, or there will be none. */
static __attribute__((noinline)) void exec_zygote(struct delivery *delivery)
{
    alignas(16) char stack[NEWBORN_STACK_BYTES];
    delivery->pid = lp_sys.clone(become_program, stack + sizeof(stack), CLONE_VM | CLONE_VFORK,
                                 delivery);
    if (delivery->pid > 0 && delivery->error < 0)
        abandon(delivery, delivery->error);
}

static int lend(const struct lp_zygote_options *options, bool on)
{
    int error = 0;
    for (size_t i = 0; i < sizeof(options->lent) / sizeof(options->lent[0]); i++) {
        const struct lp_zygote_memory *lent = &options->lent[i];
        int failed = lent->bytes ? lp_sys.set_inherited(lent->memory, lent->bytes, on) : 0;
        error = error ? error : failed;
    }
    return error;
}

/* What is lent is inherited for as long as fork() takes: that is the midwife's, who shares the memory. */
static void fork_zygote(struct delivery *delivery)
{
    const struct lp_zygote_options *options = delivery->birth.options;
    int error = lend(options, true);
    delivery->pid = error ? error : lp_sys.fork();
    if (delivery->pid == 0)
        lp_zygote_main(&delivery->birth);
    (void)lend(options, false);
}

static int midwife(void *arg)
{
    struct delivery *delivery = arg;
    if (delivery->birth.options->program != NULL)
        exec_zygote(delivery);
    else
        fork_zygote(delivery);
    if (delivery->pid > 0) {
        delivery->pid_fd = lp_sys.pidfd_open(delivery->pid);
        if (delivery->pid_fd < 0)
            abandon(delivery, delivery->pid_fd);
    }
    lp_sys.exit_group(0);
    return 0;
}

/* Whoever else reaps the midwife (a host that waits with __WALL) does no harm: it is then gone. */
static void wait_for_midwife(pid_t pid)
{
    while (lp_sys.wait4(pid, NULL, __WALL, NULL) == -EINTR)
        continue;
}

static pid_t call_midwife(struct delivery *delivery, char *stack, size_t size)
{
    return lp_sys.clone(midwife, stack + size, CLONE_VM | CLONE_VFORK | CLONE_FILES, delivery);
}

/* A frame of its own: it must not be there unless there is room for it. */
static __attribute__((noinline)) pid_t call_on_own_stack(struct delivery *delivery)
{
    alignas(16) char stack[MIDWIFE_STACK_BYTES];
    return call_midwife(delivery, stack, sizeof(stack));
}

/* CLONE_VFORK: the midwife has left the stack when the call returns. */
static pid_t call_on_mapped_stack(struct delivery *delivery)
{
    char *stack = lp_sys.map_stack(MAPPED_STACK_BYTES);
    if (stack == NULL)
        return -ENOMEM;
    pid_t pid = call_midwife(delivery, stack, MAPPED_STACK_BYTES);
    (void)lp_sys.unmap(stack, MAPPED_STACK_BYTES);
    return pid;
}

static int deliver(struct delivery *delivery)
{
    sigset_t all, before;
    bool is_lent = lp_sys.stack_left() >= LENT_STACK_BYTES;
    (void)sigfillset(&all);
    (void)lp_sys.signal_mask(SIG_SETMASK, &all, &before);
    pid_t pid = is_lent ? call_on_own_stack(delivery) : call_on_mapped_stack(delivery);
    if (pid > 0)
        wait_for_midwife(pid);
    (void)lp_sys.signal_mask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return pid;
    return delivery->pid > 0 ? 0 : delivery->pid;
}

enum {
    OURS = 0,
    THEIRS,
    HOST,
    ENDS
};

/* None stands on 0, 1 or 2: the zygote passes those on to its workers. */
static int open_ends(int ends[ENDS])
{
    int error = lp_sys.socketpair(SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, ends);
    if (error < 0)
        return error;
    ends[HOST] = lp_sys.pidfd_open(getpid());
    return ends[HOST] < 0 ? ends[HOST] : lp_fds_lift(ends, ENDS);
}

int lp_zygote_start(struct lp_zygote_link *link, const struct lp_zygote_options *options)
{
    *link = LP_ZYGOTE_LINK_NULL;
    int ends[ENDS] = {-1, -1, -1};
    int error = open_ends(ends);
    lp_fd_auto int lifeline_fd = error == 0 ? lp_lifeline_follow(options->lifeline_fd) : -1;
    struct delivery delivery = {.birth = {.options = options,
                                          .socket_fd = ends[THEIRS],
                                          .lifeline_fd = lifeline_fd,
                                          .host_pid_fd = ends[HOST]},
                                .pid = -ECHILD,
                                .pid_fd = -1};
    if (error == 0)
        error = deliver(&delivery);
    if (error == 0) {
        *link = (struct lp_zygote_link){ends[OURS], delivery.pid_fd, delivery.pid};
        ends[OURS] = -1;
    }
    for (int i = 0; i < ENDS; i++)
        lp_fd_close(&ends[i]);
    return error;
}

/* ---- Messages ---------------------------------------------------------------------------- */

static ssize_t send_along(int socket_fd, const struct lp_request *request, int fd)
{
    alignas(struct cmsghdr) char control[LP_FDS_CONTROL_BYTES] = {0};
    struct iovec part = {(void *)(uintptr_t)request, sizeof(*request)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0)
        lp_fds_attach(&message, control, fd);
    ssize_t sent;
    do
        sent = lp_sys.sendmsg(socket_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent == -EINTR);
    return sent;
}

/* With too many descriptors in flight it goes without; the zygote says what that means. */
int lp_zygote_send(struct lp_zygote_link *link, const struct lp_request *request, int doorbell_fd)
{
    ssize_t sent = send_along(link->socket_fd, request, doorbell_fd);
    if (sent == -ETOOMANYREFS)
        sent = send_along(link->socket_fd, request, -1);
    if (sent == -EAGAIN || sent == -ENOBUFS || sent == -ENOMEM)
        return -EAGAIN;
    return sent == (ssize_t)sizeof(*request) ? 0 : -EPIPE;
}

int lp_zygote_peek(struct lp_zygote_link *link, struct lp_report *report)
{
    struct iovec part = {report, sizeof(*report)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t got;
    do
        got = lp_sys.recvmsg(link->socket_fd, &message, MSG_DONTWAIT | MSG_PEEK);
    while (got == -EINTR || got == -ECONNRESET);
    if (got == -EAGAIN || got == -ENOMEM || got == -ENOBUFS)
        return 0;
    return got <= 0 ? -EPIPE : got == (ssize_t)sizeof(*report) ? 1 : -EPROTO;
}

int lp_zygote_receive(struct lp_zygote_link *link, struct lp_report *report, int *pidfd)
{
    alignas(struct cmsghdr) char control[LP_FDS_CONTROL_BYTES];
    struct iovec part = {report, sizeof(*report)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t got;
    *pidfd = -1;
    do { /* ECONNRESET comes once, when the zygote died with requests unread; its reports follow */
        message.msg_control = control;
        message.msg_controllen = sizeof(control);
        got = lp_sys.recvmsg(link->socket_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (got == -EINTR || got == -ECONNRESET);
    if (got == -EAGAIN || got == -ENOMEM || got == -ENOBUFS)
        return 0;
    if (got <= 0)
        return -EPIPE;
    *pidfd = lp_fds_detach(&message);
    if (got == (ssize_t)sizeof(*report) && report->kind >= LP_REPORT_HELLO &&
        report->kind < LP_REPORT_N && (message.msg_flags & MSG_TRUNC) == 0)
        return 1;
    lp_fd_close(pidfd);
    return -EPROTO;
}

/* A host that is init or a sub-reaper has adopted the zygote, and would keep its zombie. */
static void reap_if_ours(int pid_fd)
{
    siginfo_t info;
    if (lp_sys.waitid(P_PIDFD, (id_t)pid_fd, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0)
        return;
    struct pollfd death = {.fd = pid_fd, .events = POLLIN};
    (void)lp_sys.poll(&death, 1, REAP_WAIT_MS);
    (void)lp_sys.waitid(P_PIDFD, (id_t)pid_fd, &info, WEXITED | WNOHANG | __WALL);
}

void lp_zygote_drop(struct lp_zygote_link *link)
{
    if (link->pid_fd >= 0) {
        (void)lp_sys.pidfd_send_signal(link->pid_fd, SIGKILL);
        reap_if_ours(link->pid_fd);
    }
    lp_fd_close(&link->pid_fd);
    lp_fd_close(&link->socket_fd);
    link->pid = 0;
}
