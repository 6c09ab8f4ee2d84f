/* SPDX-License-Identifier: MIT */
#include "os/fds.h"

#include "base/fd.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The lowest of them that is at least `from`, or INT_MAX. */
static int next_kept(const int *fds, size_t n, int from)
{
    int lowest = INT_MAX;
    for (size_t i = 0; i < n; i++)
        if (fds[i] >= from && fds[i] < lowest)
            lowest = fds[i];
    return lowest;
}

struct directory_entry { /* struct linux_dirent64 */
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};

/* Closes what one reading of the directory names; how many that were, or -errno. */
static int close_listed(int directory_fd, unsigned first, unsigned last)
{
    alignas(struct directory_entry) char buffer[1024];
    int closed = 0;
    for (;;) {
        ssize_t got = lp_sys.getdents(directory_fd, buffer, sizeof(buffer));
        if (got <= 0)
            return got < 0 ? (int)got : closed;
        for (ssize_t at = 0; at < got;) {
            const struct directory_entry *entry = (const void *)(buffer + at);
            at += entry->length;
            unsigned long fd = strtoul(entry->name, NULL, 10);
            if (entry->name[0] == '.' || fd < first || fd > last || fd == (unsigned)directory_fd)
                continue;
            closed += lp_sys.close((int)fd) == 0;
        }
    }
}

/* Kernels before 5.9 have no close_range. Closing moves the directory's end, so until all are gone. */
static int close_one_by_one(unsigned first, unsigned last)
{
    int closed = 1;
    while (closed > 0) {
        lp_fd_auto int directory_fd = lp_sys.openat(AT_FDCWD, "/proc/self/fd",
                                                    O_RDONLY | O_DIRECTORY);
        closed = directory_fd < 0 ? directory_fd : close_listed(directory_fd, first, last);
    }
    return closed;
}

static int close_between(unsigned first, unsigned last)
{
    int error = lp_sys.close_range(first, last);
    return error == -ENOSYS ? close_one_by_one(first, last) : error;
}

static int close_others(const int *fds, size_t n)
{
    int from = LP_FDS_FIRST;
    for (;;) {
        int kept = next_kept(fds, n, from);
        unsigned last = kept == INT_MAX ? UINT_MAX : (unsigned)kept - 1;
        int error = kept > from ? close_between((unsigned)from, last) : 0;
        if (error < 0)
            return error;
        if (kept == INT_MAX)
            return 0;
        from = kept + 1;
    }
}

/* Whoever of fds[from...] stands on target is moved out of the way. */
static int vacate(int *fds, size_t from, size_t n, int target)
{
    for (size_t i = from; i < n; i++) {
        if (fds[i] != target)
            continue;
        fds[i] = lp_sys.dup_from(target, target + 1);
        return fds[i] < 0 ? fds[i] : 0;
    }
    return 0;
}

int lp_fds_keep(int *fds, size_t n)
{
    int error = close_others(fds, n);
    for (size_t i = 0; i < n && error == 0; i++) {
        int target = LP_FDS_FIRST + (int)i;
        if (fds[i] != target)
            error = vacate(fds, i + 1, n, target);
        if (error == 0)
            error = lp_sys.dup_to(fds[i], target, O_CLOEXEC) < 0 ? -EMFILE : 0;
        if (error == 0 && fds[i] != target)
            lp_fd_close(&fds[i]);
        fds[i] = target;
    }
    return error;
}

int lp_fds_keep_in_place(const int *fds, size_t n)
{
    int error = close_others(fds, n);
    for (size_t i = 0; i < n && error == 0; i++)
        error = fds[i] < 0 ? 0 : lp_sys.set_cloexec(fds[i], 1);
    return error;
}

int lp_fds_lift(int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (fds[i] < 0 || fds[i] > STDERR_FILENO)
            continue;
        int lifted = lp_sys.dup_from(fds[i], LP_FDS_FIRST);
        if (lifted < 0)
            return lifted;
        lp_fd_close(&fds[i]);
        fds[i] = lifted;
    }
    return 0;
}

void lp_fds_attach(struct msghdr *message, void *control, int fd)
{
    message->msg_control = control;
    message->msg_controllen = LP_FDS_CONTROL_BYTES;
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(fd));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
}

int lp_fds_detach(struct msghdr *message)
{
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    int fd = -1;
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len >= CMSG_LEN(sizeof(fd)))
        memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    return fd;
}

void lp_fds_settle_standard(bool keep_stdin)
{
    int null_fd = lp_sys.openat(AT_FDCWD, "/dev/null", O_RDWR);
    if (null_fd < 0)
        return;
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fd == null_fd)
            (void)lp_sys.set_cloexec(fd, 0);
        else if ((fd == STDIN_FILENO && !keep_stdin) || lp_sys.is_open(fd) < 0)
            (void)lp_sys.dup_to(null_fd, fd, 0);
    }
    if (null_fd > STDERR_FILENO)
        lp_fd_close(&null_fd);
}
