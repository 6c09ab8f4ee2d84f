/* SPDX-License-Identifier: MIT */
#include "os/death.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/wait.h>

#include "sys/sys.h"

#define INFO_EXIT (UINT64_C(1) << 3) /* PIDFD_INFO_EXIT */

/* struct pidfd_info as first published (64 bytes); Debian 12's headers don't have it. */
struct pidfd_info_64 {
    uint64_t mask, cgroup_id;
    uint32_t pid, tgid, ppid;
    uint32_t ids[8];
    int32_t exit_code; /* a wait status */
};

_Static_assert(sizeof(struct pidfd_info_64) == 64, "the size that the request's number contains");

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
