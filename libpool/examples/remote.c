/* SPDX-License-Identifier: MIT */
/*
 * One pool for several processes: this one has the pool and serves it on a socket, two others submit to it by
 * name. One of them is a nuisance, and costs nobody but itself anything.
 * cc remote.c $(pkg-config --cflags --libs libpool_remote)
 */
#include <libpool_remote.h>

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define TASKS 100

static int square(libpool_worker *worker, const void *input, size_t size)
{
    long number;
    if (size != sizeof number)
        return 1;
    memcpy(&number, input, sizeof number);
    number *= number;
    return libpool_reply(worker, &number, sizeof number);
}

static int hang(libpool_worker *worker, const void *input, size_t size)
{
    (void)worker, (void)input, (void)size;
    for (;;)
        pause();
    return 0;
}

/* ---- a client: nothing of libpool is needed here but the session ------------------------------ */

static libpool_remote *open_session(const struct sockaddr_un *address, socklen_t size)
{
    libpool_remote *remote;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)address, size) < 0)
        return NULL;
    return libpool_remote_open(&remote, fd, NULL) == 0 ? remote : NULL;
}

static int be_good(libpool_remote *remote)
{
    libpool_remote_future *futures[TASKS];
    long sum = 0;
    for (long i = 0; i < TASKS; i++) {
        libpool_remote_task task = {
            .size = sizeof task, .name = "square", .input = &i, .input_size = sizeof i};
        if (libpool_remote_submit(remote, &task, -1, &futures[i]) < 0)
            return 1;
    }
    for (int i = 0; i < TASKS; i++) {
        if (libpool_remote_wait(futures[i], 10000) < 0)
            return 1;
        const libpool_result *result = libpool_remote_result(futures[i]);
        long number = 0;
        if (result->cause == LIBPOOL_COMPLETED && result->data_size == sizeof number)
            memcpy(&number, result->data, sizeof number);
        sum += number;
        libpool_remote_free(futures[i]);
    }
    libpool_remote_close(remote);
    return sum == 328350 ? 0 : 1;
}

/* It is gone without a word, and its tasks with it. */
static int be_bad(libpool_remote *remote)
{
    libpool_remote_task task = {.size = sizeof task, .name = "hang"};
    for (int i = 0; i < TASKS; i++)
        if (libpool_remote_submit(remote, &task, -1, NULL) < 0)
            return 1;
    return 0;
}

static pid_t start_client(int (*client)(libpool_remote *remote), const struct sockaddr_un *address,
                          socklen_t size)
{
    pid_t pid = fork();
    if (pid == 0) {
        libpool_remote *remote = open_session(address, size);
        _exit(remote ? client(remote) : 1);
    }
    return pid;
}

/* ---- the server ------------------------------------------------------------------------------- */

static libpool_remote_server *serve(libpool *pool, int listener)
{
    static const libpool_remote_offer offers[] = {
        {"square", {.size = sizeof(libpool_task), .function = square}},
        {"hang", {.size = sizeof(libpool_task), .function = hang, .run_timeout_ms = 60000}}};
    libpool_remote_server *server;
    libpool_remote_options options = {.size = sizeof options,
                                      .offers = offers,
                                      .offers_count = 2,
                                      .listeners = &listener,
                                      .listeners_count = 1};
    return libpool_remote_serve(&server, pool, &options) == 0 ? server : NULL;
}

static int ended_well(pid_t pid)
{
    int status;
    return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(void)
{
    libpool *pool;
    libpool_options options = {
        .size = sizeof options, .flags = LIBPOOL_CALLBACKS, .max_workers = 2};
    struct sockaddr_un address = {.sun_family = AF_UNIX}; /* the kernel finds a name */
    socklen_t size = sizeof address;
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(sa_family_t)) < 0 ||
        listen(listener, 16) < 0 || getsockname(listener, (struct sockaddr *)&address, &size) < 0)
        return 1;
    pid_t bad = start_client(be_bad, &address, size), good = start_client(be_good, &address, size);
    if (libpool_open(&pool, &options) < 0)
        return 1;
    libpool_remote_server *server = serve(pool, listener);
    if (!server)
        return 1;
    int as_expected = ended_well(bad) && ended_well(good);
    libpool_remote_stats stats = {.size = sizeof stats};
    libpool_remote_stats_read(server, &stats);
    printf("%lu sessions, %lu tasks, %lu of them completed\n",
           (unsigned long)stats.sessions_accepted, (unsigned long)stats.tasks_received,
           (unsigned long)stats.tasks_ended[LIBPOOL_COMPLETED]);
    as_expected = as_expected && stats.tasks_ended[LIBPOOL_COMPLETED] == TASKS;
    libpool_remote_server_close(server, 0, 1000);
    libpool_close(pool);
    return as_expected ? 0 : 1;
}
