/* SPDX-License-Identifier: MIT */
/*
 * The walk over a file's lines, and the statements that begin at column 1.
 *
 * A file with a matrix is walked once for each value, with the value put in place of $NAME while
 * the tokens are cut; so every later stage sees an ordinary file, and positions stay those of the
 * source. The same mistake met in several walks is reported once.
 */
#include "chaos/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chaos/parser.h"

#define DEFAULT_LIMIT_US UINT64_C(30000000)
#define LANGUAGE_VERSION "1"

/* Statements stand in this order; equal ranks may change places. */
static const int ranks[CH_STATEMENTS] = {
    [CH_STATEMENT_CHAOS] = 0,     [CH_STATEMENT_SCENARIO] = 1, [CH_STATEMENT_MATRIX] = 2,
    [CH_STATEMENT_MUST_FAIL] = 2, [CH_STATEMENT_POOL] = 3,     [CH_STATEMENT_HOST] = 4,
    [CH_STATEMENT_LOAD] = 5,      [CH_STATEMENT_TIMELINE] = 6, [CH_STATEMENT_EXPECT] = 7,
};

/* ---- scenario, must-fail ------------------------------------------------------------------ */

static void parse_version(struct ch_parser *parser, const struct ch_token *at)
{
    char shown[64];
    if (ch_take_word(&at, LANGUAGE_VERSION))
        ch_expect_end(parser, at);
    else
        ch_complain(parser, at,
                    "this command knows version " LANGUAGE_VERSION " of the language, not %s",
                    ch_token_describe(at, shown, sizeof(shown)));
}

static void parse_title(struct ch_parser *parser, const struct ch_token *at)
{
    const char *title = ch_read_text(parser, &at, "the property");
    if (title == NULL)
        return;
    parser->scenario->title = title;
    ch_expect_end(parser, at);
}

static bool needs_already(const struct ch_scenario *scenario, int capability)
{
    for (size_t i = 0; i < scenario->needs_count; i++)
        if ((int)scenario->needs[i].capability == capability)
            return true;
    return false;
}

void ch_parse_needs(struct ch_parser *parser, const struct ch_token *at)
{
    struct ch_scenario *scenario = parser->scenario;
    if (at->kind == CH_TOKEN_END)
        ch_read_word(parser, &at, CH_FAMILY_CAPABILITY);
    while (at->kind != CH_TOKEN_END) {
        const struct ch_token *token = at;
        const struct ch_word *word = ch_read_word(parser, &at, CH_FAMILY_CAPABILITY);
        if (word == NULL)
            continue;
        if (needs_already(scenario, word->value)) {
            ch_complain(parser, token, "'%s' is needed already", word->word);
            continue;
        }
        scenario->needs = ch_arena_grow(parser->arena, scenario->needs, scenario->needs_count,
                                        sizeof(scenario->needs[0]));
        scenario->needs[scenario->needs_count++] = (struct ch_need){
            .place = token->place, .capability = (enum ch_capability)word->value};
    }
}

static void parse_limit(struct ch_parser *parser, const struct ch_token *statement)
{
    char shown[64];
    struct ch_scenario *scenario = parser->scenario;
    const struct ch_token *at = statement + 1;
    uint64_t limit_us;
    if (scenario->limit_us != 0)
        ch_complain(parser, statement, "'limit' is given twice");
    if (at->kind != CH_TOKEN_WORD)
        ch_complain(parser, at, "expected a time, not %s",
                    ch_token_describe(at, shown, sizeof(shown)));
    else if (ch_read_value(parser, at, at->text, CH_VALUE_TIME, 100000, UINT64_C(3600000000),
                           "'limit'", &limit_us))
        scenario->limit_us = limit_us;
    if (at->kind == CH_TOKEN_WORD)
        ch_expect_end(parser, at + 1);
}

