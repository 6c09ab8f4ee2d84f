/* SPDX-License-Identifier: MIT */
/* See lexer.h. One pass over the bytes of a line says whether they may be looked at closer. */
#include "chaos/lexer.h"

#include <string.h>

/* ---- Bytes ------------------------------------------------------------------------------- */

/* Length of the UTF-8 character at `at`, 0 when it is none: overlong and surrogate forms are none. */
static size_t utf8_length(const unsigned char *at, size_t left)
{
    if (at[0] < 0x80)
        return 1;
    size_t length = at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;
    if (length == 0 || length > left)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    bool wrong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xed && at[1] > 0x9f) ||
                 (at[0] == 0xf0 && at[1] < 0x90) || (at[0] == 0xf4 && at[1] > 0x8f);
    return wrong ? 0 : length;
}

static const char *fault_of_byte(const unsigned char *at, size_t left)
{
    if (*at == '\0')
        return "a NUL byte; this is not a text file";
    if (*at == '\r')
        return "a carriage return inside the line";
    if ((*at < ' ' && *at != '\t') || *at == 0x7f)
        return "a control character";
    if (utf8_length(at, left) == 0)
        return "this is not UTF-8";
    return NULL;
}

/* CRLF is one mistake of the whole file, and the rest of it can be read all the same. */
static void drop_carriage_return(struct ch_lexer *lexer, const char *line, size_t *length)
{
    if (*length == 0 || line[*length - 1] != '\r')
        return;
    (*length)--;
    if (!lexer->carriage_returns)
        ch_diagnostic_add(lexer->diagnostics, (struct ch_place){lexer->line, (uint32_t)*length + 1},
                          1, "a carriage return; lines end with a newline alone");
    lexer->carriage_returns = true;
}

/* Tabs are one mistake of a line; it is read on as if they were spaces. */
static void report_tab(struct ch_lexer *lexer, const char *line, size_t length)
{
    const char *tab = memchr(line, '\t', length);
    if (tab != NULL)
        ch_diagnostic_add(lexer->diagnostics,
                          (struct ch_place){lexer->line, (uint32_t)(tab - line) + 1}, 1,
                          "a tab; use spaces");
}

/* Reports the first thing in the line that must not be there. */
static bool check_bytes(struct ch_lexer *lexer, const char *line, size_t length)
{
    const unsigned char *bytes = (const unsigned char *)line;
    if (length > CH_LINE_MAX) {
        ch_diagnostic_add(lexer->diagnostics, (struct ch_place){lexer->line, CH_LINE_MAX + 1}, 1,
                          "the line is longer than %d bytes", CH_LINE_MAX);
        return false;
    }
    for (size_t i = 0; i < length;) {
        const char *fault = fault_of_byte(bytes + i, length - i);
        if (fault != NULL) {
            ch_diagnostic_add(lexer->diagnostics, (struct ch_place){lexer->line, (uint32_t)i + 1},
                              1, "%s", fault);
            if (bytes[i] == '\0')
                lexer->at = lexer->size; /* nothing behind it is worth a message */
            return false;
        }
        i += utf8_length(bytes + i, length - i);
    }
    report_tab(lexer, line, length);
    return true;
}

/* ---- Tokens ------------------------------------------------------------------------------ */

static bool is_name_byte(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '_';
}

static bool is_word_byte(char byte)
{
    return is_name_byte(byte) || byte == '.' || byte == '-' || byte == '+' || byte == '%' ||
           byte == '$';
}

/* A colon belongs to a word in slot:N only; everywhere else it ends the trigger. */
static size_t word_length(const char *text, size_t left)
{
    size_t length = 0;
    while (length < left && is_word_byte(text[length]))
        length++;
    if (length == 4 && length + 1 < left && memcmp(text, "slot:", 5) == 0 &&
        is_word_byte(text[5])) {
        length = 5;
        while (length < left && is_word_byte(text[length]))
            length++;
    }
    return length;
}

