/* SPDX-License-Identifier: MIT */
#include "os/cgroup_limit.h"

#include "base/text.h"
#include "os/file.h"

#include <errno.h>
#include <stdlib.h>

#define LARGEST_PAGE 65536u /* what the kernel may round down by */

struct path {
    char text[96];
};

static struct path in(const char *directory, const char *file)
{
    struct path path;
    struct lp_text text = lp_text_begin(path.text, sizeof(path.text));
    lp_text_add(&text, directory);
    lp_text_add(&text, "/");
    lp_text_add(&text, file);
    return path;
}

/* A value as large as the kernel's "unlimited", or that word, is not what was written. */
static int check(int parent_fd, const char *path, uint64_t bytes)
{
    char text[32], *end;
    ssize_t got = lp_file_read(parent_fd, path, text, sizeof(text));
    if (got < 0)
        return (int)got;
    uint64_t value = strtoull(text, &end, 10);
    bool is_number = end != text && (*end == '\n' || *end == '\0');
    return is_number && value <= bytes && value + LARGEST_PAGE > bytes ? 0 : -EIO;
}

static int set(int parent_fd, struct path path, uint64_t bytes)
{
    char digits[24];
    struct lp_text text = lp_text_begin(digits, sizeof(digits));
    lp_text_add_number(&text, (int64_t)bytes);
    int error = lp_file_write(parent_fd, path.text, digits);
    return error < 0 ? error : check(parent_fd, path.text, bytes);
}

static int absent_is_fine(int error)
{
    return error == -ENOENT ? 0 : error;
}

/* Memory with swap can't be less than memory alone, so that comes second. */
static int set_v1(int parent_fd, const char *directory, uint64_t bytes)
{
    int error = set(parent_fd, in(directory, "memory.limit_in_bytes"), bytes);
    if (error < 0)
        return error;
    return absent_is_fine(set(parent_fd, in(directory, "memory.memsw.limit_in_bytes"), bytes));
}

static int set_v2(int parent_fd, const char *directory, uint64_t bytes)
{
    int error = set(parent_fd, in(directory, "memory.max"), bytes);
    if (error == 0)
        error = absent_is_fine(
            lp_file_write(parent_fd, in(directory, "memory.swap.max").text, "0"));
    if (error == 0)
        error = absent_is_fine(
            lp_file_write(parent_fd, in(directory, "memory.oom.group").text, "1"));
    return error;
}

int lp_cgroup_limit_set(int parent_fd, const char *directory, bool is_v2, uint64_t bytes)
{
    return is_v2 ? set_v2(parent_fd, directory, bytes) : set_v1(parent_fd, directory, bytes);
}
