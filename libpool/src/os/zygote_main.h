/* SPDX-License-Identifier: MIT */
/*
 * zygote_main: what the midwife hands over to the newborn zygote.
 */
#ifndef LP_OS_ZYGOTE_MAIN_H
#define LP_OS_ZYGOTE_MAIN_H

#include "os/zygote.h"

struct lp_zygote_birth {
    const struct lp_zygote_options *options;
    int socket_fd;   /* the zygote's end */
    int lifeline_fd; /* a reading end (lifeline.h), or -1 */
    int host_pid_fd; /* opened by the host itself, so it can mean nobody else */
};

/* Says FAILED over the socket and leaves. */
_Noreturn void lp_zygote_give_up(int socket_fd, int error);

/* Serves until the host says QUIT or dies; then everything it started is dead. */
_Noreturn void lp_zygote_main(const struct lp_zygote_birth *birth);

#endif
