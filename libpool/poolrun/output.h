/* SPDX-License-Identifier: MIT */
/* Where jobs write, and how it comes out: whole, one after the other, or line by line. */
#ifndef POOLRUN_OUTPUT_H
#define POOLRUN_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "text.h"

/* A file in $TMPDIR without a name: its descriptor, or -errno. */
int pr_output_temporary(void);

/* A part of a file. */
struct pr_piece {
    int fd;
    off_t at, end;
};

/* Appends the piece to another file, whose end is moved on: 0 or -errno. */
int pr_output_copy(const struct pr_piece *piece, int to, off_t *end);

/* Our own 1 and 2. Nobody is waited for: while a reader is slow, the pool has to be driven. */
struct pr_sinks {
    int fd[2];
    bool is_socket[2];
    struct pr_text waiting[2]; /* bytes that were not taken yet */
    size_t written[2];         /* of those */
};

void pr_output_open(struct pr_sinks *sinks);
void pr_output_close(struct pr_sinks *sinks);

/* 1: all that waited is out, 0: not yet, poll pr_output_blocked; or -errno. */
int pr_output_flush(struct pr_sinks *sinks);
int pr_output_blocked(const struct pr_sinks *sinks); /* the descriptor that is full, or -1 */

/*
 * Up to a MiB of both pieces, the first goes to 1, then the second to 2. 1: all is out; 0: not yet, call
 * again, when nothing is blocked; or -errno.
 */
int pr_output_pump(struct pr_sinks *sinks, struct pr_piece pieces[2]);

/* A pipe that a job writes lines into, and what came of one that is not complete. */
struct pr_lines {
    int read_fd, write_fd;
    struct pr_text part;
    uint64_t bytes;
};

int pr_output_open_lines(struct pr_lines *lines);
void pr_output_close_lines(struct pr_lines *lines);

/*
 * One read, of what is there; whole lines go to the sink, and the rest, too, when it is very long or
 * `all`. 1: there was something, 0: nothing, or -errno.
 */
int pr_output_read_lines(struct pr_lines *lines, struct pr_sinks *sinks, int stream, bool all);

#endif
