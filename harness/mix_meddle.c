/* SPDX-License-Identifier: MIT */
/* mix_meddle: threads that change the pool under those who use it, and one that kills its processes. */
#include "harness/mix.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RESIZE_US 10000

void hn_mix_resize(struct hn_mix_thread *thread)
{
    struct hn_mix *mix = thread->mix;
    while (!atomic_load(&mix->over)) {
        uint32_t most = 1 + hn_mix_random(&thread->random, mix->options.workers_limit);
        uint32_t least = hn_mix_random(&thread->random, most + 1);
        thread->doing = "resize";
        int code = libpool_resize(mix->pool, least, most);
        HN_MIX_EXPECT(mix, code == 0 || code == -ESHUTDOWN, "resize returned %d", code);
        thread->doing = "dispatch";
        code = libpool_dispatch(mix->pool);
        HN_MIX_EXPECT(mix, code == (mix->options.flags & LIBPOOL_NO_THREAD ? 0 : -EINVAL),
                      "dispatch returned %d", code);
        hn_mix_pause(RESIZE_US);
    }
}

static void change_clothes(struct hn_mix_thread *thread)
{
    static const char *const environment[] = {"MIX=1", "HOME"};
    static const libpool_limit limits[] = {{RLIMIT_CORE, 0, 0}};
    struct hn_mix *mix = thread->mix;
    uint32_t dice = hn_mix_random(&thread->random, 16);
    libpool_outfit outfit = {.size = sizeof outfit,
                             .flags = dice & 1 ? LIBPOOL_SET_UMASK : 0,
                             .directory = dice & 2 ? "/" : NULL,
                             .environment = dice & 4 ? environment : NULL,
                             .environment_count = dice & 4 ? 2 : 0,
                             .limits = limits,
                             .limits_count = 1,
                             .nice = dice & 8 ? 1 : 0};
    bool kept = mix->options.tail_bytes;
    memcpy(outfit.stdio, mix->outfit.stdio, kept ? sizeof outfit.stdio : 0);
    thread->doing = "set_outfit";
    int code = libpool_set_outfit(mix->pool, dice || kept ? &outfit : NULL);
    bool can = mix->options.start != LIBPOOL_THREADS;
    HN_MIX_EXPECT(mix, !can ? code == -ENOTSUP : code == 0 || code == -EAGAIN || code == -ESHUTDOWN,
                  "set_outfit returned %d", code);
}

void hn_mix_recycle(struct hn_mix_thread *thread)
{
    struct hn_mix *mix = thread->mix;
    while (!atomic_load(&mix->over)) {
        hn_mix_pause(1000 + hn_mix_random(&thread->random, 100000));
        change_clothes(thread);
        thread->doing = "recycle";
        int code = libpool_recycle(mix->pool, 1 + hn_mix_random(&thread->random, HN_MIX_WORKERS));
        HN_MIX_EXPECT(mix, code == 0 || code == -ESHUTDOWN, "recycle returned %d", code);
    }
}

void hn_mix_cancel_groups(struct hn_mix_thread *thread)
{
    struct hn_mix *mix = thread->mix;
    while (!atomic_load(&mix->over)) {
        uint64_t killed = 0;
        hn_mix_pause(hn_mix_random(&thread->random, 20000));
        thread->doing = "cancel_group";
        int64_t ended = libpool_cancel_group(mix->pool, 1 + hn_mix_random(&thread->random, 4),
                                             &killed);
        HN_MIX_EXPECT(mix, ended >= 0 && killed <= (uint64_t)ended,
                      "cancel_group returned %lld, %llu killed", (long long)ended,
                      (unsigned long long)killed);
    }
}

void hn_mix_drain(struct hn_mix_thread *thread)
{
    struct hn_mix *mix = thread->mix;
    while (!atomic_load(&mix->over)) {
        thread->doing = "drain";
        int code = libpool_drain(mix->pool, (int)hn_mix_random(&thread->random, 30));
        HN_MIX_EXPECT(mix, code == 0 || code == -ETIMEDOUT, "drain returned %d", code);
        hn_mix_pause(1000);
    }
}

/* ---- kills --------------------------------------------------------------------------------------------- */

/* The number may be a stranger's by now: what the pidfd means is checked by the process's name. */
static bool is_ours(const struct hn_mix *mix, int pid)
{
    char path[40], name[16] = "";
    size_t length = strlen(mix->name);
    (void)snprintf(path, sizeof path, "/proc/%d/comm", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool named = read(fd, name, sizeof name - 1) > 0 && !strncmp(name, mix->name, length) &&
                 name[length] == ':';
    (void)close(fd);
    return named;
}

static bool kill_ours(struct hn_mix *mix, int pid)
{
    int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    if (fd < 0)
        return false;
    bool killed = is_ours(mix, pid) && syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0;
    (void)close(fd);
    return killed;
}

void hn_mix_kill(struct hn_mix_thread *thread)
{
    struct hn_mix *mix = thread->mix;
    uint32_t slots = sizeof mix->workers / sizeof *mix->workers;
    while (!atomic_load(&mix->over)) {
        thread->doing = "kill";
        hn_mix_pause(hn_mix_random(&thread->random, 40000));
        if (mix->options.start == LIBPOOL_THREADS)
            continue; /* a thread can't be */
        if (hn_mix_random(&thread->random, 40)) {
            int pid = atomic_load(&mix->workers[hn_mix_random(&thread->random, slots)]);
            atomic_fetch_add(&mix->kills, kill_ours(mix, pid));
        } else if (mix->round / 3 % 3) {
            atomic_store(&mix->zygote_killed, true); /* before it can show */
            (void)kill_ours(mix, atomic_load(&mix->zygote));
        }
    }
}
