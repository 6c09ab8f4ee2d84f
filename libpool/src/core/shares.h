/* SPDX-License-Identifier: MIT */
/*
 * shares: how the places for workers that several pools have in common are dealt. Pure: whoever uses it
 * (governor.c) holds a lock.
 *
 * Each pool has a reserve that is kept free for it, used or not, and a fair share: its reserve, and an equal
 * part of what is beyond all reserves. Who wants places gets them while there are; else it waits, and the
 * next one that is given back goes to whoever waits for longest, first among those below their share.
 * One at a time: who wants more queues up again. While anybody waits, the others are told to let idle workers
 * go; while somebody below its share does, to go down to their own.
 */
#ifndef LP_CORE_SHARES_H
#define LP_CORE_SHARES_H

#include <stdbool.h>
#include <stdint.h>

/* What a pool has to do for others. */
enum lp_yield {
    LP_YIELD_NOTHING = 0,
    LP_YIELD_IDLE,  /* workers that run nothing leave, down to the reserve */
    LP_YIELD_SHARE, /* and those beyond its share after their task */
    LP_YIELDS
};

struct lp_share {
    struct lp_share *next;
    uint32_t held, reserve;
    uint32_t wanted;  /* beyond those held */
    uint64_t waiting; /* since this turn; 0: it wants nothing */
    /* What it was told, or is to be. */
    uint32_t granted, share;
    enum lp_yield yield;
    bool news;
};

struct lp_shares {
    uint32_t limit;
    uint64_t turn;
    struct lp_share *first;
};

/* -ENOSPC: the reserves would be more than there is. Each of these may leave news for any of them. */
int lp_shares_join(struct lp_shares *shares, struct lp_share *member, uint32_t reserve);
void lp_shares_leave(struct lp_shares *shares, struct lp_share *member);
int lp_shares_reserve(struct lp_shares *shares, struct lp_share *member, uint32_t reserve);
/* Instead of what it wanted before. */
void lp_shares_want(struct lp_shares *shares, struct lp_share *member, uint32_t wanted);
void lp_shares_give(struct lp_shares *shares, struct lp_share *member, uint32_t places);

/* For tests: what must always hold. */
bool lp_shares_check(const struct lp_shares *shares);

#endif
