/* SPDX-License-Identifier: MIT */
#include "core/shares.h"

#include <errno.h>
#include <stddef.h>

/* ---- sums ----------------------------------------------------------------------------------- */

static uint64_t held(const struct lp_shares *shares)
{
    uint64_t sum = 0;
    for (const struct lp_share *member = shares->first; member; member = member->next)
        sum += member->held;
    return sum;
}

static uint64_t reserved(const struct lp_shares *shares)
{
    uint64_t sum = 0;
    for (const struct lp_share *member = shares->first; member; member = member->next)
        sum += member->reserve;
    return sum;
}

/* Places that are held, or kept for somebody. */
static uint64_t bound(const struct lp_shares *shares)
{
    uint64_t sum = 0;
    for (const struct lp_share *member = shares->first; member; member = member->next)
        sum += member->held > member->reserve ? member->held : member->reserve;
    return sum;
}

static uint32_t members(const struct lp_shares *shares)
{
    uint32_t count = 0;
    for (const struct lp_share *member = shares->first; member; member = member->next)
        count++;
    return count;
}

/* ---- dealing ---------------------------------------------------------------------------------- */

static bool may_have_one(const struct lp_shares *shares, const struct lp_share *member)
{
    if (member->held < member->reserve)
        return held(shares) < shares->limit;
    return bound(shares) < shares->limit;
}

static bool is_below(const struct lp_share *member)
{
    return member->held < member->share;
}

/* Who is to have the next one that is free; NULL: nobody may. */
static struct lp_share *next_in_turn(const struct lp_shares *shares)
{
    struct lp_share *best = NULL;
    for (struct lp_share *member = shares->first; member; member = member->next) {
        if (!member->waiting || !may_have_one(shares, member))
            continue;
        bool needier = best && is_below(member) && !is_below(best);
        bool alike = best && is_below(member) == is_below(best);
        if (!best || needier || (alike && member->waiting < best->waiting))
            best = member;
    }
    return best;
}

static void deal_shares(struct lp_shares *shares)
{
    uint32_t n = members(shares);
    uint32_t part = n ? (uint32_t)((shares->limit - reserved(shares)) / n) : 0;
    for (struct lp_share *member = shares->first; member; member = member->next) {
        uint32_t share = member->reserve + part;
        member->news = member->news || share != member->share;
        member->share = share;
    }
}

static enum lp_yield yield_of(const struct lp_shares *shares, const struct lp_share *member)
{
    enum lp_yield yield = LP_YIELD_NOTHING;
    for (const struct lp_share *other = shares->first; other; other = other->next) {
        if (other == member || !other->waiting)
            continue;
        if (is_below(other))
            return LP_YIELD_SHARE;
        yield = LP_YIELD_IDLE;
    }
    return yield;
}

static void settle(struct lp_shares *shares)
{
    struct lp_share *member;
    deal_shares(shares);
    while ((member = next_in_turn(shares)) != NULL) {
        member->held++;
        member->granted++;
        member->news = true;
        member->waiting = --member->wanted ? ++shares->turn : 0;
    }
    for (member = shares->first; member; member = member->next) {
        enum lp_yield yield = yield_of(shares, member);
        member->news = member->news || yield != member->yield;
        member->yield = yield;
    }
}

/* ---- the door --------------------------------------------------------------------------------- */

int lp_shares_join(struct lp_shares *shares, struct lp_share *member, uint32_t reserve)
{
    if (reserved(shares) + reserve > shares->limit)
        return -ENOSPC;
    *member = (struct lp_share){.next = shares->first, .reserve = reserve, .news = true};
    shares->first = member;
    settle(shares);
    return 0;
}

void lp_shares_leave(struct lp_shares *shares, struct lp_share *member)
{
    struct lp_share **link = &shares->first;
    while (*link != member)
        link = &(*link)->next;
    *link = member->next;
    settle(shares);
}

int lp_shares_reserve(struct lp_shares *shares, struct lp_share *member, uint32_t reserve)
{
    if (reserved(shares) - member->reserve + reserve > shares->limit)
        return -ENOSPC;
    member->reserve = reserve;
    settle(shares);
    return 0;
}

void lp_shares_want(struct lp_shares *shares, struct lp_share *member, uint32_t wanted)
{
    member->wanted = wanted;
    if (!wanted)
        member->waiting = 0;
    else if (!member->waiting)
        member->waiting = ++shares->turn;
    settle(shares);
}

void lp_shares_give(struct lp_shares *shares, struct lp_share *member, uint32_t places)
{
    member->held -= places;
    settle(shares);
}

/* Nobody waits for what is there, and there is never more than the limit. */
bool lp_shares_check(const struct lp_shares *shares)
{
    return held(shares) <= shares->limit && reserved(shares) <= shares->limit &&
           next_in_turn(shares) == NULL;
}
