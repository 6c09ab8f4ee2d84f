/* SPDX-License-Identifier: MIT */
#include "os/cgroup_place.h"

#include "base/fd.h"
#include "base/text.h"
#include "os/cgroup_own.h"
#include "os/file.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SMALL_BYTES 1024
#define PREFIX "libpool-"
#define LEVELS_MAX 12 /* of directories in a pool's: two for each pool in a task of another */

/* ---- Names ------------------------------------------------------------------------------- */

/* The number of the pid namespace, from "pid:[4026531836]". */
static uint64_t pid_namespace(void)
{
    char text[64];
    ssize_t length = lp_sys.readlinkat(AT_FDCWD, "/proc/self/ns/pid", text, sizeof(text) - 1);
    if (length <= 0)
        return 0;
    text[length] = '\0';
    const char *bracket = strchr(text, '[');
    return bracket != NULL ? strtoull(bracket + 1, NULL, 10) : 0;
}

static void make_name(struct lp_cgroup_place *place, uint64_t pool_id)
{
    struct lp_text text = lp_text_begin(place->name, sizeof(place->name));
    lp_text_add(&text, PREFIX);
    lp_text_add_number(&text, getpid());
    lp_text_add(&text, "-");
    lp_text_add_number(&text, (int64_t)pool_id);
    lp_text_add(&text, "-");
    lp_text_add_number(&text, (int64_t)pid_namespace());
}

/* libpool-PID-POOL-NAMESPACE to its first and last number. */
static bool parse_name(const char *name, pid_t *host_pid, uint64_t *namespace)
{
    char *end;
    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0)
        return false;
    *host_pid = (pid_t)strtol(name + strlen(PREFIX), &end, 10);
    if (*end != '-' || *host_pid <= 0)
        return false;
    (void)strtoull(end + 1, &end, 10);
    if (*end != '-')
        return false;
    *namespace = strtoull(end + 1, &end, 10);
    return *end == '\0' && *namespace != 0;
}

/* ---- Finding ----------------------------------------------------------------------------- */

int lp_cgroup_place_find(struct lp_cgroup_place *place, const char *delegated, uint64_t pool_id)
{
    *place = (struct lp_cgroup_place){.is_delegated = delegated != NULL};
    make_name(place, pool_id);
    if (delegated != NULL && strlen(delegated) >= sizeof(place->v2_path))
        return -ENAMETOOLONG;
    if (delegated != NULL)
        memcpy(place->v2_path, delegated, strlen(delegated) + 1);
    int error = lp_cgroup_own_find("memory", place->memory_path, delegated ? NULL : place->v2_path);
    return error == -EMFILE || error == -ENFILE || error == -ENOMEM ? error : 0;
}

/* ---- One directory ----------------------------------------------------------------------- */

int lp_cgroup_open_directory(int parent_fd, const char *path)
{
    return lp_sys.openat(parent_fd, path, O_RDONLY | O_DIRECTORY);
}

struct removal {
    int directory_fd;
    int levels; /* below it that may be removed */
};

static int remove_tree(int parent_fd, const char *name, int levels);

/* Files refuse; good. What is busy has directories of its own: of a pool that a task had, say. */
static int remove_entry(void *context, const char *name)
{
    const struct removal *removal = context;
    int error = lp_sys.unlinkat(removal->directory_fd, name, AT_REMOVEDIR);
    if ((error == -EBUSY || error == -ENOTEMPTY) && removal->levels > 0)
        (void)remove_tree(removal->directory_fd, name, removal->levels - 1);
    return 0;
}

static int remove_tree(int parent_fd, const char *name, int levels)
{
    lp_fd_auto int fd = lp_cgroup_open_directory(parent_fd, name);
    if (fd < 0)
        return fd;
    struct removal removal = {fd, levels};
    (void)lp_file_each(fd, remove_entry, &removal);
    return lp_sys.unlinkat(parent_fd, name, AT_REMOVEDIR);
}

int lp_cgroup_remove_directory(int parent_fd, const char *name)
{
    return remove_tree(parent_fd, name, LEVELS_MAX);
}

