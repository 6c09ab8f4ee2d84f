/* SPDX-License-Identifier: MIT */
/*
 * program: the zygote as a program of its own, exec'ed instead of forked.
 *
 * A forked zygote is a copy of the host: with every lock, thread-local state and library context as it
 * was in that moment, and at a cost that grows with the host. An exec'ed one has nothing of it but a few
 * descriptors:
 *
 *     0, 1, 2    the host's
 *     3          its end of the link
 *     4          a pidfd of the host
 *     5          the lifeline, or the pidfd again where there can be none
 *     6          the shared memory: the manifest (manifest.h), one window a slot, the wardrobe
 *     7...       the pidfds of the heirs
 *
 * Between clone and exec the newborn runs in the host's memory, on a stack of its own: nothing there
 * but system calls.
 */
#ifndef LP_OS_PROGRAM_H
#define LP_OS_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/zygote_main.h"

struct lp_program {
    const char *path;
    char *const *argv, *const *envp;
    int memory_fd;
    int *fds; /* room for LP_PROGRAM_FDS(slots), nobody else's */
};

enum {
    LP_PROGRAM_SOCKET = 3,
    LP_PROGRAM_HOST,
    LP_PROGRAM_LIFELINE,
    LP_PROGRAM_MEMORY,
    LP_PROGRAM_HEIRS
};

#define LP_PROGRAM_FDS(slots) (LP_PROGRAM_HEIRS - LP_PROGRAM_SOCKET + (size_t)(slots))

/*
 * Memory of `size` bytes that a program can be handed, all of it mapped at *memory. Sealed: nobody can cut
 * it off under the host's feet. Its descriptor (CLOEXEC, above 2), or -errno.
 */
int lp_program_share(size_t size, void **memory);

/* In the newborn, which has a descriptor table of its own. Returns only when there is no exec: -errno. */
int lp_program_exec(const struct lp_zygote_birth *birth);

/*
 * In the program: what it was handed, mapped; the descriptor is closed. 0; -EPROTO: it was started by
 * nobody who knows it.
 */
int lp_program_receive(void **memory, size_t *size, bool *has_lifeline);

#endif
