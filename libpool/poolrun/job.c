/* SPDX-License-Identifier: MIT */
/*
 * job: the task function. The job is a child of the worker, in a process group of its own (scripts
 * kill theirs); what it leaves behind lands on the worker, which kills it before it tells the end. Its
 * output goes straight into the host's files or pipes, opened by their names in /proc, so that what a
 * job wrote is there even if it was killed together with its worker.
 */
#include "job.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAUSE_MIN_MS 10
#define PAUSE_MAX_MS 500
#define PAUSES 60 /* half a minute in all */

extern char **environ;

void pr_job_begin_request(struct pr_text *input, const struct pr_job_request *request)
{
    pr_text_clear(input);
    pr_text_add(input, (const char *)request, sizeof *request);
}

/* Opened anew: what is appended by one does not move the other's place. */
static int open_output(const struct pr_job_request *request, int stream)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/fd/%d", request->host_pid, request->out_fd[stream]);
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int add_output(posix_spawn_file_actions_t *actions, const struct pr_job_request *request,
                      int fds[2])
{
    for (int stream = 0; stream < 2; stream++) {
        if (request->out_fd[stream] < 0)
            continue;
        fds[stream] = open_output(request, stream);
        if (fds[stream] < 0)
            return PR_JOB_NO_OUTPUT | -fds[stream];
        int error = posix_spawn_file_actions_adddup2(actions, fds[stream], stream + 1);
        if (error)
            return PR_JOB_NO_OUTPUT | error;
    }
    return 0;
}

/* Descriptor 0 is the worker's: /dev/null. */
static int spawn_once(const posix_spawn_file_actions_t *actions, char **words, pid_t *pid)
{
    posix_spawnattr_t attributes;
    int error = posix_spawnattr_init(&attributes);
    if (error)
        return error;
    error = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    if (!error)
        error = posix_spawnp(pid, words[0], actions, &attributes, words, environ);
    (void)posix_spawnattr_destroy(&attributes);
    return error;
}

/* A kernel that is out of processes or memory for now is no fault of the job: it waits. */
static int spawn(const posix_spawn_file_actions_t *actions, char **words, pid_t *pid)
{
    int error = spawn_once(actions, words, pid), pause_ms = PAUSE_MIN_MS;
    for (int i = 0; i < PAUSES && (error == EAGAIN || error == ENOMEM); i++) {
        (void)poll(NULL, 0, pause_ms); /* nothing tells when it is over */
        pause_ms = pause_ms * 2 < PAUSE_MAX_MS ? pause_ms * 2 : PAUSE_MAX_MS;
        error = spawn_once(actions, words, pid);
    }
    return error;
}

static int start(const struct pr_job_request *request, char **words, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    int fds[2] = {-1, -1};
    int error = posix_spawn_file_actions_init(&actions);
    if (error)
        return PR_JOB_NO_START | error;
    int code = add_output(&actions, request, fds);
    if (!code)
        error = posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    if (!code && !error)
        error = spawn(&actions, words, pid);
    (void)posix_spawn_file_actions_destroy(&actions);
    for (int stream = 0; stream < 2; stream++)
        if (fds[stream] >= 0)
            (void)close(fds[stream]);
    return error ? PR_JOB_NO_START | error : code;
}

/* A shell tells of its last command by 128 and the signal. */
static void die_if_killed(int code, const struct pr_job_request *request)
{
    if (!request->last_words || (code != (PR_JOB_SIGNAL | SIGKILL) && code != 128 + SIGKILL))
        return;
    *request->last_words = code;
    (void)kill(getpid(), SIGKILL);
}

static int wait_for(pid_t pid, const struct pr_job_request *request)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return PR_JOB_NO_START | errno;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : PR_JOB_SIGNAL | WTERMSIG(status);
    die_if_killed(code, request);
    return code;
}

static char **split(char *words, size_t n)
{
    size_t count = 0, at = 0;
    for (size_t i = 0; i < n; i++)
        count += words[i] == '\0';
    char **list = pr_text_memory(NULL, (count + 1) * sizeof *list);
    for (size_t i = 0; i < count; i++, at += strlen(words + at) + 1)
        list[i] = words + at;
    list[count] = NULL;
    return list;
}

int pr_job_run(libpool_worker *worker, const void *input, size_t input_size)
{
    (void)worker;
    struct pr_job_request request;
    struct pr_text words = {.data = NULL};
    pid_t pid;
    memcpy(&request, input, sizeof request);
    pr_text_add(&words, (const char *)input + sizeof request, input_size - sizeof request);
    char **list = split(words.data, words.n);
    int code = start(&request, list, &pid);
    free(list);
    pr_text_free(&words);
    return code ? code : wait_for(pid, &request);
}
