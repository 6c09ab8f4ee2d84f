/* SPDX-License-Identifier: MIT */
#include "os/death.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/wait.h>

#include "base/fd.h"
#include "os/file.h"
#include "os/tree.h"
#include "sys/sys.h"

#define TICK_NS 10000000u            /* of /proc, on every machine */
#define INFO_EXIT (UINT64_C(1) << 3) /* PIDFD_INFO_EXIT */

/* struct pidfd_info as first published (64 bytes); Debian 12's headers don't have it. */
struct pidfd_info_64 {
    uint64_t mask, cgroup_id;
    uint32_t pid, tgid, ppid;
    uint32_t ids[8];
    int32_t exit_code; /* a wait status */
};

_Static_assert(sizeof(struct pidfd_info_64) == 64, "the size that the request's number contains");

static int check_birth(pid_t pid, uint64_t born_from_ns, uint64_t born_by_ns)
{
    struct lp_file_stat stat;
    int error = lp_tree_can_walk() ? lp_file_stat(pid, &stat) : -ENOTSUP;
    if (error < 0)
        return error == -ENOENT ? -ESRCH : error;
    bool is_it = stat.started_ticks >= born_from_ns / TICK_NS &&
                 stat.started_ticks <= born_by_ns / TICK_NS;
    return is_it ? 0 : -ESRCH;
}

int lp_death_pin(pid_t pid, uint64_t born_from_ns, uint64_t born_by_ns)
{
    int fd = lp_sys.pidfd_open(pid);
    if (fd < 0)
        return fd;
    int error = check_birth(pid, born_from_ns, born_by_ns);
    if (error == 0)
        error = lp_sys.pidfd_send_signal(fd, 0); /* not reaped: the file was about this one */
    if (error == 0 || error == -EPERM)           /* a worker may have become another user's */
        return fd;
    lp_fd_close(&fd);
    return error;
}

/* A host that is init or a sub-reaper has adopted the process: it is reaped for it, and tells. */
static bool reap(int pid_fd, int *code, int *signal, int *core_dumped)
{
    siginfo_t info = {.si_pid = 0};
    if (lp_sys.waitid(P_PIDFD, (id_t)pid_fd, &info, WEXITED | WNOHANG | __WALL) < 0 ||
        info.si_pid == 0)
        return false;
    *code = info.si_code == CLD_EXITED ? info.si_status : 0;
    *signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
    *core_dumped = info.si_code == CLD_DUMPED;
    return true;
}

int lp_death_ask(int pid_fd, int *code, int *signal, int *core_dumped)
{
    struct pidfd_info_64 info = {.mask = INFO_EXIT};
    if (reap(pid_fd, code, signal, core_dumped))
        return 0;
    int error = lp_sys.pidfd_info(pid_fd, &info);
    if (error < 0)
        return -ENOTSUP;
    if (!(info.mask & INFO_EXIT))
        return -EAGAIN;
    *signal = WIFSIGNALED(info.exit_code) ? WTERMSIG(info.exit_code) : 0;
    *code = WIFEXITED(info.exit_code) ? WEXITSTATUS(info.exit_code) : 0;
    *core_dumped = WIFSIGNALED(info.exit_code) && WCOREDUMP(info.exit_code);
    return 0;
}
