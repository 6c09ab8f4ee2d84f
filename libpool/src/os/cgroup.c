/* SPDX-License-Identifier: MIT */
#include "os/cgroup.h"

#include "base/fd.h"
#include "base/text.h"
#include "os/cgroup_find.h"
#include "os/cgroup_limit.h"
#include "os/cgroup_place.h"
#include "os/file.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SMALL_BYTES 1024
#define PROBE_WAIT_MS 1000
#define STALE_WAIT_MS 500
#define PROBE "probe"

/* ---- Names ------------------------------------------------------------------------------- */

struct path {
    char text[64];
};

static struct path in_slot(uint32_t slot, const char *file)
{
    struct path path;
    struct lp_text text = lp_text_begin(path.text, sizeof(path.text));
    lp_text_add_number(&text, slot);
    if (file != NULL) {
        lp_text_add(&text, "/");
        lp_text_add(&text, file);
    }
    return path;
}

/* ---- One directory ----------------------------------------------------------------------- */

bool lp_cgroup_is_want(int error)
{
    return error == -EMFILE || error == -ENFILE || error == -ENOMEM;
}

/* What can't be read proves nothing. */
static bool is_populated(int directory_fd, const char *events)
{
    char text[SMALL_BYTES];
    ssize_t got = lp_file_read(directory_fd, events, text, sizeof(text));
    if (lp_cgroup_is_want((int)got))
        return true;
    if (got <= 0)
        return false;
    return lp_file_number(text, "populated", 0) != 0;
}

/* ---- Finding and making ------------------------------------------------------------------ */

/* Opens the directory for this pool under a parent; makes it unless an earlier zygote has. */
static int make_pool_directory(struct lp_cgroup *cgroup, const char *parent_path, int *parent_fd,
                               int *fd)
{
    const char *name = cgroup->place->name;
    *parent_fd = lp_cgroup_open_directory(AT_FDCWD, parent_path);
    if (*parent_fd < 0)
        return *parent_fd;
    int error = lp_sys.mkdirat(*parent_fd, name, 0755);
    cgroup->is_new &= error != -EEXIST;
    *fd = error == 0 || error == -EEXIST ? lp_cgroup_open_directory(*parent_fd, name) : error;
    error = *fd < 0 ? *fd : 0;
    if (error < 0)
        lp_fd_close(parent_fd);
    return error;
}

static void give_up(const char *name, int *parent_fd, int *fd)
{
    (void)lp_cgroup_remove_directory(*parent_fd, name);
    lp_fd_close(fd);
    lp_fd_close(parent_fd);
}

/* True when a child that was put into a new directory dies of its cgroup.kill. */
static bool can_kill(int fd, pid_t child)
{
    char digits[16];
    struct lp_text text = lp_text_begin(digits, sizeof(digits));
    lp_text_add_number(&text, child);
    if (lp_file_write(fd, PROBE "/cgroup.procs", digits) < 0 ||
        !is_populated(fd, PROBE "/cgroup.events") ||
        lp_file_write(fd, PROBE "/cgroup.kill", "1") < 0)
        return false;
    lp_fd_auto int pid_fd = lp_sys.pidfd_open(child);
    struct pollfd death = {.fd = pid_fd, .events = POLLIN};
    return lp_sys.poll(&death, 1, PROBE_WAIT_MS) == 1;
}

/* Where the kernel refuses the child, the file's being there has to do: a fork bomb is no reason. */
static bool has_kill(int fd)
{
    lp_fd_auto int kill_fd = lp_sys.openat(fd, PROBE "/cgroup.kill", O_WRONLY);
    return kill_fd >= 0;
}

/* Does it once, with a child that does nothing. */
static int probe_kill(int fd)
{
    int error = lp_sys.mkdirat(fd, PROBE, 0755);
    if (error < 0 && error != -EEXIST)
        return error;
    pid_t child = lp_sys.fork();
    if (child == 0)
        for (;;)
            (void)lp_sys.poll(NULL, 0, -1);
    bool works = child > 0 ? can_kill(fd, child) : has_kill(fd);
    if (child > 0) {
        (void)lp_sys.kill(child, SIGKILL);
        (void)lp_sys.wait4(child, NULL, 0, NULL);
    }
    (void)lp_sys.unlinkat(fd, PROBE, AT_REMOVEDIR);
    return works ? 0 : -EOPNOTSUPP;
}

static bool has_controller(int fd, const char *file, const char *controller)
{
    char text[SMALL_BYTES];
    ssize_t length = lp_file_read(fd, file, text, sizeof(text));
    return length > 0 && lp_cgroup_has_word(text, (size_t)length, controller);
}

