/* SPDX-License-Identifier: MIT */
/* cgroups: v1 and v2 directories; see the header. */
#include "harness/cgroups.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/clock.h"
#include "harness/procfs.h"

static const char *const controllers[HN_HIERARCHIES] = {
    [HN_CGROUP_MEMORY] = "memory",
    [HN_CGROUP_PIDS] = "pids",
    [HN_CGROUP_FREEZER] = "freezer",
    [HN_CGROUP_UNIFIED] = "",
};

/* True when a mountinfo line is the mount of that hierarchy; root and point are cut out of it. */
static bool is_mount_of(char *line, enum hn_hierarchy hierarchy, char **root, char **point)
{
    char *rest = NULL, *fields[6] = {0};
    char *tail = strstr(line, " - ");
    char type[32], source[64], options[256];
    if (!tail || sscanf(tail + 3, "%31s %63s %255s", type, source, options) != 3)
        return false;
    *tail = 0;
    char *word = strtok_r(line, " ", &rest);
    for (int i = 0; i < 6 && word; i++, word = strtok_r(NULL, " ", &rest))
        fields[i] = word;
    *root = fields[3];
    *point = fields[4];
    if (!*point)
        return false;
    if (hierarchy == HN_CGROUP_UNIFIED)
        return strcmp(type, "cgroup2") == 0;
    if (strcmp(type, "cgroup") != 0)
        return false;
    for (word = strtok_r(options, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
        if (strcmp(word, controllers[hierarchy]) == 0)
            return true;
    return false;
}

/* Where the hierarchy is mounted, and which of its directories is the mount's root. */
static int find_mount(enum hn_hierarchy hierarchy, char *root, char *point, size_t size)
{
    static const size_t room = 64 * 1024;
    char *text = malloc(room), *rest = NULL;
    int rc = -ENOENT;
    if (!text)
        return -ENOMEM;
    if (hn_procfs_read("/proc/self/mountinfo", text, room) > 0) {
        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
            char *its_root, *its_point;
            if (!is_mount_of(line, hierarchy, &its_root, &its_point))
                continue;
            snprintf(root, size, "%s", strcmp(its_root, "/") == 0 ? "" : its_root);
            snprintf(point, size, "%s", its_point);
            rc = 0;
            break;
        }
    }
    free(text);
    return rc;
}

int hn_cgroup_of(pid_t pid, enum hn_hierarchy hierarchy, char *path, size_t size)
{
    char root[HN_PATH_MAX], point[HN_PATH_MAX], own[HN_PATH_MAX];
    int rc = find_mount(hierarchy, root, point, sizeof root);
    if (rc == 0)
        rc = hn_process_cgroup(pid, controllers[hierarchy], own, sizeof own);
    if (rc)
        return rc;
    size_t skip = strncmp(own, root, strlen(root)) == 0 ? strlen(root) : 0;
    const char *below = strcmp(own + skip, "/") == 0 ? "" : own + skip;
    if ((size_t)snprintf(path, size, "%s%s", point, below) >= size)
        return -ENAMETOOLONG;
    return 0;
}

static bool may_write(const char *directory, const char *file)
{
    char path[HN_PATH_MAX + 32];
    snprintf(path, sizeof path, "%s/%s", directory, file);
    return access(path, W_OK) == 0;
}

static bool has_words(const char *directory, const char *file, const char *first,
                      const char *second)
{
    char path[HN_PATH_MAX + 32], text[512], *rest = NULL;
    int found = 0;
    snprintf(path, sizeof path, "%s/%s", directory, file);
    if (hn_procfs_read(path, text, sizeof text) <= 0)
        return false;
    for (char *word = strtok_r(text, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest))
        found += strcmp(word, first) == 0 || strcmp(word, second) == 0;
    return found == 2;
}

/* Whether a directory of v2 made beneath it can limit memory and processes. */
static bool hands_down(const char *directory)
{
    return has_words(directory, "cgroup.subtree_control", "memory", "pids") &&
           may_write(directory, ".") && may_write(directory, "cgroup.procs");
}

/* Where directories of ours are made. */
static int find_base(enum hn_hierarchy hierarchy, char *base, size_t size)
{
    char above[HN_PATH_MAX];
    int rc = hn_cgroup_of(getpid(), hierarchy, base, size);
    if (rc || hierarchy != HN_CGROUP_UNIFIED)
        return rc;
    snprintf(above, sizeof above, "%s", base);
    while (above[0] && may_write(above, "cgroup.procs")) { /* above the mount there is none */
        if (hands_down(above)) {
            snprintf(base, size, "%s", above);
            break;
        }
        *strrchr(above, '/') = 0;
    }
    return 0;
}

static int name_one(enum hn_hierarchy hierarchy, char *path, size_t size, pid_t judge,
                    const char *name)
{
    char base[HN_PATH_MAX];
    int rc = find_base(hierarchy, base, sizeof base);
    if (rc)
        return rc;
    if ((size_t)snprintf(path, size, "%s/chaos-%d-%s", base, judge, name) >= size)
        return -ENAMETOOLONG;
    return 0;
}

static void each_name(struct hn_cgroups *cgroups, pid_t judge, const char *name,
                      int (*deed)(const char *path))
{
    for (int i = 0; i < HN_HIERARCHIES; i++) {
        char *path = cgroups->path[i];
        int rc = name_one((enum hn_hierarchy)i, path, sizeof cgroups->path[i], judge, name);
        if (rc == 0)
            rc = deed(path);
        cgroups->error[i] = rc;
        if (rc)
            path[0] = 0;
    }
}

static int make_one(const char *path)
{
    return mkdir(path, 0755) ? -errno : 0;
}

static int find_one(const char *path)
{
    return access(path, F_OK) ? -errno : 0;
}

/* Parts the run's directory in one for processes and one for workers; that it can't is no error. */
static void divide(struct hn_cgroups *cgroups)
{
    char control[HN_PATH_MAX + 32];
    const char *path = cgroups->path[HN_CGROUP_UNIFIED];
    snprintf(cgroups->inside, sizeof cgroups->inside, "%s", path);
    cgroups->pool[0] = 0;
    snprintf(control, sizeof control, "%s/cgroup.subtree_control", path);
    if (!path[0] || strlen(path) + sizeof "/inside" > HN_PATH_MAX ||
        !has_words(path, "cgroup.controllers", "memory", "pids") ||
        hn_procfs_write(control, "+memory +pids"))
        return;
    size_t length = strlen(cgroups->inside);
    snprintf(cgroups->inside + length, sizeof cgroups->inside - length, "/inside");
    snprintf(cgroups->pool, sizeof cgroups->pool, "%.*s/pool", HN_PATH_MAX - 8, path);
    int rc = make_one(cgroups->inside);
    if (rc == 0)
        rc = make_one(cgroups->pool);
    cgroups->error[HN_CGROUP_UNIFIED] = rc;
}

void hn_cgroups_make(struct hn_cgroups *cgroups, pid_t judge, const char *name)
{
    each_name(cgroups, judge, name, make_one);
    divide(cgroups);
}

void hn_cgroups_find(struct hn_cgroups *cgroups, pid_t judge, const char *name)
{
    each_name(cgroups, judge, name, find_one);
}

static int enter_one(const char *directory, pid_t pid)
{
    char path[HN_PATH_MAX + 32], text[24];
    snprintf(path, sizeof path, "%s/cgroup.procs", directory);
    snprintf(text, sizeof text, "%d", pid);
    return hn_procfs_write(path, text);
}

int hn_cgroups_enter(const struct hn_cgroups *cgroups, pid_t pid)
{
    int first = 0;
    for (int i = 0; i < HN_HIERARCHIES; i++) {
        const char *path = i == HN_CGROUP_UNIFIED ? cgroups->inside : cgroups->path[i];
        int rc = path[0] ? enter_one(path, pid) : 0;
        if (rc && !first)
            first = rc;
    }
    return first;
}

/* The directory of v1, or that of v2 when it has the file. */
static const char *choose(const struct hn_cgroups *cgroups, enum hn_hierarchy v1, const char *v2,
                          const char *file)
{
    if (cgroups->path[v1][0])
        return cgroups->path[v1];
    return v2[0] && may_write(v2, file) ? v2 : "";
}

const char *hn_cgroups_memory(const struct hn_cgroups *cgroups)
{
    return choose(cgroups, HN_CGROUP_MEMORY, cgroups->inside, "memory.max");
}

const char *hn_cgroups_pids(const struct hn_cgroups *cgroups)
{
    return choose(cgroups, HN_CGROUP_PIDS, cgroups->path[HN_CGROUP_UNIFIED], "pids.max");
}

const char *hn_cgroups_freezer(const struct hn_cgroups *cgroups)
{
    return choose(cgroups, HN_CGROUP_FREEZER, cgroups->inside, "cgroup.freeze");
}

/* Deepest first: children are visited before the directory itself. One that vanishes is no error. */
static int each_below(const char *path, void (*visit)(const char *path, void *context),
                      void *context, int depth)
{
    int rc = 0;
    struct dirent *entry;
    DIR *directory = depth < 16 ? opendir(path) : NULL;
    if (!directory)
        return depth < 16 ? -errno : -ELOOP;
    while ((entry = readdir(directory))) {
        char child[HN_PATH_MAX];
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
            continue;
        int length = snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        bool fits = length >= 0 && (size_t)length < sizeof child;
        int error = fits ? each_below(child, visit, context, depth + 1) : -ENAMETOOLONG;
        if (error && error != -ENOENT)
            rc = error;
        if (fits)
            visit(child, context);
    }
    closedir(directory);
    return rc;
}

int hn_cgroup_each_below(const char *path, void (*visit)(const char *path, void *context),
                         void *context)
{
    return each_below(path, visit, context, 0);
}

static void thaw_one(const char *path, void *context)
{
    char file[HN_PATH_MAX + 32];
    (void)context;
    snprintf(file, sizeof file, "%s/freezer.state", path);
    hn_procfs_write(file, "THAWED");
}

/* SIGKILL to every pid listed; *context counts them. */
static void kill_one(const char *path, void *context)
{
    char file[HN_PATH_MAX + 32], text[16384];
    char *rest = NULL;
    int *killed = context;
    snprintf(file, sizeof file, "%s/cgroup.procs", path);
    if (hn_procfs_read(file, text, sizeof text) <= 0)
        return;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        pid_t pid = (pid_t)atoi(line);
        if (pid > 1 && pid != getpid() && kill(pid, SIGKILL) == 0)
            (*killed)++;
    }
}

