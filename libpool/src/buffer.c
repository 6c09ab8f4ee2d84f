/* SPDX-License-Identifier: MIT */
#include "buffer.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "os/pages.h"
#include "sys/sys.h"

static bool is_mapped(const struct lp_buffer *buffer)
{
    return buffer->capacity >= LP_BUFFER_MAPPED_BYTES;
}

static unsigned char *map(const struct lp_buffer *buffer, size_t capacity)
{
    if (is_mapped(buffer))
        return lp_sys.remap(buffer->data, buffer->capacity, capacity);
    unsigned char *data = lp_sys.map(capacity);
    if (data && buffer->capacity) {
        memcpy(data, buffer->data, buffer->capacity);
        free(buffer->data);
    }
    return data;
}

int lp_buffer_reserve(struct lp_buffer *buffer, size_t size)
{
    if (size <= buffer->capacity)
        return 0;
    size_t capacity = buffer->capacity > size / 2 ? buffer->capacity * 2 : size;
    unsigned char *data = capacity >= LP_BUFFER_MAPPED_BYTES ? map(buffer, capacity)
                                                             : realloc(buffer->data, capacity);
    if (!data)
        return -ENOMEM;
    lp_pages_will_fill(data, capacity);
    buffer->data = data;
    buffer->capacity = capacity;
    return 0;
}

void lp_buffer_free(struct lp_buffer *buffer)
{
    if (is_mapped(buffer))
        (void)lp_sys.unmap(buffer->data, buffer->capacity);
    else
        free(buffer->data);
    *buffer = (struct lp_buffer){.data = NULL};
}