/* The parent is changed only if it was given to us. */
static void use_v2_memory(struct lp_cgroup *cgroup, bool is_delegated)
{
    if (is_delegated && !has_controller(cgroup->kill_parent_fd, "cgroup.subtree_control", "memory"))
        (void)lp_file_write(cgroup->kill_parent_fd, "cgroup.subtree_control", "+memory");
    if (has_controller(cgroup->kill_fd, "cgroup.controllers", "memory") &&
        lp_file_write(cgroup->kill_fd, "cgroup.subtree_control", "+memory") == 0)
        cgroup->evidence = LP_OOM_EVIDENCE_V2;
}

static int open_v2(struct lp_cgroup *cgroup, const struct lp_cgroup_place *place)
{
    if (place->v2_path[0] == '\0')
        return -ENOENT;
    lp_cgroup_place_clear_stale(place->v2_path, STALE_WAIT_MS);
    int error = make_pool_directory(cgroup, place->v2_path, &cgroup->kill_parent_fd,
                                    &cgroup->kill_fd);
    if (error < 0)
        return error;
    use_v2_memory(cgroup, place->is_delegated);
    error = probe_kill(cgroup->kill_fd);
    if (error == 0)
        return 0;
    cgroup->evidence = LP_OOM_EVIDENCE_NONE;
    give_up(place->name, &cgroup->kill_parent_fd, &cgroup->kill_fd);
    return error;
}

/* In v1 the counter came with 4.13; that a process may enter shows when the first worker does. */
static void open_v1_memory(struct lp_cgroup *cgroup, const struct lp_cgroup_place *place)
{
    char text[SMALL_BYTES];
    if (place->memory_path[0] == '\0')
        return;
    lp_cgroup_place_clear_stale(place->memory_path, STALE_WAIT_MS);
    if (make_pool_directory(cgroup, place->memory_path, &cgroup->memory_parent_fd,
                            &cgroup->memory_fd) < 0)
        return;
    if (lp_file_read(cgroup->memory_fd, "memory.oom_control", text, sizeof(text)) > 0 &&
        lp_file_number(text, "oom_kill", UINT64_MAX) != UINT64_MAX)
        cgroup->evidence = LP_OOM_EVIDENCE_V1;
    else
        give_up(place->name, &cgroup->memory_parent_fd, &cgroup->memory_fd);
}

/* The pool's directory that counts memory. */
static int memory_fd(const struct lp_cgroup *cgroup)
{
    return cgroup->evidence == LP_OOM_EVIDENCE_V2 ? cgroup->kill_fd : cgroup->memory_fd;
}

/* Does it once. */
static bool can_limit(const struct lp_cgroup *cgroup, uint64_t limit_bytes)
{
    int fd = memory_fd(cgroup);
    if (limit_bytes == 0 || cgroup->evidence == LP_OOM_EVIDENCE_NONE)
        return false;
    (void)lp_sys.mkdirat(fd, PROBE, 0755);
    int error = lp_cgroup_limit_set(fd, PROBE, cgroup->evidence == LP_OOM_EVIDENCE_V2, limit_bytes);
    (void)lp_sys.unlinkat(fd, PROBE, AT_REMOVEDIR);
    return error == 0;
}

int lp_cgroup_open(struct lp_cgroup *cgroup, const struct lp_cgroup_place *place,
                   uint64_t limit_bytes)
{
    *cgroup = LP_CGROUP_NULL;
    cgroup->place = place;
    cgroup->is_new = true;
    int error = open_v2(cgroup, place);
    if (cgroup->evidence == LP_OOM_EVIDENCE_NONE)
        open_v1_memory(cgroup, place);
    cgroup->limit_bytes = can_limit(cgroup, limit_bytes) ? limit_bytes : 0;
    return error;
}

void lp_cgroup_close(struct lp_cgroup *cgroup, bool remove)
{
    if (remove && cgroup->kill_fd >= 0)
        (void)lp_cgroup_remove_directory(cgroup->kill_parent_fd, cgroup->place->name);
    if (remove && cgroup->memory_fd >= 0)
        (void)lp_cgroup_remove_directory(cgroup->memory_parent_fd, cgroup->place->name);
    lp_fd_close(&cgroup->kill_fd);
    lp_fd_close(&cgroup->memory_fd);
    lp_fd_close(&cgroup->kill_parent_fd);
    lp_fd_close(&cgroup->memory_parent_fd);
}

/* ---- Slots ------------------------------------------------------------------------------- */

static int limit(const struct lp_cgroup *cgroup, uint32_t slot)
{
    bool is_v2 = cgroup->evidence == LP_OOM_EVIDENCE_V2;
    struct path path = in_slot(slot, NULL);
    int fd = memory_fd(cgroup);
    int error = lp_cgroup_limit_set(fd, path.text, is_v2, cgroup->limit_bytes);
    if (error != -EBUSY || lp_sys.unlinkat(fd, path.text, AT_REMOVEDIR) < 0)
        return error;
    (void)lp_sys.mkdirat(fd, path.text, 0755); /* what somebody left there was charged to it */
    return lp_cgroup_limit_set(fd, path.text, is_v2, cgroup->limit_bytes);
}

