/* SPDX-License-Identifier: MIT */
/* mix_tasks: what the tasks of mix do; in its own copy, or loaded by a zygote that knows nothing of it. */
#include "harness/mix.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STEP_US 1000
#define HOG_BYTES (96u << 20)
#define LEAK_BYTES (12u << 20)

static uint64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void step(void)
{
    (void)usleep(STEP_US); /* sleeps: it is the task's work to last */
}

static void work(libpool_worker *worker, const struct hn_mix_order *order)
{
    uint64_t begin_us = now_us(), spent_us = 0;
    bool heeds = order->kind != HN_MIX_DEAF;
    while (spent_us < order->work_us && !(heeds && libpool_worker_stopping(worker))) {
        if (order->kind == HN_MIX_BEAT && order->serial % 3)
            (void)libpool_worker_progress(worker, spent_us, order->work_us, "halfway, always");
        else if (order->kind == HN_MIX_BEAT)
            libpool_worker_beat(worker);
        if (order->kind != HN_MIX_SPIN)
            step();
        spent_us = now_us() - begin_us;
    }
}

static int touch(size_t bytes, bool keep)
{
    char *memory = malloc(bytes);
    if (!memory)
        return 1;
    memset(memory, 0x5a, bytes);
    __asm__ volatile("" : : "r"(memory) : "memory");
    if (!keep)
        free(memory);
    return 0;
}

/* It outlives the task, and must not outlive the worker. */
static void leave_child(void)
{
    if (fork() == 0)
        for (;;)
            (void)pause();
}

static int misbehave(libpool_worker *worker, const struct hn_mix_order *order)
{
    switch (order->kind) {
    case HN_MIX_FAIL: return order->code;
    case HN_MIX_EXIT:
        if (order->is_thread)
            pthread_exit(NULL);
        _exit(order->code);
    case HN_MIX_CRASH:
        (void)signal(SIGSEGV, SIG_DFL); /* sanitizers have a handler */
        (void)raise(SIGSEGV);
        break;
    case HN_MIX_ABORT: (void)signal(SIGABRT, SIG_DFL); abort();
    case HN_MIX_TREE: leave_child(); break;
    case HN_MIX_HOG: (void)touch(HOG_BYTES, true); break;
    case HN_MIX_LEAK: (void)touch(LEAK_BYTES, order->serial % 2); break;
    case HN_MIX_ECHO:
    case HN_MIX_WORK:
    case HN_MIX_DEAF:
    case HN_MIX_SPIN:
    case HN_MIX_BEAT:
    case HN_MIX_KINDS: break;
    }
    work(worker, order);
    return 0;
}

int hn_mix_line(const struct hn_mix_order *order, char line[HN_MIX_LINE_BYTES])
{
    return snprintf(line, HN_MIX_LINE_BYTES, "mix says %llu\n", (unsigned long long)order->says);
}

static void say(const struct hn_mix_order *order)
{
    char line[HN_MIX_LINE_BYTES];
    int size = hn_mix_line(order, line);
    if (order->says)
        (void)!write((int)(1 + order->says % 2), line, (size_t)size); /* its judge will miss it */
}

int hn_mix_task(libpool_worker *worker, const void *input, size_t size)
{
    const struct hn_mix_order *order = input;
    if (size != sizeof *order + order->bytes || libpool_worker_data(worker) != (void *)worker)
        return -1000;
    say(order);
    bool deaf = order->kind == HN_MIX_DEAF, is_thread = order->is_thread;
    int code = 0;
    if (!is_thread) {
        (void)signal(SIGTERM, deaf ? SIG_IGN : SIG_DFL);
        (void)signal(SIGUSR1, deaf ? SIG_IGN : SIG_DFL);
    }
    for (uint32_t i = 0; i < order->parts && !code; i++)
        code = libpool_emit(worker, order, sizeof *order);
    code = code ? code : misbehave(worker, order);
    if (!is_thread) {
        (void)signal(SIGTERM, SIG_DFL);
        (void)signal(SIGUSR1, SIG_DFL);
    }
    return code ? code : libpool_reply(worker, input, size);
}

int hn_mix_initialize(libpool_worker *worker, void *arg)
{
    (void)arg;
    libpool_worker_set_data(worker, worker); /* each task looks whether it is still there */
    return 0;
}

void hn_mix_finalize(libpool_worker *worker, void *arg)
{
    (void)worker;
    (void)arg;
}
