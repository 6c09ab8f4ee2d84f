/* SPDX-License-Identifier: MIT */
/*
 * output: jobs write into files without a name, so that nobody copies what they write, however much,
 * until its turn has come; then it goes out in buffers of one size. With --line-buffer they write into
 * pipes instead. A sink that is a pipe, a terminal or a socket is written without blocking.
 */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES 65536
#define PUMPED_BYTES (1u << 20)
#define LINE_MAX_BYTES (1u << 20) /* a longer one is not kept whole */

static const char *directory(void)
{
    const char *named = getenv("TMPDIR");
    return named && *named ? named : "/tmp";
}

int pr_output_temporary(void)
{
    int fd = open(directory(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0)
        return fd;
    if (errno == ENOENT || errno == EACCES || errno == EMFILE)
        return -errno;
    struct pr_text name = {.data = NULL}; /* a file system without O_TMPFILE */
    pr_text_say(&name, "%s/poolrun-XXXXXX", directory());
    fd = mkostemp(name.data, O_CLOEXEC);
    int error = fd < 0 ? -errno : 0;
    if (fd >= 0)
        (void)unlink(name.data);
    pr_text_free(&name);
    return error ? error : fd;
}

/* ---- sinks ---------------------------------------------------------------------------------- */

/* Opened once more, since O_NONBLOCK belongs to what others have open, too. */
static int open_sink(int fd, bool *is_socket)
{
    struct stat stat;
    char path[32];
    if (fstat(fd, &stat) < 0)
        return open("/dev/null", O_WRONLY | O_CLOEXEC);
    *is_socket = S_ISSOCK(stat.st_mode);
    if (!S_ISFIFO(stat.st_mode) && !isatty(fd))
        return fd;
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return again < 0 ? fd : again;
}

void pr_output_open(struct pr_sinks *sinks)
{
    *sinks = (struct pr_sinks){.fd = {-1, -1}};
    for (int stream = 0; stream < 2; stream++)
        sinks->fd[stream] = open_sink(stream + 1, &sinks->is_socket[stream]);
}

void pr_output_close(struct pr_sinks *sinks)
{
    for (int stream = 0; stream < 2; stream++) {
        if (sinks->fd[stream] > STDERR_FILENO)
            (void)close(sinks->fd[stream]);
        pr_text_free(&sinks->waiting[stream]);
    }
}

static ssize_t put(struct pr_sinks *sinks, int stream)
{
    const char *data = sinks->waiting[stream].data + sinks->written[stream];
    size_t n = sinks->waiting[stream].n - sinks->written[stream];
    if (sinks->is_socket[stream])
        return send(sinks->fd[stream], data, n, MSG_DONTWAIT);
    return write(sinks->fd[stream], data, n);
}

static int flush_stream(struct pr_sinks *sinks, int stream)
{
    while (sinks->written[stream] < sinks->waiting[stream].n) {
        ssize_t n = put(sinks, stream);
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n < 0 && errno != EINTR)
            return -errno;
        sinks->written[stream] += n > 0 ? (size_t)n : 0;
    }
    pr_text_clear(&sinks->waiting[stream]);
    sinks->written[stream] = 0;
    return 1;
}

int pr_output_flush(struct pr_sinks *sinks)
{
    int first = flush_stream(sinks, 0), second = flush_stream(sinks, 1);
    if (first < 0 || second < 0)
        return first < 0 ? first : second;
    return first && second;
}

int pr_output_blocked(const struct pr_sinks *sinks)
{
    for (int stream = 0; stream < 2; stream++)
        if (sinks->written[stream] < sinks->waiting[stream].n)
            return sinks->fd[stream];
    return -1;
}

/* ---- whole ---------------------------------------------------------------------------------- */

/* The next buffer of it. */
static int64_t read_piece(const struct pr_piece *piece, char *buffer)
{
    off_t left = piece->end - piece->at;
    size_t want = left < BUFFER_BYTES ? (size_t)left : BUFFER_BYTES;
    ssize_t n;
    do
        n = pread(piece->fd, buffer, want, piece->at);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

int pr_output_pump(struct pr_sinks *sinks, struct pr_piece pieces[2])
{
    char buffer[BUFFER_BYTES];
    int64_t pumped = 0;
    int flushed = pr_output_flush(sinks);
    for (int stream = 0; flushed > 0 && stream < 2; stream++) {
        while (flushed > 0 && pieces[stream].at < pieces[stream].end) {
            int64_t n = read_piece(&pieces[stream], buffer);
            if (n < 0)
                return (int)n;
            pumped += n;
            pieces[stream].at = n ? pieces[stream].at + n : pieces[stream].end;
            pr_text_add(&sinks->waiting[stream], buffer, (size_t)n);
            flushed = pr_output_flush(sinks);
            if (pumped >= PUMPED_BYTES && flushed > 0)
                return 0;
        }
    }
    return flushed;
}

int pr_output_copy(const struct pr_piece *piece, int to, off_t *end)
{
    char buffer[BUFFER_BYTES];
    struct pr_piece rest = *piece;
    while (rest.at < rest.end) {
        int64_t n = read_piece(&rest, buffer);
        ssize_t written = n > 0 ? pwrite(to, buffer, (size_t)n, *end) : 0;
        if (n <= 0)
            return (int)n;
        if (written < 0)
            return -errno;
        rest.at += written;
        *end += written;
    }
    return 0;
}

/* ---- line by line --------------------------------------------------------------------------- */

int pr_output_open_lines(struct pr_lines *lines)
{
    int fds[2];
    *lines = (struct pr_lines){.read_fd = -1, .write_fd = -1};
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    lines->read_fd = fds[0];
    lines->write_fd = fds[1];
    return fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

void pr_output_close_lines(struct pr_lines *lines)
{
    if (lines->read_fd >= 0)
        (void)close(lines->read_fd);
    if (lines->write_fd >= 0)
        (void)close(lines->write_fd);
    pr_text_free(&lines->part);
    lines->read_fd = lines->write_fd = -1;
}

int pr_output_read_lines(struct pr_lines *lines, struct pr_sinks *sinks, int stream, bool all)
{
    char buffer[BUFFER_BYTES];
    ssize_t n = read(lines->read_fd, buffer, sizeof buffer);
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return -errno;
    if (n < 0 && !all)
        return 0;
    size_t got = n < 0 ? 0 : (size_t)n;
    const char *last = got ? memrchr(buffer, '\n', got) : NULL;
    size_t whole = last ? (size_t)(last - buffer) + 1 : 0;
    struct pr_text *to = &sinks->waiting[stream], *part = &lines->part;
    bool gives_part = whole || (all && !got) || part->n + got > LINE_MAX_BYTES;
    if (gives_part && part->n) {
        pr_text_add(to, part->data, part->n);
        pr_text_clear(part);
    }
    pr_text_add(to, buffer, whole);
    pr_text_add(part, buffer + whole, got - whole);
    lines->bytes += got;
    return got > 0;
}
