/* SPDX-License-Identifier: MIT */
#include "gather.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "door.h"
#include "sys/sys.h"
#include "visit.h"

#define ON_STACK 16 /* futures that libpool_wait_any waits for without an allocation */

/* ---- under the pool's lock ------------------------------------------------------------------- */

/* The last touch of the gather is the word's change: from then on it may be gone. */
static void count_on(_Atomic uint32_t *word)
{
    uint32_t before = atomic_load_explicit(word, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(word, &before,
                                                  (before & ~LP_AWAITED) + LP_GATHER_TOLD,
                                                  memory_order_acq_rel, memory_order_relaxed))
        continue;
    if (before & LP_AWAITED)
        (void)lp_sys.futex_wake_all(word); /* of an address only: nothing is read there */
}

void lp_gather_tell(libpool_future *future)
{
    struct lp_gather_link *link = future->links;
    future->links = NULL;
    while (link) {
        struct lp_gather *gather = link->gather;
        struct lp_gather_link *next = link->next; /* before the link is anybody else's */
        gather->queue[gather->queue_in++] = (uint32_t)(link - gather->links);
        gather->queue_in %= gather->capacity;
        count_on(&gather->word);
        link = next;
    }
}

static void link_to(struct lp_gather_link *link, libpool_future *future)
{
    uint32_t before = atomic_fetch_or_explicit(&future->state, LP_FUTURE_GATHERED,
                                               memory_order_relaxed);
    link->next = before & LP_FUTURE_GATHERED ? future->links : NULL;
    future->links = link;
}

static void unlink_from(struct lp_gather_link *link, libpool_future *future)
{
    struct lp_gather_link **at = &future->links;
    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
}

/* ---- the gatherer's -------------------------------------------------------------------------- */

static void add_early(struct lp_gather *gather, struct lp_gather_link *link)
{
    link->next = NULL;
    if (gather->early_first)
        gather->early_last->next = link;
    else
        gather->early_first = link;
    gather->early_last = link;
}

static void hold_too(libpool_future *future)
{
    atomic_fetch_add_explicit(&future->holders, 1, memory_order_relaxed);
}

static void hold(struct lp_gather *gather, struct lp_gather_link *link, libpool_future *future)
{
    link->gather = gather;
    link->future = future;
    hold_too(future);
}

static void let_go(struct lp_gather_link *link)
{
    lp_future_drop(link->future);
    link->future = NULL;
}

/* What has not ended is linked, if there is a pool to lock: no end comes between look and link. */
static void attach_all(struct lp_gather *gather, const uint32_t *places, uint32_t n,
                       libpool_future *const *futures)
{
    for (uint32_t i = 0; i < n; i++) {
        struct lp_gather_link *link = &gather->links[places ? places[i] : i];
        if (!futures[i])
            continue;
        hold(gather, link, futures[i]);
        if (lp_future_has_ended(futures[i])) {
            add_early(gather, link);
        } else {
            link_to(link, futures[i]);
            gather->attached++;
        }
    }
}

/* The first from here on that has not ended: visited, so that the pool stays. NULL: there is none. */
static libpool *visit_any(libpool_future *const *futures, uint32_t n, libpool_future **visited)
{
    libpool *pool = NULL;
    for (uint32_t i = 0; i < n && !pool; i++)
        if (futures[i] && (pool = lp_visit(futures[i])))
            *visited = futures[i];
    return pool;
}

int lp_gather_attach(struct lp_gather *gather, const uint32_t *places, uint32_t n,
                     libpool_future *const *futures)
{
    libpool_future *visited = NULL;
    libpool *pool = visit_any(futures, n, &visited);
    int error = pool ? lp_door_check(pool) : 0;
    if (pool && !error)
        pthread_mutex_lock(&pool->lock);
    if (pool)
        gather->pid = pool->pid;
    if (!error)
        attach_all(gather, places, n, futures);
    if (pool && !error)
        pthread_mutex_unlock(&pool->lock);
    if (pool)
        lp_visit_leave(visited, pool);
    return error;
}

