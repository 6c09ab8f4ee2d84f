/* SPDX-License-Identifier: MIT */
/*
 * shared: one pool for all who want the same, in a home that is the application's.
 *
 *     home ---> page ---> share (current) ---> share (replaced, in use) ---> share (replaced, draining)
 *
 * The library has no state of its own, so the application has a variable. What lies behind it is made by
 * who comes first: a page which the kernel wipes in a fork of the application: whatever another
 * thread was doing to it in the parent, the copy finds a page of nobody and makes one of its own.
 *
 * Who is given a pool is counted. One that is replaced runs what it has, without being waited for: its last
 * user has it shut down in the background, and who comes when it is down closes it. No pool is closed under
 * the lock: its callbacks may be waiting for that.
 */
#include <libpool.h>

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/pieces.h"
#include "door.h"
#include "os/outfit.h"
#include "supervisor.h"
#include "sys/sys.h"

#define PAGE_BYTES ((size_t)4096)

struct share {
    libpool *pool;
    libpool_allocator allocator;
    uint32_t users;
    bool replaced;
    uint32_t workers_limit;
    char *print; /* all that has to be the same, in pieces */
    size_t print_bytes;
    struct share *next;
};

struct page {
    uint32_t alive;
    pthread_mutex_t lock;
    struct share *shares; /* the current one is first, if there is one */
};

_Static_assert(sizeof(struct page) <= PAGE_BYTES, "a page is enough");

/* What is wanted, in the two ways that count. */
struct wish {
    libpool_options options; /* defaults filled in */
    libpool_outfit outfit;
    uint32_t workers_limit; /* as it was asked for */
};

/* ---- the page --------------------------------------------------------------------------------- */

static struct page *page_of(const libpool_shared *home)
{
    struct page *page = __atomic_load_n(&home->page, __ATOMIC_ACQUIRE);
    return page && page->alive == LP_ALIVE ? page : NULL;
}

static struct page *new_page(void)
{
    struct page *page = lp_sys.map(PAGE_BYTES);
    if (page && !lp_sys.wipe_on_fork(page, PAGE_BYTES) && !pthread_mutex_init(&page->lock, NULL)) {
        page->alive = LP_ALIVE;
        return page;
    }
    if (page)
        (void)lp_sys.unmap(page, PAGE_BYTES);
    return NULL;
}

static void free_page(struct page *page)
{
    pthread_mutex_destroy(&page->lock);
    (void)lp_sys.unmap(page, PAGE_BYTES);
}

/* The first to come has made it; what a fork has left here is nobody's. */
static struct page *enter(libpool_shared *home)
{
    void *there = __atomic_load_n(&home->page, __ATOMIC_ACQUIRE);
    struct page *page = page_of(home);
    if (page)
        return page;
    page = new_page();
    if (!page || __atomic_compare_exchange_n(&home->page, &there, page, false, __ATOMIC_ACQ_REL,
                                             __ATOMIC_ACQUIRE))
        return page;
    free_page(page);
    return there;
}

/* ---- what is the same --------------------------------------------------------------------------- */

struct outfit_pen {
    struct lp_pieces_pen *pen;
    bool begun;
};

/* First comes the struct itself: what its pointers lead to follows. */
static void put(void *arg, const void *data, size_t size)
{
    struct outfit_pen *outfit_pen = arg;
    libpool_outfit plain;
    if (!outfit_pen->begun) {
        memcpy(&plain, data, sizeof plain);
        plain.directory = plain.directory ? "" : NULL;
        plain.environment = NULL;
        plain.cpus = NULL;
        plain.limits = NULL;
        data = &plain;
    }
    outfit_pen->begun = true;
    lp_pieces_put(outfit_pen->pen, data, size);
}

static void put_text(struct lp_pieces_pen *pen, const char *text)
{
    lp_pieces_put(pen, text ? text : "", text ? strlen(text) + 1 : 0);
}