int lp_cgroup_prepare(const struct lp_cgroup *cgroup, uint32_t slot)
{
    struct path path = in_slot(slot, NULL);
    if (cgroup->kill_fd >= 0)
        (void)lp_sys.mkdirat(cgroup->kill_fd, path.text, 0755);
    if (cgroup->memory_fd >= 0)
        (void)lp_sys.mkdirat(cgroup->memory_fd, path.text, 0755);
    return cgroup->limit_bytes != 0 ? limit(cgroup, slot) : 0;
}

/* The directory is there but for somebody who removed it. */
static int enter(const struct lp_cgroup *cgroup, int fd, uint32_t slot)
{
    struct path path = in_slot(slot, "cgroup.procs");
    int error = fd >= 0 ? lp_file_write(fd, path.text, "0") : 0;
    if (error != -ENOENT)
        return error;
    error = lp_cgroup_prepare(cgroup, slot);
    return error < 0 ? error : lp_file_write(fd, path.text, "0");
}

int lp_cgroup_enter(const struct lp_cgroup *cgroup, uint32_t slot)
{
    bool is_limited = cgroup->limit_bytes != 0;
    int error = enter(cgroup, cgroup->kill_fd, slot);
    if (lp_cgroup_is_want(error) || (is_limited && cgroup->memory_fd < 0))
        return error;
    error = enter(cgroup, cgroup->memory_fd, slot);
    return is_limited || lp_cgroup_is_want(error) ? error : 0;
}

bool lp_cgroup_kill(const struct lp_cgroup *cgroup, uint32_t slot)
{
    struct path path = in_slot(slot, "cgroup.kill");
    return cgroup->kill_fd >= 0 && lp_file_write(cgroup->kill_fd, path.text, "1") == 0;
}

bool lp_cgroup_kill_all(const struct lp_cgroup *cgroup)
{
    return cgroup->kill_fd >= 0 && lp_file_write(cgroup->kill_fd, "cgroup.kill", "1") == 0;
}

int lp_cgroup_watch(const struct lp_cgroup *cgroup, uint32_t slot)
{
    struct path path = in_slot(slot, "cgroup.events");
    return cgroup->kill_fd >= 0 ? lp_sys.openat(cgroup->kill_fd, path.text, O_RDONLY) : -EBADF;
}

bool lp_cgroup_is_populated(const struct lp_cgroup *cgroup, uint32_t slot, int watch_fd)
{
    char text[SMALL_BYTES];
    if (cgroup->kill_fd < 0)
        return false;
    if (watch_fd < 0)
        return is_populated(cgroup->kill_fd, in_slot(slot, "cgroup.events").text);
    ssize_t got = lp_sys.pread(watch_fd, text, sizeof(text) - 1, 0);
    text[got > 0 ? got : 0] = '\0'; /* the directory is gone: ENODEV */
    return lp_file_number(text, "populated", 0) != 0;
}

bool lp_cgroup_is_any_populated(const struct lp_cgroup *cgroup)
{
    return cgroup->kill_fd >= 0 && is_populated(cgroup->kill_fd, "cgroup.events");
}

uint64_t lp_cgroup_oom_kills(const struct lp_cgroup *cgroup, uint32_t slot)
{
    char text[SMALL_BYTES];
    bool is_v1 = cgroup->evidence == LP_OOM_EVIDENCE_V1;
    if (cgroup->evidence == LP_OOM_EVIDENCE_NONE)
        return 0;
    struct path path = in_slot(slot, is_v1 ? "memory.oom_control" : "memory.events");
    int fd = is_v1 ? cgroup->memory_fd : cgroup->kill_fd;
    return lp_file_read(fd, path.text, text, sizeof(text)) > 0 ? lp_file_number(text, "oom_kill", 0)
                                                               : 0;
}

bool lp_cgroup_holds(const struct lp_cgroup *cgroup, pid_t pid)
{
    char path[32], membership[4096];
    struct lp_text text = lp_text_begin(path, sizeof(path));
    lp_text_add(&text, "/proc/");
    lp_text_add_number(&text, pid);
    lp_text_add(&text, "/cgroup");
    size_t length;
    if (cgroup->kill_fd < 0 || lp_file_read(AT_FDCWD, path, membership, sizeof(membership)) <= 0)
        return false;
    const char *line = lp_cgroup_v2_line(membership, &length);
    const char *name = cgroup->place->name;
    return line != NULL && memmem(line, length, name, strlen(name)) != NULL;
}
