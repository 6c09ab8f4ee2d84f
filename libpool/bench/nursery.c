/* SPDX-License-Identifier: MIT */
/*
 * The zygote waits for requests and for deaths at once: SIGCHLD is blocked and read from a signalfd. For
 * each child that it has reaped it sends a byte back.
 */
#include "nursery.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define ZYGOTE_DONE 3

static int watch_children(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    bench_must(fd >= 0, "signalfd: %s", strerror(errno));
    return fd;
}

static void reap_all(const struct bench_nursery *nursery, int signal_fd)
{
    struct signalfd_siginfo ignored;
    char bytes[1024] = {0};
    size_t count = 0;
    (void)!read(signal_fd, &ignored, sizeof ignored);
    while (count < sizeof bytes && waitpid(-1, NULL, WNOHANG) > 0)
        count++;
    if (count)
        (void)send(nursery->zygote_fd, bytes, count, MSG_NOSIGNAL);
}

static int serve(void *argument)
{
    struct bench_nursery *nursery = argument;
    char bytes[1024];
    (void)close(nursery->client_fd);
    struct pollfd wanted[] = {{.fd = nursery->zygote_fd, .events = POLLIN},
                              {.fd = watch_children(), .events = POLLIN}};
    for (;;) {
        if (poll(wanted, 2, -1) < 0)
            continue;
        if (wanted[1].revents)
            reap_all(nursery, wanted[1].fd);
        if (!wanted[0].revents)
            continue;
        ssize_t count = recv(nursery->zygote_fd, bytes, sizeof bytes, 0);
        if (count <= 0)
            return ZYGOTE_DONE;
        for (ssize_t i = 0; i < count; i++)
            (void)bench_fork(nursery->body, nursery->argument);
    }
}

void bench_nursery_open(struct bench_nursery *nursery, int (*body)(void *argument), void *argument)
{
    int ends[2];
    int error = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
    bench_must(error == 0, "socketpair: %s", strerror(errno));
    *nursery = (struct bench_nursery){
        .body = body, .argument = argument, .zygote_fd = ends[0], .client_fd = ends[1]};
    nursery->pid = bench_fork(serve, nursery);
    (void)close(nursery->zygote_fd);
}

void bench_nursery_close(struct bench_nursery *nursery)
{
    (void)close(nursery->client_fd);
    bench_reap(nursery->pid, ZYGOTE_DONE);
}

void bench_nursery_ask(const struct bench_nursery *nursery, size_t children)
{
    char bytes[1024] = {0};
    bench_must(children <= sizeof bytes &&
                   send(nursery->client_fd, bytes, children, MSG_NOSIGNAL) == (ssize_t)children,
               "send: %s", strerror(errno));
}

void bench_nursery_await(const struct bench_nursery *nursery, size_t children)
{
    char bytes[1024];
    while (children) {
        ssize_t count = recv(nursery->client_fd, bytes,
                             children < sizeof bytes ? children : sizeof bytes, 0);
        bench_must(count > 0, "the bare zygote is gone");
        children -= (size_t)count;
    }
}
