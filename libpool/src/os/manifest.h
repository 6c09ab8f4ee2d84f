/* SPDX-License-Identifier: MIT */
/*
 * manifest: what an exec'ed zygote has to know, as bytes at the beginning of the shared memory.
 *
 * A forked one finds it in its copy of the host's memory. Each item is a length and so many bytes, in a
 * fixed order; what has a size of its own must have just that size, and nothing may be left at the end.
 * First of all stands what the two have to agree on, so that a program of another version is told.
 */
#ifndef LP_OS_MANIFEST_H
#define LP_OS_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <libpool.h>

#include "os/cgroup_place.h"
#include "os/outfit.h"

struct lp_manifest {
    uint32_t slots;
    bool keep_stdin, preloads, traces;
    pid_t files_of; /* of the host: its number in /proc */
    uint64_t result_bytes, memory_limit_bytes, recycle_bytes, trim_bytes;
    const char *name;
    const struct lp_cgroup_place *place; /* NULL: none */
    const pid_t *heir_pids;              /* one a slot; 0: no heir, there is no descriptor for it */
    struct lp_outfit *outfit;            /* NULL: none */
    const char *object, *initializer, *finalizer; /* NULL: none */
};

/* Bytes that it takes; the same for each birth of one pool. */
size_t lp_manifest_bytes(const struct lp_manifest *manifest);
void lp_manifest_write(const struct lp_manifest *manifest, void *memory, size_t size);

/* How much of the memory is the manifest; 0: it is none. */
size_t lp_manifest_length(const void *memory, size_t size);

/*
 * `size` is its length. Pointers lead into the memory, but for the outfit, which is a copy from malloc.
 * 0; -EPROTO: it is not what this library writes; -ENOMEM.
 */
int lp_manifest_read(struct lp_manifest *manifest, const void *memory, size_t size);

#endif
