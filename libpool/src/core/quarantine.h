/* SPDX-License-Identifier: MIT */
/*
 * quarantine: kinds of tasks whose workers die again and again.
 *
 * The application gives its tasks a kind, a number of its own. Deaths of workers that ran tasks of one
 * kind are counted until a task of that kind ends by itself; after so many in a row the kind is held:
 * none of it is handed out any more, until it is pardoned or its time is up. Then one more death holds
 * it again. The table is small: where there is no room, the kind that was touched least recently is
 * forgotten, one that is held last of all.
 */
#ifndef LP_CORE_QUARANTINE_H
#define LP_CORE_QUARANTINE_H

#include <stdbool.h>
#include <stdint.h>

#define LP_KINDS_MAX 64u

struct lp_kind {
    uint64_t kind;
    uint64_t touched;  /* turn of the last death */
    uint64_t until_ns; /* held until then; UINT64_MAX: until a pardon; 0: it is not */
    uint32_t deaths;   /* in a row */
};

struct lp_quarantine {
    uint32_t limit;     /* deaths in a row; 0: nothing is ever held */
    uint64_t period_ns; /* 0: until a pardon */
    uint64_t turn;
    uint32_t count;
    struct lp_kind kinds[LP_KINDS_MAX];
};

/* A worker died of a task of this kind (0: none). True: the kind is held from now on. */
bool lp_quarantine_died(struct lp_quarantine *quarantine, uint64_t kind, uint64_t now_ns);
/* A task of this kind has ended by itself. */
void lp_quarantine_worked(struct lp_quarantine *quarantine, uint64_t kind, uint64_t now_ns);
bool lp_quarantine_holds(struct lp_quarantine *quarantine, uint64_t kind, uint64_t now_ns);
/* False: nothing was held against it. */
bool lp_quarantine_pardon(struct lp_quarantine *quarantine, uint64_t kind, uint64_t now_ns);

#endif