static enum ch_token_kind operator_at(const char *text, size_t left, size_t *length)
{
    bool doubled = left > 1 && text[1] == '=';
    *length = doubled ? 2 : 1;
    switch (text[0]) {
    case '=': return doubled ? CH_TOKEN_EQUAL : CH_TOKEN_EQUALS;
    case '!': return doubled ? CH_TOKEN_NOT_EQUAL : CH_TOKEN_END;
    case '<': return doubled ? CH_TOKEN_AT_MOST : CH_TOKEN_END;
    case '>': return doubled ? CH_TOKEN_AT_LEAST : CH_TOKEN_END;
    case '|': *length = 1; return CH_TOKEN_BAR;
    case ':': *length = 1; return CH_TOKEN_COLON;
    }
    return CH_TOKEN_END;
}

/* Where the mistake in a token is said to be. */
static struct ch_place place_behind(const struct ch_token *token, size_t bytes)
{
    return (struct ch_place){token->place.line, token->place.column + (uint32_t)bytes};
}

/* Puts the matrix's value where $NAME stands in the token's text. */
static bool substitute(struct ch_lexer *lexer, struct ch_token *token)
{
    const char *dollar;
    while ((dollar = strchr(token->text, '$')) != NULL) {
        size_t length = 0, before = (size_t)(dollar - token->text);
        while (is_name_byte(dollar[1 + length]))
            length++;
        const char *name = lexer->matrix.name;
        if (name == NULL || token->substituted || strncmp(dollar + 1, name, length) != 0 ||
            name[length] != '\0') {
            const char *known = name != NULL ? name : "";
            size_t quote = token->kind == CH_TOKEN_STRING;
            ch_diagnostic_add(
                lexer->diagnostics, place_behind(token, before + quote), (uint32_t)length + 1,
                name == NULL         ? "'$' stands for a matrix value, but there is no matrix%s"
                : token->substituted ? "only one '$%s' fits into a word"
                                     : "the matrix is called '$%s'",
                known);
            return false;
        }
        token->text = ch_arena_format(lexer->arena, "%.*s%s%s", (int)before, token->text,
                                      lexer->matrix.value, dollar + 1 + length);
        token->substituted = true;
    }
    return true;
}

static bool read_word(struct ch_lexer *lexer, const char *text, size_t left, struct ch_token *token)
{
    size_t length = word_length(text, left);
    token->kind = CH_TOKEN_WORD;
    token->length = (uint32_t)length;
    token->text = ch_arena_text(lexer->arena, text, length);
    return substitute(lexer, token);
}

static bool read_string(struct ch_lexer *lexer, const char *text, size_t left,
                        struct ch_token *token)
{
    const char *end = memchr(text + 1, '"', left - 1);
    if (end == NULL) {
        ch_diagnostic_add(lexer->diagnostics, token->place, (uint32_t)left,
                          "the text has no closing '\"'");
        return false;
    }
    token->kind = CH_TOKEN_STRING;
    token->length = (uint32_t)(end - text) + 1;
    token->text = ch_arena_text(lexer->arena, text + 1, (size_t)(end - text) - 1);
    return substitute(lexer, token);
}

static bool read_operator(struct ch_lexer *lexer, const char *text, size_t left,
                          struct ch_token *token)
{
    size_t length;
    token->kind = operator_at(text, left, &length);
    token->length = (uint32_t)length;
    token->text = "";
    if (token->kind != CH_TOKEN_END)
        return true;
    size_t shown = utf8_length((const unsigned char *)text, left);
    ch_diagnostic_add(lexer->diagnostics, token->place, (uint32_t)shown,
                      "'%.*s' means nothing here", (int)shown, text);
    return false;
}

static bool read_token(struct ch_lexer *lexer, const char *text, size_t left,
                       struct ch_token *token)
{
    if (is_word_byte(*text))
        return read_word(lexer, text, left, token);
    if (*text == '"')
        return read_string(lexer, text, left, token);
    return read_operator(lexer, text, left, token);
}

