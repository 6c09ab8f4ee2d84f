/* SPDX-License-Identifier: MIT */
/*
 * target_input: how a task's input gets to the pool: copied, lent, or as a file. What the pool has not
 * copied has to stay until the task has ended, and is given back then.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness/target_inner.h"

/* A file in memory with these bytes; -errno. */
static int make_file(const void *bytes, size_t size)
{
    int fd = memfd_create("chaos-input", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    for (size_t done = 0; done < size;) {
        ssize_t wrote = write(fd, (const char *)bytes + done, size - done);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0) {
            int error = wrote ? -errno : -EIO;
            close(fd);
            return error;
        }
        done += (size_t)wrote;
    }
    return fd;
}

static bool is_file(enum hn_input kind)
{
    return kind == HN_INPUT_FILE || kind == HN_INPUT_FILE_SHARED;
}

int hn_target_give_input(struct hn_target *target, uint32_t task, const struct hn_group *what,
                         struct hn_order *order, size_t size, libpool_task *offered)
{
    struct hn_kept *kept = &target->kept[task];
    *kept = (struct hn_kept){.order = order, .size = size, .fd = -1};
    offered->input_size = size;
    if (!is_file(what->input)) {
        offered->input = order;
        offered->flags |= what->input == HN_INPUT_BORROW ? (uint32_t)LIBPOOL_BORROW : 0u;
        return 0;
    }
    kept->fd = make_file(order, size);
    if (kept->fd < 0)
        return kept->fd;
    offered->flags |= LIBPOOL_FILE;
    if (what->input == HN_INPUT_FILE_SHARED)
        offered->flags |= LIBPOOL_FILE_SHARED;
    offered->input_fd = kept->fd;
    return 0;
}

void hn_target_take_input(struct hn_target *target, uint32_t task)
{
    struct hn_kept *kept = &target->kept[task];
    if (!kept->order)
        return;
    if (kept->fd >= 0)
        close(kept->fd);
    free(kept->order);
    *kept = (struct hn_kept){.fd = -1};
}

/* Each byte as it was or as the task writes it; all are as it writes them when it has completed. */
static bool is_written(const struct hn_kept *kept, const uint8_t *bytes, bool all)
{
    const uint8_t *was = (const uint8_t *)kept->order;
    size_t head = sizeof *kept->order;
    for (size_t i = 0; i < kept->size; i++) {
        bool same = bytes[i] == was[i], turned = i >= head && (bytes[i] ^ was[i]) == 0xff;
        if (!turned && (!same || (all && i >= head)))
            return false;
    }
    return true;
}

bool hn_target_file_is_right(struct hn_target *target, uint32_t task, bool completed)
{
    const struct hn_kept *kept = &target->kept[task];
    uint8_t *bytes = mmap(NULL, kept->size, PROT_READ | PROT_WRITE, MAP_SHARED, kept->fd, 0);
    if (bytes == MAP_FAILED)
        return false;
    if (target->options->sabotage == HN_SABOTAGE_WRONG_FILE)
        bytes[kept->size - 1] ^= 1;
    bool right = is_written(kept, bytes, completed);
    munmap(bytes, kept->size);
    return right;
}
