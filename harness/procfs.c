/* SPDX-License-Identifier: MIT */
/* procfs: reading /proc; see the header. */
#include "harness/procfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROCESSES_MAX 32768

int hn_procfs_read(const char *path, char *text, size_t size)
{
    size_t filled = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    while (filled + 1 < size) {
        ssize_t got = read(fd, text + filled, size - 1 - filled);
        if (got < 0) {
            int error = -errno;
            close(fd);
            return error;
        }
        if (got == 0)
            break;
        filled += (size_t)got;
    }
    close(fd);
    text[filled] = 0;
    return (int)filled;
}

int hn_procfs_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t put = write(fd, text, strlen(text));
    int rc = put < 0 ? -errno : 0;
    close(fd);
    return rc;
}

/* The name may hold blanks and brackets: everything is counted from the last bracket on. */
static int parse_stat(const char *text, struct hn_process *process)
{
    const char *open = strchr(text, '(');
    const char *shut = strrchr(text, ')');
    int parent, group, session;
    unsigned threads;
    unsigned long long started;
    if (!open || !shut || shut < open)
        return -EINVAL;
    size_t length = (size_t)(shut - open - 1);
    if (length >= sizeof process->name)
        length = sizeof process->name - 1;
    memcpy(process->name, open + 1, length);
    process->name[length] = 0;
    if (sscanf(shut + 2,
               "%c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %u %*d %llu",
               &process->state, &parent, &group, &session, &threads, &started) != 6)
        return -EINVAL;
    process->pid = (pid_t)atoi(text);
    process->parent = parent;
    process->group = group;
    process->session = session;
    process->threads = threads;
    process->started = started;
    return 0;
}

int hn_process_look(pid_t pid, struct hn_process *process)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (pid <= 0 || hn_procfs_read(path, text, sizeof text) <= 0)
        return -ESRCH;
    return parse_stat(text, process) ? -ESRCH : 0;
}

bool hn_process_lives(const struct hn_process *process)
{
    struct hn_process now;
    if (hn_process_look(process->pid, &now))
        return false;
    return now.started == process->started && now.state != 'Z' && now.state != 'X';
}

/* Everything in /proc, in no order. How many, or -errno. */
static int list_all(struct hn_process *list, size_t max)
{
    size_t count = 0;
    struct dirent *entry;
    DIR *directory = opendir("/proc");
    if (!directory)
        return -errno;
    while (count < max && (entry = readdir(directory)))
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
            hn_process_look((pid_t)atoi(entry->d_name), &list[count]) == 0)
            count++;
    closedir(directory);
    return (int)count;
}

static int below(const void *left, const void *right)
{
    const struct hn_process *a = left, *b = right;
    return (a->parent > b->parent) - (a->parent < b->parent);
}

/* First of the children of parent in a list sorted by parent. */
static size_t first_child(const struct hn_process *all, size_t count, pid_t parent)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (all[middle].parent < parent)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Breadth first; the list found so far is the queue. A pid seen twice in one pass can't loop: */
/* the count is bounded by what the pass read. */
static size_t walk(const struct hn_process *all, size_t count, pid_t root, struct hn_process *list,
                   size_t max)
{
    size_t found = 0, done = 0;
    pid_t parent = root;
    for (;;) {
        for (size_t i = first_child(all, count, parent); i < count && all[i].parent == parent;
             i++) {
            if (found < max)
                list[found] = all[i];
            found++;
        }
        if (done >= found || done >= max || found > count)
            return found;
        parent = list[done++].pid;
    }
}

int hn_process_descendants(pid_t root, struct hn_process *list, size_t max)
{
    struct hn_process *all = calloc(PROCESSES_MAX, sizeof *all);
    if (!all)
        return -ENOMEM;
    int count = list_all(all, PROCESSES_MAX);
    if (count > 0) {
        qsort(all, (size_t)count, sizeof *all, below);
        count = (int)walk(all, (size_t)count, root, list, max);
    }
    free(all);
    return count;
}

int hn_process_status(pid_t pid, const char *field, int base, uint64_t *value)
{
    char path[64], text[4096], key[40];
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    int rc = hn_procfs_read(path, text, sizeof text);
    if (rc < 0)
        return rc;
    snprintf(key, sizeof key, "\n%s:", field);
    const char *line = strstr(text, key);
    if (!line)
        return -ENOENT;
    *value = strtoull(line + strlen(key), NULL, base);
    return 0;
}

/* One controller in a comma-separated list; "" is v2, whose list is empty. */
static bool lists(const char *controllers, size_t length, const char *controller)
{
    size_t wanted = strlen(controller);
    if (wanted == 0)
        return length == 0;
    while (length >= wanted) {
        const char *comma = memchr(controllers, ',', length);
        size_t word = comma ? (size_t)(comma - controllers) : length;
        if (word == wanted && memcmp(controllers, controller, word) == 0)
            return true;
        if (!comma)
            return false;
        controllers = comma + 1;
        length -= word + 1;
    }
    return false;
}

int hn_process_cgroup(pid_t pid, const char *controller, char *path, size_t size)
{
    char file[64], text[4096];
    char *rest = NULL;
    snprintf(file, sizeof file, "/proc/%d/cgroup", pid);
    int rc = hn_procfs_read(file, text, sizeof text);
    if (rc < 0)
        return rc;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *first = strchr(line, ':');
        char *second = first ? strchr(first + 1, ':') : NULL;
        if (!second || !lists(first + 1, (size_t)(second - first - 1), controller))
            continue;
        snprintf(path, size, "%s", second + 1);
        return 0;
    }
    return -ENOENT;
}

void hn_process_describe(pid_t pid, char *text, size_t size)
{
    char path[64], wchan[64] = "", call[128] = "";
    struct hn_process process;
    if (hn_process_look(pid, &process)) {
        snprintf(text, size, "%d gone", pid);
        return;
    }
    snprintf(path, sizeof path, "/proc/%d/wchan", pid);
    hn_procfs_read(path, wchan, sizeof wchan);
    snprintf(path, sizeof path, "/proc/%d/syscall", pid);
    hn_procfs_read(path, call, sizeof call);
    call[strcspn(call, "\n")] = 0;
    snprintf(text, size, "%d (%s) %c parent %d session %d threads %u wchan %s syscall %s", pid,
             process.name, process.state, process.parent, process.session, process.threads,
             wchan[0] ? wchan : "-", call[0] ? call : "-");
}