static struct ch_token *add_token(struct ch_lexer *lexer, struct ch_line *line, size_t column)
{
    line->tokens = ch_arena_grow(lexer->arena, line->tokens, line->count, sizeof(line->tokens[0]));
    struct ch_token *token = &line->tokens[line->count];
    *token = (struct ch_token){.place = {lexer->line, (uint32_t)column + 1}, .text = ""};
    return token;
}

static bool read_tokens(struct ch_lexer *lexer, const char *text, size_t length,
                        struct ch_line *line)
{
    size_t at = 0, end = 0;
    for (;;) {
        while (at < length && (text[at] == ' ' || text[at] == '\t'))
            at++;
        if (at == length || text[at] == '#')
            break;
        struct ch_token *token = add_token(lexer, line, at);
        token->touches = line->count > 0 && at == end;
        if (!read_token(lexer, text + at, length - at, token))
            return false;
        at = end = at + token->length;
        line->count++;
    }
    add_token(lexer, line, end)->length = 1;
    return true;
}

/* ---- Lines ------------------------------------------------------------------------------- */

/* The next line's bytes; reports a last line that is not ended. */
static const char *take_line(struct ch_lexer *lexer, size_t *length, bool *ended)
{
    const char *line = lexer->text + lexer->at;
    const char *newline = memchr(line, '\n', lexer->size - lexer->at);
    *ended = newline != NULL;
    *length = *ended ? (size_t)(newline - line) : lexer->size - lexer->at;
    lexer->at += *length + *ended;
    lexer->line++;
    return line;
}

bool ch_lexer_next(struct ch_lexer *lexer, struct ch_line *line, bool *broken)
{
    while (lexer->at < lexer->size) {
        size_t length;
        bool ended;
        const char *text = take_line(lexer, &length, &ended);
        drop_carriage_return(lexer, text, &length);
        *line = (struct ch_line){.indented = length > 0 && (text[0] == ' ' || text[0] == '\t')};
        *broken = !check_bytes(lexer, text, length) || !read_tokens(lexer, text, length, line);
        if (!ended && !*broken)
            ch_diagnostic_add(lexer->diagnostics,
                              (struct ch_place){lexer->line, (uint32_t)length + 1}, 1,
                              "the last line has no newline");
        if (*broken || line->count > 0)
            return true;
    }
    return false;
}

const char *ch_token_describe(const struct ch_token *token, char *text, size_t size)
{
    static const char *const signs[CH_TOKEN_KINDS] = {
        [CH_TOKEN_EQUALS] = "'='",     [CH_TOKEN_EQUAL] = "'=='",
        [CH_TOKEN_NOT_EQUAL] = "'!='", [CH_TOKEN_AT_MOST] = "'<='",
        [CH_TOKEN_AT_LEAST] = "'>='",  [CH_TOKEN_BAR] = "'|'",
        [CH_TOKEN_COLON] = "':'",      [CH_TOKEN_END] = "the end of the line",
    };
    switch (token->kind) {
    case CH_TOKEN_WORD: snprintf(text, size, "'%.40s'", token->text); break;
    case CH_TOKEN_STRING: snprintf(text, size, "\"%.40s\"", token->text); break;
    case CH_TOKEN_END:
        snprintf(text, size, "%s", *token->text ? "':'" : signs[CH_TOKEN_END]);
        break;
    case CH_TOKEN_EQUALS:
    case CH_TOKEN_EQUAL:
    case CH_TOKEN_NOT_EQUAL:
    case CH_TOKEN_AT_MOST:
    case CH_TOKEN_AT_LEAST:
    case CH_TOKEN_BAR:
    case CH_TOKEN_COLON: snprintf(text, size, "%s", signs[token->kind]); break;
    case CH_TOKEN_KINDS: break;
    }
    return text;
}
