/* SPDX-License-Identifier: MIT */
/* doctor: each capability by one small deed; see the header. */
#include "harness/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/cgroups.h"
#include "harness/clock.h"
#include "harness/deny.h"
#include "harness/procfs.h"

#define HOG_BYTES (96u << 20)
#define LIMIT_BYTES (16u << 20)
#define FROZEN_MS 20
#define THAWED_MS 2000

/* For v2, the usual reason: a container, or a session whose parents keep the controllers. */
#define NOT_MADE(controller)                                                                       \
    "no " controller " cgroup of our own can be made, neither in v1 nor in v2, where none of our " \
    "directories has memory and pids in its cgroup.subtree_control"

struct proof {
    struct hn_cgroups cgroups;
    char *why;
    size_t why_size;
};

__attribute__((format(printf, 3, 4))) static int fail(struct proof *proof, int error,
                                                      const char *format, ...)
{
    char step[224];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(step, sizeof step, format, arguments);
    va_end(arguments);
    snprintf(proof->why, proof->why_size, "%s: %s", step, strerror(-error));
    return error;
}

/* A child that does nothing but the deed; it enters the cgroups first. */
static pid_t start(struct proof *proof, int (*deed)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGCHLD, SIG_DFL);
        if (hn_cgroups_enter(&proof->cgroups, getpid()))
            _exit(99);
        _exit(deed());
    }
    return pid;
}

static int wait_for(pid_t pid)
{
    int status = -1;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return status;
}

/* ---- Memory ------------------------------------------------------------------------------------ */

static int eat(void)
{
    volatile char *memory = mmap(NULL, HOG_BYTES, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return 1;
    for (size_t i = 0; i < HOG_BYTES; i += 4096)
        memory[i] = 1;
    return 0; /* nobody stopped us */
}

static int prove_memcg(struct proof *proof)
{
    uint64_t before = 0, after = 0;
    const char *path = hn_cgroups_memory(&proof->cgroups);
    if (!path[0])
        return fail(proof, proof->cgroups.error[HN_CGROUP_MEMORY], NOT_MADE("memory"));
    int rc = hn_cgroup_set_memory_limit(path, LIMIT_BYTES);
    if (rc)
        return fail(proof, rc, "the limit of %s can't be set", path);
    rc = hn_cgroup_oom_kills(path, &before);
    if (rc)
        return fail(proof, rc, "oom_kill of %s can't be read", path);
    int status = wait_for(start(proof, eat));
    hn_cgroup_oom_kills(path, &after);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        return fail(proof, -ENOTSUP, "a child beyond its limit was not killed (status 0x%x)",
                    (unsigned)status);
    if (after != before + 1)
        return fail(proof, -ENOTSUP, "oom_kill went from %llu to %llu at one kill",
                    (unsigned long long)before, (unsigned long long)after);
    return 0;
}

/* ---- Processes --------------------------------------------------------------------------------- */

static int fork_once(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    if (pid > 0)
        wait_for(pid);
    return pid < 0 && errno == EAGAIN ? 7 : 0;
}

static int prove_pids(struct proof *proof)
{
    const char *path = hn_cgroups_pids(&proof->cgroups);
    if (!path[0])
        return fail(proof, proof->cgroups.error[HN_CGROUP_PIDS], NOT_MADE("pids"));
    int rc = hn_cgroup_set_pids_limit(path, 1);
    if (rc)
        return fail(proof, rc, "the limit of %s can't be set", path);
    int status = wait_for(start(proof, fork_once));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 7)
        return fail(proof, -ENOTSUP, "a fork beyond the limit was not refused (status 0x%x)",
                    (unsigned)status);
    return 0;
}

static _Noreturn void wait_for_ever(void)
{
    for (;;)
        pause();
}

static int stay(void)
{
    wait_for_ever();
}

static int prove_kill(struct proof *proof)
{
    char path[HN_PATH_MAX + 32];
    const char *unified = proof->cgroups.path[HN_CGROUP_UNIFIED];
    if (!unified[0])
        return fail(proof, proof->cgroups.error[HN_CGROUP_UNIFIED],
                    "no v2 cgroup of our own can be made");
    pid_t pid = start(proof, stay);
    hn_cgroups_enter(&proof->cgroups, pid); /* it may not have come so far itself */
    snprintf(path, sizeof path, "%s/cgroup.kill", unified);
    int rc = hn_procfs_write(path, "1");
    if (rc)
        kill(pid, SIGKILL);
    int status = wait_for(pid);
    if (rc)
        return fail(proof, rc, "%s can't be written", path);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        return fail(proof, -ENOTSUP, "it killed nobody (status 0x%x)", (unsigned)status);
    return 0;
}

static int talk_fds[2]; /* between the probe and its child */

static int talk_back(void)
{
    char byte;
    close(talk_fds[0]);
    while (read(talk_fds[1], &byte, 1) == 1)
        if (write(talk_fds[1], &byte, 1) != 1)
            return 1;
    return 0;
}

