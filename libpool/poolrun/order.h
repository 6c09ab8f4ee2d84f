/* SPDX-License-Identifier: MIT */
/* --keep-order: what has ended before its turn waits in a file. */
#ifndef POOLRUN_ORDER_H
#define POOLRUN_ORDER_H

#include "output.h"

#define PR_ORDER_MAX 65536u /* jobs that may wait for one that is slow */

struct pr_held {
    bool is_there;
    off_t at, out, err, log; /* in the file, one after the other: where, and how much of each */
};

struct pr_order {
    int fd; /* -1: not needed yet */
    off_t end;
    uint64_t next; /* the Seq whose turn it is */
    uint32_t n_held;
    struct pr_held *held; /* by Seq modulo PR_ORDER_MAX */
};

void pr_order_open(struct pr_order *order);
void pr_order_close(struct pr_order *order);

bool pr_order_has_room(const struct pr_order *order, uint64_t seq);

/* Copies what a job wrote, and its line of the log; pieces NULL: it has nothing. 0, or -errno. */
int pr_order_hold(struct pr_order *order, uint64_t seq, const struct pr_piece pieces[2],
                  const struct pr_text *log);

/* 1: the next one waits here, and is given; 0: it does not; -errno. It stays the next one. */
int pr_order_take(struct pr_order *order, struct pr_piece pieces[2], struct pr_text *log);

/* The turn of the next Seq. */
void pr_order_advance(struct pr_order *order);

#endif
