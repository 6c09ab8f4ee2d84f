/* SPDX-License-Identifier: MIT */
/*
 * What the files of the parser share. parse.c walks the lines; each statement family has a file of
 * its own (parse_load.c, parse_timeline.c, parse_action.c, parse_expect.c); they all read their
 * keys through keys in the vocabulary (read_keys.c) and their values through values.c.
 *
 * After a mistake the parser goes on with the best guess there is, so that the next mistake is
 * found too: a misspelt word is taken for the one it resembles, and names are bound even on lines
 * that are wrong.
 */
#ifndef CHAOS_PARSER_H
#define CHAOS_PARSER_H

#include "chaos/lexer.h"
#include "chaos/scenario.h"
#include "chaos/vocabulary.h"

#define CH_KEYS_MAX 64   /* in one list */
#define CH_MATRIX_MAX 64 /* values */
#define CH_NAME_MAX 32   /* bytes */
#define CH_TEXT_MAX 200  /* bytes of a title or a reason */

/* A name bound on a wrong line: fits everywhere, to keep one mistake from causing others. */
#define CH_NAME_BROKEN CH_NAME_KINDS

struct ch_parser {
    struct ch_arena *arena;
    struct ch_diagnostics *diagnostics;
    struct ch_substitution matrix;
    struct ch_scenario *scenario;
    enum ch_statement section;            /* the statement that indented lines belong to */
    bool in_section;                      /* false: there is none yet */
    size_t complaints;                    /* in this pass, repeated ones too */
    struct ch_place first[CH_STATEMENTS]; /* where each statement stands; line 0: nowhere */
    const struct ch_word *event;          /* of the trigger being read; or NULL */
    bool event_unknown;                   /* it was misspelt: nothing is known of what it has */
    bool matrix_used;                     /* its value stands somewhere, not only in a text */
};

/* ---- Complaints -------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) struct ch_diagnostic *ch_complain(struct ch_parser *parser,
                                                                        const struct ch_token *at,
                                                                        const char *format, ...);

__attribute__((format(printf, 3, 4))) struct ch_diagnostic *ch_complain_at(struct ch_parser *parser,
                                                                           struct ch_place place,
                                                                           const char *format, ...);

/* Sets the line under the source; diagnostic may be NULL. */
__attribute__((format(printf, 3, 4))) void ch_note(struct ch_parser *parser,
                                                   struct ch_diagnostic *diagnostic,
                                                   const char *format, ...);

/* ", did you mean 'X'?" or "". The text lives in the arena. */
const char *ch_did_you_mean(struct ch_parser *parser, const char *suggestion);

/* ---- Tokens and values: values.c --------------------------------------------------------- */

/* True, and *at moves on, when the token is this word. */
bool ch_take_word(const struct ch_token **at, const char *word);

/* Complains about what stands in front of the end of the line. */
bool ch_expect_end(struct ch_parser *parser, const struct ch_token *at);

/* A quoted text that is not empty. NULL after a complaint. */
const char *ch_read_text(struct ch_parser *parser, const struct ch_token **at, const char *what);

/*
 * A word of the family. After a complaint the one that was probably meant, or NULL. Moves on.
 */
const struct ch_word *ch_read_word(struct ch_parser *parser, const struct ch_token **at,
                                   enum ch_family family);
const struct ch_word *ch_find_word(struct ch_parser *parser, const struct ch_token *at,
                                   enum ch_family family);

/* A number of that kind (NUMBER, TIME, SIZE) within low..high; what names it in complaints. */
bool ch_read_value(struct ch_parser *parser, const struct ch_token *at, const char *text,
                   enum ch_value_kind kind, uint64_t low, uint64_t high, const char *what,
                   uint64_t *value);

/* A signed number of 32 bits. */
bool ch_read_code(struct ch_parser *parser, const struct ch_token *at, const char *what,
                  int64_t *value);

/* LOW..HIGH of one token. */
bool ch_read_range(struct ch_parser *parser, const struct ch_token *at, enum ch_value_kind kind,
                   uint64_t low, uint64_t high, const char *what, uint64_t range[2]);