static int64_t take_early(struct lp_gather *gather)
{
    struct lp_gather_link *link = gather->early_first;
    gather->early_first = link->next;
    let_go(link);
    return link - gather->links;
}

static struct lp_awaited next_told(struct lp_gather *gather)
{
    return (struct lp_awaited){.word = &gather->word, .mask = ~LP_AWAITED, .seen = gather->taken};
}

static int64_t take_told(struct lp_gather *gather)
{
    uint32_t place = gather->queue[gather->queue_out++];
    gather->queue_out %= gather->capacity;
    gather->taken += LP_GATHER_TOLD;
    gather->attached--;
    let_go(&gather->links[place]);
    return place;
}

/* One that is attached and has not ended, NULL: none. Each that has is passed by once. */
static libpool_future *find_pending(struct lp_gather *gather)
{
    for (uint32_t i = 0; i < gather->capacity; i++) {
        libpool_future *future = gather->links[gather->cursor].future;
        if (future && !lp_future_has_ended(future))
            return future;
        gather->cursor = (gather->cursor + 1) % gather->capacity;
    }
    return NULL;
}

/*
 * All have ended, none was told: that is about to come. False: not in a copy of the process that was
 * made in between; it has no thread that would tell.
 */
static bool await_telling(struct lp_gather *gather, const struct lp_awaited *told)
{
    bool here = getpid() == gather->pid;
    if (here)
        (void)lp_awaited_sleep(told, UINT64_MAX);
    return here;
}

/* Until one more is told. */
static int await(struct lp_gather *gather, int timeout_ms, uint64_t deadline_ns)
{
    struct lp_awaited told = next_told(gather);
    libpool_future *pending;
    int error = 0;
    while (!lp_awaited_came(&told) && !error)
        if ((pending = find_pending(gather)))
            error = lp_visit_wait(pending, &told, timeout_ms, deadline_ns);
        else
            error = await_telling(gather, &told) ? 0 : -ECHILD;
    return error;
}

int64_t lp_gather_next(struct lp_gather *gather, int timeout_ms)
{
    if (gather->early_first)
        return take_early(gather);
    if (!gather->attached)
        return -ENOENT;
    struct lp_awaited told = next_told(gather);
    int error = 0;
    if (!lp_awaited_came(&told))
        error = await(gather, timeout_ms, lp_door_deadline(timeout_ms));
    return error ? error : take_told(gather);
}

/* ---- its life ------------------------------------------------------------------------------- */

size_t lp_gather_bytes(uint32_t capacity)
{
    return capacity * (sizeof(struct lp_gather_link) + sizeof(uint32_t));
}

void lp_gather_init(struct lp_gather *gather, uint32_t capacity, void *memory)
{
    struct lp_gather_link *links = memory;
    memset(links, 0, lp_gather_bytes(capacity));
    *gather = (struct lp_gather){
        .capacity = capacity, .links = links, .queue = (uint32_t *)(void *)(links + capacity)};
}

/* Those that have not ended; false: in a copy of the process nothing is told, nor can be unlinked. */
static bool unlink_pending(struct lp_gather *gather)
{
    libpool_future *pending = find_pending(gather);
    libpool *pool = pending ? lp_visit(pending) : NULL;
    if (!pool)
        return true;
    bool here = lp_door_check(pool) == 0;
    hold_too(pending); /* the visit outlasts its link, beside which only the pool may hold it */
    if (here)
        pthread_mutex_lock(&pool->lock);
    for (uint32_t i = 0; here && i < gather->capacity; i++) {
        struct lp_gather_link *link = &gather->links[i];
        if (!link->future || lp_future_has_ended(link->future))
            continue;
        unlink_from(link, link->future);
        let_go(link);
        gather->attached--;
    }
    if (here)
        pthread_mutex_unlock(&pool->lock);
    lp_visit_leave(pending, pool);
    lp_future_drop(pending);
    return here;
}

void lp_gather_deinit(struct lp_gather *gather)
{
    bool here = true;
    while (gather->early_first)
        (void)take_early(gather);
    while (here && gather->attached) {
        struct lp_awaited told = next_told(gather);
        if (lp_awaited_came(&told))
            (void)take_told(gather);
        else if (find_pending(gather))
            here = unlink_pending(gather);
        else
            here = await_telling(gather, &told);
    }
    for (uint32_t i = 0; !here && i < gather->capacity; i++)
        if (gather->links[i].future)
            let_go(&gather->links[i]);
}

