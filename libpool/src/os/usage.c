/* SPDX-License-Identifier: MIT */
#include "os/usage.h"

#include <errno.h>
#include <fcntl.h>

#include "base/text.h"
#include "os/file.h"
#include "sys/sys.h"

#define TICK_NS 10000000u /* of /proc, on every machine */
#define STATUS_BYTES 2048 /* the line is in the first KiB */

static uint64_t most_memory(pid_t pid)
{
    char path[32], status[STATUS_BYTES];
    struct lp_text text = lp_text_begin(path, sizeof(path));
    lp_text_add(&text, "/proc/");
    lp_text_add_number(&text, pid);
    lp_text_add(&text, "/status");
    if (lp_file_read(AT_FDCWD, path, status, sizeof(status)) <= 0)
        return 0;
    return lp_file_number(status, "VmHWM:", 0) * 1024;
}

int lp_usage_read(pid_t pid, int pid_fd, struct lp_usage *usage)
{
    struct lp_file_stat stat;
    int error = lp_file_stat(pid, &stat);
    if (error < 0)
        return error;
    *usage = (struct lp_usage){.user_ns = stat.user_ticks * TICK_NS,
                               .system_ns = stat.system_ticks * TICK_NS,
                               .max_rss_bytes = most_memory(pid)};
    error = lp_sys.pidfd_send_signal(pid_fd, 0); /* not reaped: the files were about this one */
    return error == -EPERM ? 0 : error;
}
