/* SPDX-License-Identifier: MIT */
/*
 * fd: a descriptor is closed exactly once, and its variable says so: -1 is a closed one.
 *
 *     lp_fd_auto int directory_fd = lp_sys.openat(...);   closed at the end of the block
 *     lp_fd_close(&link->socket_fd);                      closed now; may be called twice
 */
#ifndef LP_BASE_FD_H
#define LP_BASE_FD_H

#include "sys/sys.h"

static inline void lp_fd_close(int *fd)
{
    if (*fd >= 0)
        (void)lp_sys.close(*fd);
    *fd = -1;
}

/* Hands the descriptor on: the variable forgets it. */
static inline int lp_fd_take(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

#define lp_fd_auto __attribute__((cleanup(lp_fd_close)))

#endif
