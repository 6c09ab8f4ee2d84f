/* SPDX-License-Identifier: MIT */
/* sabotage: see the header. All but the worker's own lies, which harness/tasks.c tells. */
#include "harness/sabotage.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/cgroups.h"
#include "harness/world.h"

void hn_sabotage_result(enum hn_sabotage how, struct hn_row *row)
{
    static bool told;
    if (told || row->cause != LIBPOOL_COMPLETED)
        return;
    if (how == HN_SABOTAGE_END_TWICE) {
        row->ends++;
    } else if (how == HN_SABOTAGE_WRONG_PID) {
        row->pid++;
    } else if (how == HN_SABOTAGE_KILL_INNOCENT) {
        row->cause = LIBPOOL_KILLED;
        row->signal = SIGKILL;
        row->certainty = LIBPOOL_MAY_HAVE_RUN;
    } else if (how == HN_SABOTAGE_WRONG_BYTES) {
        row->echo = HN_ECHO_WRONG;
    } else if (how == HN_SABOTAGE_DENY_START) {
        row->certainty = LIBPOOL_NOT_STARTED;
    } else if (how == HN_SABOTAGE_COUNT_RUN) {
        row->attempts++;
    }
    told = true;
}

void hn_sabotage_stats(enum hn_sabotage how, libpool_stats *stats)
{
    static atomic_uint looks;
    if (how == HN_SABOTAGE_COUNT_OTHERWISE && stats->tasks_ended[LIBPOOL_COMPLETED]) {
        stats->tasks_ended[LIBPOOL_COMPLETED]--; /* every time: it looks right in itself */
        stats->tasks_ended[LIBPOOL_CANCELLED]++;
    }
    if (how == HN_SABOTAGE_WEAR_OUT) {
        stats->worker_processes_created += 3;
        stats->workers_ended[LIBPOOL_COMPLETED] += 3;
    }
    /* Every second look is a lie: whoever looks twice in a row has seen a number go back. */
    if (!stats->tasks_ended[LIBPOOL_COMPLETED] || atomic_fetch_add(&looks, 1) % 2)
        return;
    if (how == HN_SABOTAGE_LOSE_COUNT)
        stats->tasks_ended[LIBPOOL_COMPLETED]--;
    else if (how == HN_SABOTAGE_COUNT_BACK)
        stats->tasks_launched += 1000;
}

void hn_sabotage_event(enum hn_sabotage how, struct hn_record *record)
{
    if (how == HN_SABOTAGE_BLAME_INNOCENT && record->kind == HN_POOL + LIBPOOL_EVENT_WORKER_EXITED)
        record->cause = LIBPOOL_CORRUPT;
}

void hn_sabotage_call(enum hn_sabotage how, struct hn_record *call)
{
    if (how == HN_SABOTAGE_SLOW_CALL && call->a == HN_CALL_OPEN)
        call->b += 60000000000u;
}

bool hn_sabotage_part(enum hn_sabotage how, const struct hn_parts *parts)
{
    static atomic_flag told = ATOMIC_FLAG_INIT;
    bool inner = how == HN_SABOTAGE_LOSE_PART && parts->taken == 1;
    bool last = how == HN_SABOTAGE_LOSE_LAST_PART &&
                hn_parts_arrived(parts) + 1 == hn_parts_sent(parts);
    return (inner || last) && !atomic_flag_test_and_set(&told);
}

uint64_t hn_sabotage_wake(enum hn_sabotage how, uint64_t woken_ns)
{
    return how == HN_SABOTAGE_WAKE_LATE ? woken_ns + 1000000000u : woken_ns;
}

uint64_t hn_sabotage_element(enum hn_sabotage how, uint64_t element)
{
    if (how == HN_SABOTAGE_LOSE_ELEMENT && element == 0)
        return UINT64_MAX;
    return how == HN_SABOTAGE_SWAP_ELEMENTS && element < 2 ? 1 - element : element;
}

/* Of the first task whose end is told; the callbacks come one after the other. */
void hn_sabotage_told(enum hn_sabotage how, struct hn_history *history,
                      const struct hn_record *record)
{
    static struct hn_record held;
    static bool told;
    bool ends = record->kind == HN_TOLD_DONE, first = ends && !told;
    told |= first;
    if (how == HN_SABOTAGE_START_LATE && record->kind == HN_TOLD_STARTED && !held.kind) {
        held = *record;
        return;
    }
    if (how == HN_SABOTAGE_SWAP_DONE && first) {
        held = *record;
        return;
    }
    if (how != HN_SABOTAGE_FORGET_DONE || !first)
        hn_history_append(history, record);
    bool late = how == HN_SABOTAGE_START_LATE && ends && record->task == held.task;
    if ((late || (how == HN_SABOTAGE_SWAP_DONE && ends)) && held.kind) {
        hn_history_append(history, &held);
        held.kind = how == HN_SABOTAGE_SWAP_DONE ? 0 : held.kind;
    }
    if (how == HN_SABOTAGE_DONE_TWICE && first)
        hn_history_append(history, record);
}

void hn_sabotage_open(enum hn_sabotage how)
{
    if (how == HN_SABOTAGE_DIE_EARLY)
        raise(SIGKILL);
}

/* ---- Leaving things behind ----------------------------------------------------------------------- */

static void *stay(void *unused)
{
    (void)unused;
    for (;;)
        pause();
    return NULL;
}

static void leave_orphan(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (fork() == 0)
            stay(NULL);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

static void leave_cgroup(void)
{
    char path[HN_PATH_MAX], below[HN_PATH_MAX + 16];
    if (hn_cgroup_of(getpid(), HN_CGROUP_UNIFIED, path, sizeof path))
        return;
    snprintf(below, sizeof below, "%s/left", path);
    mkdir(below, 0755);
}

static void take_signal(int number)
{
    (void)number;
}

static void tell_again(struct hn_history *history)
{
    struct hn_record record = hn_record_of(HN_TOLD_DONE);
    record.task = 0;
    hn_history_append(history, &record);
}

void hn_sabotage_close(enum hn_sabotage how, struct hn_world *world)
{
    pthread_t thread;
    if (how == HN_SABOTAGE_LEAK_FD)
        dup(STDIN_FILENO);
    else if (how == HN_SABOTAGE_LEAK_MAPPING)
        mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    else if (how == HN_SABOTAGE_LEAK_THREAD)
        pthread_create(&thread, NULL, stay, NULL);
    else if (how == HN_SABOTAGE_LEAK_PROCESS)
        leave_orphan();
    else if (how == HN_SABOTAGE_LEAK_CGROUP)
        leave_cgroup();
    else if (how == HN_SABOTAGE_SIGNAL_STRANGER)
        kill(world->sentinel.pid, SIGTERM);
    else if (how == HN_SABOTAGE_TAKE_SIGNAL)
        signal(SIGUSR1, take_signal);
    else if (how == HN_SABOTAGE_TELL_CLOSED)
        tell_again(&world->history);
    else if (how == HN_SABOTAGE_OWN_CHILD && fork() == 0)
        _exit(0);
}
