/* SPDX-License-Identifier: MIT */
#include "os/orphans.h"

#include "os/tree.h"
#include "sys/sys.h"

#include <errno.h>

#define ORPHANS_MAX 2048

int lp_orphans_init(struct lp_orphans *orphans, uint32_t slots)
{
    *orphans = (struct lp_orphans){.listing_max = slots + (size_t)ORPHANS_MAX};
    orphans->items = lp_sys.map_own(ORPHANS_MAX * sizeof(struct lp_orphan));
    orphans->spare = lp_sys.map_own(ORPHANS_MAX * sizeof(struct lp_orphan));
    orphans->listing = lp_sys.map_own(orphans->listing_max * sizeof(pid_t));
    bool ok = orphans->items != NULL && orphans->spare != NULL && orphans->listing != NULL;
    return ok ? 0 : -ENOMEM;
}

static void note(struct lp_orphans *orphans, size_t *n, struct lp_orphan orphan)
{
    if (*n < ORPHANS_MAX)
        orphans->spare[(*n)++] = orphan;
    else
        orphans->overflow = true;
}

/* *next is where the worker is expected; a search only confirms that a stranger is one. */
static bool is_worker(const struct lp_workers *workers, size_t *next, pid_t pid)
{
    if (*next < workers->n && workers->pids[*next] == pid) {
        ++*next;
        return true;
    }
    for (size_t i = 0; i < workers->n; i++)
        if (workers->pids[i] == pid)
            return true;
    return false;
}

/* Those known stand in the listing in the same order; *next is where the search goes on. */
static bool was_known(const struct lp_orphans *orphans, size_t *next, pid_t pid)
{
    for (size_t i = *next; i < orphans->n; i++) {
        if (orphans->items[i].pid != pid)
            continue;
        *next = i;
        return true;
    }
    return false;
}

static void replace_items(struct lp_orphans *orphans, size_t n)
{
    struct lp_orphan *old = orphans->items;
    orphans->items = orphans->spare;
    orphans->spare = old;
    orphans->n = n;
}

void lp_orphans_sweep(struct lp_orphans *orphans, const struct lp_workers *workers, uint64_t deaths,
                      bool (*is_elsewhere)(const void *context, pid_t pid), const void *context)
{
    int listed = lp_tree_children(orphans->listing, orphans->listing_max);
    orphans->overflow = listed < 0 || (size_t)listed == orphans->listing_max;
    size_t next_worker = 0, next_known = 0, n = 0;
    for (int i = 0; i < listed; i++) {
        pid_t pid = orphans->listing[i];
        if (is_worker(workers, &next_worker, pid))
            continue;
        if (was_known(orphans, &next_known, pid)) {
            (void)lp_sys.kill(pid, SIGKILL);
            note(orphans, &n, orphans->items[next_known++]);
            continue;
        }
        if (is_elsewhere(context, pid)) {
            (void)lp_sys.kill(pid, SIGKILL);
            continue;
        }
        lp_tree_kill(pid);
        note(orphans, &n, (struct lp_orphan){pid, deaths});
    }
    replace_items(orphans, n);
}

void lp_orphans_reaped(struct lp_orphans *orphans, pid_t pid)
{
    for (size_t i = 0; i < orphans->n; i++)
        if (orphans->items[i].pid == pid)
            orphans->items[i].pid = 0;
}

bool lp_orphans_since(const struct lp_orphans *orphans, uint64_t death)
{
    if (orphans->overflow)
        return true;
    for (size_t i = orphans->n; i-- > 0;)
        if (orphans->items[i].pid != 0)
            return orphans->items[i].deaths >= death;
    return false;
}
