/* SPDX-License-Identifier: MIT */
/*
 * omen: word of a death before the kernel has torn the memory down.
 *
 * A pidfd becomes readable when a process is gone, its memory included: 25 to 90 ms a GiB. The first thing
 * that a dying process does is to mark the robust futexes that it holds, and to wake who waits for them. So
 * each worker holds one for life, in its window. Only a thread can sleep on a futex, but io_uring (Linux
 * 6.7) waits for many at once, and tells by a descriptor.
 *
 * Its news is run as work of the thread that has submitted the wait, whose system calls it interrupts
 * (EINTR): the supervisor's own thread alone submits, never one of the application's.
 *
 * The word is the worker's to write, and exec() gives it up as well: an omen is never believed, but a
 * reason to ask the kernel, once in a worker's life. Where anything of this is not to be had (an old
 * kernel, a sandbox around the application, a full table) nothing is foretold, and the pidfd tells.
 */
#ifndef LP_OS_OMEN_H
#define LP_OS_OMEN_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* In the window. The worker's to write. */
struct lp_omen {
    pthread_mutex_t mutex;
    _Atomic uint32_t place; /* of the futex in it, from 1 on; 0: it is not held */
};

/* Worker, before it runs any code of the application's: holds it for life. */
void lp_omen_hold(struct lp_omen *omen);

/* Host, before the next worker gets it. */
void lp_omen_wipe(struct lp_omen *omen);
/* Host: NULL: it is not held, or that is nonsense. */
const _Atomic uint32_t *lp_omen_word(const struct lp_omen *omen);

/*
 * Host: this process will run nothing of the application's any more, though it may still be there. Not told
 * of one that has other threads at that moment: it may live on.
 */
bool lp_omen_is_true(pid_t pid, int pid_fd);

/* What waits for many of them: of slots 0 to `slots` - 1, one wait each at a time. */
struct lp_omens {
    int fd; /* for a poller; -1: nothing is foretold */
    void *rings, *entries;
    size_t rings_bytes, entries_bytes;
    uint32_t mask, answers_mask; /* places in the two rings, less one */
    _Atomic uint32_t *tail;      /* of the waits */
    _Atomic uint32_t *answers_head, *answers_tail;
    const struct lp_omen_answer *answers;
    uint32_t submitted; /* the tail by then */
};

#define LP_OMENS_NULL ((struct lp_omens){.fd = -1})

int lp_omens_open(struct lp_omens *omens, uint32_t slots); /* 0 or -errno: nothing is foretold */
void lp_omens_close(struct lp_omens *omens);
/* Any thread, with the pool's lock: waits from the next lp_omens_submit on. */
void lp_omens_await(struct lp_omens *omens, const _Atomic uint32_t *word, uint32_t slot);
/*
 * Always the same thread. A look, and a system call when something is to be waited for. True: not all was
 * taken, and nobody tells when it may be: again soon.
 */
bool lp_omens_submit(struct lp_omens *omens);
/* One that is waited for no more: *error tells why; 0 or -EAGAIN: its word was changed, or woken. */
bool lp_omens_take(struct lp_omens *omens, uint32_t *slot, int *error);

#endif
