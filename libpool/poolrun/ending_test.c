/* SPDX-License-Identifier: MIT */
#include "ending.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "harness/test.h"
#include "job.h"

static char said[300];

static int last_words;

static struct pr_ending ending(libpool_cause cause, int code, int signal)
{
    libpool_result result = {.cause = cause, .code = code, .signal = signal, .text = "its text"};
    struct pr_text why = {.data = NULL};
    struct pr_ending ending = pr_ending_of(&result, last_words, "a b", &why);
    (void)snprintf(said, sizeof said, "%s", why.n ? why.data : "");
    pr_text_free(&why);
    return ending;
}

static bool failed(struct pr_ending ending, int exit_value, int signal)
{
    return ending.has_failed && !ending.is_dropped && ending.exit_value == exit_value &&
           ending.signal == signal;
}

TEST(poolrun_ending, an_exit_status_needs_no_words)
{
    CU_ASSERT(!ending(LIBPOOL_COMPLETED, 0, 0).has_failed);
    CU_ASSERT(failed(ending(LIBPOOL_ERROR, 7, 0), 7, 0));
    CU_ASSERT(failed(ending(LIBPOOL_ERROR, 255, 0), 255, 0));
    CU_ASSERT(failed(ending(LIBPOOL_ERROR, PR_JOB_SIGNAL | SIGSEGV, 0), 139, SIGSEGV));
    CU_ASSERT_STRING_EQUAL(said, "");
}

TEST(poolrun_ending, a_job_that_took_its_worker_along_is_told_by_its_last_words)
{
    last_words = PR_JOB_SIGNAL | SIGKILL;
    CU_ASSERT(failed(ending(LIBPOOL_KILLED, 0, SIGKILL), 137, SIGKILL));
    CU_ASSERT_STRING_EQUAL(said, "");
    last_words = 137;
    CU_ASSERT(failed(ending(LIBPOOL_KILLED, 0, SIGKILL), 137, 0));
    CU_ASSERT_STRING_EQUAL(said, "");
    CU_ASSERT(failed(ending(LIBPOOL_OOM, 0, SIGKILL), -1, SIGKILL));
    CU_ASSERT_PTR_NOT_NULL(strstr(said, "out of memory"));
    last_words = 0;
    CU_ASSERT(failed(ending(LIBPOOL_KILLED, 0, SIGKILL), -1, SIGKILL));
    CU_ASSERT_STRING_EQUAL(said, "killed: its text");
}

TEST(poolrun_ending, what_was_not_started_is_told_as_a_shell_does)
{
    CU_ASSERT(failed(ending(LIBPOOL_ERROR, PR_JOB_NO_START | ENOENT, 0), 127, 0));
    CU_ASSERT_STRING_EQUAL(said, "a b: No such file or directory (COMMAND is not run by a shell)");
    CU_ASSERT(failed(ending(LIBPOOL_ERROR, PR_JOB_NO_START | EACCES, 0), 126, 0));
    CU_ASSERT_STRING_EQUAL(said, "a b: Permission denied");
    CU_ASSERT(failed(ending(LIBPOOL_ERROR, PR_JOB_NO_OUTPUT | EMFILE, 0), 126, 0));
    CU_ASSERT_PTR_NOT_NULL(strstr(said, "output can't be opened"));
    CU_ASSERT(failed(ending(LIBPOOL_ERROR, -ENOMEM, 0), 126, 0));
    CU_ASSERT_STRING_EQUAL(said, "not started: Cannot allocate memory");
}

TEST(poolrun_ending, what_killed_it_is_told)
{
    CU_ASSERT(failed(ending(LIBPOOL_TIMEOUT, 0, 0), -1, SIGKILL));
    CU_ASSERT_PTR_NOT_NULL(strstr(said, "--timeout"));
    CU_ASSERT(failed(ending(LIBPOOL_MEMORY, 0, 0), -1, SIGKILL));
    CU_ASSERT_PTR_NOT_NULL(strstr(said, "--memory"));
    CU_ASSERT(failed(ending(LIBPOOL_OOM, 0, SIGKILL), -1, SIGKILL));
    CU_ASSERT_PTR_NOT_NULL(strstr(said, "out of memory"));
    CU_ASSERT(failed(ending(LIBPOOL_KILLED, 0, SIGTERM), -1, SIGTERM));
    CU_ASSERT_STRING_EQUAL(said, "killed: its text");
    CU_ASSERT(failed(ending(LIBPOOL_CRASH, 0, SIGSEGV), -1, SIGSEGV));
    CU_ASSERT_STRING_EQUAL(said, "crash: its text");
    CU_ASSERT(failed(ending(LIBPOOL_LOST, 0, 0), -1, 0));
    CU_ASSERT(ending(LIBPOOL_CANCELLED, 0, 0).is_dropped);
    CU_ASSERT(ending(LIBPOOL_SHUTDOWN, 0, 0).is_dropped);
}
