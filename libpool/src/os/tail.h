/* SPDX-License-Identifier: MIT */
/*
 * tail: what a worker writes to its standard streams, kept in a file without a name, to be looked at when
 * its task has failed.
 *
 *     worker: write(2), always at the end ----> [ given back | kept .............. ] <---- host: reads
 *                                                   cut      ^ mark of the task
 *
 * A file, not a pipe: who writes to it waits for nobody, whatever the host is doing, and who reads it takes
 * no lock that a writer holds. What it costs is memory, so its beginning is given back to the kernel while
 * the end grows. That takes the file's lock, which a worker may hold as long as it likes (a write of a
 * gigabyte): it is done where nobody waits for it.
 *
 * Where a task's output begins is said by its worker, in its window, before the task does; it ends where that
 * of the next begins. Untrusted: what it says is brought into the bounds of the file.
 */
#ifndef LP_OS_TAIL_H
#define LP_OS_TAIL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LP_TAIL_MARKS 512u       /* more than tasks may be with one worker */
#define LP_TAIL_NONE UINT64_MAX  /* a beginning that nobody knows */
#define LP_TAIL_LOOSE (1u << 20) /* bytes that are not worth a cut */

struct lp_tail_mark {
    _Atomic uint64_t task_id; /* 0: none */
    _Atomic uint64_t from;
};

/* In a window; all 0 as long as nobody uses it. */
struct lp_tail {
    _Atomic uint32_t number; /* of the file, in the host, and 1; 0: there is none */
    struct lp_tail_mark marks[LP_TAIL_MARKS];
};

struct lp_tail_span {
    uint64_t from, to;
};

/* ---- in the host -------------------------------------------------------------------------- */

/* A file, or -errno. CLOEXEC. */
int lp_tail_open(void);
/* A new worker is about to live there: nothing in the file is of a task of its own. */
void lp_tail_renew(struct lp_tail *tail, int fd);
/*
 * If it was used, an empty file in its place. The old one, which is gone when that is closed: that takes as
 * long as giving back its memory does. -1: it was not used, or is closed already. -errno: it goes on.
 */
int lp_tail_replace(int fd);
/* The last bytes of a task, `most` at most and none before `cut`; empty: there are none, or nobody knows. */
struct lp_tail_span lp_tail_find(const struct lp_tail *tail, int fd, uint64_t task_id, uint64_t cut,
                                 uint64_t most);
/* How many were read. */
size_t lp_tail_read(int fd, const struct lp_tail_span *span, void *data);
/* Memory that it holds, wherever in the file, and beyond its end. Waits for nobody, nor does the next. */
uint64_t lp_tail_held(int fd);
/* It holds so much more than `most` that it is worth a cut: *cut is where what should stay begins. */
bool lp_tail_is_large(int fd, uint64_t most, uint64_t *cut);
/* Gives back what is before, and what a worker has reserved behind the end. May wait for a writer. */
void lp_tail_cut(int fd, uint64_t cut);

/* ---- in a worker -------------------------------------------------------------------------- */

/* The file, to be written to, opened by its name in the host. -ENOENT: there is none. */
int lp_tail_reopen(const struct lp_tail *tail, pid_t host);
/* The n-th task of this worker begins at that place. */
void lp_tail_mark(struct lp_tail *tail, uint32_t n, uint64_t task_id, uint64_t from);

#endif
