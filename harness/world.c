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

_Static_assert(sizeof(struct hn_sample_place) % sizeof(uint64_t) == 0, "whole words");

/* What is read while it is written is thrown away; so that it may be, it is read and written in words. */
void hn_sample_write(struct hn_sample *sample, const libpool_stats *stats, uint64_t time_ns)
{
    uint64_t next = atomic_load(&sample->version) + 1, words[HN_SAMPLE_WORDS];
    memcpy(words, &(struct hn_sample_place){time_ns, *stats}, sizeof words);
    for (size_t i = 0; i < HN_SAMPLE_WORDS; i++)
        atomic_store(&sample->places[next % 2][i], words[i]);
    atomic_store(&sample->version, next);
}

/* As soon as another one is whole, the place that was read may be written again. */
bool hn_sample_read(const struct hn_sample *sample, libpool_stats *stats, uint64_t *time_ns)
{
    uint64_t version, words[HN_SAMPLE_WORDS];
    struct hn_sample_place place;
    do {
        version = atomic_load(&sample->version);
        for (size_t i = 0; i < HN_SAMPLE_WORDS; i++)
            words[i] = atomic_load(&sample->places[version % 2][i]);
    } while (atomic_load(&sample->version) != version);
    memcpy(&place, words, sizeof place);
    *stats = place.stats;
    *time_ns = place.time_ns;
    return version != 0;
}