static void kill_tree(const char *path)
{
    char file[HN_PATH_MAX + 32];
    int killed;
    snprintf(file, sizeof file, "%s/cgroup.kill", path);
    if (hn_procfs_write(file, "1") == 0)
        return;
    for (int pass = 0; pass < 64; pass++) { /* a fork storm may outrun a pass, not all of them */
        killed = 0;
        each_below(path, kill_one, &killed, 0);
        kill_one(path, &killed);
        if (killed == 0)
            return;
    }
}

void hn_cgroups_kill(const struct hn_cgroups *cgroups)
{
    static const enum hn_hierarchy order[] = {HN_CGROUP_UNIFIED, HN_CGROUP_PIDS, HN_CGROUP_MEMORY};
    const char *freezer = cgroups->path[HN_CGROUP_FREEZER];
    if (freezer[0]) {
        each_below(freezer, thaw_one, NULL, 0);
        thaw_one(freezer, NULL);
    }
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        if (cgroups->path[order[i]][0])
            kill_tree(cgroups->path[order[i]]);
}

static void remove_one(const char *path, void *context)
{
    (void)context;
    rmdir(path);
}

/* 0 or -errno. A killed process leaves its cgroup a little after it is gone from its parent. */
static int remove_tree(const char *path)
{
    uint64_t deadline_ns = hn_clock_ns() + 2 * HN_S;
    do {
        each_below(path, remove_one, NULL, 0);
        if (rmdir(path) == 0 || errno == ENOENT)
            return 0;
        struct timespec pause = {.tv_nsec = 1000000};
        nanosleep(&pause, NULL); /* sleeps: rmdir has no event to wait for */
    } while (errno == EBUSY && hn_clock_ns() < deadline_ns);
    return -EBUSY;
}

