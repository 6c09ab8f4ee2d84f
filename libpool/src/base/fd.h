/* SPDX-License-Identifier: MIT */
/*
 * fd: a descriptor is closed exactly once, and its variable says so: -1 is a closed one.
 *
 *     lp_fd_auto int directory_fd = lp_sys.openat(...);   closed at the end of the block
 *     lp_fd_close(&link->socket_fd);                      closed now; may be called twice
 */
#ifndef LP_BASE_FD_H
#define LP_BASE_FD_H

#include <errno.h>
#include <unistd.h>

/* Linux frees the number whatever close says, so there is nothing to do about an error. */
static inline void lp_fd_close(int *fd)
{
    int saved_errno = errno;
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
    errno = saved_errno;
}

#define lp_fd_auto __attribute__((cleanup(lp_fd_close)))

#endif
