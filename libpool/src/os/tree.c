/* SPDX-License-Identifier: MIT */
#include "os/tree.h"

#include "base/fd.h"
#include "base/text.h"
#include "os/file.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define STOP_PASSES 4

struct entry {
    pid_t pid, parent;
};

/* In the order of discovery, so that parents stand before their children. */
struct walk {
    size_t n;
    struct entry entries[LP_TREE_WALK_MAX];
};

/* ---- Who is a child of whom -------------------------------------------------------------- */

/* What stands in a task's `children`: numbers, each followed by a blank. */
static int read_children(int fd, pid_t *pids, size_t max)
{
    char text[2048];
    size_t n = 0;
    pid_t number = 0;
    for (;;) {
        ssize_t got = lp_sys.read(fd, text, sizeof(text));
        if (got <= 0)
            return got < 0 ? (int)got : (int)n;
        for (ssize_t i = 0; i < got; i++) {
            if (text[i] >= '0' && text[i] <= '9') {
                number = number * 10 + (text[i] - '0');
                continue;
            }
            if (number > 0 && n < max)
                pids[n++] = number;
            number = 0;
        }
    }
}

static int children_of_task(int tasks_fd, const char *task, pid_t *pids, size_t max)
{
    char path[64];
    struct lp_text text = lp_text_begin(path, sizeof(path));
    lp_text_add(&text, task);
    lp_text_add(&text, "/children");
    lp_fd_auto int fd = lp_sys.openat(tasks_fd, path, O_RDONLY);
    return fd < 0 ? fd : read_children(fd, pids, max);
}

struct gathering {
    int tasks_fd;
    pid_t *pids;
    size_t n, max;
};

static int gather_task(void *context, const char *task)
{
    struct gathering *gathering = context;
    int more = children_of_task(gathering->tasks_fd, task, gathering->pids + gathering->n,
                                gathering->max - gathering->n);
    if (more < 0)
        return more == -ENOENT || more == -ESRCH ? 0 : more;
    gathering->n += (size_t)more;
    return 0;
}

/* pid 0: this process. */
static int children_of(pid_t pid, pid_t *pids, size_t max)
{
    char path[40];
    struct lp_text text = lp_text_begin(path, sizeof(path));
    lp_text_add(&text, "/proc/");
    if (pid == 0)
        lp_text_add(&text, "self");
    else
        lp_text_add_number(&text, pid);
    lp_text_add(&text, "/task");
    lp_fd_auto int tasks_fd = lp_sys.openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
    if (tasks_fd < 0)
        return tasks_fd;
    /* A child belongs to the thread that made it, so all threads are asked. */
    struct gathering gathering = {tasks_fd, pids, 0, max};
    int error = lp_file_each(tasks_fd, gather_task, &gathering);
    return error < 0 ? error : (int)gathering.n;
}

int lp_tree_children(pid_t *pids, size_t max)
{
    return children_of(0, pids, max);
}

bool lp_tree_can_walk(void)
{
    char text[64];
    if (lp_file_read(AT_FDCWD, "/proc/self/stat", text, sizeof(text)) < 0 ||
        strtol(text, NULL, 10) != getpid())
        return false;
    return lp_file_read(AT_FDCWD, "/proc/thread-self/children", text, sizeof(text)) >= 0;
}

bool lp_tree_has_children(void)
{
    siginfo_t info;
    return lp_sys.waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) != -ECHILD;
}

int lp_tree_list(pid_t root, pid_t *pids, size_t max)
{
    size_t n = 1;
    pids[0] = root;
    for (size_t i = 0; i < n; i++) {
        int more = children_of(pids[i], pids + n, max - n);
        n += more > 0 ? (size_t)more : 0;
    }
    return (int)n;
}

/* ---- Walking ----------------------------------------------------------------------------- */

/* A pidfd that certainly means the process that is a child of entry->parent; or -errno. */
static int pin(const struct entry *entry)
{
    struct lp_file_stat stat;
    int fd = lp_sys.pidfd_open(entry->pid);
    if (fd < 0)
        return fd;
    int error = lp_file_stat(entry->pid, &stat);
    if (error == 0 && stat.parent != entry->parent)
        error = -ESRCH;
    if (error == 0)
        error = lp_sys.pidfd_send_signal(fd, 0); /* not reaped yet: the file was about this one */
    if (error < 0) {
        lp_fd_close(&fd);
        return error;
    }
    return fd;
}

