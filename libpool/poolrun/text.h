/* SPDX-License-Identifier: MIT */
/* Bytes that grow. Memory that can't be had ends poolrun with exit status 255. */
#ifndef POOLRUN_TEXT_H
#define POOLRUN_TEXT_H

#include <stdarg.h>
#include <stddef.h>

#define PR_FAILED 255 /* exit status: a mistake on the command line, or what poolrun can't do */

struct pr_text {
    char *data; /* always followed by a zero byte, once something was added */
    size_t n, capacity;
};

/* As realloc and calloc, but never NULL. */
void *pr_text_memory(void *old, size_t bytes);
void *pr_text_zeros(size_t n, size_t bytes);

void pr_text_add(struct pr_text *text, const char *data, size_t n);
void pr_text_say(struct pr_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void pr_text_say_list(struct pr_text *text, const char *format, va_list values)
    __attribute__((format(printf, 2, 0)));
void pr_text_clear(struct pr_text *text); /* the memory stays */
void pr_text_free(struct pr_text *text);

/* One word as a shell would have to be given it. */
void pr_text_quote(struct pr_text *text, const char *word);

#endif
