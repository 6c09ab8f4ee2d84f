/* SPDX-License-Identifier: MIT */
/* snapshot: reading ourselves; see the header. */
#include "harness/snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/clock.h"
#include "harness/procfs.h"

static void take_fd(struct hn_snapshot *snapshot, int fd)
{
    struct hn_snapshot_fd *place = &snapshot->fds[snapshot->fds_count];
    char path[64];
    if (snapshot->fds_count >= HN_SNAPSHOT_FDS) {
        snapshot->error = -E2BIG;
        return;
    }
    memset(place, 0, sizeof *place);
    place->fd = fd;
    place->flags = fcntl(fd, F_GETFD);
    place->status_flags = fcntl(fd, F_GETFL);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (readlink(path, place->link, sizeof place->link - 1) < 0)
        place->link[0] = 0;
    snapshot->fds_count++;
}

static int by_fd(const void *left, const void *right)
{
    const struct hn_snapshot_fd *a = left, *b = right;
    return (a->fd > b->fd) - (a->fd < b->fd);
}

static void take_fds(struct hn_snapshot *snapshot)
{
    struct dirent *entry;
    DIR *directory = opendir("/proc/self/fd");
    if (!directory) {
        snapshot->error = -errno;
        return;
    }
    while ((entry = readdir(directory)))
        if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(directory))
            take_fd(snapshot, atoi(entry->d_name));
    closedir(directory);
    qsort(snapshot->fds, snapshot->fds_count, sizeof *snapshot->fds, by_fd);
}

/* One line of maps: shared ones and memfds, by name and size; addresses may differ. */
static void take_map(struct hn_snapshot *snapshot, const char *line)
{
    unsigned long long low, high;
    char mode[5], name[256] = "";
    if (sscanf(line, "%llx-%llx %4s %*s %*s %*s %255[^\n]", &low, &high, mode, name) < 3)
        return;
    if (mode[3] != 's' && !strstr(name, "memfd:"))
        return;
    if (snapshot->maps_count == HN_SNAPSHOT_MAPS)
        snapshot->error = -E2BIG;
    else
        snprintf(snapshot->maps[snapshot->maps_count++], HN_SNAPSHOT_TEXT, "%.36s %llu KiB %s",
                 name, (high - low) / 1024, mode);
}

static int by_text(const void *left, const void *right)
{
    return strcmp(left, right);
}

static void take_maps(struct hn_snapshot *snapshot)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");
    if (!maps) {
        snapshot->error = -errno;
        return;
    }
    while (fgets(line, sizeof line, maps))
        take_map(snapshot, line);
    fclose(maps);
    qsort(snapshot->maps, snapshot->maps_count, sizeof *snapshot->maps, by_text);
}

static void take_signals(struct hn_snapshot *snapshot)
{
    struct sigaction action;
    for (int i = 1; i < HN_SNAPSHOT_SIGNALS; i++) {
        if (sigaction(i, NULL, &action))
            continue;
        snapshot->handlers[i] = (uint64_t)(uintptr_t)action.sa_sigaction;
        snapshot->handler_flags[i] = action.sa_flags;
    }
    if (hn_process_status(getpid(), "SigBlk", 16, &snapshot->blocked) ||
        hn_process_status(getpid(), "SigPnd", 16, &snapshot->pending))
        snapshot->error = -ENODATA;
}

static int32_t look_for_children(void)
{
    siginfo_t info = {0};
    if (waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOHANG | WNOWAIT))
        return -errno;
    return info.si_pid ? 1 : 0;
}

static uint64_t limit_of(__rlimit_resource_t resource)
{
    struct rlimit limit = {0};
    getrlimit(resource, &limit);
    return (uint64_t)limit.rlim_cur;
}

static void take_traits(struct hn_snapshot *snapshot)
{
    uint64_t threads = 0;
    char text[32] = "";
    if (hn_process_status(getpid(), "Threads", 10, &threads) ||
        hn_procfs_read("/proc/self/oom_score_adj", text, sizeof text) <= 0)
        snapshot->error = -ENODATA;
    snapshot->threads = (uint32_t)threads;
    snapshot->oom_score_adj = atoi(text);
    snapshot->nice = getpriority(PRIO_PROCESS, 0);
    snapshot->umask = (uint32_t)umask(0);
    umask((mode_t)snapshot->umask);
    snapshot->dumpable = prctl(PR_GET_DUMPABLE);
    prctl(PR_GET_CHILD_SUBREAPER, &snapshot->subreaper);
    prctl(PR_GET_PDEATHSIG, &snapshot->death_signal);
    prctl(PR_GET_NAME, snapshot->name);
    snapshot->fd_limit = limit_of(RLIMIT_NOFILE);
    snapshot->core_limit = limit_of(RLIMIT_CORE);
    snapshot->file_limit = limit_of(RLIMIT_FSIZE);
    if (!getcwd(snapshot->directory, sizeof snapshot->directory))
        snapshot->directory[0] = 0;
}

void hn_snapshot_take(struct hn_snapshot *snapshot)
{
    memset(snapshot, 0, sizeof *snapshot);
    take_fds(snapshot);
    take_maps(snapshot);
    take_signals(snapshot);
    take_traits(snapshot);
    snapshot->children = look_for_children();
    snapshot->taken_ns = hn_clock_ns();
}