static void parse_heading(struct ch_parser *parser, const struct ch_line *line)
{
    const struct ch_token *at = line->tokens;
    const struct ch_word *word = ch_read_word(parser, &at, CH_FAMILY_HEADING);
    if (word != NULL && word->value == CH_HEADING_NEEDS)
        ch_parse_needs(parser, at);
    else if (word != NULL)
        parse_limit(parser, line->tokens);
}

static void parse_must_fail(struct ch_parser *parser, const struct ch_token *at)
{
    struct ch_scenario *scenario = parser->scenario;
    const struct ch_word *word = ch_read_word(parser, &at, CH_FAMILY_CHECKER);
    if (word == NULL)
        return;
    scenario->must_fail_place = at[-1].place;
    scenario->must_fail = word->word;
    if (at->kind != CH_TOKEN_WORD || !(word->traits & CH_CHECKER_MORE)) {
        ch_expect_end(parser, at);
        return;
    }
    const struct ch_token *more = at;
    struct ch_counter counter;
    if (strcmp(word->word, "counter") == 0)
        ch_read_counter(parser, &at, &counter);
    else if (strcmp(word->word, "kernel") == 0)
        ch_read_word(parser, &at, CH_FAMILY_KERNEL);
    else if (strcmp(word->word, "expect") == 0)
        ch_read_word(parser, &at, CH_FAMILY_FIELD);
    else
        at++;
    scenario->must_fail = ch_arena_format(parser->arena, "%s %s", word->word, more->text);
    ch_expect_end(parser, at);
}

/* ---- matrix ------------------------------------------------------------------------------ */

static bool seen_before(const struct ch_token *first, const struct ch_token *value)
{
    for (; first < value; first++)
        if (first->kind == CH_TOKEN_WORD && strcmp(first->text, value->text) == 0)
            return true;
    return false;
}

static void parse_matrix_values(struct ch_parser *parser, const struct ch_token *at)
{
    char shown[64];
    const struct ch_token *first = at;
    for (size_t count = 1;; count++) {
        if (at->kind != CH_TOKEN_WORD) {
            ch_complain(parser, at, "expected a value, not %s",
                        ch_token_describe(at, shown, sizeof(shown)));
            return;
        }
        if (seen_before(first, at))
            ch_complain(parser, at, "the value '%.40s' is there twice", at->text);
        if (count > CH_MATRIX_MAX)
            ch_complain(parser, at, "a matrix has %d values at most", CH_MATRIX_MAX);
        at++;
        if (at->kind == CH_TOKEN_END)
            return;
        if (at->kind != CH_TOKEN_BAR) {
            ch_complain(parser, at, "expected '|' between two values, not %s",
                        ch_token_describe(at, shown, sizeof(shown)));
            return;
        }
        at++;
    }
}

static void parse_matrix(struct ch_parser *parser, const struct ch_token *at)
{
    char shown[64];
    if (at->kind != CH_TOKEN_WORD) {
        ch_complain(parser, at, "expected a name, not %s",
                    ch_token_describe(at, shown, sizeof(shown)));
        return;
    }
    ch_name_valid(parser, at, at->text);
    at++;
    if (at->kind != CH_TOKEN_EQUALS)
        ch_complain(parser, at, "expected '=' behind the name, not %s",
                    ch_token_describe(at, shown, sizeof(shown)));
    else
        parse_matrix_values(parser, at + 1);
}

/* The matrix of a file, found before the first walk: its name and values as far as legible. */
struct matrix {
    const char *name;
    const char *values[CH_MATRIX_MAX];
    size_t count;
};

static bool read_matrix(const struct ch_line *line, struct matrix *matrix)
{
    const struct ch_token *at = line->tokens;
    if (line->indented || !ch_take_word(&at, "matrix") || at->kind != CH_TOKEN_WORD)
        return false;
    matrix->name = at->text;
    for (at++; at->kind != CH_TOKEN_END; at++)
        if (at->kind == CH_TOKEN_WORD && matrix->count < CH_MATRIX_MAX)
            matrix->values[matrix->count++] = at->text;
    return true;
}

