/* SPDX-License-Identifier: MIT */
/* text: growing bytes, for commands, log lines and pieces of output. */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *pr_text_memory(void *old, size_t bytes)
{
    void *memory = realloc(old, bytes ? bytes : 1);
    if (!memory) {
        (void)fputs("poolrun: out of memory\n", stderr);
        exit(PR_FAILED);
    }
    return memory;
}

void *pr_text_zeros(size_t n, size_t bytes)
{
    void *memory = pr_text_memory(NULL, n * bytes);
    memset(memory, 0, n * bytes);
    return memory;
}

static void reserve(struct pr_text *text, size_t n)
{
    if (text->n + n < text->capacity)
        return;
    text->capacity = (text->n + n + 1) * 2;
    text->data = pr_text_memory(text->data, text->capacity);
}

void pr_text_add(struct pr_text *text, const char *data, size_t n)
{
    reserve(text, n);
    if (n)
        memcpy(text->data + text->n, data, n);
    text->n += n;
    text->data[text->n] = '\0';
}

void pr_text_say_list(struct pr_text *text, const char *format, va_list values)
{
    va_list again;
    va_copy(again, values);
    int n = vsnprintf(NULL, 0, format, values);
    if (n > 0) {
        reserve(text, (size_t)n);
        (void)vsnprintf(text->data + text->n, (size_t)n + 1, format, again);
        text->n += (size_t)n;
    }
    va_end(again);
}

void pr_text_say(struct pr_text *text, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    pr_text_say_list(text, format, values);
    va_end(values);
}

void pr_text_clear(struct pr_text *text)
{
    text->n = 0;
}

void pr_text_free(struct pr_text *text)
{
    free(text->data);
    *text = (struct pr_text){.data = NULL};
}

void pr_text_quote(struct pr_text *text, const char *word)
{
    static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               "_-+=:,./@%^";
    size_t n = strlen(word);
    if (n && strspn(word, safe) == n) {
        pr_text_add(text, word, n);
        return;
    }
    pr_text_add(text, "'", 1);
    for (const char *quote; (quote = strchr(word, '\'')); word = quote + 1) {
        pr_text_add(text, word, (size_t)(quote - word));
        pr_text_add(text, "'\\''", 4);
    }
    pr_text_add(text, word, strlen(word));
    pr_text_add(text, "'", 1);
}
