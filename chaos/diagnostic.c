/* SPDX-License-Identifier: MIT */
/*
 * Printing is careful with what it prints: a bad file may hold anything, so bytes that a terminal
 * would act on become '?', and of a very long line only the part around the mistake is shown.
 */
#include "chaos/diagnostic.h"

#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_BEFORE 100 /* bytes of the line in front of the place */
#define SHOWN_BEHIND 60
#define WORD_MAX 48 /* longer words are like nothing we know */

static bool is_known(const struct ch_diagnostics *diagnostics, struct ch_place place,
                     const char *message)
{
    for (size_t i = 0; i < diagnostics->count; i++) {
        const struct ch_diagnostic *item = &diagnostics->items[i];
        if (item->place.line == place.line && item->place.column == place.column &&
            strcmp(item->message, message) == 0)
            return true;
    }
    return false;
}

struct ch_diagnostic *ch_diagnostic_add(struct ch_diagnostics *diagnostics, struct ch_place place,
                                        uint32_t length, const char *format, ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    if (is_known(diagnostics, place, message))
        return NULL;
    if (diagnostics->count == CH_DIAGNOSTICS_MAX) {
        diagnostics->lost++;
        return NULL;
    }
    struct ch_diagnostic *item = &diagnostics->items[diagnostics->count++];
    *item = (struct ch_diagnostic){
        .place = place,
        .length = length > 0 ? length : 1,
        .message = ch_arena_text(diagnostics->arena, message, strlen(message)),
    };
    return item;
}

/* ---- Printing ---------------------------------------------------------------------------- */

/* The bytes of a line, without its end. */
static const char *line_of(const struct ch_diagnostics *diagnostics, uint32_t line, size_t *length)
{
    const char *at = diagnostics->text, *end = diagnostics->text + diagnostics->size;
    while (line > 1 && at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        at = newline != NULL ? newline + 1 : end;
        line--;
    }
    const char *newline = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
    *length = (size_t)((newline != NULL ? newline : end) - at);
    return at;
}

static bool is_continuation(char byte)
{
    return ((unsigned char)byte & 0xc0) == 0x80;
}

/* Length of the UTF-8 character at the front; 0 when there is none. */
static size_t character_length(const char *at, size_t left)
{
    unsigned char first = (unsigned char)*at;
    size_t length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (length == 0 || first > 0xf4 || length > left)
        return 0;
    for (size_t i = 1; i < length; i++)
        if (!is_continuation(at[i]))
            return 0;
    return length;
}

/* Writes text one column a character, so that the caret below stands right. */
static void print_safely(const char *text, size_t length, FILE *out)
{
    for (size_t i = 0; i < length;) {
        size_t bytes = character_length(text + i, length - i);
        bool plain = bytes > 1 || (bytes == 1 && text[i] >= ' ' && text[i] != 0x7f);
        if (plain)
            fwrite(text + i, 1, bytes, out);
        else
            fputc(text[i] == '\t' ? ' ' : '?', out);
        i += bytes > 0 ? bytes : 1;
    }
}

static size_t columns_of(const char *text, size_t length)
{
    size_t columns = 0;
    for (size_t i = 0; i < length; columns++) {
        size_t bytes = character_length(text + i, length - i);
        i += bytes > 0 ? bytes : 1;
    }
    return columns;
}

static void print_times(char character, size_t times, FILE *out)
{
    while (times-- > 0)
        fputc(character, out);
}

static void print_source(const struct ch_diagnostics *diagnostics, const struct ch_diagnostic *item,
                         FILE *out)
{
    size_t length;
    const char *line = line_of(diagnostics, item->place.line, &length);
    if (length > 0 && line[length - 1] == '\r')
        length--;
    size_t place = item->place.column - 1 < length ? item->place.column - 1 : length;
    size_t first = place > SHOWN_BEFORE ? place - SHOWN_BEFORE : 0;
    size_t shown = length - first;
    if (shown > place - first + SHOWN_BEHIND)
        shown = place - first + SHOWN_BEHIND;
    while (first > 0 && first < place && is_continuation(line[first])) {
        first++;
        shown--;
    }
    fprintf(out, "  %s", first > 0 ? "..." : "");
    print_safely(line + first, shown, out);
    fprintf(out, "%s\n  %s", first + shown < length ? "..." : "", first > 0 ? "   " : "");
    print_times(' ', columns_of(line + first, place - first), out);
    size_t marked = item->length < first + shown - place ? item->length : first + shown - place;
    size_t columns = columns_of(line + place, marked);
    fputc('^', out);
    print_times('~', columns > 1 ? columns - 1 : 0, out);
    fputc('\n', out);
}

