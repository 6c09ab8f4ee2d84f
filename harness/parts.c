/* SPDX-License-Identifier: MIT */
/* parts: see the header. */
#include "harness/parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct head {
    uint32_t task, run, index, size;
};
_Static_assert(sizeof(struct head) == HN_PART_MIN, "as promised");

/* ---- The pattern ------------------------------------------------------------------------------ */

static uint32_t seed_of(const struct head *head)
{
    return (head->task * 2654435761u + head->run * 40503u + head->index * 2246822519u) | 1u;
}

static uint8_t next_byte(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return (uint8_t)(*state >> 11);
}

void hn_parts_fill(uint8_t *bytes, uint32_t task, uint32_t run, uint32_t index, size_t size)
{
    struct head head = {task, run, index, (uint32_t)size};
    uint32_t state = seed_of(&head);
    memcpy(bytes, &head, sizeof head);
    for (size_t i = sizeof head; i < size; i++)
        bytes[i] = next_byte(&state);
}

static bool matches(const uint8_t *bytes, const struct head *head)
{
    uint32_t state = seed_of(head);
    for (size_t i = sizeof *head; i < head->size; i++)
        if (bytes[i] != next_byte(&state))
            return false;
    return true;
}

/* ---- Sending ---------------------------------------------------------------------------------- */

int hn_parts_send(libpool_worker *worker, struct hn_parts *parts, uint32_t task, uint32_t count,
                  size_t size)
{
    uint32_t run = (uint32_t)(atomic_load(&parts->sent) >> 32) + 1;
    uint8_t *bytes = malloc(size);
    int rc = 0;
    if (!bytes)
        return -ENOMEM;
    atomic_store(&parts->sent, (uint64_t)run << 32);
    for (uint32_t index = 0; index < count && rc == 0; index++) {
        hn_parts_fill(bytes, task, run, index, size);
        rc = libpool_emit(worker, bytes, size);
        if (rc == 0)
            atomic_store(&parts->sent, (uint64_t)run << 32 | (index + 1));
    }
    free(bytes);
    return rc;
}

/* ---- Arriving --------------------------------------------------------------------------------- */

bool hn_parts_note(struct hn_parts *parts, uint32_t task, const void *data, size_t size)
{
    struct head head;
    bool right = size >= sizeof head && ((uintptr_t)data & 15) == 0;
    if (right) {
        memcpy(&head, data, sizeof head);
        bool first = head.run > parts->run && head.index == 0;
        bool next = head.run == parts->run && head.index == parts->taken;
        right = head.task == task && head.size == size && (first || next) && matches(data, &head);
    }
    if (right) {
        parts->runs += head.run != parts->run;
        parts->run = head.run;
        parts->taken = head.index + 1;
    }
    parts->wrong += !right;
    return right;
}

uint32_t hn_parts_sent(const struct hn_parts *parts)
{
    return (uint32_t)atomic_load(&parts->sent);
}

uint32_t hn_parts_arrived(const struct hn_parts *parts)
{
    return parts->run == atomic_load(&parts->sent) >> 32 ? parts->taken : 0;
}
