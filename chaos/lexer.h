/* SPDX-License-Identifier: MIT */
/*
 * Bytes to lines of tokens.
 *
 * A line is indentation, tokens, and possibly a comment. Whatever a scenario file may not contain
 * (tabs, NUL, carriage returns, bytes that are not UTF-8, endless lines) is reported here, once for
 * each line, and a line that had such a mistake is not parsed further.
 */
#ifndef CHAOS_LEXER_H
#define CHAOS_LEXER_H

#include <stdbool.h>
#include <stddef.h>

#include "chaos/arena.h"
#include "chaos/diagnostic.h"
#include "chaos/scenario.h"

#define CH_FILE_MAX ((size_t)4 << 20) /* bytes */
#define CH_LINE_MAX 1000              /* bytes */

enum ch_token_kind {
    CH_TOKEN_END = 0, /* of the line: behind its last token; of the trigger: text ":" */
    CH_TOKEN_WORD,    /* letters, digits, _ . - + % $, and : in slot:N */
    CH_TOKEN_STRING,  /* "...", text without the quotes */
    CH_TOKEN_EQUALS,  /* = */
    CH_TOKEN_EQUAL,   /* == */
    CH_TOKEN_NOT_EQUAL,
    CH_TOKEN_AT_MOST,
    CH_TOKEN_AT_LEAST,
    CH_TOKEN_BAR,
    CH_TOKEN_COLON,
    CH_TOKEN_KINDS
};

struct ch_token {
    enum ch_token_kind kind;
    struct ch_place place;
    uint32_t length;  /* bytes in the file */
    const char *text; /* after substitution; never NULL */
    bool touches;     /* no space in front of it */
    bool substituted; /* it had a $NAME */
};

/* The matrix's value that stands for $NAME; name NULL: there is no matrix. */
struct ch_substitution {
    const char *name;
    const char *value;
};

struct ch_lexer {
    const char *text;
    size_t size;
    size_t at;
    uint32_t line;
    struct ch_arena *arena;
    struct ch_diagnostics *diagnostics;
    struct ch_substitution matrix;
    bool carriage_returns; /* they were reported */
};

struct ch_line {
    struct ch_token *tokens; /* the last one is CH_TOKEN_END */
    size_t count;            /* without that one */
    bool indented;
};

/*
 * Reads the next line that has a token or a mistake. False at the end of the text. *broken is set
 * when the line's bytes or tokens were wrong and reported; its tokens are then not to be used.
 */
bool ch_lexer_next(struct ch_lexer *lexer, struct ch_line *line, bool *broken);

/* "'retry'", "end of line"... for a message; cut to fit. */
const char *ch_token_describe(const struct ch_token *token, char *text, size_t size);

#endif
