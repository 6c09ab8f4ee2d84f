/* SPDX-License-Identifier: MIT */
/*
 * libpool-zygote: the program that a pool with LIBPOOL_SPAWN executes.
 *
 * It is the library with a main() around it: takes what it was handed (os/program.h, os/manifest.h), and
 * is the zygote from then on. It exports libpool_reply() and the others, so an object with tasks in it
 * needs no library of its own to find them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/channel.h"
#include "os/load.h"
#include "os/manifest.h"
#include "os/program.h"
#include "sys/sys.h"
#include "worker.h"

#define PAGE_BYTES ((size_t)4096)
#define NOT_STARTED_BY_A_POOL 2

static const libpool_allocator from_malloc;

struct handed {
    struct lp_manifest manifest;
    struct lp_worker_kit kit;
    bool has_lifeline;
    int *heir_fds; /* one a slot */
};

static void enter_worker(void *kit, uint32_t slot, uint32_t number, uint32_t generation)
{
    lp_worker_process(kit, slot, number, generation);
}

/* A copy of what the workers must not reach; the windows stay mapped, and the wardrobe behind them. */
static int read_memory(struct handed *handed, char *memory, size_t size)
{
    size_t bytes = lp_manifest_length(memory, size);
    size_t front = (bytes + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
    void *copy = bytes ? malloc(bytes) : NULL;
    if (!copy)
        return bytes ? -ENOMEM : -EPROTO;
    memcpy(copy, memory, bytes);
    int error = lp_manifest_read(&handed->manifest, copy, bytes);
    uint32_t slots = handed->manifest.slots;
    size_t windows = slots * lp_channel_window_bytes();
    if (!error && size != front + windows + lp_wardrobe_bytes(slots))
        error = -EPROTO;
    (void)lp_sys.unmap(memory, front);
    handed->kit.windows = memory + front;
    if (!error)
        handed->kit.wardrobe = lp_wardrobe_open_at(memory + front + windows, slots, &from_malloc);
    return error || handed->kit.wardrobe ? error : -ENOMEM;
}

static int fill_kit(struct handed *handed)
{
    static const struct lp_cgroup_place nowhere;
    const struct lp_manifest *manifest = &handed->manifest;
    struct lp_worker_kit *kit = &handed->kit;
    kit->files_of = manifest->files_of;
    kit->sizes.memory_limit_bytes = manifest->memory_limit_bytes;
    kit->sizes.recycle_bytes = manifest->recycle_bytes;
    kit->sizes.trim_bytes = manifest->trim_bytes;
    kit->place = manifest->place ? manifest->place : &nowhere;
    kit->slots = manifest->slots;
    kit->window_bytes = lp_channel_window_bytes();
    kit->result_bytes = manifest->result_bytes;
    kit->traces = manifest->traces;
    kit->outfit = manifest->outfit;
    kit->object = manifest->object;
    kit->initializer_symbol = manifest->initializer;
    kit->finalizer_symbol = manifest->finalizer;
    kit->alive = lp_sys.map(PAGE_BYTES);
    handed->heir_fds = calloc(manifest->slots, sizeof(int));
    if (!kit->alive || !handed->heir_fds)
        return -ENOMEM;
    return lp_sys.wipe_on_fork(kit->alive, PAGE_BYTES);
}

/* As os/program.h has them. */
static void name_fds(const struct handed *handed)
{
    int next = LP_PROGRAM_HEIRS;
    for (uint32_t i = 0; i < handed->manifest.slots; i++)
        handed->heir_fds[i] = handed->manifest.heir_pids[i] ? next++ : -1;
}

/* Workers are forked from here: of one thread of several they would be a torn copy. */
static int preload(const struct lp_manifest *manifest)
{
    struct stat threads;
    pid_t self = getpid();
    int error = manifest->preloads ? lp_load_object(manifest->object) : 0;
    if (getpid() != self)
        _exit(EXIT_SUCCESS); /* a child that a constructor has forked is not the zygote */
    if (error || !manifest->preloads)
        return error;
    bool is_alone = stat("/proc/self/task", &threads) != 0 || threads.st_nlink <= 3;
    return is_alone ? 0 : -EDEADLK;
}

static _Noreturn void live(const struct handed *handed)
{
    const struct lp_manifest *manifest = &handed->manifest;
    const struct lp_zygote_options options = {
        .slots = manifest->slots,
        .keep_stdin = manifest->keep_stdin,
        .begin = manifest->traces ? lp_worker_prepare_traced : lp_worker_prepare,
        .worker_main = enter_worker,
        .context = (void *)(uintptr_t)&handed->kit,
        .name = manifest->name,
        .place = manifest->place,
        .memory_limit_bytes = manifest->memory_limit_bytes,
        .heir_fds = handed->heir_fds,
        .heir_pids = manifest->heir_pids,
    };
    const struct lp_zygote_birth birth = {
        .options = &options,
        .socket_fd = LP_PROGRAM_SOCKET,
        .host_pid_fd = LP_PROGRAM_HOST,
        .lifeline_fd = handed->has_lifeline ? LP_PROGRAM_LIFELINE : -1,
    };
    lp_zygote_main(&birth);
}

static int refuse(void)
{
    static const char why[] = "libpool-zygote is started by libpool (LIBPOOL_SPAWN), not by hand\n";
    (void)!write(STDERR_FILENO, why, sizeof why - 1);
    return NOT_STARTED_BY_A_POOL;
}

int main(void)
{
    struct handed handed = {.heir_fds = NULL};
    void *memory;
    size_t size;
    int error = lp_program_receive(&memory, &size, &handed.has_lifeline);
    if (error)
        return refuse();
    error = read_memory(&handed, memory, size);
    if (!error)
        error = fill_kit(&handed);
    if (!error)
        error = preload(&handed.manifest);
    if (error)
        lp_zygote_give_up(LP_PROGRAM_SOCKET, error);
    name_fds(&handed);
    live(&handed);
}
