/* SPDX-License-Identifier: MIT */
/*
 * joblog: one line a job, written with one write(2) when its output is out. So after a SIGKILL each job
 * is either whole in the log or not in it. Jobs end nearly in the order of their numbers, so what is
 * done is a few ranges, however long the log.
 */
#include "joblog.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COLUMNS 9 /* the last one is the command, and may be anything */

static const char header[] =
    "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n";

/* ---- what is done --------------------------------------------------------------------------- */

/* The first range that ends at seq or later. */
static size_t find(const struct pr_joblog *log, uint64_t seq)
{
    size_t low = 0, high = log->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (log->done[middle].last < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool pr_joblog_has(const struct pr_joblog *log, uint64_t seq)
{
    size_t at = find(log, seq);
    return at < log->n && log->done[at].first <= seq;
}

static void insert(struct pr_joblog *log, size_t at, uint64_t seq)
{
    if (log->n == log->capacity) {
        log->capacity = log->capacity * 2 + 16;
        log->done = pr_text_memory(log->done, log->capacity * sizeof *log->done);
    }
    memmove(&log->done[at + 1], &log->done[at], (log->n - at) * sizeof *log->done);
    log->done[at] = (struct pr_range){seq, seq};
    log->n++;
}

static void drop(struct pr_joblog *log, size_t at)
{
    log->n--;
    memmove(&log->done[at], &log->done[at + 1], (log->n - at) * sizeof *log->done);
}

void pr_joblog_note(struct pr_joblog *log, uint64_t seq)
{
    size_t at = find(log, seq);
    if (at < log->n && log->done[at].first <= seq)
        return;
    bool after = at > 0 && log->done[at - 1].last + 1 == seq;
    bool before = at < log->n && log->done[at].first == seq + 1;
    if (after) {
        log->done[at - 1].last = before ? log->done[at].last : seq;
        if (before)
            drop(log, at);
    } else if (before) {
        log->done[at].first = seq;
    } else {
        insert(log, at, seq);
    }
}

/* ---- lines ---------------------------------------------------------------------------------- */

void pr_joblog_format(struct pr_text *text, const struct pr_joblog_entry *entry)
{
    pr_text_say(text, "%" PRIu64 "\t:\t%.3f\t%10.3f\t0\t%" PRIu64 "\t%d\t%d\t", entry->seq,
                entry->start_s, entry->runtime_s, entry->received, entry->exit_value,
                entry->signal);
    size_t begin = text->n;
    pr_text_add(text, entry->command, strlen(entry->command));
    for (char *end; (end = memchr(text->data + begin, '\n', text->n - begin));)
        *end = '\0';
    pr_text_add(text, "\n", 1);
}

uint64_t pr_joblog_parse(const char *line)
{
    char *end;
    int tabs = 0;
    for (const char *c = line; *c && tabs < COLUMNS - 1; c++)
        tabs += *c == '\t';
    if (!isdigit((unsigned char)*line) || tabs < COLUMNS - 1)
        return 0;
    errno = 0;
    uint64_t seq = strtoull(line, &end, 10);
    return errno || *end != '\t' ? 0 : seq;
}

static bool is_header(const char *line)
{
    return strcmp(line, header) == 0;
}

/* What is whole of it is read; *whole is where that ends. */
static int64_t read_lines(struct pr_joblog *log, FILE *file, off_t *whole)
{
    char *line = NULL;
    size_t capacity = 0;
    int64_t number = 0;
    uint64_t seq = 1;
    for (ssize_t n; seq && (n = getline(&line, &capacity, file)) > 0 && line[n - 1] == '\n';) {
        bool is_first = number++ == 0;
        seq = is_first ? (uint64_t)is_header(line) : pr_joblog_parse(line);
        if (seq && !is_first)
            pr_joblog_note(log, seq);
        *whole += n;
    }
    free(line);
    return !seq ? number : (ferror(file) ? -EIO : 0);
}

/* A header that was torn is no other file's beginning. */
static int64_t read_log(struct pr_joblog *log, const char *path)
{
    char start[sizeof header] = "";
    off_t whole = 0;
    FILE *file = fopen(path, "re");
    if (!file)
        return -errno;
    size_t n = fread(start, 1, sizeof header - 1, file);
    bool is_other = memcmp(start, header, n) != 0;
    rewind(file);
    int64_t error = is_other ? 1 : read_lines(log, file, &whole);
    (void)fclose(file);
    if (!error && ftruncate(log->fd, whole) < 0)
        error = -errno;
    return error;
}

/* ---- the file ------------------------------------------------------------------------------- */

int pr_joblog_append(struct pr_joblog *log, const char *lines, size_t n)
{
    while (log->fd >= 0 && n) {
        ssize_t written = write(log->fd, lines, n);
        if (written < 0 && errno != EINTR)
            return -errno;
        lines += written > 0 ? written : 0;
        n -= written > 0 ? (size_t)written : 0;
    }
    return 0;
}

int64_t pr_joblog_open(struct pr_joblog *log, const char *path, bool resume)
{
    int flags = O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | (resume ? 0 : O_TRUNC);
    *log = (struct pr_joblog){.fd = open(path, flags, 0666)};
    if (log->fd < 0)
        return -errno;
    int64_t error = resume ? read_log(log, path) : 0;
    if (!error && lseek(log->fd, 0, SEEK_END) <= 0)
        error = pr_joblog_append(log, header, sizeof header - 1);
    if (error)
        pr_joblog_close(log);
    return error;
}

void pr_joblog_close(struct pr_joblog *log)
{
    if (log->fd >= 0)
        (void)close(log->fd);
    free(log->done);
    *log = (struct pr_joblog){.fd = -1};
}
