/* SPDX-License-Identifier: MIT */
/*
 * tasks_main: the target's tasks as an object that a spawned zygote's workers load by name.
 *
 * They have nothing of the target's memory, so the world is found through the environment, where the
 * target has put a path to it; what hn_tasks_bind was told in the target stands in the world.
 */
#include <stdlib.h>

#include "harness/tasks.h"
#include "harness/world.h"

int chaos_task(libpool_worker *worker, const void *input, size_t input_size);
int chaos_initialize(libpool_worker *worker, void *arg);
void chaos_finalize(libpool_worker *worker, void *arg);

static bool attach(void)
{
    static struct hn_world *world;
    const char *path = getenv(HN_WORLD_VARIABLE);
    if (!world && path)
        world = hn_world_attach(path);
    if (world)
        hn_tasks_bind(world, (enum hn_callback)world->role.initializer,
                      world->role.initializer_fails, (enum hn_callback)world->role.finalizer, NULL,
                      (enum hn_sabotage)world->role.sabotage);
    return world;
}

int chaos_task(libpool_worker *worker, const void *input, size_t input_size)
{
    return attach() ? hn_task_run(worker, input, input_size) : -1;
}

int chaos_initialize(libpool_worker *worker, void *arg)
{
    return attach() ? hn_worker_initialize(worker, arg) : -1;
}

void chaos_finalize(libpool_worker *worker, void *arg)
{
    if (attach())
        hn_worker_finalize(worker, arg);
}
