/* SPDX-License-Identifier: MIT */
/* One job, in a worker: started, waited for, its end told as the task's code. */
#ifndef POOLRUN_JOB_H
#define POOLRUN_JOB_H

#include <libpool.h>
#include <stdbool.h>

#include "text.h"

/* What the task's code means; below, it is an exit status. */
enum {
    PR_JOB_SIGNAL = 0x100,      /* and the signal that the job died of */
    PR_JOB_NO_OUTPUT = 0x10000, /* and the errno: its output can't be opened */
    PR_JOB_NO_START = 0x20000   /* and the errno: its program can't be started */
};
#define PR_JOB_KINDS (PR_JOB_SIGNAL | PR_JOB_NO_OUTPUT | PR_JOB_NO_START)
#define PR_JOB_VALUE(code_) ((code_) & ~PR_JOB_KINDS)

/* The input of the task; the words follow, each with its zero byte. */
struct pr_job_request {
    int host_pid;
    int out_fd[2]; /* of the host, for descriptors 1 and 2; -1: the worker's own */
    int *
        last_words; /* shared memory. A job that SIGKILL has ended takes its worker along, and leaves
                        its code here: libpool finds out whether that was an OOM kill. NULL: it does not */
};

void pr_job_begin_request(struct pr_text *input, const struct pr_job_request *request);

int pr_job_run(libpool_worker *worker, const void *input, size_t input_size);

#endif
