/* SPDX-License-Identifier: MIT */
/* input: one buffer of two lines' size; what is left of it moves to its start before each read. */
#include "input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text.h"

#define BUFFER_BYTES ((PR_INPUT_LINE_MAX + 1) * 2)

void pr_input_open(struct pr_input *input, int fd, char delimiter)
{
    *input = (struct pr_input){.fd = fd, .delimiter = delimiter};
    input->buffer = pr_text_memory(NULL, BUFFER_BYTES + 1);
}

void pr_input_close(struct pr_input *input)
{
    free(input->buffer);
    input->buffer = NULL;
}

int pr_input_next(struct pr_input *input, const char **line)
{
    char *begin = input->buffer + input->begin;
    size_t n = input->end - input->begin;
    char *end = n ? memchr(begin, input->delimiter, n) : NULL;
    if (!end && n <= PR_INPUT_LINE_MAX && !input->is_at_end)
        return PR_INPUT_WAIT;
    if (!end && n == 0)
        return PR_INPUT_END;
    size_t length = end ? (size_t)(end - begin) : n;
    if (length > PR_INPUT_LINE_MAX)
        return -E2BIG;
    if (memchr(begin, '\0', length))
        return -EILSEQ;
    begin[length] = '\0';
    input->begin += end ? length + 1 : length;
    *line = begin;
    return PR_INPUT_LINE;
}

int pr_input_fill(struct pr_input *input)
{
    memmove(input->buffer, input->buffer + input->begin, input->end - input->begin);
    input->end -= input->begin;
    input->begin = 0;
    ssize_t n = read(input->fd, input->buffer + input->end, BUFFER_BYTES - input->end);
    if (n < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : -errno;
    input->end += (size_t)n;
    input->is_at_end = n == 0;
    return 0;
}
