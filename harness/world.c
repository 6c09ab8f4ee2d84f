/* SPDX-License-Identifier: MIT */
/* world: one shared mapping; see the header. */
#include "harness/world.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t world_bytes(void)
{
    return offsetof(struct hn_world, history) + hn_history_bytes(HN_RECORDS_MAX);
}

struct hn_world *hn_world_new(void)
{
    void *memory = MAP_FAILED;
    int fd = memfd_create(HN_MEMFD_NAME, MFD_CLOEXEC);
    if (fd < 0)
        return NULL;
    if (ftruncate(fd, (off_t)world_bytes()) == 0)
        memory = mmap(NULL, world_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        close(fd);
        return NULL;
    }
    struct hn_world *world = memory;
    world->judge_pid = (int)getpid();
    world->memory_fd = fd;
    hn_history_init(&world->history, HN_RECORDS_MAX);
    return world;
}

struct hn_world *hn_world_attach(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    void *memory = mmap(NULL, world_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return memory == MAP_FAILED ? NULL : memory;
}

void hn_world_free(struct hn_world *world)
{
    if (!world)
        return;
    close(world->memory_fd);
    munmap(world, world_bytes());
}

void hn_sample_write(struct hn_sample *sample, const libpool_stats *stats, uint64_t time_ns)
{
    uint64_t next = atomic_load(&sample->version) + 1;
    struct hn_sample_place *place = &sample->places[next % 2];
    place->stats = *stats;
    place->time_ns = time_ns;
    atomic_store(&sample->version, next);
}

/* As soon as another one is whole, the place that was read may be written again. */
bool hn_sample_read(const struct hn_sample *sample, libpool_stats *stats, uint64_t *time_ns)
{
    for (;;) {
        uint64_t version = atomic_load(&sample->version);
        struct hn_sample_place place = sample->places[version % 2];
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load(&sample->version) != version)
            continue;
        *stats = place.stats;
        *time_ns = place.time_ns;
        return version != 0;
    }
}
