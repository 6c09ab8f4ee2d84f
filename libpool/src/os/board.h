/* SPDX-License-Identifier: MIT */
/*
 * board: the place in a worker's window where its task says how far it is, and that it is alive.
 *
 * The worker writes, the host looks when it likes; nobody waits. Reports go round a few places and are
 * then counted: whoever reads takes the last one that is whole, also while the next is being written by
 * a process that was stopped in the middle of it. What is read is untrusted: any bytes, but the text
 * ends inside its place.
 */
#ifndef LP_OS_BOARD_H
#define LP_OS_BOARD_H

#include <stdatomic.h>
#include <stdint.h>

#include <libpool.h>

#define LP_BOARD_PLACES 4u
#define LP_BOARD_WORDS (sizeof(struct lp_progress) / sizeof(uint64_t))

struct lp_progress {
    uint64_t task_id;
    uint64_t done, total;
    char text[LIBPOOL_PROGRESS_TEXT];
};

_Static_assert(sizeof(struct lp_progress) % sizeof(uint64_t) == 0, "it is copied word by word");

struct lp_board {
    _Atomic uint64_t beat_ns; /* the last sign of life; 0: there was none */
    _Atomic uint64_t count;   /* of reports that are whole */
    _Atomic uint64_t words[LP_BOARD_PLACES][LP_BOARD_WORDS];
};

void lp_board_wipe(struct lp_board *board);
void lp_board_beat(struct lp_board *board, uint64_t now_ns);
uint64_t lp_board_last_beat(const struct lp_board *board);

/* One writer at a time. */
void lp_board_write(struct lp_board *board, const struct lp_progress *report);
/* 0; -ENOENT: there is none yet; -EAGAIN: they come faster than they can be read. */
int lp_board_read(const struct lp_board *board, struct lp_progress *report);

#endif