int hn_cgroups_remove(const struct hn_cgroups *cgroups)
{
    int stay = 0;
    for (int i = 0; i < HN_HIERARCHIES; i++)
        if (cgroups->path[i][0] && remove_tree(cgroups->path[i]))
            stay++;
    return stay;
}

/* chaos-PID-NAME whose PID runs no more. */
static bool is_leftover(const char *name)
{
    int pid;
    char dash;
    if (sscanf(name, "chaos-%d%c", &pid, &dash) != 2 || dash != '-' || pid <= 0)
        return false;
    return kill(pid, 0) != 0 && errno == ESRCH;
}

static int sweep_one(const char *base)
{
    int removed = 0;
    struct dirent *entry;
    DIR *directory = opendir(base);
    if (!directory)
        return 0;
    while ((entry = readdir(directory))) {
        char path[HN_PATH_MAX];
        if (!is_leftover(entry->d_name) ||
            (size_t)snprintf(path, sizeof path, "%s/%s", base, entry->d_name) >= sizeof path)
            continue;
        each_below(path, thaw_one, NULL, 0);
        thaw_one(path, NULL);
        kill_tree(path);
        if (remove_tree(path) == 0)
            removed++;
    }
    closedir(directory);
    return removed;
}

int hn_cgroups_sweep(void)
{
    static const enum hn_hierarchy order[] = {HN_CGROUP_FREEZER, HN_CGROUP_UNIFIED, HN_CGROUP_PIDS,
                                              HN_CGROUP_MEMORY};
    int removed = 0;
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        char base[HN_PATH_MAX];
        if (find_base(order[i], base, sizeof base) == 0)
            removed += sweep_one(base);
    }
    return removed;
}