/* Numbers and what is compared by its address as they stand; what the others point to behind them. */
static int put_all(struct lp_pieces_pen *pen, const struct wish *wish)
{
    const libpool_options *options = &wish->options;
    const libpool_allocator from_malloc = {0};
    libpool_options plain;
    memcpy(&plain, options, sizeof plain);
    plain.min_workers = plain.max_workers = 0;
    plain.workers_limit = wish->workers_limit;
    plain.name = plain.cgroup = plain.zygote_path = plain.object = NULL;
    plain.initializer_symbol = plain.finalizer_symbol = NULL;
    plain.allocator = NULL;
    plain.outfit = NULL;
    lp_pieces_put(pen, &plain, sizeof plain);
    lp_pieces_put(pen, options->allocator ? options->allocator : &from_malloc, sizeof from_malloc);
    put_text(pen, options->name);
    put_text(pen, options->cgroup);
    put_text(pen, options->zygote_path);
    put_text(pen, options->object);
    put_text(pen, options->initializer_symbol);
    put_text(pen, options->finalizer_symbol);
    struct outfit_pen outfit_pen = {.pen = pen};
    return options->outfit ? lp_outfit_pack_given(options->outfit, put, &outfit_pen) : 0;
}

/* Printed anew and compared: nothing is kept of a wish that is not granted. */
static bool is_same(const struct share *share, const char *print, size_t bytes)
{
    return share->print_bytes == bytes && memcmp(share->print, print, bytes) == 0;
}

/* ---- shares --------------------------------------------------------------------------------------- */

static void free_share(struct share *share)
{
    const libpool_allocator allocator = share->allocator;
    lp_release(&allocator, share->print, share->print_bytes);
    lp_release(&allocator, share, sizeof *share);
}

/* With its print, and no pool yet. */
static int new_share(const struct wish *wish, struct share **out)
{
    libpool_allocator allocator = {0};
    if (wish->options.allocator)
        allocator = *wish->options.allocator;
    struct lp_pieces_pen pen = {.at = NULL};
    int error = put_all(&pen, wish);
    struct share *share = error ? NULL : lp_alloc_zeroed(&allocator, sizeof *share);
    *out = share;
    if (!share)
        return error ? error : -ENOMEM;
    share->allocator = allocator;
    share->print_bytes = pen.used;
    share->print = lp_alloc_zeroed(&allocator, pen.used);
    pen = (struct lp_pieces_pen){.at = share->print, .room = share->print_bytes};
    if (share->print)
        return put_all(&pen, wish);
    free_share(share);
    *out = NULL;
    return -ENOMEM;
}

static struct share *current_of(const struct page *page)
{
    struct share *share = page->shares;
    return share && !share->replaced ? share : NULL;
}

/* Nobody has shut it down behind our back. */
static bool is_open(libpool *pool)
{
    pthread_mutex_lock(&pool->lock);
    bool open = pool->core.phase == LP_PHASE_OPEN;
    pthread_mutex_unlock(&pool->lock);
    return open;
}

static bool is_down(libpool *pool)
{
    pthread_mutex_lock(&pool->lock);
    bool down = pool->down;
    pthread_mutex_unlock(&pool->lock);
    return down;
}

static void let_go(struct share *share)
{
    if (share->replaced && share->users == 0)
        (void)libpool_shutdown(share->pool, 0, -1);
}

/* Takes those out of the list that nobody uses and that are down. */
static struct share *take_down(struct page *page)
{
    struct share *down = NULL;
    for (struct share **at = &page->shares; *at;) {
        struct share *share = *at;
        if (!share->replaced || share->users || !is_down(share->pool)) {
            at = &share->next;
            continue;
        }
        *at = share->next;
        share->next = down;
        down = share;
    }
    return down;
}

/* Without the lock. */
static void close_all(struct share *share)
{
    while (share) {
        struct share *next = share->next;
        libpool_close(share->pool);
        free_share(share);
        share = next;
    }
}

/* ---- getting and putting ------------------------------------------------------------------------------ */

