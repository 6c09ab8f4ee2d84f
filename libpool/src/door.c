/* SPDX-License-Identifier: MIT */
#include "door.h"

#include <errno.h>
#include <string.h>

#include "supervisor.h"

int lp_door_check(const libpool *pool)
{
    if (!pool)
        return -EINVAL;
    if (*pool->alive == LP_ALIVE)
        return 0;
    return *pool->alive == LP_ALIVE_IN_WORKER ? -EDEADLK : -ECHILD;
}

int lp_door_copy(void *ours, size_t our_size, const void *theirs, size_t their_size)
{
    const unsigned char *bytes = theirs;
    if (their_size < sizeof(size_t))
        return -EINVAL;
    for (size_t i = our_size; i < their_size; i++)
        if (bytes[i])
            return -E2BIG;
    memset(ours, 0, our_size);
    memcpy(ours, theirs, their_size < our_size ? their_size : our_size);
    return 0;
}

uint64_t lp_door_deadline(int timeout_ms)
{
    return timeout_ms < 0 ? LP_FOREVER : lp_supervisor_now() + (uint64_t)timeout_ms * LP_MS;
}