/* ---- the doors ------------------------------------------------------------------------------ */

struct libpool_gather {
    struct lp_gather core;
    libpool_allocator allocator;
    _Alignas(16) unsigned char memory[];
};

/* How many there are that are not NULL, all of one pool; negative: not one pool, or no array. */
static int64_t count_futures(libpool_future *const *futures, size_t n, const libpool_future **one)
{
    int64_t count = 0;
    if ((n && !futures) || n >= LP_GATHER_MAX)
        return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        if (!futures[i])
            continue;
        if (count++ == 0)
            *one = futures[i];
        if (futures[i]->pool != (*one)->pool)
            return -EINVAL;
    }
    return count;
}

static size_t gather_bytes(uint32_t n)
{
    return sizeof(libpool_gather) + lp_gather_bytes(n);
}

int libpool_gather_open(libpool_gather **out, libpool_future *const *futures, size_t n)
{
    const libpool_future *one = NULL;
    if (!out)
        return -EINVAL;
    *out = NULL;
    int64_t count = count_futures(futures, n, &one);
    if (count <= 0)
        return count ? (int)count : -ENOENT;
    libpool_gather *gather = lp_alloc(&one->allocator, gather_bytes((uint32_t)n));
    if (!gather)
        return -ENOMEM;
    gather->allocator = one->allocator;
    lp_gather_init(&gather->core, (uint32_t)n, gather->memory);
    int error = lp_gather_attach(&gather->core, NULL, (uint32_t)n, futures);
    if (error)
        lp_release(&gather->allocator, gather, gather_bytes((uint32_t)n));
    else
        *out = gather;
    return error;
}

int64_t libpool_gather_next(libpool_gather *gather, int timeout_ms)
{
    return gather ? lp_gather_next(&gather->core, timeout_ms) : -EINVAL;
}

void libpool_gather_close(libpool_gather *gather)
{
    if (!gather)
        return;
    libpool_allocator allocator = gather->allocator;
    lp_gather_deinit(&gather->core);
    lp_release(&allocator, gather, gather_bytes(gather->core.capacity));
}

static int64_t wait_on_stack(libpool_future *const *futures, size_t n, int timeout_ms)
{
    _Alignas(16) unsigned char memory[ON_STACK * (sizeof(struct lp_gather_link) + 4)];
    struct lp_gather gather;
    lp_gather_init(&gather, (uint32_t)n, memory);
    int64_t place = lp_gather_attach(&gather, NULL, (uint32_t)n, futures);
    if (place == 0)
        place = lp_gather_next(&gather, timeout_ms);
    lp_gather_deinit(&gather);
    return place;
}

int64_t libpool_wait_any(libpool_future *const *futures, size_t n, int timeout_ms)
{
    const libpool_future *one = NULL;
    libpool_gather *gather;
    int64_t count = count_futures(futures, n, &one);
    if (count <= 0)
        return count ? count : -ENOENT;
    for (size_t i = 0; i < n; i++)
        if (futures[i] && lp_future_has_ended(futures[i]))
            return (int64_t)i;
    if (n <= ON_STACK)
        return wait_on_stack(futures, n, timeout_ms);
    int64_t place = libpool_gather_open(&gather, futures, n);
    if (place == 0)
        place = lp_gather_next(&gather->core, timeout_ms);
    libpool_gather_close(gather);
    return place;
}

int libpool_wait_all(libpool_future *const *futures, size_t n, int timeout_ms)
{
    uint64_t deadline_ns = lp_door_deadline(timeout_ms);
    int error = n && !futures ? -EINVAL : 0;
    for (size_t i = 0; i < n && !error; i++) {
        if (!futures[i])
            continue;
        struct lp_awaited end = lp_future_end(futures[i]);
        error = lp_visit_wait(futures[i], &end, timeout_ms, deadline_ns);
    }
    return error;
}
