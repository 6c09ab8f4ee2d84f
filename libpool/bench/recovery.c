/* SPDX-License-Identifier: MIT */
/*
 * Recovery: from the SIGKILL of a busy worker to the first result of its replacement.
 *
 * A pool of one worker: the next task is already waiting when the worker is killed, so only a
 * replacement can answer it. The floors have no pool: a bare zygote forks the replacement.
 * Overlapped: it is asked for in the instant of the kill, which only the killer can do. Told: it is
 * asked for when the kernel wakes the robust futex that the victim held for life, the earliest that
 * anybody else can know. Spare: told, and the replacement is there already, asleep. No floor waits for
 * the victim's end: with much memory that takes long, and need not be waited for.
 */
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bytes.h"
#include "nursery.h"
#include "pool.h"

#define DEATH_MS 10000
#define FAT_BYTES (1024 * BENCH_MIB)
#define FAT_SAMPLES 4

static _Atomic uint32_t *busy;  /* set by the task that is about to be killed */
static _Atomic pid_t *busy_pid; /* before that: by whom */

static void stay_for_ever(void)
{
    bench_raise(busy);
    for (;;)
        (void)pause();
}

/* Its input says how much memory it is to die with. */
static int hang(libpool_worker *worker, const void *input, size_t input_size)
{
    (void)worker, (void)input_size;
    atomic_store(busy_pid, getpid());
    size_t size;
    memcpy(&size, input, sizeof size);
    if (size) {
        unsigned char *memory = bench_bytes_new(size);
        for (size_t i = 0; i < size; i += 4096)
            memory[i] = 1;
    }
    stay_for_ever();
    return 0;
}

/* The replacement's answer took so long. */
static uint64_t kill_one(libpool *pool, size_t fat)
{
    atomic_store(busy, 0);
    libpool_future *victim = bench_submit(
        pool, &(libpool_task){.function = hang, .input = &fat, .input_size = sizeof fat});
    bench_await(busy);
    libpool_future *next = bench_submit(pool, &(libpool_task){.function = bench_tell_pid});
    pid_t pid = atomic_load(busy_pid);
    int pid_fd = bench_pidfd(pid);
    uint64_t begun_ns = bench_now_ns();
    bench_pidfd_kill(pid_fd);
    (void)bench_end(next, LIBPOOL_COMPLETED);
    uint64_t took_ns = bench_now_ns() - begun_ns;
    (void)close(pid_fd);
    bench_must(bench_end(victim, LIBPOOL_KILLED)->pid == pid, "another worker was killed");
    libpool_future_free(victim);
    bench_must(bench_pid_of(next) != pid, "a killed worker has answered");
    return took_ns;
}

/* Where there are spares, until there are again. */
static void await_spares(libpool *pool, uint32_t spares)
{
    libpool_stats stats = {.size = sizeof stats};
    uint64_t until_ns = bench_now_ns() + DEATH_MS * BENCH_MS;
    while (libpool_stats_read(pool, &stats) == 0 && stats.worker_processes_idle < 1 + spares)
        bench_must(poll(NULL, 0, 1) == 0 && bench_now_ns() < until_ns, "no spare comes");
}

static void kill_all(struct bench_round *round, size_t times, size_t fat, uint32_t spares)
{
    struct bench_samples samples = bench_samples_new(times);
    busy = bench_share(sizeof *busy);
    busy_pid = bench_share(sizeof *busy_pid);
    libpool *pool = bench_pool_open(
        (libpool_options){.min_workers = 1, .max_workers = 1, .spare_workers = spares});
    for (size_t i = 0; i < times; i++) {
        if (spares)
            await_spares(pool, spares);
        bench_sample(&samples, kill_one(pool, fat));
    }
    bench_pool_close(pool, times);
    round->values[0] = bench_percentile_us(&samples, 50);
    round->values[1] = bench_percentile_us(&samples, 90);
}

static void measure_recovery(struct bench_round *round)
{
    kill_all(round, round->samples, 0, 0);
}