static void print_one(const struct ch_diagnostics *diagnostics, const struct ch_diagnostic *item,
                      FILE *out)
{
    if (item->place.line == 0) {
        fprintf(out, "%s: error: %s\n", diagnostics->path, item->message);
    } else {
        fprintf(out, "%s:%u:%u: error: ", diagnostics->path, item->place.line, item->place.column);
        print_safely(item->message, strlen(item->message), out);
        fputc('\n', out);
        print_source(diagnostics, item, out);
    }
    if (item->note != NULL)
        fprintf(out, "  %s\n", item->note);
}

static int by_place(const void *one, const void *other)
{
    const struct ch_place *a = &((const struct ch_diagnostic *)one)->place;
    const struct ch_place *b = &((const struct ch_diagnostic *)other)->place;
    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    return a->column < b->column ? -1 : a->column > b->column;
}

void ch_diagnostics_print(struct ch_diagnostics *diagnostics, FILE *out)
{
    qsort(diagnostics->items, diagnostics->count, sizeof(diagnostics->items[0]), by_place);
    for (size_t i = 0; i < diagnostics->count; i++)
        print_one(diagnostics, &diagnostics->items[i], out);
    if (diagnostics->lost > 0)
        fprintf(out, "%s: %zu more errors\n", diagnostics->path, diagnostics->lost);
}

/* ---- Did you mean ------------------------------------------------------------------------ */

/* One bit a letter: two words that differ in many letters can't be near, and most are not. */
static uint32_t letters_of(const char *word)
{
    uint32_t letters = 0;
    for (; *word != '\0'; word++)
        letters |= 1u << (*word & 31);
    return letters;
}

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

unsigned ch_edit_distance(const char *one, const char *other, unsigned most)
{
    size_t rows = strlen(one), columns = strlen(other);
    size_t gap = rows > columns ? rows - columns : columns - rows;
    uint32_t different = letters_of(one) ^ letters_of(other);
    if (gap > most || rows > WORD_MAX || columns > WORD_MAX ||
        (unsigned)__builtin_popcount(different) > 2 * most)
        return most + 1;
    unsigned table[3][WORD_MAX + 1];
    for (unsigned j = 0; j <= columns; j++)
        table[0][j] = j;
    for (unsigned i = 1; i <= rows; i++) {
        unsigned *row = table[i % 3], *above = table[(i + 2) % 3], *higher = table[(i + 1) % 3];
        row[0] = i;
        for (unsigned j = 1; j <= columns; j++) {
            unsigned replaced = above[j - 1] + (one[i - 1] != other[j - 1]);
            row[j] = least(above[j] + 1, row[j - 1] + 1, replaced);
            if (i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] &&
                higher[j - 2] + 1 < row[j])
                row[j] = higher[j - 2] + 1;
        }
    }
    unsigned distance = table[rows % 3][columns];
    return distance <= most ? distance : most + 1;
}

/* A word cut short, or with something behind it, is as near as one edit. */
static unsigned distance(const char *wrong, const char *word, unsigned most)
{
    size_t length = strlen(wrong), known = strlen(word);
    size_t shared = length < known ? length : known;
    if (most > 0 && shared >= 3 && shared * 2 > known && strncmp(wrong, word, shared) == 0)
        return 1;
    return ch_edit_distance(wrong, word, most);
}

/* A third of a word may be wrong; three edits at most. */
bool ch_nearer(const char *wrong, const char *word, const char **best)
{
    size_t length = strlen(wrong);
    unsigned most = length < 3 ? 1 : length < 6 ? 2 : 3;
    if (*best != NULL) {
        unsigned held = distance(wrong, *best, most);
        if (held == 0)
            return false;
        most = held - 1;
    }
    if (distance(wrong, word, most) > most)
        return false;
    *best = word;
    return true;
}