static void find_matrix(const char *text, size_t size, struct ch_arena *arena,
                        struct matrix *matrix)
{
    bool broken;
    struct ch_line line;
    struct ch_diagnostics unheard = {.arena = arena, .path = ""};
    struct ch_lexer lexer = {.text = text, .size = size, .arena = arena, .diagnostics = &unheard};
    if (memmem(text, size, "\nmatrix", 7) == NULL)
        return;
    while (ch_lexer_next(&lexer, &line, &broken))
        if (!broken && read_matrix(&line, matrix))
            return;
}

/* ---- pool, host --------------------------------------------------------------------------- */

/* Each pool has its least number reserved there, or one worker. */
static void check_numbers(struct ch_parser *parser, const struct ch_key_set *set,
                          const struct ch_pool *pool)
{
    uint32_t least = pool->min_workers != 0 ? pool->min_workers : 1;
    const struct ch_token *governor = ch_given_value(set, "governor");
    const struct ch_token *fewest = ch_given_value(set, "min-workers");
    if (fewest != NULL && pool->min_workers > pool->max_workers && pool->max_workers != 0)
        ch_complain(parser, fewest, "min-workers=%u is more than max-workers=%u", pool->min_workers,
                    pool->max_workers);
    if (governor != NULL && pool->governor != 0 && least + pool->neighbour > pool->governor)
        ch_complain(parser, governor,
                    "governor=%u is less than what is reserved: %u for this pool, %u for its "
                    "neighbour",
                    pool->governor, least, pool->neighbour);
}

static void parse_pool(struct ch_parser *parser, const struct ch_token *statement)
{
    char shown[64];
    const struct ch_token *at = statement + 1;
    struct ch_pool *pool = &parser->scenario->pool;
    struct ch_key_set set = {.keys = ch_keys_pool, .target = pool};
    pool->place = statement->place;
    if (at->kind != CH_TOKEN_WORD || at[1].kind == CH_TOKEN_EQUALS) {
        ch_complain(parser, at, "expected the pool's name, not %s: pool p workers=4",
                    ch_token_describe(at, shown, sizeof(shown)));
    } else {
        if (ch_name_valid(parser, at, at->text))
            pool->name = at->text;
        at++;
    }
    ch_read_keys(parser, at, statement, "pool", &set, 1);
    ch_check_pool_keys(parser, &set);
    check_numbers(parser, &set, pool);
}

static void parse_host(struct ch_parser *parser, const struct ch_token *statement)
{
    struct ch_key_set set = {.keys = ch_keys_host, .target = &parser->scenario->host};
    parser->scenario->host.place = statement->place;
    if (statement[1].kind == CH_TOKEN_END)
        ch_complain(parser, &statement[1], "'host' needs at least one key");
    ch_read_keys(parser, statement + 1, statement, "host", &set, 1);
}

/* ---- Lines ------------------------------------------------------------------------------- */

/* One of each, and in order. */
static void check_statement(struct ch_parser *parser, const struct ch_token *at,
                            enum ch_statement statement)
{
    if (parser->first[statement].line != 0) {
        ch_complain(parser, at, "'%s' is there already: line %u", at->text,
                    parser->first[statement].line);
        return;
    }
    parser->first[statement] = at->place;
    if (statement != CH_STATEMENT_CHAOS && parser->first[CH_STATEMENT_CHAOS].line == 0) {
        ch_complain(parser, at, "the first line has to be 'chaos " LANGUAGE_VERSION "'");
        parser->first[CH_STATEMENT_CHAOS] = at->place;
    }
    for (int i = 0; i < CH_STATEMENTS; i++) {
        if (parser->first[i].line == 0 || ranks[i] <= ranks[statement])
            continue;
        ch_complain(parser, at, "'%s' has to stand before '%s' (line %u)",
                    ch_vocabulary_name(CH_FAMILY_STATEMENT, (int)statement),
                    ch_vocabulary_name(CH_FAMILY_STATEMENT, i), parser->first[i].line);
        return;
    }
}