static void measure_spare_of_pool(struct bench_round *round)
{
    kill_all(round, round->samples, 0, 1);
}

static void measure_fat(struct bench_round *round)
{
    kill_all(round, round->quick ? 1 : FAT_SAMPLES, FAT_BYTES, 0);
}

/* ---- without a pool ----------------------------------------------------------------------- */

struct scene {
    _Atomic uint32_t life; /* a robust futex: held by who is to be killed next */
    _Atomic uint32_t go, answered, ready;
    _Atomic int pid;
    bool spare; /* children wait until they are told to go */
};

/* The kernel walks this list when its owner dies; one entry, whose futex stands `offset` from it. */
struct robust {
    struct robust_list_head head;
    struct robust_list entry;
};

static void hold_for_life(struct robust *robust, _Atomic uint32_t *word)
{
    robust->entry.next = &robust->head.list;
    robust->head.list.next = &robust->entry;
    robust->head.list_op_pending = NULL;
    robust->head.futex_offset = (long)((intptr_t)word - (intptr_t)&robust->entry);
    atomic_store(word, (uint32_t)syscall(SYS_gettid) | FUTEX_WAITERS);
    long error = syscall(SYS_set_robust_list, &robust->head, sizeof robust->head);
    bench_must(error == 0, "set_robust_list: %s", strerror(errno));
}

static int serve_once(void *argument)
{
    struct scene *scene = argument;
    struct robust robust;
    hold_for_life(&robust, &scene->life);
    atomic_store(&scene->pid, getpid());
    bench_raise(&scene->ready);
    if (scene->spare)
        bench_await(&scene->go);
    bench_raise(&scene->answered);
    for (;;)
        (void)pause();
    return 0;
}

static void await_death(_Atomic uint32_t *life)
{
    uint32_t value;
    while (!((value = atomic_load(life)) & FUTEX_OWNER_DIED))
        bench_futex_wait(life, value);
}

/* Kills who serves; the nanoseconds until another one has answered. */
typedef uint64_t replace_one(struct scene *scene, const struct bench_nursery *nursery, int pid_fd);

static uint64_t replace_overlapped(struct scene *scene, const struct bench_nursery *nursery,
                                   int pid_fd)
{
    uint64_t begun_ns = bench_now_ns();
    bench_pidfd_kill(pid_fd);
    bench_nursery_ask(nursery, 1);
    bench_await(&scene->answered);
    return bench_now_ns() - begun_ns;
}

static uint64_t replace_told(struct scene *scene, const struct bench_nursery *nursery, int pid_fd)
{
    uint64_t begun_ns = bench_now_ns();
    bench_pidfd_kill(pid_fd);
    await_death(&scene->life);
    bench_nursery_ask(nursery, 1);
    bench_await(&scene->answered);
    return bench_now_ns() - begun_ns;
}

static double replace_all(const struct bench_round *round, replace_one *replace)
{
    struct bench_samples samples = bench_samples_new(round->samples);
    struct scene *scene = bench_share(sizeof *scene);
    struct bench_nursery nursery;
    bench_nursery_open(&nursery, serve_once, scene);
    bench_nursery_ask(&nursery, 1);
    bench_await(&scene->answered);
    for (size_t i = 0; i < round->samples; i++) {
        int pid_fd = bench_pidfd(atomic_load(&scene->pid));
        atomic_store(&scene->answered, 0);
        bench_sample(&samples, replace(scene, &nursery, pid_fd));
        bench_nursery_await(&nursery, 1);
        (void)close(pid_fd);
    }
    int pid_fd = bench_pidfd(atomic_load(&scene->pid));
    bench_pidfd_kill(pid_fd);
    bench_nursery_await(&nursery, 1);
    bench_nursery_close(&nursery);
    return bench_percentile_us(&samples, 50);
}

static void measure_overlapped(struct bench_round *round)
{
    round->values[0] = replace_all(round, replace_overlapped);
    round->values[1] = replace_all(round, replace_told);
}

