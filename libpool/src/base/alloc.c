/* SPDX-License-Identifier: MIT */
#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

void *lp_alloc(const libpool_allocator *allocator, size_t size)
{
    if (size == 0)
        return NULL;
    return allocator->allocate ? allocator->allocate(allocator->context, size) : malloc(size);
}

void *lp_alloc_zeroed(const libpool_allocator *allocator, size_t size)
{
    if (!allocator->allocate)
        return calloc(1, size); /* large tables stay untouched */
    void *memory = lp_alloc(allocator, size);
    if (memory)
        memset(memory, 0, size);
    return memory;
}

void *lp_grow(const libpool_allocator *allocator, void *pointer, size_t size, size_t used,
              size_t new_size)
{
    if (!allocator->allocate)
        return realloc(pointer, new_size); /* large ones are moved without a copy */
    void *memory = lp_alloc(allocator, new_size);
    if (memory && used)
        memcpy(memory, pointer, used);
    if (memory)
        lp_release(allocator, pointer, size);
    return memory;
}

void lp_release(const libpool_allocator *allocator, void *pointer, size_t size)
{
    if (!pointer)
        return;
    if (allocator->release)
        allocator->release(allocator->context, pointer, size);
    else
        free(pointer);
}
