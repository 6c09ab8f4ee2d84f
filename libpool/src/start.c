/* SPDX-License-Identifier: MIT */
#include "start.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fd.h"
#include "os/load.h"
#include "sys/sys.h"

#define PAGE_BYTES ((size_t)4096)

/* ---- Checked -------------------------------------------------------------------------------- */

static int check_name(const char *object, const char *symbol)
{
    if (!symbol)
        return 0;
    return symbol[0] && lp_load_name_size(object, symbol) ? 0 : -ENAMETOOLONG;
}

/* What a program that is none of the application can't know. */
static bool has_pointers(const libpool_options *options)
{
    return options->initializer || options->initializer_arg || options->finalizer ||
           options->finalizer_arg;
}

static bool is_spawn(const libpool_options *options)
{
    bool preloads = options->flags & LIBPOOL_PRELOAD;
    bool absolute = !options->zygote_path || options->zygote_path[0] == '/';
    return !has_pointers(options) && absolute && (options->object || !preloads);
}

static bool is_fork(const libpool_options *options)
{
    return !options->zygote_path && !(options->flags & LIBPOOL_PRELOAD);
}

/* What is a process's own affair, threads can't have each for itself. */
static bool is_threads(const libpool_options *options)
{
    bool limits = options->memory_limit_bytes || options->recycle_bytes || options->trim_bytes;
    bool dressed = options->outfit || options->tail_bytes;
    bool traced = options->flags & LIBPOOL_TRACE;
    return is_fork(options) && !limits && !options->cgroup && !dressed && !traced;
}

static bool is_whole(const libpool_options *options)
{
    if (options->start == LIBPOOL_SPAWN)
        return is_spawn(options);
    if (options->start == LIBPOOL_THREADS)
        return is_threads(options);
    return options->start == LIBPOOL_FORK && is_fork(options);
}

int lp_start_check(const libpool_options *options)
{
    bool named = options->initializer_symbol || options->finalizer_symbol;
    bool twice = (options->initializer && options->initializer_symbol) ||
                 (options->finalizer && options->finalizer_symbol);
    if (!is_whole(options) || twice || (named && !options->object) ||
        (options->object && !options->object[0]))
        return -EINVAL;
    int error = options->object ? check_name(options->object, "-") : 0;
    if (!error)
        error = check_name(options->object, options->initializer_symbol);
    return error ? error : check_name(options->object, options->finalizer_symbol);
}

/* ---- Copied --------------------------------------------------------------------------------- */

static size_t count(char *const *list)
{
    size_t n = 0;
    while (list && list[n])
        n++;
    return n;
}

static size_t text_bytes(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static char *add_text(char **at, const char *text)
{
    size_t size = text_bytes(text);
    char *copy = size ? memcpy(*at, text, size) : NULL;
    *at += size;
    return copy;
}

/* The arguments and the environment, in front of all strings. */
static void add_lists(struct lp_start *start, char **at, const char *path, size_t variables)
{
    char **argv = (char **)(void *)start->block;
    char **envp = argv + 2;
    *at = (char *)(envp + variables + 1);
    argv[0] = add_text(at, path);
    for (size_t i = 0; i < variables; i++)
        envp[i] = add_text(at, environ[i]);
    argv[1] = envp[variables] = NULL;
    start->program.path = argv[0];
    start->program.argv = argv;
    start->program.envp = envp;
}

int lp_start_copy(struct lp_start *start, const libpool_options *options,
                  const libpool_allocator *allocator)
{
    const char *path = options->zygote_path ? options->zygote_path : LP_ZYGOTE_PATH;
    bool spawns = options->start == LIBPOOL_SPAWN;
    start->method = options->start;
    start->preloads = options->flags & LIBPOOL_PRELOAD;
    size_t variables = spawns ? count(environ) : 0;
    start->block_bytes = text_bytes(options->object) + text_bytes(options->initializer_symbol) +
                         text_bytes(options->finalizer_symbol);
    if (spawns)
        start->block_bytes += (variables + 3) * sizeof(char *) + text_bytes(path);
    for (size_t i = 0; i < variables; i++)
        start->block_bytes += text_bytes(environ[i]);
    start->block = lp_alloc_zeroed(allocator, start->block_bytes);
    if (start->block_bytes && !start->block)
        return -ENOMEM;
    char *at = start->block;
    if (spawns)
        add_lists(start, &at, path, variables);
    start->object = add_text(&at, options->object);
    start->initializer = add_text(&at, options->initializer_symbol);
    start->finalizer = add_text(&at, options->finalizer_symbol);
    return 0;
}

/* ---- Shared --------------------------------------------------------------------------------- */

static int share_with_program(struct lp_start *start, const struct lp_manifest *manifest,
                              size_t bytes, const libpool_allocator *allocator)
{
    void *memory;
    size_t fds = LP_PROGRAM_FDS(manifest->slots);
    start->manifest_bytes = (lp_manifest_bytes(manifest) + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
    start->program.fds = lp_alloc(allocator, fds * sizeof(int));
    if (!start->program.fds)
        return -ENOMEM;
    int fd = lp_program_share(start->manifest_bytes + bytes, &memory);
    if (fd < 0)
        return fd;
    start->program.memory_fd = fd;
    start->memory = memory;
    start->memory_bytes = start->manifest_bytes + bytes;
    return 0;
}

int lp_start_share(struct lp_start *start, const struct lp_manifest *manifest, size_t bytes,
                   char **windows, const libpool_allocator *allocator)
{
    *windows = NULL;
    if (start->method == LIBPOOL_SPAWN) {
        int error = share_with_program(start, manifest, bytes, allocator);
        if (error)
            return error;
    } else {
        start->memory = lp_sys.map_shared(bytes);
        start->memory_bytes = bytes;
    }
    if (!start->memory)
        return -ENOMEM;
    *windows = start->memory + start->manifest_bytes;
    return lp_sys.set_inherited(start->memory, start->memory_bytes, false) ? -ENOMEM : 0;
}

void lp_start_tell(const struct lp_start *start, const struct lp_manifest *manifest)
{
    lp_manifest_write(manifest, start->memory, lp_manifest_bytes(manifest));
}

void lp_start_release(struct lp_start *start, uint32_t slots, bool forked,
                      const libpool_allocator *allocator)
{
    if (start->memory && !forked)
        (void)lp_sys.unmap(start->memory, start->memory_bytes);
    if (!forked)
        lp_fd_close(&start->program.memory_fd);
    lp_release(allocator, start->program.fds, LP_PROGRAM_FDS(slots) * sizeof(int));
    lp_release(allocator, start->block, start->block_bytes);
    *start = LP_START_NULL;
}
