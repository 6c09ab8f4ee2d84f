/* SPDX-License-Identifier: MIT */
/* A list of blocks, each twice as large as the one before; the newest is cut from the front. */
#include "chaos/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BLOCK ((size_t)16 << 10)
#define ALIGNMENT alignof(max_align_t)

struct block {
    struct block *older;
    size_t size;
    size_t used;
    alignas(max_align_t) unsigned char bytes[];
};

struct ch_arena {
    struct block *newest;
};

static void *must(void *memory)
{
    if (memory != NULL)
        return memory;
    fputs("chaos: out of memory\n", stderr);
    exit(5);
}

static struct block *add_block(struct ch_arena *arena, size_t at_least)
{
    size_t size = arena->newest != NULL ? arena->newest->size * 2 : FIRST_BLOCK;
    while (size < at_least)
        size *= 2;
    struct block *block = must(malloc(sizeof(*block) + size));
    *block = (struct block){.older = arena->newest, .size = size};
    arena->newest = block;
    return block;
}

struct ch_arena *ch_arena_new(void)
{
    return must(calloc(1, sizeof(struct ch_arena)));
}

static void free_blocks(struct block *block)
{
    while (block != NULL) {
        struct block *older = block->older;
        free(block);
        block = older;
    }
}

void ch_arena_free(struct ch_arena *arena)
{
    if (arena == NULL)
        return;
    free_blocks(arena->newest);
    free(arena);
}

void ch_arena_reset(struct ch_arena *arena)
{
    if (arena->newest == NULL)
        return;
    free_blocks(arena->newest->older);
    arena->newest->older = NULL;
    arena->newest->used = 0;
}

void *ch_arena_take(struct ch_arena *arena, size_t size)
{
    if (size > SIZE_MAX / 4)
        must(NULL);
    size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct block *block = arena->newest;
    if (block == NULL || block->size - block->used < size)
        block = add_block(arena, size);
    void *memory = block->bytes + block->used;
    block->used += size;
    return memset(memory, 0, size);
}

char *ch_arena_text(struct ch_arena *arena, const char *text, size_t length)
{
    char *copy = ch_arena_take(arena, length + 1);
    memcpy(copy, text, length);
    return copy;
}

char *ch_arena_format(struct ch_arena *arena, const char *format, ...)
{
    char text[CH_FORMAT_MAX];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (length < 0)
        length = 0;
    if ((size_t)length >= sizeof(text))
        length = (int)sizeof(text) - 1;
    return ch_arena_text(arena, text, (size_t)length);
}

void *ch_arena_grow(struct ch_arena *arena, void *items, size_t count, size_t item_size)
{
    if (count != 0 && (count & (count - 1)) != 0)
        return items;
    void *larger = ch_arena_take(arena, (count != 0 ? count * 2 : 1) * item_size);
    if (count != 0)
        memcpy(larger, items, count * item_size);
    return larger;
}