/* == N, or in A..B because "...". */
bool ch_read_bound(struct ch_parser *parser, const struct ch_token **at, const char *what,
                   struct ch_bound *bound);

/* A counter's name, with its cause. */
bool ch_read_counter(struct ch_parser *parser, const struct ch_token **at,
                     struct ch_counter *counter);
const char *ch_counter_text(struct ch_parser *parser, struct ch_counter counter);

/* ---- Names: names.c ---------------------------------------------------------------------- */

/* Binds a name; complains about a bad or second one. Returns its index, CH_NOBODY if token NULL. */
int ch_name_bind(struct ch_parser *parser, const struct ch_token *token, enum ch_name_kind kind,
                 uint32_t index);

/* True for a word that may be a name; complains otherwise. */
bool ch_name_valid(struct ch_parser *parser, const struct ch_token *token, const char *text);

/* The index of a name, CH_NOBODY if there is none; never complains. */
int ch_name_look(const struct ch_parser *parser, const char *text);

/* Complains that there is no such name, with what comes nearest. */
void ch_name_missing(struct ch_parser *parser, const struct ch_token *at, const char *text);

/* A name that stands for a group of tasks. */
int ch_name_of_tasks(struct ch_parser *parser, const struct ch_token *at, const char *text);

/*
 * A name that stands for a worker, or a group of tasks, meaning those who run them. `single`: a
 * name that has stood for exactly one since it was bound.
 */
int ch_name_of_worker(struct ch_parser *parser, const struct ch_token *at, const char *text,
                      bool single);

/* A name that stands for a shutdown. */
int ch_name_of_shutdown(struct ch_parser *parser, const struct ch_token *at, const char *text);

/* A named action that has the trait; what says it in a complaint ("a fault"). */
int ch_name_of_action(struct ch_parser *parser, const struct ch_token *at, const char *text,
                      unsigned trait, const char *what);

/* NAME.suffix: the worker's name, CH_NOBODY when the text is no such thing or after a complaint. */
int ch_name_of_dotted(struct ch_parser *parser, const struct ch_token *at, const char *suffix,
                      bool *dotted);

/* ---- Keys: read_keys.c ------------------------------------------------------------------- */

struct ch_key_set {
    const struct ch_key *keys;                 /* ends with a NULL word; NULL: none */
    void *target;                              /* what the offsets count from */
    const struct ch_token *given[CH_KEYS_MAX]; /* the token of each key that was given */
};

/*
 * Reads keys to the end of the line into the targets, and complains about unknown, repeated,
 * missing and wrong ones. `statement` is the token that is to blame for a missing key.
 */
void ch_read_keys(struct ch_parser *parser, const struct ch_token *at,
                  const struct ch_token *statement, const char *name, struct ch_key_set *sets,
                  size_t sets_count);

/* The token of a key, if it was given, and the one of its value. */
const struct ch_token *ch_given(const struct ch_key_set *set, const char *word);
const struct ch_token *ch_given_value(const struct ch_key_set *set, const char *word);

/* ---- Keys that do not go together: exclusions.c ------------------------------------------- */

/* Of a line's keys, once they are read. */
void ch_check_pool_keys(struct ch_parser *parser, const struct ch_key_set *set);
void ch_check_submit_keys(struct ch_parser *parser, const struct ch_key_set *set);

/* ---- Statement families ------------------------------------------------------------------ */

/* `at` stands behind the statement's word; tokens are those of the whole line. */
void ch_parse_needs(struct ch_parser *parser, const struct ch_token *at);
void ch_parse_submit(struct ch_parser *parser, const struct ch_token *statement,
                     uint32_t *index); /* statement: the token `submit` */
void ch_parse_load_line(struct ch_parser *parser, const struct ch_line *line);
void ch_parse_timeline_line(struct ch_parser *parser, const struct ch_line *line);
void ch_parse_action(struct ch_parser *parser, const struct ch_token *at, struct ch_step *step);
void ch_parse_check(struct ch_parser *parser, const struct ch_token *at, struct ch_action *action);
void ch_parse_expect_line(struct ch_parser *parser, const struct ch_line *line);

/* What can only be said of the whole file. */
void ch_check_scenario(struct ch_parser *parser);

#endif
