/* SPDX-License-Identifier: MIT */
/*
 * No stdio: this runs in the zygote and in workers, beside whatever state stdio was copied in.
 */
#include "os/file.h"

#include "base/fd.h"
#include "base/text.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

ssize_t lp_file_read(int directory_fd, const char *path, char *text, size_t size)
{
    text[0] = '\0';
    lp_fd_auto int fd = lp_sys.openat(directory_fd, path, O_RDONLY);
    if (fd < 0)
        return fd;
    size_t filled = 0;
    while (filled < size - 1) {
        ssize_t got = lp_sys.read(fd, text + filled, size - 1 - filled);
        if (got < 0 && got != -EINTR)
            return got;
        if (got == 0)
            break;
        filled += got > 0 ? (size_t)got : 0;
    }
    text[filled] = '\0';
    return (ssize_t)filled;
}

int lp_file_write(int directory_fd, const char *path, const char *text)
{
    lp_fd_auto int fd = lp_sys.openat(directory_fd, path, O_WRONLY);
    if (fd < 0)
        return fd;
    ssize_t written;
    do
        written = lp_sys.write(fd, text, strlen(text));
    while (written == -EINTR);
    return written < 0 ? (int)written : 0;
}

struct directory_entry { /* struct linux_dirent64 */
    uint64_t inode;
    int64_t offset;
    uint16_t length;
    uint8_t type;
    char name[];
};

int lp_file_each(int directory_fd, int (*act)(void *context, const char *name), void *context)
{
    alignas(struct directory_entry) char buffer[1024];
    for (;;) {
        ssize_t got = lp_sys.getdents(directory_fd, buffer, sizeof(buffer));
        if (got <= 0)
            return (int)got;
        for (ssize_t at = 0; at < got;) {
            const struct directory_entry *entry = (const void *)(buffer + at);
            at += entry->length;
            if (strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0)
                continue;
            int result = act(context, entry->name);
            if (result != 0)
                return result;
        }
    }
}

struct wanted {
    int tasks_fd, number, flags;
    int fd; /* what came of it last */
};

static int reopen_in(int directory_fd, const char *task, const struct wanted *wanted)
{
    char path[64];
    struct lp_text text = lp_text_begin(path, sizeof(path));
    lp_text_add(&text, task);
    lp_text_add(&text, "/fd/");
    lp_text_add_number(&text, wanted->number);
    return lp_sys.openat(directory_fd, path, wanted->flags);
}

/* One that has ended has no descriptors, and they are root's. */
static bool is_gone(const struct wanted *wanted)
{
    return wanted->fd == -ENOENT || wanted->fd == -EACCES;
}

static int reopen_in_thread(void *context, const char *thread)
{
    struct wanted *wanted = context;
    wanted->fd = reopen_in(wanted->tasks_fd, thread, wanted);
    return !is_gone(wanted);
}

int lp_file_reopen(pid_t process, int number, int flags)
{
    char path[40];
    struct wanted wanted = {.number = number, .flags = flags};
    struct lp_text text = lp_text_begin(path, sizeof(path));
    lp_text_add(&text, "/proc/");
    lp_text_add_number(&text, process);
    wanted.fd = reopen_in(AT_FDCWD, path, &wanted);
    if (!is_gone(&wanted))
        return wanted.fd;
    lp_text_add(&text, "/task");
    lp_fd_auto int tasks_fd = lp_sys.openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
    wanted.tasks_fd = tasks_fd;
    if (tasks_fd >= 0)
        (void)lp_file_each(tasks_fd, reopen_in_thread, &wanted);
    return wanted.fd;
}

uint64_t lp_file_number(const char *text, const char *name, uint64_t absent)
{
    size_t length = strlen(name);
    for (const char *line = text; line != NULL && *line != '\0';) {
        if (strncmp(line, name, length) == 0 && (line[length] == ' ' || line[length] == '\t'))
            return strtoull(line + length, NULL, 10);
        line = strchr(line, '\n');
        line += line != NULL;
    }
    return absent;
}

/* Behind so many blanks; at least the final zero. */
static const char *skip_fields(const char *at, int n)
{
    for (; n > 0 && *at != '\0'; at++)
        n -= *at == ' ';
    return at;
}

/* Two numbers that stand so many fields apart. */
static uint64_t sum_fields(const char *at, int apart)
{
    return strtoull(at, NULL, 10) + strtoull(skip_fields(at, apart), NULL, 10);
}

/* The second field is the name in brackets, and may itself hold brackets and blanks. */
int lp_file_stat(pid_t pid, struct lp_file_stat *stat)
{
    char path[32], line[512];
    struct lp_text text = lp_text_begin(path, sizeof(path));
    lp_text_add(&text, "/proc/");
    lp_text_add_number(&text, pid);
    lp_text_add(&text, "/stat");
    ssize_t got = lp_file_read(AT_FDCWD, path, line, sizeof(line));
    if (got < 0)
        return (int)got;
    const char *end = strrchr(line, ')');
    if (end == NULL || end[1] != ' ' || end[2] == '\0' || end[3] != ' ')
        return -EPROTO;
    stat->state = end[2];
    stat->parent = (pid_t)strtol(end + 4, NULL, 10);
    stat->flags = strtoull(skip_fields(end + 4, 5), NULL, 10);          /* field 9 */
    stat->user_ticks = sum_fields(skip_fields(end + 4, 10), 2);         /* fields 14 and 16 */
    stat->system_ticks = sum_fields(skip_fields(end + 4, 11), 2);       /* fields 15 and 17 */
    stat->started_ticks = strtoull(skip_fields(end + 4, 18), NULL, 10); /* from field 4 to 22 */
    return 0;
}
