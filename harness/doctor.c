/* SPDX-License-Identifier: MIT */
/* doctor: each capability by one small deed; see the header. */
#include "harness/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/cgroups.h"
#include "harness/clock.h"
#include "harness/deny.h"
#include "harness/procfs.h"

#define HOG_BYTES (96u << 20)
#define LIMIT_BYTES (16u << 20)

struct proof {
    struct hn_cgroups cgroups;
    char *why;
    size_t why_size;
};

__attribute__((format(printf, 3, 4))) static int fail(struct proof *proof, int error,
                                                      const char *format, ...)
{
    char step[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(step, sizeof step, format, arguments);
    va_end(arguments);
    snprintf(proof->why, proof->why_size, "%s: %s", step, strerror(-error));
    return error;
}

static const char *directory(const struct proof *proof, enum hn_hierarchy hierarchy)
{
    return proof->cgroups.path[hierarchy];
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

/* The directory that limits memory: v1, or v2 when it has the controller. */
static const char *memory_directory(const struct proof *proof)
{
    uint64_t limit;
    const char *unified = directory(proof, HN_CGROUP_UNIFIED);
    if (directory(proof, HN_CGROUP_MEMORY)[0])
        return directory(proof, HN_CGROUP_MEMORY);
    return unified[0] && hn_cgroup_memory_limit(unified, &limit) == 0 ? unified : "";
}

static int prove_memcg(struct proof *proof)
{
    uint64_t before = 0, after = 0;
    const char *path = memory_directory(proof);
    if (!path[0])
        return fail(proof, proof->cgroups.error[HN_CGROUP_MEMORY],
                    "no memory cgroup of our own can be made");
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
    uint64_t now;
    const char *path = directory(proof, HN_CGROUP_PIDS);
    const char *unified = directory(proof, HN_CGROUP_UNIFIED);
    if (!path[0] && unified[0] && hn_cgroup_number(unified, "pids.current", NULL, &now) == 0)
        path = unified;
    if (!path[0])
        return fail(proof, proof->cgroups.error[HN_CGROUP_PIDS],
                    "no pids cgroup of our own can be made");
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
    const char *unified = directory(proof, HN_CGROUP_UNIFIED);
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

static int set_frozen(const char *path, const char *state)
{
    char file[HN_PATH_MAX + 32];
    snprintf(file, sizeof file, "%s/freezer.state", path);
    return hn_procfs_write(file, state);
}

/* Frozen by v1, even SIGKILL has to wait: that is what it is good for here. */
static int prove_freezer(struct proof *proof)
{
    const char *path = directory(proof, HN_CGROUP_FREEZER);
    if (!path[0])
        return fail(proof, proof->cgroups.error[HN_CGROUP_FREEZER],
                    "no freezer cgroup of our own can be made");
    pid_t pid = start(proof, stay);
    hn_cgroups_enter(&proof->cgroups, pid);
    int rc = set_frozen(path, "FROZEN");
    kill(pid, SIGKILL);
    bool held = rc == 0 && waitpid(pid, NULL, WNOHANG) == 0;
    set_frozen(path, "THAWED");
    wait_for(pid);
    if (rc)
        return fail(proof, rc, "%s can't be frozen", path);
    return held ? 0 : fail(proof, -ENOTSUP, "a frozen child died of SIGKILL at once");
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