static void parse_statement(struct ch_parser *parser, const struct ch_line *line)
{
    const struct ch_token *statement = line->tokens, *at = statement;
    const struct ch_word *word = ch_read_word(parser, &at, CH_FAMILY_STATEMENT);
    parser->in_section = word != NULL;
    if (word == NULL)
        return;
    parser->section = (enum ch_statement)word->value;
    check_statement(parser, statement, parser->section);
    switch (parser->section) {
    case CH_STATEMENT_CHAOS: parse_version(parser, at); break;
    case CH_STATEMENT_SCENARIO:
        parser->scenario->place = statement->place;
        parse_title(parser, at);
        break;
    case CH_STATEMENT_MATRIX: parse_matrix(parser, at); break;
    case CH_STATEMENT_MUST_FAIL: parse_must_fail(parser, at); break;
    case CH_STATEMENT_POOL: parse_pool(parser, statement); break;
    case CH_STATEMENT_HOST: parse_host(parser, statement); break;
    case CH_STATEMENT_EXPECT:
        parser->scenario->expect_place = statement->place;
        ch_expect_end(parser, at);
        break;
    case CH_STATEMENT_LOAD:
    case CH_STATEMENT_TIMELINE: ch_expect_end(parser, at); break;
    case CH_STATEMENTS: break;
    }
}

static void parse_body(struct ch_parser *parser, const struct ch_line *line)
{
    switch (parser->section) {
    case CH_STATEMENT_SCENARIO: parse_heading(parser, line); break;
    case CH_STATEMENT_LOAD: ch_parse_load_line(parser, line); break;
    case CH_STATEMENT_TIMELINE: ch_parse_timeline_line(parser, line); break;
    case CH_STATEMENT_EXPECT: ch_parse_expect_line(parser, line); break;
    case CH_STATEMENT_CHAOS:
    case CH_STATEMENT_MATRIX:
    case CH_STATEMENT_MUST_FAIL:
    case CH_STATEMENT_POOL:
    case CH_STATEMENT_HOST:
        ch_complain(parser, line->tokens,
                    "'%s' has no lines below it; statements begin at column 1",
                    ch_vocabulary_name(CH_FAMILY_STATEMENT, (int)parser->section));
        break;
    case CH_STATEMENTS: break;
    }
}

static void parse_line(struct ch_parser *parser, const struct ch_line *line)
{
    for (size_t i = 0; i < line->count; i++)
        parser->matrix_used |= line->tokens[i].substituted && line->tokens[i].kind == CH_TOKEN_WORD;
    if (!line->indented)
        parse_statement(parser, line);
    else if (parser->in_section)
        parse_body(parser, line);
    else if (parser->first[CH_STATEMENT_CHAOS].line == 0 && parser->complaints == 0)
        ch_complain(parser, line->tokens, "the first line has to be 'chaos " LANGUAGE_VERSION "'");
}

/* ---- Files ------------------------------------------------------------------------------- */

/* A statement whose tokens are wrong was reported; it is there all the same. */
static void skip_line(struct ch_parser *parser, const struct ch_line *line)
{
    const struct ch_word *word = line->count > 0 && !line->indented &&
                                         line->tokens[0].kind == CH_TOKEN_WORD
                                     ? ch_vocabulary_find(CH_FAMILY_STATEMENT, line->tokens[0].text)
                                     : NULL;
    parser->complaints++;
    if (word == NULL)
        return;
    parser->section = (enum ch_statement)word->value;
    parser->in_section = true;
    if (parser->first[word->value].line == 0)
        parser->first[word->value] = line->tokens[0].place;
    if (parser->section == CH_STATEMENT_SCENARIO)
        parser->scenario->place = line->tokens[0].place;
}

