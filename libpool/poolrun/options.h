/* SPDX-License-Identifier: MIT */
/* The command line of poolrun. */
#ifndef POOLRUN_OPTIONS_H
#define POOLRUN_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "halt.h"
#include "text.h"

enum pr_grouping {
    PR_GROUP = 0,   /* what a job writes comes out when it has ended */
    PR_LINE_BUFFER, /* line by line */
    PR_UNGROUP      /* it writes for itself */
};

struct pr_options {
    uint32_t jobs;       /* at once; 0: as many as can run here */
    uint32_t timeout_ms; /* 0: none */
    uint32_t retries;
    uint64_t memory_bytes; /* of a job and all it starts; 0: no limit */
    const char *joblog;    /* NULL: none */
    const char *arg_file;  /* NULL: standard input */
    bool resume, progress, null, keep_order, dry_run;
    enum pr_grouping grouping;
    struct pr_halt halt;
    char *const *command; /* ends with NULL; may be empty */
};

enum pr_wish {
    PR_WISH_RUN = 0,
    PR_WISH_HELP,
    PR_WISH_VERSION,
    PR_WISH_WRONG
};

/* PR_WISH_WRONG: *error has the sentence, without its end of line. */
enum pr_wish pr_options_parse(int argc, char **argv, struct pr_options *options,
                              struct pr_text *error);

/* "500ms", "10s", "1.5m", "2h", "1d"; a bare number is seconds. More than 0, at most 49 days. */
int pr_options_parse_ms(const char *text, uint32_t *ms);

/* "500M", "2G", "1.5G"; a bare number is bytes. Units are of 1024, at least 1M, at most 1024T. */
int pr_options_parse_bytes(const char *text, uint64_t *bytes);

extern const char pr_options_help[];

#endif