static uint64_t clock_ms(void)
{
    struct timespec now = {0};
    (void)lp_sys.clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

/* Waits until nothing lives in an open v2 directory, or cgroup.events tells of no change. */
static void wait_until_empty(int directory_fd, uint64_t deadline_ms)
{
    char text[SMALL_BYTES];
    lp_fd_auto int fd = lp_sys.openat(directory_fd, "cgroup.events", O_RDONLY);
    for (uint64_t now_ms = clock_ms(); fd >= 0 && now_ms < deadline_ms; now_ms = clock_ms()) {
        ssize_t got = lp_sys.pread(fd, text, sizeof(text) - 1, 0);
        text[got > 0 ? got : 0] = '\0';
        if (lp_file_number(text, "populated", 0) == 0)
            return;
        struct pollfd change = {.fd = fd, .events = POLLPRI};
        (void)lp_sys.poll(&change, 1, (int)(deadline_ms - now_ms));
    }
}

/* In v1 there is no cgroup.kill: what can't be removed stays. */
static void clear_directory(int parent_fd, const char *name, uint64_t deadline_ms)
{
    lp_fd_auto int fd = lp_cgroup_open_directory(parent_fd, name);
    if (fd >= 0 && lp_file_write(fd, "cgroup.kill", "1") == 0)
        wait_until_empty(fd, deadline_ms);
    (void)lp_cgroup_remove_directory(parent_fd, name);
}

/* ---- What zygotes left ------------------------------------------------------------------- */

struct slot_path {
    char text[LP_CGROUP_PATH_BYTES + 128];
};

static void find_in_slot(struct slot_path *path, const char *parent_path, const char *name,
                         uint32_t slot, const char *file)
{
    struct lp_text text = lp_text_begin(path->text, sizeof(path->text));
    lp_text_add(&text, parent_path);
    lp_text_add(&text, "/");
    lp_text_add(&text, name);
    lp_text_add(&text, "/");
    lp_text_add_number(&text, slot);
    lp_text_add(&text, file);
}

bool lp_cgroup_place_kill(const struct lp_cgroup_place *place, uint32_t slot)
{
    struct slot_path path;
    find_in_slot(&path, place->v2_path, place->name, slot, "/cgroup.kill");
    return place->v2_path[0] != '\0' && lp_file_write(AT_FDCWD, path.text, "1") == 0;
}

bool lp_cgroup_place_oom_kills(const struct lp_cgroup_place *place, uint32_t slot,
                               uint64_t *oom_kills)
{
    struct slot_path path;
    char text[SMALL_BYTES];
    find_in_slot(&path, place->memory_path, place->name, slot, "/memory.oom_control");
    if (place->memory_path[0] == '\0' || lp_file_read(AT_FDCWD, path.text, text, sizeof(text)) <= 0)
        return false;
    *oom_kills = lp_file_number(text, "oom_kill", 0);
    return true;
}

/* One system call when a zygote has done it. */
static void clear_below(const char *parent_path, const char *name, uint64_t deadline_ms)
{
    char path[LP_CGROUP_PATH_BYTES + 128];
    struct lp_text text = lp_text_begin(path, sizeof(path));
    lp_text_add(&text, parent_path);
    lp_text_add(&text, "/");
    lp_text_add(&text, name);
    int error = parent_path[0] != '\0' ? lp_sys.unlinkat(AT_FDCWD, path, AT_REMOVEDIR) : 0;
    if (error < 0 && error != -ENOENT)
        clear_directory(AT_FDCWD, path, deadline_ms);
}

void lp_cgroup_place_clear(const struct lp_cgroup_place *place, int limit_ms)
{
    uint64_t deadline_ms = clock_ms() + (uint64_t)limit_ms;
    clear_below(place->v2_path, place->name, deadline_ms);
    clear_below(place->memory_path, place->name, deadline_ms);
}

/* ---- What dead hosts left ---------------------------------------------------------------- */

struct clearing {
    int parent_fd;
    uint64_t namespace;
    uint64_t deadline_ms;
};

static int clear_if_stale(void *context, const char *name)
{
    const struct clearing *clearing = context;
    pid_t host_pid;
    uint64_t namespace;
    if (parse_name(name, &host_pid, &namespace) && namespace == clearing->namespace &&
        lp_sys.kill(host_pid, 0) == -ESRCH)
        clear_directory(clearing->parent_fd, name, clearing->deadline_ms);
    return 0;
}

void lp_cgroup_place_clear_stale(const char *parent_path, int limit_ms)
{
    struct clearing clearing = {.parent_fd = lp_cgroup_open_directory(AT_FDCWD, parent_path),
                                .namespace = pid_namespace(),
                                .deadline_ms = clock_ms() + (uint64_t)limit_ms};
    if (clearing.parent_fd >= 0 && clearing.namespace != 0)
        (void)lp_file_each(clearing.parent_fd, clear_if_stale, &clearing);
    lp_fd_close(&clearing.parent_fd);
}
