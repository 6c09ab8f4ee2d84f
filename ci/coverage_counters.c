/* SPDX-License-Identifier: MIT */
/*
 * Line coverage that outlives SIGKILL. gcov keeps its counters in plain memory and writes them out at
 * exit, so what a killed worker ran is lost, and what a forked process ran is written once per process.
 *
 * Linked into the programs of the coverage build (ci/coverage), this moves all counters, which
 * ci/coverage.ld has put side by side on pages of their own, into a file that every process of that
 * program maps shared: what anybody counts is in the file at once, whoever dies and however. Nothing is
 * written at exit. In the end one run with COVERAGE_DUMP set only hands the sums to gcov.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern char coverage_counters_begin[], coverage_counters_end[]; /* from ci/coverage.ld */
extern void __gcov_dump(void);

void __wrap___gcov_exit(void);
pid_t __gcov_fork(void);

/* Called by each object's destructor: at exit there is nothing left to save. */
void __wrap___gcov_exit(void)
{
}

/* What gcc makes of fork(). The original would zero the counters in the child: now everybody's. */
pid_t __gcov_fork(void)
{
    return (fork)();
}

/* After the objects have registered with gcov (100), before anything can have forked. */
__attribute__((constructor(101))) static void share_counters(void)
{
    char path[4096];
    const char *directory = getenv("COVERAGE_DIR");
    size_t size = (size_t)(coverage_counters_end - coverage_counters_begin);
    if (directory == NULL)
        return;
    snprintf(path, sizeof(path), "%s/%s.counters", directory, program_invocation_short_name);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0 || ftruncate(fd, (off_t)size) != 0 ||
        mmap(coverage_counters_begin, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
             0) == MAP_FAILED) {
        perror(path);
        _exit(1);
    }
    close(fd);
    if (getenv("COVERAGE_DUMP") != NULL) {
        __gcov_dump();
        _exit(0);
    }
}