static void add_children(struct walk *walk, pid_t parent, int pinned_fd)
{
    pid_t pids[128];
    int count = children_of(parent, pids, sizeof(pids) / sizeof(pids[0]));
    if (count <= 0 || lp_sys.pidfd_send_signal(pinned_fd, 0) < 0)
        return;
    for (int i = 0; i < count && walk->n < LP_TREE_WALK_MAX; i++)
        walk->entries[walk->n++] = (struct entry){pids[i], parent};
}

static void stop_one(struct walk *walk, size_t index)
{
    struct entry entry = walk->entries[index];
    lp_fd_auto int fd = pin(&entry);
    if (fd < 0)
        return;
    (void)lp_sys.pidfd_send_signal(fd, SIGSTOP);
    add_children(walk, entry.pid, fd);
}

static void kill_one(const struct entry *entry)
{
    lp_fd_auto int fd = pin(entry);
    if (fd >= 0)
        (void)lp_sys.pidfd_send_signal(fd, SIGKILL);
}

/* As long as it is, its number can't be given to another: only this process can reap it. */
static bool is_child(pid_t pid)
{
    siginfo_t info;
    return lp_sys.waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

/* Until a walk finds no more than the one before. The root itself is left to the caller. */
static void kill_descendants(pid_t root, pid_t parent)
{
    struct walk walk = {.n = 1};
    size_t before;
    int pass = 0;
    do {
        before = walk.n;
        walk.n = 1;
        walk.entries[0] = (struct entry){root, parent};
        for (size_t i = 0; i < walk.n; i++)
            stop_one(&walk, i);
    } while (walk.n > before && ++pass < STOP_PASSES);
    for (size_t i = walk.n; i-- > 1;)
        kill_one(&walk.entries[i]);
}

void lp_tree_kill(pid_t child)
{
    kill_descendants(child, getpid());
    if (is_child(child))
        (void)lp_sys.kill(child, SIGKILL);
}

/* Whoever its parent is: the pidfd says, behind the look at it, that the number is still its own. */
void lp_tree_kill_pinned(int pid_fd, pid_t pid)
{
    struct lp_file_stat stat;
    if (lp_tree_can_walk() && lp_file_stat(pid, &stat) == 0 &&
        lp_sys.pidfd_send_signal(pid_fd, 0) == 0)
        kill_descendants(pid, stat.parent);
    (void)lp_sys.pidfd_send_signal(pid_fd, SIGKILL);
}

/* ---- A process that clears up after itself ----------------------------------------------- */

static uint64_t clock_ms(void)
{
    struct timespec now = {0};
    (void)lp_sys.clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

static bool is_kept(pid_t pid, const pid_t *keep_pids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (keep_pids[i] == pid)
            return true;
    return false;
}

/* Kills one child and waits for its end; what it leaves behind is adopted. */
static int kill_and_reap(pid_t child, uint64_t deadline_ms)
{
    lp_tree_kill(child);
    lp_fd_auto int fd = lp_sys.pidfd_open(child);
    if (fd < 0)
        return fd == -ESRCH ? 0 : fd;
    struct pollfd death = {.fd = fd, .events = POLLIN};
    int dead;
    do {
        uint64_t now_ms = clock_ms();
        dead = lp_sys.poll(&death, 1, now_ms < deadline_ms ? (int)(deadline_ms - now_ms) : 0);
    } while (dead == -EINTR);
    if (dead <= 0)
        return dead < 0 ? dead : -EBUSY;
    (void)lp_sys.wait4(child, NULL, __WALL | WNOHANG, NULL);
    return 0;
}

/* One look at the children. How many had to go, or -errno. */
static int clear_once(const pid_t *keep_pids, size_t n, uint64_t deadline_ms)
{
    pid_t pids[128];
    int count = lp_tree_children(pids, sizeof(pids) / sizeof(pids[0]));
    int cleared = 0;
    for (int i = 0; i < count; i++) {
        if (is_kept(pids[i], keep_pids, n))
            continue;
        int error = kill_and_reap(pids[i], deadline_ms);
        if (error < 0)
            return error;
        cleared++;
    }
    return count < 0 ? count : cleared;
}

int lp_tree_kill_children(const pid_t *keep_pids, size_t n, int limit_ms)
{
    uint64_t deadline_ms = clock_ms() + (uint64_t)limit_ms;
    if (n == 0 && !lp_tree_has_children())
        return 0;
    if (!lp_tree_can_walk())
        return -ENOSYS;
    for (;;) {
        int cleared = clear_once(keep_pids, n, deadline_ms);
        if (cleared <= 0)
            return cleared;
        if (clock_ms() >= deadline_ms)
            return -EBUSY;
    }
}
