/* SPDX-License-Identifier: MIT */
/*
 * start: how the zygote of one pool is started, and what is copied of the options for it.
 *
 * Strings and, for LIBPOOL_SPAWN, the environment are taken at the opening: a later zygote is started
 * from a thread of the pool's own, where the application may be changing its environment.
 */
#ifndef LP_START_H
#define LP_START_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <libpool.h>

#include "os/manifest.h"
#include "os/program.h"
#include "os/zygote.h"

struct lp_start {
    uint32_t method; /* LIBPOOL_FORK ... */
    bool preloads;
    char *block; /* all that follows points into it */
    size_t block_bytes;
    const char *object, *initializer, *finalizer; /* NULL: none */
    struct lp_program program;

    char
        *memory; /* shared: the windows; of a program the manifest before and the wardrobe behind */
    size_t memory_bytes, manifest_bytes;
};

#define LP_START_NULL ((struct lp_start){.program.memory_fd = -1})

/* Whether the options of starting and naming fit together: 0, -EINVAL, -ENAMETOOLONG. */
int lp_start_check(const libpool_options *options);

/* 0 or -ENOMEM. The start is LP_START_NULL before. */
int lp_start_copy(struct lp_start *start, const libpool_options *options,
                  const libpool_allocator *allocator);

/*
 * The windows, and what is behind them, `bytes` in all: anonymous, or behind the manifest in memory that
 * has a descriptor. The manifest is as large as that of each birth. No child inherits them but as the zygote
 * (zygote.h): what a task of another pool has in its memory it can write. 0 or -errno.
 */
int lp_start_share(struct lp_start *start, const struct lp_manifest *manifest, size_t bytes,
                   char **windows, const libpool_allocator *allocator);

/* Before each birth of a spawned zygote. */
void lp_start_tell(const struct lp_start *start, const struct lp_manifest *manifest);

/*
 * Unmaps and closes (unless this is a forked copy, where addresses and numbers may stand for something else),
 * frees. `slots` as in the manifest.
 */
void lp_start_release(struct lp_start *start, uint32_t slots, bool forked,
                      const libpool_allocator *allocator);

#endif
