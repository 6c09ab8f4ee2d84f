/* SPDX-License-Identifier: MIT */
/* The table behind vocabulary.h: for the functions that search and print it, nobody else. */
#ifndef CHAOS_WORDS_H
#define CHAOS_WORDS_H

#include "chaos/vocabulary.h"

struct ch_words {
    const char *name; /* for `chaos explain NAME` */
    const char *kind; /* in a sentence: "an event" */
    const struct ch_word *words;
    size_t count;
};

extern const struct ch_words ch_words[CH_FAMILIES];

#endif
