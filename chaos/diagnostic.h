/* SPDX-License-Identifier: MIT */
/*
 * What is wrong with a scenario file, collected in one pass and shown in order of place:
 *
 *     oom.chaos:10:58: error: 'memcg' has no key 'limt', did you mean 'limit'?
 *       on task-start of=victim nth=1 as w    : memcg worker=w limt=32MiB
 *                                                              ^~~~
 *       memcg takes: worker=one|all|busy|..., limit=1MiB..1TiB
 *
 * There are no warnings: what deserves one is an error.
 */
#ifndef CHAOS_DIAGNOSTIC_H
#define CHAOS_DIAGNOSTIC_H

#include <stdbool.h>
#include <stdio.h>

#include "chaos/arena.h"
#include "chaos/scenario.h"

#define CH_DIAGNOSTICS_MAX 20

struct ch_diagnostic {
    struct ch_place place; /* line 0: the file as a whole */
    uint32_t length;       /* bytes to underline */
    const char *message;
    const char *note; /* what would be right; or NULL */
};

/* The diagnostics of one file. Texts and source lines live in the arena. */
struct ch_diagnostics {
    struct ch_arena *arena;
    const char *path;
    const char *text; /* the file; kept by the caller until they are printed */
    size_t size;
    struct ch_diagnostic items[CH_DIAGNOSTICS_MAX];
    size_t count;
    size_t lost; /* beyond CH_DIAGNOSTICS_MAX */
};

/*
 * Adds one; the same words at the same place count once (a matrix reads the file several times).
 * Returns it for its note to be set, or NULL when it was dropped.
 */
__attribute__((format(printf, 4, 5))) struct ch_diagnostic *ch_diagnostic_add(
    struct ch_diagnostics *diagnostics, struct ch_place place, uint32_t length, const char *format,
    ...);

/* Orders by place, then writes all of them. */
void ch_diagnostics_print(struct ch_diagnostics *diagnostics, FILE *out);

/*
 * The edits (insert, delete, replace, swap two neighbours) that make one word of the other; more
 * than `most` is returned as most + 1.
 */
unsigned ch_edit_distance(const char *one, const char *other, unsigned most);

/* True, and remembered in *best, when word is nearer to wrong than what *best held (NULL at first). */
bool ch_nearer(const char *wrong, const char *word, const char **best);

#endif
