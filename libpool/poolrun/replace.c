/* SPDX-License-Identifier: MIT */
/*
 * replace: from the words of the command line and one line of input to the words of one job. A line is
 * never looked into: what it contains becomes one argument, or a part of one, and no shell reads it.
 */
#include "replace.h"

#include <inttypes.h>
#include <string.h>

/* The length of the replacement string that text begins with; 0: none. */
static size_t length_here(const char *text)
{
    if (text[0] != '{')
        return 0;
    if (text[1] == '}')
        return 2;
    return (text[1] == '#' || text[1] == '%') && text[2] == '}' ? 3 : 0;
}

bool pr_replace_is_needed(const char *word)
{
    for (; *word; word++)
        if (length_here(word))
            return true;
    return false;
}

void pr_replace_word(struct pr_text *text, const char *word, const struct pr_job_values *values)
{
    while (*word) {
        size_t n = length_here(word);
        if (!n)
            pr_text_add(text, word, n = 1);
        else if (word[1] == '}')
            pr_text_add(text, values->line, strlen(values->line));
        else if (word[1] == '#')
            pr_text_say(text, "%" PRIu64, values->seq);
        else
            pr_text_say(text, "%" PRIu32, values->place);
        word += n;
    }
}

void pr_replace_words(struct pr_text *text, char *const *words, const struct pr_job_values *values)
{
    bool replaced = false;
    if (!*words)
        pr_text_add(text, "sh\0-c", sizeof "sh\0-c");
    for (; *words; words++) {
        replaced = replaced || pr_replace_is_needed(*words);
        pr_replace_word(text, *words, values);
        pr_text_add(text, "", 1);
    }
    if (!replaced)
        pr_text_add(text, values->line, strlen(values->line) + 1);
}

void pr_replace_command(struct pr_text *text, char *const *words,
                        const struct pr_job_values *values)
{
    struct pr_text all = {.data = NULL};
    if (!*words) {
        pr_text_add(text, values->line, strlen(values->line));
        return;
    }
    pr_replace_words(&all, words, values);
    for (size_t at = 0; at < all.n; at += strlen(all.data + at) + 1) {
        pr_text_add(text, " ", at > 0);
        pr_text_quote(text, all.data + at);
    }
    pr_text_free(&all);
}
