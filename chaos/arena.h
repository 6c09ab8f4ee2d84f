/* SPDX-License-Identifier: MIT */
/*
 * Memory that is taken piece by piece and given back all at once: a parsed file is one arena.
 *
 * The command has nothing sensible to do without memory, so these functions end it with the exit
 * code of a broken harness (5) rather than return NULL.
 */
#ifndef CHAOS_ARENA_H
#define CHAOS_ARENA_H

#include <stddef.h>

struct ch_arena;

struct ch_arena *ch_arena_new(void);
void ch_arena_free(struct ch_arena *arena);

/* Forgets everything that was taken but keeps the memory for the next use. */
void ch_arena_reset(struct ch_arena *arena);

/* Zeroed, aligned for any type. */
void *ch_arena_take(struct ch_arena *arena, size_t size);

/* A copy with a NUL behind it. */
char *ch_arena_text(struct ch_arena *arena, const char *text, size_t length);

/* Cut at CH_FORMAT_MAX - 1 bytes: twice a line's length, so no scenario gets there. */
#define CH_FORMAT_MAX 2048
__attribute__((format(printf, 2, 3))) char *ch_arena_format(struct ch_arena *arena,
                                                            const char *format, ...);

/*
 * Room for one more item behind the `count` that are there: returns the array, moved if need be.
 * The array must have grown by this function alone.
 */
void *ch_arena_grow(struct ch_arena *arena, void *items, size_t count, size_t item_size);

#endif
