/* SPDX-License-Identifier: MIT */
#include "os/weight.h"

#include "base/text.h"
#include "os/file.h"
#include "os/tree.h"
#include "sys/sys.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define ROLLUP_BYTES 2048

/* pid 0: this process. */
static ssize_t read_file(pid_t pid, const char *name, char *content, size_t size)
{
    char path[48];
    struct lp_text text = lp_text_begin(path, sizeof(path));
    lp_text_add(&text, "/proc/");
    if (pid == 0)
        lp_text_add(&text, "self");
    else
        lp_text_add_number(&text, pid);
    lp_text_add(&text, name);
    return lp_file_read(AT_FDCWD, path, content, size);
}

/* Resident pages that are not files' or shared memory's: "size resident shared ..." */
static uint64_t resident(pid_t pid)
{
    char text[128], *at;
    if (read_file(pid, "/statm", text, sizeof(text)) <= 0)
        return 0;
    (void)strtoull(text, &at, 10);
    uint64_t all = strtoull(at, &at, 10), shared = strtoull(at, &at, 10);
    return all > shared ? (all - shared) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

/* What is shared counts by its share. Where that is not to be read, all of it counts. */
static uint64_t share(pid_t pid)
{
    char text[ROLLUP_BYTES];
    uint64_t kib = UINT64_MAX;
    if (read_file(pid, "/smaps_rollup", text, sizeof(text)) > 0)
        kib = lp_file_number(text, "Pss_Anon:", UINT64_MAX);
    return kib == UINT64_MAX ? resident(pid) : kib * 1024;
}

static uint64_t less(uint64_t bytes, uint64_t by)
{
    return bytes > by ? bytes - by : 0;
}

uint64_t lp_weight_own(void)
{
    return resident(0);
}

/* The zygote's own share is no less than what each copy of it has of the same pages. */
static uint64_t weigh_shares(const pid_t *pids, int count)
{
    uint64_t inherited = share(0), sum = 0;
    for (int i = 0; i < count; i++)
        sum += less(share(pids[i]), inherited);
    return sum;
}

uint64_t lp_weight_tree(pid_t root, uint64_t limit_bytes)
{
    pid_t pids[LP_TREE_WALK_MAX];
    int count = lp_tree_list(root, pids, LP_TREE_WALK_MAX);
    uint64_t sum = less(resident(root), resident(0));
    for (int i = 1; i < count; i++)
        sum += resident(pids[i]);
    return sum <= limit_bytes ? sum : weigh_shares(pids, count);
}
