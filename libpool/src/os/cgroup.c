/* SPDX-License-Identifier: MIT */
#include "os/cgroup.h"

#include "base/fd.h"
#include "base/text.h"
#include "os/cgroup_find.h"
#include "os/file.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOUNTINFO_BYTES ((size_t)512 * 1024)
#define SMALL_BYTES 1024
#define PROBE_WAIT_MS 1000
#define STALE_WAIT_MS 500
#define PREFIX "libpool-"
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

static void make_name(struct lp_cgroup *cgroup, uint64_t pool_id, pid_t host_pid)
{
    struct lp_text text = lp_text_begin(cgroup->name, sizeof(cgroup->name));
    lp_text_add(&text, PREFIX);
    lp_text_add_number(&text, host_pid);
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

/* ---- One directory ----------------------------------------------------------------------- */

static int open_directory(int parent_fd, const char *path)
{
    return lp_sys.openat(parent_fd, path, O_RDONLY | O_DIRECTORY);
}

static bool is_populated(int directory_fd, const char *events)
{
    char text[SMALL_BYTES];
    if (lp_file_read(directory_fd, events, text, sizeof(text)) <= 0)
        return false;
    return lp_file_number(text, "populated", 0) != 0;
}

/* Waits until nothing lives in an open v2 directory; true when so. */
static bool wait_until_empty(int directory_fd, int limit_ms)
{
    char text[SMALL_BYTES];
    lp_fd_auto int fd = lp_sys.openat(directory_fd, "cgroup.events", O_RDONLY);
    for (int round = 0; fd >= 0; round++) {
        ssize_t got = lp_sys.pread(fd, text, sizeof(text) - 1, 0);
        if (got <= 0)
            return false;
        text[got] = '\0';
        if (lp_file_number(text, "populated", 0) == 0)
            return true;
        struct pollfd change = {.fd = fd, .events = POLLPRI};
        if (round > 0 && lp_sys.poll(&change, 1, limit_ms) <= 0)
            return false;
    }
    return false;
}

static int remove_entry(void *context, const char *name)
{
    (void)lp_sys.unlinkat(*(const int *)context, name, AT_REMOVEDIR); /* files refuse; good */
    return 0;
}

/* With the directories directly in it. */
static void remove_directory(int parent_fd, const char *name)
{
    lp_fd_auto int fd = open_directory(parent_fd, name);
    if (fd < 0)
        return;
    (void)lp_file_each(fd, remove_entry, &fd);
    (void)lp_sys.unlinkat(parent_fd, name, AT_REMOVEDIR);
}

/* ---- What dead hosts left ---------------------------------------------------------------- */

struct clearing {
    int parent_fd;
    uint64_t namespace;
};

static int clear_if_stale(void *context, const char *name)
{
    const struct clearing *clearing = context;
    pid_t host_pid;
    uint64_t namespace;
    if (!parse_name(name, &host_pid, &namespace) || namespace != clearing->namespace ||
        lp_sys.kill(host_pid, 0) != -ESRCH)
        return 0;
    lp_fd_auto int fd = open_directory(clearing->parent_fd, name);
    if (fd >= 0 && lp_file_write(fd, "cgroup.kill", "1") == 0)
        (void)wait_until_empty(fd, STALE_WAIT_MS);
    remove_directory(clearing->parent_fd, name);
    return 0;
}

static void clear_stale(const char *parent_path)
{
    struct clearing clearing = {.parent_fd = open_directory(AT_FDCWD, parent_path),
                                .namespace = pid_namespace()};
    if (clearing.parent_fd >= 0 && clearing.namespace != 0)
        (void)lp_file_each(clearing.parent_fd, clear_if_stale, &clearing);
    lp_fd_close(&clearing.parent_fd);
}

/* ---- Finding and making ------------------------------------------------------------------ */

/* Opens the directory for this pool under a parent; makes it unless an earlier zygote has. */
static void make_pool_directory(const char *parent_path, const char *name, int *parent_fd, int *fd)
{
    *parent_fd = open_directory(AT_FDCWD, parent_path);
    if (*parent_fd < 0)
        return;
    int error = lp_sys.mkdirat(*parent_fd, name, 0755);
    *fd = error == 0 || error == -EEXIST ? open_directory(*parent_fd, name) : -1;
    if (*fd < 0)
        lp_fd_close(parent_fd);
}

static void give_up(int parent_fd, const char *name, int *fd)
{
    if (*fd >= 0)
        remove_directory(parent_fd, name);
    lp_fd_close(fd);
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

/* Does it once, with a child that does nothing. */
static bool probe_kill(int fd)
{
    int error = lp_sys.mkdirat(fd, PROBE, 0755);
    if (error < 0 && error != -EEXIST)
        return false;
    pid_t child = lp_sys.fork();
    if (child == 0)
        for (;;)
            (void)lp_sys.poll(NULL, 0, -1);
    bool works = child > 0 && can_kill(fd, child);
    if (child > 0) {
        (void)lp_sys.kill(child, SIGKILL);
        (void)lp_sys.wait4(child, NULL, 0, NULL);
    }
    (void)lp_sys.unlinkat(fd, PROBE, AT_REMOVEDIR);
    return works;
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

static void open_v2(struct lp_cgroup *cgroup, const char *parent_path, bool is_delegated)
{
    clear_stale(parent_path);
    make_pool_directory(parent_path, cgroup->name, &cgroup->kill_parent_fd, &cgroup->kill_fd);
    if (cgroup->kill_fd < 0)
        return;
    use_v2_memory(cgroup, is_delegated);
    if (probe_kill(cgroup->kill_fd))
        return;
    cgroup->evidence = LP_OOM_EVIDENCE_NONE;
    give_up(cgroup->kill_parent_fd, cgroup->name, &cgroup->kill_fd);
    lp_fd_close(&cgroup->kill_parent_fd);
}

/* In v1 the counter came with 4.13; that a process may enter shows when the first worker does. */
static void open_v1_memory(struct lp_cgroup *cgroup, const char *parent_path)
{
    char text[SMALL_BYTES];
    clear_stale(parent_path);
    make_pool_directory(parent_path, cgroup->name, &cgroup->memory_parent_fd, &cgroup->memory_fd);
    if (cgroup->memory_fd < 0)
        return;
    if (lp_file_read(cgroup->memory_fd, "memory.oom_control", text, sizeof(text)) > 0 &&
        lp_file_number(text, "oom_kill", UINT64_MAX) != UINT64_MAX) {
        cgroup->evidence = LP_OOM_EVIDENCE_V1;
        return;
    }
    give_up(cgroup->memory_parent_fd, cgroup->name, &cgroup->memory_fd);
    lp_fd_close(&cgroup->memory_parent_fd);
}

static void open_hierarchies(struct lp_cgroup *cgroup, const char *mountinfo, const char *delegated)
{
    char membership[4096], path[LP_CGROUP_PATH_BYTES];
    if (lp_file_read(AT_FDCWD, "/proc/self/cgroup", membership, sizeof(membership)) < 0)
        return;
    if (delegated != NULL)
        open_v2(cgroup, delegated, true);
    else if (lp_cgroup_find(mountinfo, membership, NULL, path))
        open_v2(cgroup, path, false);
    if (cgroup->evidence == LP_OOM_EVIDENCE_NONE &&
        lp_cgroup_find(mountinfo, membership, "memory", path))
        open_v1_memory(cgroup, path);
}

void lp_cgroup_open(struct lp_cgroup *cgroup, const struct lp_zygote_options *options,
                    pid_t host_pid)
{
    *cgroup = LP_CGROUP_NULL;
    char *mountinfo = lp_sys.map(MOUNTINFO_BYTES);
    if (mountinfo == NULL)
        return;
    make_name(cgroup, options->pool_id, host_pid);
    if (lp_file_read(AT_FDCWD, "/proc/self/mountinfo", mountinfo, MOUNTINFO_BYTES) > 0)
        open_hierarchies(cgroup, mountinfo, options->cgroup);
    (void)lp_sys.unmap(mountinfo, MOUNTINFO_BYTES);
}

void lp_cgroup_close(struct lp_cgroup *cgroup, bool remove)
{
    if (remove && cgroup->kill_fd >= 0)
        remove_directory(cgroup->kill_parent_fd, cgroup->name);
    if (remove && cgroup->memory_fd >= 0)
        remove_directory(cgroup->memory_parent_fd, cgroup->name);
    lp_fd_close(&cgroup->kill_fd);
    lp_fd_close(&cgroup->memory_fd);
    lp_fd_close(&cgroup->kill_parent_fd);
    lp_fd_close(&cgroup->memory_parent_fd);
}

/* ---- Slots ------------------------------------------------------------------------------- */

void lp_cgroup_prepare(const struct lp_cgroup *cgroup, uint32_t slot)
{
    struct path path = in_slot(slot, NULL);
    if (cgroup->kill_fd >= 0)
        (void)lp_sys.mkdirat(cgroup->kill_fd, path.text, 0755);
    if (cgroup->memory_fd >= 0)
        (void)lp_sys.mkdirat(cgroup->memory_fd, path.text, 0755);
}

void lp_cgroup_enter(const struct lp_cgroup *cgroup, uint32_t slot)
{
    struct path path = in_slot(slot, "cgroup.procs");
    if (cgroup->kill_fd >= 0)
        (void)lp_file_write(cgroup->kill_fd, path.text, "0");
    if (cgroup->memory_fd >= 0)
        (void)lp_file_write(cgroup->memory_fd, path.text, "0");
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
    return line != NULL && memmem(line, length, cgroup->name, strlen(cgroup->name)) != NULL;
}
