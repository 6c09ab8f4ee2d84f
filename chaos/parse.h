/* SPDX-License-Identifier: MIT */
/*
 * Text to scenarios, or to diagnostics: never both. What comes out has been checked as far as a
 * file can be checked without being run.
 */
#ifndef CHAOS_PARSE_H
#define CHAOS_PARSE_H

#include "chaos/diagnostic.h"
#include "chaos/scenario.h"

/*
 * Reads and parses a file. NULL when it has mistakes: they are in *diagnostics, whose text is then
 * the file's (in *arena, which the caller owns and which holds everything that is returned).
 */
struct ch_file *ch_parse_file(const char *path, struct ch_arena *arena,
                              struct ch_diagnostics *diagnostics);

/* The same for a text; it must stay as long as the diagnostics are used. */
struct ch_file *ch_parse_text(const char *path, const char *text, size_t size,
                              struct ch_arena *arena, struct ch_diagnostics *diagnostics);

#endif
