/* SPDX-License-Identifier: MIT */
#include "os/board.h"

#include <errno.h>
#include <string.h>

#define LOOKS 8

void lp_board_wipe(struct lp_board *board)
{
    atomic_store_explicit(&board->beat_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&board->count, 0, memory_order_relaxed);
}

void lp_board_beat(struct lp_board *board, uint64_t now_ns)
{
    atomic_store_explicit(&board->beat_ns, now_ns, memory_order_relaxed);
}

uint64_t lp_board_last_beat(const struct lp_board *board)
{
    return atomic_load_explicit(&board->beat_ns, memory_order_relaxed);
}

void lp_board_write(struct lp_board *board, const struct lp_progress *report)
{
    uint64_t words[LP_BOARD_WORDS];
    uint64_t count = atomic_load_explicit(&board->count, memory_order_relaxed);
    memcpy(words, report, sizeof words);
    atomic_thread_fence(memory_order_release); /* who sees these words sees the count before them */
    for (uint32_t i = 0; i < LP_BOARD_WORDS; i++)
        atomic_store_explicit(&board->words[count % LP_BOARD_PLACES][i], words[i],
                              memory_order_relaxed);
    atomic_store_explicit(&board->count, count + 1, memory_order_release);
}

/* The place of a report is written again once LP_BOARD_PLACES - 1 others are counted. */
int lp_board_read(const struct lp_board *board, struct lp_progress *report)
{
    uint64_t words[LP_BOARD_WORDS];
    for (int look = 0; look < LOOKS; look++) {
        uint64_t count = atomic_load_explicit(&board->count, memory_order_acquire);
        if (count == 0)
            return -ENOENT;
        for (uint32_t i = 0; i < LP_BOARD_WORDS; i++)
            words[i] = atomic_load_explicit(&board->words[(count - 1) % LP_BOARD_PLACES][i],
                                            memory_order_relaxed);
        atomic_thread_fence(memory_order_acquire);
        uint64_t after = atomic_load_explicit(&board->count, memory_order_relaxed);
        if (after - count >= LP_BOARD_PLACES - 1)
            continue;
        memcpy(report, words, sizeof *report);
        report->text[sizeof report->text - 1] = '\0';
        return 0;
    }
    return -EAGAIN;
}
