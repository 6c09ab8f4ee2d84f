/* SPDX-License-Identifier: MIT */
/* --keep-order: what has ended before its turn waits in a file. */
#ifndef POOLRUN_ORDER_H
#define POOLRUN_ORDER_H

#include "output.h"

#define PR_ORDER_MAX 65536u    /* jobs that may wait for one that is slow */
#define PR_ORDER_KEEPS_MAX 64u /* so many of them with their own files */

struct pr_held {
    bool is_there;
    off_t at, out, err, log; /* in the file, one after the other: where, and how much of each */
    int kept[2]; /* out and err are not there, but in files of their own; -1: they are */
};

struct pr_order {
    int fd; /* -1: not needed yet */
    off_t end;
    uint64_t next; /* the Seq whose turn it is */
    uint32_t n_held, n_kept;
    struct pr_held *held; /* by Seq modulo PR_ORDER_MAX */
};

void pr_order_open(struct pr_order *order);
void pr_order_close(struct pr_order *order);

bool pr_order_has_room(const struct pr_order *order, uint64_t seq);

/*
 * Whether files as large as these are kept as they are, which takes less time than to copy them: then
 * pr_order_hold has to follow, and the descriptors are not the caller's any more.
 */
bool pr_order_keeps(const struct pr_order *order, const struct pr_piece pieces[2]);

/* Copies what a job wrote, and its line of the log; pieces NULL: it has nothing. 0, or -errno. */
int pr_order_hold(struct pr_order *order, uint64_t seq, const struct pr_piece pieces[2],
                  const struct pr_text *log);

/* 1: the next one waits here, and is given; 0: it does not; -errno. It stays the next one. */
int pr_order_take(struct pr_order *order, struct pr_piece pieces[2], struct pr_text *log);

/* The turn of the next Seq. */
void pr_order_advance(struct pr_order *order);

#endif
