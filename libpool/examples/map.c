/* SPDX-License-Identifier: MIT */
/* A batch: how often each line has its letter. One element hangs; it costs one result. */
#include <libpool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int count_letter(libpool_worker *worker, const void *input, size_t input_size)
{
    const char *line = input;
    int found = 0;
    if (line[0] == '?')
        for (;;)
            (void)pause();
    for (size_t i = 1; i < input_size; i++)
        found += line[i] == line[0];
    return libpool_reply(worker, &found, sizeof(found));
}

static int next_line(void *arg, const void **input, size_t *input_size)
{
    const char *const **line = arg;
    if (!**line)
        return 0;
    *input = **line;
    *input_size = strlen(**line);
    (*line)++;
    return 1;
}

static int show(void *arg, uint64_t element, const libpool_result *result)
{
    (void)arg;
    if (result->cause == LIBPOOL_COMPLETED)
        printf("%d: %d\n", (int)element, *(const int *)result->data);
    else
        printf("%d: %s\n", (int)element, result->text);
    return 0;
}

int main(void)
{
    static const char *const lines[] = {"lhello, world", "?", "oone of four", NULL};
    const char *const *next = lines;
    libpool *pool;
    libpool_batch_report report = {.size = sizeof(report)};
    libpool_batch batch = {.size = sizeof(batch),
                           .function = count_letter,
                           .next = next_line,
                           .next_arg = &next,
                           .result = show,
                           .flags = LIBPOOL_IN_ORDER | LIBPOOL_BORROW,
                           .run_timeout_ms = 100};
    if (libpool_open(&pool, NULL) < 0)
        return 1;
    int error = libpool_map(pool, &batch, &report);
    libpool_close(pool);
    return error || report.elements != 3 || report.failed != 1;
}
