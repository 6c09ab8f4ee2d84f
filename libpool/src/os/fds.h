/* SPDX-License-Identifier: MIT */
/*
 * fds: giving a forked process a descriptor table of its own choice.
 */
#ifndef LP_OS_FDS_H
#define LP_OS_FDS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#define LP_FDS_FIRST 3

/*
 * Keeps 0, 1, 2 and these n descriptors (distinct, all above 2), which become 3, 4, 5... in their
 * order; closes all others. fds holds the new numbers afterwards. All are CLOEXEC. Needs room for
 * one more descriptor than it keeps. 0 or -errno.
 */
int lp_fds_keep(int *fds, size_t n);

/* The same, but each keeps its number; -1 stands for none. */
int lp_fds_keep_in_place(const int *fds, size_t n);

/* Moves those of fds that stand on 0, 1 or 2 above and closes the old numbers; -1: none. 0 or -errno. */
int lp_fds_lift(int *fds, size_t n);

/* 0 becomes /dev/null, unless it is kept; so do all three when they are closed. */
void lp_fds_settle_standard(bool keep_stdin);

/* What goes along with a message: one descriptor, in a control buffer of so many bytes, zeroed. */
#define LP_FDS_CONTROL_BYTES CMSG_SPACE(sizeof(int))
void lp_fds_attach(struct msghdr *message, void *control, int fd);
/* The descriptor that came along, or -1; there is never a second one. */
int lp_fds_detach(struct msghdr *message);

#endif
