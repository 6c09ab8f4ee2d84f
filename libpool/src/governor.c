/* SPDX-License-Identifier: MIT */
#include "governor.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "base/alloc.h"

struct libpool_governor {
    pthread_mutex_t lock;
    struct lp_shares shares;
    pid_t pid; /* of the process that opened it: a copy's lock may be held for ever */
};

static const libpool_allocator plain = {0};

int libpool_governor_open(libpool_governor **out, uint32_t limit)
{
    if (!out)
        return -EINVAL;
    *out = NULL;
    if (limit == 0)
        return -EINVAL;
    libpool_governor *governor = lp_alloc_zeroed(&plain, sizeof *governor);
    if (!governor)
        return -ENOMEM;
    pthread_mutex_init(&governor->lock, NULL);
    governor->shares.limit = limit;
    governor->pid = getpid();
    *out = governor;
    return 0;
}

int libpool_governor_close(libpool_governor *governor)
{
    if (!governor)
        return 0;
    if (governor->pid != getpid())
        return -ECHILD;
    pthread_mutex_lock(&governor->lock);
    bool busy = governor->shares.first != NULL;
    pthread_mutex_unlock(&governor->lock);
    if (busy)
        return -EBUSY;
    pthread_mutex_destroy(&governor->lock);
    lp_release(&plain, governor, sizeof *governor);
    return 0;
}

/* ---- for the pools -------------------------------------------------------------------------- */

/* With the lock held: so nobody whom it concerns has left. */
static void ring(libpool_governor *governor)
{
    for (struct lp_share *share = governor->shares.first; share; share = share->next) {
        struct lp_membership *member = (struct lp_membership *)(void *)share;
        if (!share->news || atomic_exchange(&member->has_word, true))
            continue;
        member->ring(member->pool);
    }
}

static void unlock(libpool_governor *governor)
{
    ring(governor);
    pthread_mutex_unlock(&governor->lock);
}

int lp_governor_join(struct lp_membership *member, libpool_governor *governor, uint32_t reserve)
{
    if (!governor)
        return 0;
    if (governor->pid != getpid())
        return -ECHILD;
    pthread_mutex_lock(&governor->lock);
    int error = lp_shares_join(&governor->shares, &member->share, reserve);
    if (!error)
        member->governor = governor;
    unlock(governor);
    return error;
}

void lp_governor_leave(struct lp_membership *member)
{
    libpool_governor *governor = member->governor;
    if (!governor)
        return;
    member->governor = NULL;
    pthread_mutex_lock(&governor->lock);
    lp_shares_leave(&governor->shares, &member->share);
    unlock(governor);
}

int lp_governor_reserve(struct lp_membership *member, uint32_t reserve)
{
    libpool_governor *governor = member->governor;
    if (!governor)
        return 0;
    pthread_mutex_lock(&governor->lock);
    int error = lp_shares_reserve(&governor->shares, &member->share, reserve);
    unlock(governor);
    return error;
}

void lp_governor_want(struct lp_membership *member, uint32_t count)
{
    libpool_governor *governor = member->governor;
    if (!governor)
        return;
    pthread_mutex_lock(&governor->lock);
    lp_shares_want(&governor->shares, &member->share, count);
    unlock(governor);
}

void lp_governor_give(struct lp_membership *member, uint32_t count)
{
    libpool_governor *governor = member->governor;
    if (!governor)
        return;
    pthread_mutex_lock(&governor->lock);
    lp_shares_give(&governor->shares, &member->share, count);
    unlock(governor);
}

bool lp_governor_fetch(struct lp_membership *member, struct lp_event *event)
{
    libpool_governor *governor = member->governor;
    if (!governor || !atomic_exchange(&member->has_word, false))
        return false;
    pthread_mutex_lock(&governor->lock);
    struct lp_share *share = &member->share;
    *event = (struct lp_event){.kind = LP_EVENT_PLACES,
                               .granted = share->granted,
                               .share = share->share,
                               .yield = share->yield};
    share->granted = 0;
    share->news = false;
    pthread_mutex_unlock(&governor->lock);
    return true;
}