static void parse_once(struct ch_parser *parser, const char *text, size_t size)
{
    bool broken;
    struct ch_line line;
    struct ch_lexer lexer = {.text = text,
                             .size = size,
                             .arena = parser->arena,
                             .diagnostics = parser->diagnostics,
                             .matrix = parser->matrix};
    while (ch_lexer_next(&lexer, &line, &broken)) {
        if (broken)
            skip_line(parser, &line);
        else
            parse_line(parser, &line);
    }
    ch_check_scenario(parser);
    if (parser->scenario->limit_us == 0)
        parser->scenario->limit_us = DEFAULT_LIMIT_US;
}

struct ch_file *ch_parse_text(const char *path, const char *text, size_t size,
                              struct ch_arena *arena, struct ch_diagnostics *diagnostics)
{
    *diagnostics = (struct ch_diagnostics){
        .arena = arena, .path = path, .text = text, .size = size};
    struct matrix matrix = {.name = NULL};
    find_matrix(text, size, arena, &matrix);
    struct ch_file *file = ch_arena_take(arena, sizeof(*file));
    file->path = ch_arena_text(arena, path, strlen(path));
    file->scenarios_count = matrix.count > 0 ? matrix.count : 1;
    file->scenarios = ch_arena_take(arena, file->scenarios_count * sizeof(file->scenarios[0]));
    for (size_t i = 0; i < file->scenarios_count; i++) {
        const char *value = matrix.count > 0 ? matrix.values[i] : "";
        struct ch_scenario *scenario = &file->scenarios[i];
        *scenario = (struct ch_scenario){.path = file->path,
                                         .matrix_name = matrix.name,
                                         .matrix_value = matrix.name != NULL ? value : NULL};
        struct ch_parser parser = {.arena = arena,
                                   .diagnostics = diagnostics,
                                   .matrix = {.name = matrix.name, .value = value},
                                   .scenario = scenario};
        parse_once(&parser, text, size);
        if (diagnostics->count == CH_DIAGNOSTICS_MAX)
            break;
    }
    return diagnostics->count == 0 ? file : NULL;
}

static struct ch_file *refuse(struct ch_diagnostics *diagnostics, const char *why)
{
    ch_diagnostic_add(diagnostics, (struct ch_place){0, 0}, 0, "%s", why);
    return NULL;
}

/* The whole file, NULL after a complaint. */
static char *read_all(int fd, size_t size, struct ch_arena *arena, size_t *length)
{
    char *text = ch_arena_take(arena, size + 1);
    *length = 0;
    while (*length < size) {
        ssize_t got = read(fd, text + *length, size - *length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return NULL;
        if (got == 0)
            break;
        *length += (size_t)got;
    }
    return text;
}

static struct ch_file *parse_fd(int fd, const char *path, struct ch_arena *arena,
                                struct ch_diagnostics *diagnostics)
{
    struct stat status;
    size_t length;
    if (fstat(fd, &status) < 0)
        return refuse(diagnostics, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return refuse(diagnostics, "this is not a regular file");
    if (status.st_size > (off_t)CH_FILE_MAX)
        return refuse(diagnostics, "the file is larger than 4 MiB");
    char *text = read_all(fd, (size_t)status.st_size, arena, &length);
    if (text == NULL)
        return refuse(diagnostics, strerror(errno));
    return ch_parse_text(path, text, length, arena, diagnostics);
}

struct ch_file *ch_parse_file(const char *path, struct ch_arena *arena,
                              struct ch_diagnostics *diagnostics)
{
    *diagnostics = (struct ch_diagnostics){.arena = arena, .path = path, .text = ""};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return refuse(diagnostics, strerror(errno));
    struct ch_file *file = parse_fd(fd, path, arena, diagnostics);
    close(fd);
    return file;
}
