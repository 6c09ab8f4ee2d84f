/* SPDX-License-Identifier: MIT */
/* The job log, in GNU parallel's columns, and what is done according to one. */
#ifndef POOLRUN_JOBLOG_H
#define POOLRUN_JOBLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "text.h"

struct pr_range {
    uint64_t first, last;
};

struct pr_joblog {
    int fd;                /* -1: none is kept */
    struct pr_range *done; /* the Seqs that are in it, in order */
    size_t n, capacity;
};

struct pr_joblog_entry {
    uint64_t seq;
    double start_s, runtime_s; /* since 1970; how long */
    uint64_t received;         /* bytes of output */
    int exit_value, signal;
    const char *command;
};

/*
 * Opens the file to append to, with its header; without resume it is emptied first. With it, what it
 * says is done is read; a last line without its end was torn when poolrun was killed, and is cut off.
 * 0, -errno, or the number of the line that is none of a job log.
 */
int64_t pr_joblog_open(struct pr_joblog *log, const char *path, bool resume);
void pr_joblog_close(struct pr_joblog *log);

bool pr_joblog_has(const struct pr_joblog *log, uint64_t seq);
void pr_joblog_note(struct pr_joblog *log, uint64_t seq);

/* Zero bytes stand for the ends of lines in a command, as GNU parallel has it. */
void pr_joblog_format(struct pr_text *text, const struct pr_joblog_entry *entry);

/* Whole lines, in one write: 0, or -errno. */
int pr_joblog_append(struct pr_joblog *log, const char *lines, size_t n);

/* The Seq of a line; 0: it is none of a job log. */
uint64_t pr_joblog_parse(const char *line);

#endif