static bool hears_back(int timeout_ms)
{
    char byte;
    struct pollfd end = {.fd = talk_fds[0], .events = POLLIN};
    return poll(&end, 1, timeout_ms) == 1 && read(talk_fds[0], &byte, 1) == 1;
}

/* A frozen child does not answer what it was asked, a thawed one does. */
static int freeze_and_thaw(struct proof *proof, const char *path, pid_t pid)
{
    int rc = hn_cgroups_enter(&proof->cgroups, pid); /* it may not have come so far itself */
    if (rc)
        return fail(proof, rc, "a child can't be put into %s", path);
    rc = hn_cgroup_freeze(path, true);
    bool asked = write(talk_fds[0], "?", 1) == 1;
    bool held = rc == 0 && asked && !hears_back(FROZEN_MS);
    int thaw = hn_cgroup_freeze(path, false);
    if (rc || thaw)
        return fail(proof, rc ? rc : thaw, "%s can't be frozen and thawed", path);
    if (!held)
        return fail(proof, -ENOTSUP, "a frozen child went on");
    return hears_back(THAWED_MS) ? 0 : fail(proof, -ENOTSUP, "a thawed child did not go on");
}

static int prove_freezer(struct proof *proof)
{
    const char *path = hn_cgroups_freezer(&proof->cgroups);
    if (!path[0])
        return fail(proof, proof->cgroups.error[HN_CGROUP_FREEZER],
                    "no freezer cgroup of our own can be made");
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, talk_fds))
        return fail(proof, -errno, "socketpair");
    pid_t pid = start(proof, talk_back);
    close(talk_fds[1]);
    int rc = freeze_and_thaw(proof, path, pid);
    close(talk_fds[0]);
    kill(pid, SIGKILL);
    wait_for(pid);
    return rc;
}

/* ---- Tools ------------------------------------------------------------------------------------- */

static int run_stress(void)
{
    char *arguments[] = {"stress-ng", "--cpu", "1",           "--cpu-ops", "1", "--quiet",
                         "--timeout", "5",     "--temp-path", "/tmp",      NULL};
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, 1);
    dup2(null, 2);
    execvp(arguments[0], arguments);
    return 127;
}

static int prove_stress(struct proof *proof)
{
    int status = wait_for(start(proof, run_stress));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return fail(proof, -ENOENT, "there is no stress-ng");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return fail(proof, -ENOTSUP, "it failed (status 0x%x)", (unsigned)status);
    return 0;
}

static int deny_once(void)
{
    struct hn_denial denial = {.call = "getppid", .error = ENOSYS};
    int rc = hn_deny(&denial, 1);
    if (rc)
        return -rc;
    return syscall(SYS_getppid) == -1 && errno == ENOSYS ? 0 : 98;
}

static int prove_seccomp(struct proof *proof)
{
    int status = wait_for(start(proof, deny_once));
    if (WIFEXITED(status) && WEXITSTATUS(status) == 98)
        return fail(proof, -ENOTSUP, "a denied call was answered all the same");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return fail(proof, WIFEXITED(status) ? -WEXITSTATUS(status) : -ENOTSUP,
                    "the filter can't be loaded");
    return 0;
}

static int be_traced(void)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
        return 97;
    raise(SIGSTOP);
    return 0;
}

static int prove_ptrace(struct proof *proof)
{
    int status = 0;
    pid_t pid = start(proof, be_traced);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFSTOPPED(status))
        return fail(proof, -EPERM, "PTRACE_TRACEME");
    long rc = ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACEEXIT);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    bool stopped = WIFSTOPPED(status) && status >> 16 == PTRACE_EVENT_EXIT;
    if (stopped) {
        ptrace(PTRACE_CONT, pid, NULL, NULL);
        wait_for(pid);
    }
    return rc == 0 && stopped ? 0 : fail(proof, -ENOTSUP, "no stop at its exit");
}

int hn_doctor_probe(enum hn_capability capability, char *why, size_t why_size)
{
    static int (*const deeds[HN_CAPABILITIES])(struct proof * proof) = {
        [HN_CAN_MEMCG] = prove_memcg,      [HN_CAN_PIDS_CGROUP] = prove_pids,
        [HN_CAN_CGROUP_KILL] = prove_kill, [HN_CAN_FREEZER] = prove_freezer,
        [HN_CAN_STRESS_NG] = prove_stress, [HN_CAN_SECCOMP] = prove_seccomp,
        [HN_CAN_PTRACE] = prove_ptrace,
    };
    char name[32];
    struct proof proof = {.why = why, .why_size = why_size};
    snprintf(name, sizeof name, "doctor-%d", (int)capability);
    snprintf(why, why_size, "done");
    hn_cgroups_make(&proof.cgroups, getpid(), name);
    int rc = deeds[capability](&proof);
    hn_cgroups_kill(&proof.cgroups);
    hn_cgroups_remove(&proof.cgroups);
    return rc;
}
