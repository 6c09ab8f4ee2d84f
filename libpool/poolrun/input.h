/* SPDX-License-Identifier: MIT */
/* Lines from a descriptor, one at a time, as they come: a reader that is slow keeps nobody waiting. */
#ifndef POOLRUN_INPUT_H
#define POOLRUN_INPUT_H

#include <stdbool.h>
#include <stddef.h>

#define PR_INPUT_LINE_MAX 131071 /* the kernel's limit for one argument, but for its zero byte */

struct pr_input {
    int fd;
    char delimiter;
    char *buffer;
    size_t begin, end; /* what was read and not yet taken */
    bool is_at_end;
};

enum {
    PR_INPUT_END = 0,
    PR_INPUT_LINE,
    PR_INPUT_WAIT
};

void pr_input_open(struct pr_input *input, int fd, char delimiter);
void pr_input_close(struct pr_input *input); /* not the descriptor */

/*
 * The next line, zero-terminated, valid until the next call: PR_INPUT_LINE. PR_INPUT_WAIT: call
 * pr_input_fill first, when there is something to read. PR_INPUT_END: there are no more.
 * -E2BIG: it is longer than PR_INPUT_LINE_MAX; -EILSEQ: it contains a zero byte.
 */
int pr_input_next(struct pr_input *input, const char **line);

/* One read(2): 0, or -errno. */
int pr_input_fill(struct pr_input *input);

#endif
