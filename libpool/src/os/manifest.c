/* SPDX-License-Identifier: MIT */
#include "os/manifest.h"

#include <errno.h>
#include <string.h>

#include "base/pieces.h"
#include "os/channel.h"
#include "os/zygote.h"

/* What both sides were built with. */
struct seal {
    char magic[16];
    uint32_t version[2];
    uint32_t request, report, message, window, place, fixed;
    uint32_t task, result; /* libpool.h's, as they are when a task has others do something */
};

struct fixed {
    uint64_t result_bytes, memory_limit_bytes, recycle_bytes, trim_bytes;
    uint32_t slots;
    int32_t files_of;
    uint32_t keep_stdin, preloads, has_place, traces;
};

static struct seal make_seal(void)
{
    return (struct seal){.magic = "libpool-zygote",
                         .version = {LIBPOOL_VERSION_MAJOR, LIBPOOL_VERSION_MINOR},
                         .request = sizeof(struct lp_request),
                         .report = sizeof(struct lp_report),
                         .message = sizeof(struct lp_message),
                         .window = (uint32_t)lp_channel_window_bytes(),
                         .place = sizeof(struct lp_cgroup_place),
                         .fixed = sizeof(struct fixed),
                         .task = sizeof(libpool_task),
                         .result = sizeof(libpool_result)};
}

/* ---- Written ----------------------------------------------------------------------------- */

/* NULL is no bytes; "" is one. */
static void put_text(struct lp_pieces_pen *pen, const char *text)
{
    lp_pieces_put(pen, text != NULL ? text : "", text != NULL ? strlen(text) + 1 : 0);
}

static void put_outfit(void *pen, const void *data, size_t size)
{
    lp_pieces_put(pen, data, size);
}

static void put_all(struct lp_pieces_pen *pen, const struct lp_manifest *manifest)
{
    const struct seal seal = make_seal();
    const struct fixed fixed = {.result_bytes = manifest->result_bytes,
                                .slots = manifest->slots,
                                .memory_limit_bytes = manifest->memory_limit_bytes,
                                .recycle_bytes = manifest->recycle_bytes,
                                .trim_bytes = manifest->trim_bytes,
                                .files_of = manifest->files_of,
                                .keep_stdin = manifest->keep_stdin,
                                .preloads = manifest->preloads,
                                .traces = manifest->traces,
                                .has_place = manifest->place != NULL};
    lp_pieces_put(pen, &seal, sizeof(seal));
    lp_pieces_put(pen, &fixed, sizeof(fixed));
    if (manifest->place != NULL)
        lp_pieces_put(pen, manifest->place, sizeof(*manifest->place));
    lp_pieces_put(pen, manifest->heir_pids, manifest->slots * sizeof(manifest->heir_pids[0]));
    put_text(pen, manifest->name);
    put_text(pen, manifest->object);
    put_text(pen, manifest->initializer);
    put_text(pen, manifest->finalizer);
    lp_outfit_pack(manifest->outfit, put_outfit, pen);
}

size_t lp_manifest_bytes(const struct lp_manifest *manifest)
{
    struct lp_pieces_pen pen = {.at = NULL};
    put_all(&pen, manifest);
    return sizeof(uint64_t) + pen.used;
}

void lp_manifest_write(const struct lp_manifest *manifest, void *memory, size_t size)
{
    struct lp_pieces_pen pen = {.at = (char *)memory + sizeof(uint64_t),
                                .room = size - sizeof(uint64_t)};
    const uint64_t length = size - sizeof(uint64_t);
    memcpy(memory, &length, sizeof(length));
    put_all(&pen, manifest);
}

/* ---- Read -------------------------------------------------------------------------------- */

static const void *take_exactly(struct lp_pieces_reader *reader, size_t size)
{
    size_t there;
    const void *data = lp_pieces_take(reader, &there);
    reader->is_bad = reader->is_bad || there != size;
    return reader->is_bad ? NULL : data;
}

static const char *take_text(struct lp_pieces_reader *reader)
{
    size_t size;
    const char *text = lp_pieces_take(reader, &size);
    if (size > 0 && memchr(text, 0, size) != text + size - 1)
        reader->is_bad = true;
    return size == 0 || reader->is_bad ? NULL : text;
}

static const void *take_outfit(void *reader, size_t *size)
{
    return lp_pieces_take(reader, size);
}

static void take_fixed(struct lp_pieces_reader *reader, struct lp_manifest *manifest)
{
    const struct fixed *fixed = take_exactly(reader, sizeof(*fixed));
    if (fixed == NULL)
        return;
    manifest->result_bytes = fixed->result_bytes;
    manifest->slots = fixed->slots;
    manifest->memory_limit_bytes = fixed->memory_limit_bytes;
    manifest->recycle_bytes = fixed->recycle_bytes;
    manifest->trim_bytes = fixed->trim_bytes;
    manifest->files_of = fixed->files_of;
    manifest->keep_stdin = fixed->keep_stdin;
    manifest->preloads = fixed->preloads;
    manifest->traces = fixed->traces;
    if (fixed->has_place)
        manifest->place = take_exactly(reader, sizeof(*manifest->place));
}

static bool has_our_seal(struct lp_pieces_reader *reader)
{
    const struct seal ours = make_seal();
    const struct seal *theirs = take_exactly(reader, sizeof(ours));
    return theirs != NULL && memcmp(theirs, &ours, sizeof(ours)) == 0;
}

size_t lp_manifest_length(const void *memory, size_t size)
{
    uint64_t length = 0;
    if (size < sizeof(length))
        return 0;
    memcpy(&length, memory, sizeof(length));
    return length > size - sizeof(length) ? 0 : sizeof(length) + length;
}

int lp_manifest_read(struct lp_manifest *manifest, const void *memory, size_t size)
{
    const size_t length = sizeof(uint64_t);
    *manifest = (struct lp_manifest){0};
    if (size < length || lp_manifest_length(memory, size) != size)
        return -EPROTO;
    struct lp_pieces_reader reader = {.at = (const char *)memory + length, .left = size - length};
    if (!has_our_seal(&reader))
        return -EPROTO;
    take_fixed(&reader, manifest);
    manifest->heir_pids = take_exactly(&reader, manifest->slots * sizeof(pid_t));
    manifest->name = take_text(&reader);
    manifest->object = take_text(&reader);
    manifest->initializer = take_text(&reader);
    manifest->finalizer = take_text(&reader);
    int error = reader.is_bad ? -EPROTO : lp_outfit_unpack(&manifest->outfit, take_outfit, &reader);
    if (error == 0 && (reader.is_bad || reader.left != 0 || manifest->name == NULL))
        error = -EPROTO;
    return error;
}
