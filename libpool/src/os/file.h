/* SPDX-License-Identifier: MIT */
/*
 * file: the small text files through which the kernel speaks (/proc, cgroups), whole and at once.
 */
#ifndef LP_OS_FILE_H
#define LP_OS_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Fills text, which is always terminated. Bytes read (cut at size - 1), or -errno. */
ssize_t lp_file_read(int directory_fd, const char *path, char *text, size_t size);

/*
 * Calls act for each entry of an open directory but . and .., until act returns other than 0, which
 * is then returned; else 0 or -errno.
 */
int lp_file_each(int directory_fd, int (*act)(void *context, const char *name), void *context);

/* 0 or -errno. */
int lp_file_write(int directory_fd, const char *path, const char *text);

/*
 * A new open file of what stands on that number in another process. Where that shows no descriptors its first
 * thread may have ended: then its other threads are looked at. A descriptor, or -errno.
 */
int lp_file_reopen(pid_t process, int number, int flags);

/* The number behind "name " (or a tab) at the beginning of a line; `absent` when there is none. */
uint64_t lp_file_number(const char *text, const char *name, uint64_t absent);

struct lp_file_stat {
    pid_t parent;
    char state;                        /* R S D T t Z X ... */
    uint64_t flags;                    /* PF_... of the kernel */
    uint64_t started_ticks;            /* hundredths of a second of CLOCK_BOOTTIME */
    uint64_t user_ticks, system_ticks; /* CPU time, and that of children it has waited for */
};

/* Of /proc/PID/stat. 0 or -errno. */
int lp_file_stat(pid_t pid, struct lp_file_stat *stat);

#endif
