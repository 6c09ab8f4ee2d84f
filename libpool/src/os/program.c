/* SPDX-License-Identifier: MIT */
#include "os/program.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "os/fds.h"
#include "sys/sys.h"

#define SPARE_FDS 2
#define LIFELINE (LP_PROGRAM_LIFELINE - LP_PROGRAM_SOCKET)
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

static int shape(int fd, size_t size, void **memory)
{
    int error = lp_sys.ftruncate(fd, (off_t)size);
    if (error == 0)
        error = lp_sys.fcntl(fd, F_ADD_SEALS, SEALS);
    return error < 0 ? error : lp_sys.map_file(fd, size, 1, memory);
}

int lp_program_share(size_t size, void **memory)
{
    int fd = lp_sys.memfd_create("libpool");
    int error = fd < 0 ? fd : lp_fds_lift(&fd, 1);
    if (error == 0)
        error = shape(fd, size, memory);
    if (error < 0)
        lp_fd_close(&fd);
    return error < 0 ? error : fd;
}

/* In the order of the header. How many. */
static size_t gather(int *fds, const struct lp_zygote_birth *birth)
{
    const struct lp_zygote_options *options = birth->options;
    size_t n = 0;
    fds[n++] = birth->socket_fd;
    fds[n++] = birth->host_pid_fd;
    fds[n++] = birth->lifeline_fd >= 0 ? birth->lifeline_fd
                                       : lp_sys.dup_from(birth->host_pid_fd, LP_FDS_FIRST);
    fds[n++] = options->program->memory_fd;
    for (uint32_t i = 0; i < options->slots; i++)
        if (options->heir_fds != NULL && options->heir_fds[i] >= 0)
            fds[n++] = options->heir_fds[i];
    return n;
}

/* The loader of the program opens a library at a time; where it can't, nobody would say why. */
static int check_spare_fds(size_t n)
{
    int spare = lp_sys.dup_from(LP_PROGRAM_SOCKET, LP_FDS_FIRST + (int)n + SPARE_FDS - 1);
    int error = spare == -EINVAL ? -EMFILE : spare < 0 ? spare : 0; /* EINVAL: beyond the limit */
    if (spare >= 0) /* by lp_sys: the table is its own, the memory is the host's */
        (void)lp_sys.close(spare);
    return error;
}

int lp_program_exec(const struct lp_zygote_birth *birth)
{
    const struct lp_program *program = birth->options->program;
    size_t n = gather(program->fds, birth);
    int error = program->fds[LIFELINE];
    if (error >= 0)
        error = lp_fds_lift(program->fds, n);
    if (error == 0)
        error = lp_fds_keep(program->fds, n);
    if (error == 0)
        error = check_spare_fds(n);
    for (int fd = 0; error == 0 && fd < LP_FDS_FIRST + (int)n; fd++)
        (void)lp_sys.set_cloexec(fd, 0); /* of the first three, some may be closed */
    return error < 0 ? error : lp_sys.execve(program->path, program->argv, program->envp);
}

int lp_program_receive(void **memory, size_t *size, bool *has_lifeline)
{
    struct stat file, lifeline;
    int seals = lp_sys.fcntl(LP_PROGRAM_MEMORY, F_GET_SEALS, 0);
    if (seals < 0 || (seals & SEALS) != SEALS || lp_sys.fstat(LP_PROGRAM_MEMORY, &file) < 0)
        return -EPROTO;
    *size = (size_t)file.st_size;
    *has_lifeline = lp_sys.fstat(LP_PROGRAM_LIFELINE, &lifeline) == 0 && S_ISFIFO(lifeline.st_mode);
    int error = *size == 0 ? -EPROTO : lp_sys.map_file(LP_PROGRAM_MEMORY, *size, 1, memory);
    (void)lp_sys.close(LP_PROGRAM_MEMORY);
    return error;
}