/* The victim serves no more; who waits for `go` is the spare. */
static uint64_t replace_by_spare(struct scene *victim, struct scene *spare)
{
    int pid_fd = bench_pidfd(atomic_load(&victim->pid));
    uint64_t begun_ns = bench_now_ns();
    bench_pidfd_kill(pid_fd);
    await_death(&victim->life);
    bench_raise(&spare->go);
    bench_await(&spare->answered);
    uint64_t took_ns = bench_now_ns() - begun_ns;
    (void)close(pid_fd);
    return took_ns;
}

static int serve_in_turn(void *argument)
{
    struct scene *scenes = argument; /* the one that is not ready is mine */
    return serve_once(&scenes[atomic_load(&scenes[0].ready) != 0]);
}

static void fill_spare(struct scene *scene, const struct bench_nursery *nursery)
{
    atomic_store(&scene->go, 0);
    atomic_store(&scene->answered, 0);
    atomic_store(&scene->ready, 0);
    scene->spare = true;
    bench_nursery_ask(nursery, 1);
    bench_await(&scene->ready);
}

static void measure_spare(struct bench_round *round)
{
    struct bench_samples samples = bench_samples_new(round->samples);
    struct scene *scenes = bench_share(2 * sizeof *scenes);
    struct bench_nursery nursery;
    bench_nursery_open(&nursery, serve_in_turn, scenes);
    fill_spare(&scenes[0], &nursery);
    fill_spare(&scenes[1], &nursery);
    bench_raise(&scenes[0].go);
    bench_await(&scenes[0].answered);
    for (size_t i = 0; i < round->samples; i++) {
        struct scene *victim = &scenes[i % 2], *spare = &scenes[1 - i % 2];
        bench_sample(&samples, replace_by_spare(victim, spare));
        bench_nursery_await(&nursery, 1);
        fill_spare(victim, &nursery);
    }
    for (int i = 0; i < 2; i++)
        bench_pidfd_kill(bench_pidfd(atomic_load(&scenes[i].pid)));
    bench_nursery_await(&nursery, 2);
    bench_nursery_close(&nursery);
    round->values[0] = bench_percentile_us(&samples, 50);
}

/* ---- death alone -------------------------------------------------------------------------- */

static int hang_alone(void *argument)
{
    (void)argument;
    stay_for_ever();
    return 0;
}

static uint64_t kill_child(void)
{
    atomic_store(busy, 0);
    pid_t pid = bench_fork(hang_alone, NULL);
    bench_await(busy);
    struct pollfd death = {.fd = bench_pidfd(pid), .events = POLLIN};
    uint64_t begun_ns = bench_now_ns();
    bench_pidfd_kill(death.fd);
    bench_must(poll(&death, 1, DEATH_MS) == 1, "a killed child lives on");
    uint64_t took_ns = bench_now_ns() - begun_ns;
    (void)close(death.fd);
    bench_kill(pid);
    return took_ns;
}

static void measure_death(struct bench_round *round)
{
    struct bench_samples samples = bench_samples_new(round->samples);
    busy = bench_share(sizeof *busy);
    for (size_t i = 0; i < round->samples; i++)
        bench_sample(&samples, kill_child());
    round->values[0] = bench_percentile_us(&samples, 50);
}

BENCH(recovery, BENCH_POOL, measure_recovery, {"recovery_p50", "us"}, {"recovery_p90", "us"});
BENCH(recovery_spare, BENCH_POOL, measure_spare_of_pool, {"recovery_spare_p50", "us"});
BENCH(recovery_1gib, BENCH_POOL, measure_fat, {"recovery_1gib_p50", "us"},
      {"recovery_1gib_p90", "us"});
BENCH(floor_recovery, BENCH_FLOOR, measure_overlapped, {"floor_recovery_overlapped_p50", "us"},
      {"floor_recovery_told_p50", "us"});
BENCH(floor_recovery_spare, BENCH_FLOOR, measure_spare, {"floor_recovery_spare_p50", "us"});
BENCH(floor_death, BENCH_FLOOR, measure_death, {"floor_kill_to_pidfd_p50", "us"});
