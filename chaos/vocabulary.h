/* SPDX-License-Identifier: MIT */
/*
 * All words of the scenario language: one table that the parser obeys, the diagnostics quote and
 * `chaos explain` prints, so that none of the three can say something else.
 *
 * A word belongs to a family (statements, events, actions...). It may take keys; a key knows its
 * form, the kind and range of its value, its default, and the field of the parsed form it fills.
 */
#ifndef CHAOS_VOCABULARY_H
#define CHAOS_VOCABULARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum ch_family {
    CH_FAMILY_STATEMENT = 0, /* at column 1 */
    CH_FAMILY_HEADING,       /* below `scenario` */
    CH_FAMILY_LOAD,          /* below `load` */
    CH_FAMILY_TASK,          /* task=KIND */
    CH_FAMILY_TRIGGER,
    CH_FAMILY_EVENT,
    CH_FAMILY_ACTION,
    CH_FAMILY_FIELD, /* of `expect` in the timeline */
    CH_FAMILY_EXPECTATION,
    CH_FAMILY_COUNTER,
    CH_FAMILY_KERNEL,
    CH_FAMILY_CAUSE,
    CH_FAMILY_SELECTOR,
    CH_FAMILY_CAPABILITY,
    CH_FAMILY_CHECKER, /* must-fail CHECKER */
    CH_FAMILY_SIGNAL,
    CH_FAMILY_ERRNO,
    CH_FAMILY_TIME_UNIT,
    CH_FAMILY_SIZE_UNIT,
    CH_FAMILIES
};

enum ch_statement {
    CH_STATEMENT_CHAOS = 0,
    CH_STATEMENT_SCENARIO,
    CH_STATEMENT_MATRIX,
    CH_STATEMENT_MUST_FAIL,
    CH_STATEMENT_POOL,
    CH_STATEMENT_HOST,
    CH_STATEMENT_LOAD,
    CH_STATEMENT_TIMELINE,
    CH_STATEMENT_EXPECT,
    CH_STATEMENTS
};

enum ch_heading {
    CH_HEADING_NEEDS = 0,
    CH_HEADING_LIMIT,
    CH_HEADINGS
};

enum ch_form {
    CH_FORM_EQUALS = 0, /* KEY=VALUE */
    CH_FORM_WORD,       /* KEY VALUE */
    CH_FORM_AT_MOST,    /* KEY <= VALUE */
    CH_FORM_BARE,       /* KEY alone: true */
    CH_FORMS
};

enum ch_value_kind {
    CH_VALUE_NUMBER = 0,
    CH_VALUE_TIME, /* low and high in us; divisor says the unit of the field */
    CH_VALUE_SIZE,
    CH_VALUE_CHOICE,            /* one of choices */
    CH_VALUE_FLAG,              /* the bare word says it all */
    CH_VALUE_WORKERS,           /* a number for two fields: min_workers, max_workers */
    CH_VALUE_TIME_RANGE,        /* T..T for two fields in a row */
    CH_VALUE_CALLBACK,          /* a choice, or fail-N: two fields in a row */
    CH_VALUE_TIME_OR_FOREVER,   /* CH_FOR_EVER */
    CH_VALUE_NUMBER_OR_CURRENT, /* struct ch_pids_action */
    CH_VALUE_CODE,              /* a number -2^31..2^31-1 for an int or, sign extended, 64 bits */
    CH_VALUE_SIGNAL,
    CH_VALUE_CAUSE,
    CH_VALUE_SELECTOR, /* struct ch_selector */
    CH_VALUE_OF,       /* a name that fits the event: int */
    CH_VALUE_SLOT,     /* slot_kind, slot, slot_of of struct ch_trigger */
    CH_VALUE_NEW_NAME, /* `as`: the parser binds it, no field is filled here */
    CH_VALUE_TASK,     /* a word of CH_FAMILY_TASK, read before the other keys */
    CH_VALUE_KINDS
};

struct ch_choice {
    const char *word; /* NULL ends the list */
    int value;
};

struct ch_key {
    const char *word; /* NULL ends the list */
    enum ch_form form;
    enum ch_value_kind kind;
    bool required;
    uint64_t low, high;
    uint32_t divisor; /* times: us in one unit of the field */
    size_t offset, width;
    const struct ch_choice *choices;
    const char *standard; /* what holds when it is not given; or NULL */
    const char *help;
};

