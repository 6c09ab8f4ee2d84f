/* SPDX-License-Identifier: MIT */
#include "os/lifeline.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "sys/sys.h"

/* A new open file of the same pipe. */
static int reopen(int fd)
{
    char path[40];
    struct lp_text text = lp_text_begin(path, sizeof(path));
    lp_text_add(&text, "/proc/self/fd/");
    lp_text_add_number(&text, fd);
    return lp_sys.openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK);
}

int lp_lifeline_open(void)
{
    int ends[2];
    int error = lp_sys.pipe(ends, O_CLOEXEC | O_NONBLOCK);
    if (error < 0)
        return error;
    lp_fd_close(&ends[0]); /* made anew for each zygote */
    return ends[1];
}

int lp_lifeline_follow(int host_fd)
{
    int fd = host_fd > STDERR_FILENO ? reopen(host_fd) : -1;
    if (fd >= 0 && fd <= STDERR_FILENO)
        lp_fd_close(&fd);
    return fd < 0 ? -1 : fd;
}

static int arm(int fd, int signal)
{
    int error = lp_sys.fcntl(fd, F_SETOWN, getpid());
    if (error >= 0)
        error = lp_sys.fcntl(fd, F_SETSIG, signal);
    return error < 0 ? error : lp_sys.fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK);
}

/* What ended before it was armed gave no signal. */
static int arm_and_look(int fd)
{
    struct pollfd end = {.fd = fd, .events = POLLIN};
    int error = arm(fd, SIGKILL);
    return error >= 0 && lp_sys.poll(&end, 1, 0) > 0 ? -EPIPE : error;
}

int lp_lifeline_arm(int followed_fd)
{
    int fd = reopen(followed_fd);
    int error = fd < 0 ? fd : arm_and_look(fd);
    if (error < 0)
        lp_fd_close(&fd);
    return error < 0 ? error : fd;
}

void lp_lifeline_arm_zygote(int followed_fd)
{
    (void)arm(followed_fd, SIGCONT);
}
