/* SPDX-License-Identifier: MIT */
/*
 * snapshot: everything about the application that a library inside it could disturb.
 *
 * The target takes one before it opens its pool and one after it has closed it; the two have to be
 * equal. It is flat memory, so that the judge compares (hn_check_host, hn_check_residue), not the
 * process under suspicion.
 */
#ifndef HARNESS_SNAPSHOT_H
#define HARNESS_SNAPSHOT_H

#include <stdint.h>

#define HN_SNAPSHOT_FDS 512
#define HN_SNAPSHOT_MAPS 64
#define HN_SNAPSHOT_SIGNALS 65
#define HN_SNAPSHOT_TEXT 64

struct hn_snapshot_fd {
    int fd;
    int flags;        /* FD_CLOEXEC */
    int status_flags; /* O_NONBLOCK and the like */
    char link[HN_SNAPSHOT_TEXT];
};

struct hn_snapshot {
    uint64_t taken_ns; /* 0: never */
    int32_t error;     /* something could not be read, or is more than there is room for */
    uint32_t fds_count;
    uint32_t maps_count; /* shared and memfd mappings */
    uint32_t threads;
    int32_t
        children; /* what waitid(P_ALL, WNOHANG | WNOWAIT) said: 1 seen, 0 unripe, -ECHILD none */
    struct hn_snapshot_fd fds[HN_SNAPSHOT_FDS];
    char maps[HN_SNAPSHOT_MAPS][HN_SNAPSHOT_TEXT];
    uint64_t handlers[HN_SNAPSHOT_SIGNALS]; /* address */
    int handler_flags[HN_SNAPSHOT_SIGNALS];
    uint64_t blocked, pending; /* of the calling thread */
    int oom_score_adj;
    int nice;
    uint32_t umask;
    int dumpable, subreaper, death_signal;
    uint64_t fd_limit, core_limit, file_limit;
    char directory[128];
    char name[16];
};

/* Fills *snapshot about the calling process. Leaves nothing open. */
void hn_snapshot_take(struct hn_snapshot *snapshot);

#endif