enum { /* ch_word.traits */
    /* events */
    CH_EVENT_GATE = 1 << 0,        /* the emitter waits until the action holds */
    CH_EVENT_OF_TASKS = 1 << 1,    /* of= takes a group of tasks */
    CH_EVENT_OF_WORKER = 1 << 2,   /* of= takes a worker */
    CH_EVENT_OF_SHUTDOWN = 1 << 3, /* of= takes a shutdown */
    CH_EVENT_HAS_WORKER = 1 << 4,  /* a name bound to it stands for a worker */
    /* actions */
    CH_ACTION_FAULT = 1 << 5,  /* something that has to take effect: may be counted by `fired` */
    CH_ACTION_UNDONE = 1 << 6, /* `undo` can take it back */
    /* counters */
    CH_COUNTER_BY_CAUSE = 1 << 7, /* NAME.CAUSE */
    /* checkers */
    CH_CHECKER_MORE = 1 << 8 /* may be followed by a word that narrows it */
};

struct ch_word {
    const char *word;
    int value; /* of the family's enum */
    unsigned traits;
    const char *synopsis; /* NULL: the word and its keys say it */
    const struct ch_key *keys;
    const char *help;
};

/* The words of a family in their order; *count of them. */
const struct ch_word *ch_vocabulary_words(enum ch_family family, size_t *count);

/* What the family is called in a message ("an event"). */
const char *ch_vocabulary_kind(enum ch_family family);

/* NULL: no such word. */
const struct ch_word *ch_vocabulary_find(enum ch_family family, const char *text);

/* The word for an enum value; never NULL for a value of the family. */
const char *ch_vocabulary_name(enum ch_family family, int value);

/* The traits of that word; 0 for a value that is none of the family's. */
unsigned ch_vocabulary_traits(enum ch_family family, int value);

/* The nearest word, NULL when none is near. */
const char *ch_vocabulary_suggest(enum ch_family family, const char *text);

/* Keys of the statements that take any; each list ends with a NULL word. */
extern const struct ch_key ch_keys_pool[], ch_keys_host[];
extern const struct ch_key ch_keys_submit[]; /* besides those of the kind of task */
extern const struct ch_key ch_keys_work[], ch_keys_maybe_work[], ch_keys_code[],
    ch_keys_exit_code[], ch_keys_hog[];
extern const struct ch_key ch_keys_hog_tree[], ch_keys_leak[], ch_keys_call[];
extern const struct ch_key ch_keys_echo[], ch_keys_grandchild[], ch_keys_die[], ch_keys_emit[],
    ch_keys_trespass[];
extern const struct ch_key ch_keys_on[];
extern const struct ch_key ch_keys_action[]; /* of every action, besides its own */
extern const struct ch_key ch_keys_kill[], ch_keys_stop[], ch_keys_memcg[], ch_keys_pids[];
extern const struct ch_key ch_keys_fill_fds[], ch_keys_pressure[], ch_keys_cancel[];
extern const struct ch_key ch_keys_shutdown[], ch_keys_settle[], ch_keys_recycle[], ch_keys_noise[];
extern const struct ch_key ch_keys_task[];

/* Room for what any of the two below writes (its test sees to that); what is cut ends in "...". */
#define CH_DESCRIBED_KEY_MAX 1024
#define CH_DESCRIBED_MAX 4096

/* Writes one key with its form, range and default: "min-workers=0..1024". */
void ch_vocabulary_describe_key(const struct ch_key *key, char *text, size_t size);

/* "memcg takes: worker=..., limit=...": all keys of up to two lists, either may be NULL. */
void ch_vocabulary_describe(const char *word, const struct ch_key *keys, const struct ch_key *more,
                            char *text, size_t size);

/* A range end in the words of the language: "1024", "20ms", "4MiB". */
void ch_vocabulary_describe_value(enum ch_value_kind kind, uint64_t value, char *text, size_t size);

/* `chaos explain [WORD]`: 0, or -ENOENT when there is no such word (and *out got nothing). */
int ch_explain(const char *word, FILE *out);

#endif
