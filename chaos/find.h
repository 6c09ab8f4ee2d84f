/* SPDX-License-Identifier: MIT */
/*
 * Paths of the command line to scenario files.
 *
 * A file is taken as it is; below a directory all *.chaos are, sorted, hidden ones and symbolic
 * links left out. A path that leads to no scenario at all is an error: silence must never look
 * like a pass.
 */
#ifndef CHAOS_FIND_H
#define CHAOS_FIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "chaos/arena.h"

struct ch_found {
    const char *path;
    bool named; /* on the command line itself, not below a directory */
};

struct ch_found_list {
    struct ch_found *items;
    size_t count;
};

/* False after complaints to err: a path is missing, unreadable or leads to nothing. */
bool ch_find_scenarios(char *const *paths, struct ch_arena *arena, struct ch_found_list *list,
                       FILE *err);

#endif
