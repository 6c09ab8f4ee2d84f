/* SPDX-License-Identifier: MIT */
#include "base/pieces.h"

#include <stdint.h>
#include <string.h>

#define ALIGN ((size_t)8)

static size_t padded(size_t size)
{
    return (size + ALIGN - 1) & ~(ALIGN - 1);
}

void lp_pieces_put(struct lp_pieces_pen *pen, const void *data, size_t size)
{
    const uint64_t length = size;
    size_t end = pen->used + sizeof(length) + padded(size);
    if (pen->at != NULL && end <= pen->room) {
        memcpy(pen->at + pen->used, &length, sizeof(length));
        memcpy(pen->at + pen->used + sizeof(length), data, size);
        memset(pen->at + pen->used + sizeof(length) + size, 0, padded(size) - size);
    }
    pen->used = end;
}

const void *lp_pieces_take(struct lp_pieces_reader *reader, size_t *size)
{
    uint64_t length = 0;
    *size = 0;
    if (reader->left >= sizeof(length))
        memcpy(&length, reader->at, sizeof(length));
    reader->is_bad = reader->is_bad || reader->left < sizeof(length) ||
                     length > reader->left - sizeof(length) ||
                     padded(length) > reader->left - sizeof(length);
    if (reader->is_bad)
        return NULL;
    const void *data = reader->at + sizeof(length);
    reader->at += sizeof(length) + padded(length);
    reader->left -= sizeof(length) + padded(length);
    *size = length;
    return data;
}