int hn_cgroup_number(const char *directory, const char *file, const char *key, uint64_t *value)
{
    char path[HN_PATH_MAX + 64], text[4096];
    const char *found = text;
    snprintf(path, sizeof path, "%s/%s", directory, file);
    int rc = hn_procfs_read(path, text, sizeof text);
    if (rc < 0)
        return rc;
    for (; key && found; found = strchr(found, '\n') ? strchr(found, '\n') + 1 : NULL)
        if (strncmp(found, key, strlen(key)) == 0 && found[strlen(key)] == ' ')
            break;
    if (!found)
        return -ENOENT;
    found += key ? strlen(key) + 1 : 0;
    *value = strncmp(found, "max", 3) == 0 ? UINT64_MAX : strtoull(found, NULL, 10);
    return 0;
}

static int set_number(const char *directory, const char *file, uint64_t value,
                      const char *unlimited)
{
    char path[HN_PATH_MAX + 64], text[32];
    snprintf(path, sizeof path, "%s/%s", directory, file);
    if (value == UINT64_MAX)
        snprintf(text, sizeof text, "%s", unlimited);
    else
        snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    return hn_procfs_write(path, text);
}

int hn_cgroup_set_memory_limit(const char *directory, uint64_t bytes)
{
    set_number(directory, "memory.swap.max", bytes == UINT64_MAX ? bytes : 0, "max");
    int rc = set_number(directory, "memory.max", bytes, "max");
    return rc == -ENOENT ? set_number(directory, "memory.limit_in_bytes", bytes, "-1") : rc;
}

int hn_cgroup_memory_limit(const char *directory, uint64_t *bytes)
{
    int rc = hn_cgroup_number(directory, "memory.max", NULL, bytes);
    if (rc == -ENOENT) {
        rc = hn_cgroup_number(directory, "memory.limit_in_bytes", NULL, bytes);
        if (rc == 0 && *bytes > INT64_MAX / 2) /* v1 shows "none" as the largest page multiple */
            *bytes = UINT64_MAX;
    }
    return rc;
}

int hn_cgroup_set_pids_limit(const char *directory, uint64_t processes)
{
    return set_number(directory, "pids.max", processes, "max");
}

static void add_refused(const char *path, void *context)
{
    uint64_t *sum = context, refused;
    if (hn_cgroup_number(path, "pids.events", "max", &refused) == 0)
        *sum += refused;
}

int hn_cgroup_pids_refused(const char *directory, uint64_t *refused)
{
    int rc = hn_cgroup_number(directory, "pids.events", "max", refused);
    return rc ? rc : each_below(directory, add_refused, refused, 0);
}

static bool is_frozen(const char *directory)
{
    char path[HN_PATH_MAX + 32], text[32];
    uint64_t frozen = 0;
    if (hn_cgroup_number(directory, "cgroup.events", "frozen", &frozen) == 0)
        return frozen != 0;
    snprintf(path, sizeof path, "%s/freezer.state", directory);
    return hn_procfs_read(path, text, sizeof text) > 0 && strncmp(text, "FROZEN", 6) == 0;
}

int hn_cgroup_freeze(const char *directory, bool frozen)
{
    char path[HN_PATH_MAX + 32];
    uint64_t deadline_ns = hn_clock_ns() + HN_S;
    snprintf(path, sizeof path, "%s/cgroup.freeze", directory);
    int rc = hn_procfs_write(path, frozen ? "1" : "0");
    if (rc == -ENOENT) {
        snprintf(path, sizeof path, "%s/freezer.state", directory);
        rc = hn_procfs_write(path, frozen ? "FROZEN" : "THAWED");
    }
    while (rc == 0 && is_frozen(directory) != frozen) {
        if (hn_clock_ns() > deadline_ns)
            return -ETIMEDOUT;
        sched_yield(); /* v1 has no event for it */
    }
    return rc;
}

int hn_cgroup_oom_kills(const char *directory, uint64_t *kills)
{
    int rc = hn_cgroup_number(directory, "memory.events.local", "oom_kill", kills);
    if (rc == -ENOENT)
        rc = hn_cgroup_number(directory, "memory.oom_control", "oom_kill", kills);
    return rc;
}

int hn_cgroup_memory_of(pid_t pid, char *path, size_t size)
{
    uint64_t limit;
    int rc = hn_cgroup_of(pid, HN_CGROUP_MEMORY, path, size);
    if (rc == 0 && hn_cgroup_memory_limit(path, &limit) == 0)
        return 0;
    rc = hn_cgroup_of(pid, HN_CGROUP_UNIFIED, path, size);
    return rc ? rc : hn_cgroup_memory_limit(path, &limit);
}
