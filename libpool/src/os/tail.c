/* SPDX-License-Identifier: MIT */
#include "os/tail.h"

#include <errno.h>
#include <fcntl.h>

#include "base/fd.h"
#include "os/file.h"
#include "sys/sys.h"

#define PAGE_BYTES 4096u

int lp_tail_open(void)
{
    int fd = lp_sys.memfd_create("tail");
    if (fd >= 0) /* a worker must not seal it: it could not be cut then */
        (void)lp_sys.fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL);
    return fd;
}

static uint64_t size_of(int fd)
{
    struct stat file;
    return lp_sys.fstat(fd, &file) || file.st_size < 0 ? 0 : (uint64_t)file.st_size;
}

void lp_tail_renew(struct lp_tail *tail, int fd)
{
    for (uint32_t i = 0; i < LP_TAIL_MARKS; i++) {
        atomic_store_explicit(&tail->marks[i].task_id, 0, memory_order_relaxed);
        atomic_store_explicit(&tail->marks[i].from, 0, memory_order_relaxed);
    }
    atomic_store_explicit(&tail->number, (uint32_t)fd + 1, memory_order_relaxed);
}

int lp_tail_replace(int fd)
{
    if (size_of(fd) == 0 && lp_tail_held(fd) == 0)
        return -1;
    lp_fd_auto int empty = lp_tail_open();
    if (empty < 0)
        return empty;
    int old = lp_sys.dup_from(fd, 0);
    (void)lp_sys.dup_to(empty, fd, O_CLOEXEC);
    return old >= 0 ? old : -1;
}

static uint32_t find_mark(const struct lp_tail *tail, uint64_t task_id)
{
    uint32_t i = 0;
    while (i < LP_TAIL_MARKS &&
           atomic_load_explicit(&tail->marks[i].task_id, memory_order_acquire) != task_id)
        i++;
    return i;
}

struct lp_tail_span lp_tail_find(const struct lp_tail *tail, int fd, uint64_t task_id, uint64_t cut,
                                 uint64_t most)
{
    const struct lp_tail_span nothing = {0, 0};
    uint32_t at = find_mark(tail, task_id);
    if (at == LP_TAIL_MARKS)
        return nothing;
    uint64_t size = size_of(fd);
    struct lp_tail_span span = {.to = size};
    span.from = atomic_load_explicit(&tail->marks[at].from, memory_order_relaxed);
    if (span.from > size && span.from != LP_TAIL_NONE)
        span.from =
            0; /* a shell's "> /dev/stderr" has emptied it since: all that is there came later */
    const struct lp_tail_mark *next = &tail->marks[(at + 1) % LP_TAIL_MARKS];
    if (atomic_load_explicit(&next->task_id, memory_order_acquire)) {
        uint64_t end = atomic_load_explicit(&next->from, memory_order_relaxed);
        span.to = end < span.to ? end : span.to;
    }
    if (span.from < cut && cut <= size)
        span.from = cut;
    if (span.from >= span.to)
        return nothing;
    if (span.to - span.from > most)
        span.from = span.to - most;
    return span;
}

size_t lp_tail_read(int fd, const struct lp_tail_span *span, void *data)
{
    ssize_t n = lp_sys.pread(fd, data, span->to - span->from, (off_t)span->from);
    return n > 0 ? (size_t)n : 0;
}

uint64_t lp_tail_held(int fd)
{
    struct stat file;
    return lp_sys.fstat(fd, &file) || file.st_blocks < 0 ? 0 : (uint64_t)file.st_blocks * 512;
}

bool lp_tail_is_large(int fd, uint64_t most, uint64_t *cut)
{
    if (lp_tail_held(fd) <= most + LP_TAIL_LOOSE)
        return false;
    uint64_t size = size_of(fd);
    *cut = size > most ? (size - most) / PAGE_BYTES * PAGE_BYTES : 0;
    return true;
}

/*
 * The size is asked for after the memory: an honest writer, who only appends, never holds more than what
 * lies between the cut and the end then, however much it writes meanwhile. Whoever does has reserved it
 * (fallocate(2)), and may lose what it has just appended.
 */
void lp_tail_cut(int fd, uint64_t cut)
{
    if (cut > 0)
        (void)lp_sys.punch_hole(fd, 0, (off_t)cut);
    uint64_t held = lp_tail_held(fd), size = size_of(fd);
    if (held <= (size > cut ? size - cut : 0) + LP_TAIL_LOOSE || size > INT64_MAX - PAGE_BYTES)
        return;
    uint64_t end = (size + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    (void)lp_sys.punch_hole(fd, (off_t)end, (off_t)(INT64_MAX - end));
}

int lp_tail_reopen(const struct lp_tail *tail, pid_t host)
{
    uint32_t number = atomic_load_explicit(&tail->number, memory_order_relaxed);
    return number ? lp_file_reopen(host, (int)number - 1, O_WRONLY | O_APPEND) : -ENOENT;
}

void lp_tail_mark(struct lp_tail *tail, uint32_t n, uint64_t task_id, uint64_t from)
{
    struct lp_tail_mark *mark = &tail->marks[n % LP_TAIL_MARKS];
    atomic_store_explicit(&tail->marks[(n + 1) % LP_TAIL_MARKS].task_id, 0, memory_order_relaxed);
    atomic_store_explicit(&mark->from, from, memory_order_relaxed);
    atomic_store_explicit(&mark->task_id, task_id, memory_order_release);
}