/* Else there would be no resize upwards. */
static uint32_t room_to_grow(const libpool_options *options)
{
    uint32_t cpus = libpool_default_workers(), most;
    most = LP_WORKERS_MAX - options->spare_workers - options->waiting_workers;
    uint32_t room = cpus < most ? cpus : most;
    return room > options->max_workers ? room : options->max_workers;
}

static int read_wish(struct wish *wish, const libpool_options *given)
{
    libpool_options *options = &wish->options;
    int error = given ? lp_door_copy(options, sizeof *options, given, given->size) : 0;
    wish->workers_limit = given && !error ? options->workers_limit : 0;
    if (!error)
        error = lp_door_options(options, given);
    if (!error && options->flags & LIBPOOL_NO_THREAD)
        error = -EINVAL; /* nobody of several would drive it for all */
    if (!error && options->outfit) {
        error = lp_door_copy(&wish->outfit, sizeof wish->outfit, options->outfit,
                             options->outfit->size);
        options->outfit = &wish->outfit;
    }
    if (!error && !wish->workers_limit)
        options->workers_limit = room_to_grow(options);
    return error;
}

/* The one that is there, with as many workers as are wanted now. 1: it is another that is wanted. */
static int use_current(const struct page *page, const struct wish *wish, const struct share *fresh)
{
    struct share *share = current_of(page);
    uint32_t min = wish->options.min_workers, max = wish->options.max_workers;
    if (!share || !is_same(share, fresh->print, fresh->print_bytes) || max > share->workers_limit ||
        !is_open(share->pool))
        return 1;
    return libpool_resize(share->pool, min, max); /* somebody may have done so since */
}

static int replace(struct page *page, const struct wish *wish, struct share *fresh)
{
    struct share *before = current_of(page);
    int error = libpool_open(&fresh->pool, &wish->options);
    if (error)
        return error;
    fresh->workers_limit = wish->options.workers_limit;
    fresh->next = page->shares;
    page->shares = fresh;
    if (before) {
        before->replaced = true;
        let_go(before);
    }
    return 0;
}

int libpool_shared_get(libpool_shared *home, const libpool_options *given, libpool **pool)
{
    struct wish wish = {.workers_limit = 0};
    struct share *fresh = NULL;
    if (!home || !pool)
        return -EINVAL;
    *pool = NULL;
    int error = read_wish(&wish, given);
    struct page *page = error ? NULL : enter(home);
    if (!page)
        return error ? error : -ENOMEM;
    error = new_share(&wish, &fresh);
    if (error)
        return error;
    pthread_mutex_lock(&page->lock);
    struct share *down = take_down(page);
    error = use_current(page, &wish, fresh);
    if (error == 1)
        error = replace(page, &wish, fresh);
    if (!error) {
        current_of(page)->users++;
        *pool = current_of(page)->pool;
    }
    bool used = fresh->pool;
    pthread_mutex_unlock(&page->lock);
    if (!used)
        free_share(fresh);
    close_all(down);
    return error;
}

int libpool_shared_put(libpool_shared *home, libpool *pool)
{
    struct page *page = home ? page_of(home) : NULL;
    if (!home || !pool)
        return -EINVAL;
    if (!page)
        return -ENOENT;
    pthread_mutex_lock(&page->lock);
    struct share *share = page->shares;
    while (share && share->pool != pool)
        share = share->next;
    int error = share && share->users ? 0 : -ENOENT;
    if (!error) {
        share->users--;
        let_go(share);
    }
    struct share *down = take_down(page);
    pthread_mutex_unlock(&page->lock);
    close_all(down);
    return error;
}

int libpool_shared_close(libpool_shared *home)
{
    struct page *page = home ? page_of(home) : NULL;
    if (!home)
        return -EINVAL;
    if (page) {
        bool used = false;
        pthread_mutex_lock(&page->lock);
        for (const struct share *share = page->shares; share; share = share->next)
            used = used || share->users;
        pthread_mutex_unlock(&page->lock);
        if (used)
            return -EBUSY;
        close_all(page->shares);
        free_page(page);
    }
    __atomic_store_n(&home->page, NULL, __ATOMIC_RELEASE);
    return 0;
}
