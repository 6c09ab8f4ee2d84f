/* SPDX-License-Identifier: MIT */
/* ending: a job that ends by itself is told by the task's code, all else by how its worker died. */
#include "ending.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "job.h"

#define NO_SUCH_COMMAND 127
#define NO_START 126
#define SIGNALLED 128

static struct pr_ending not_started(int error, const char *program, struct pr_text *why)
{
    bool has_blank = error == ENOENT && strpbrk(program, " \t") != NULL;
    pr_text_say(why, "%s: %s%s", program, strerror(error),
                has_blank ? " (COMMAND is not run by a shell)" : "");
    return (struct pr_ending){.has_failed = true,
                              .exit_value = error == ENOENT ? NO_SUCH_COMMAND : NO_START};
}

static struct pr_ending by_code(int code, const char *program, struct pr_text *why)
{
    int value = PR_JOB_VALUE(code);
    if (code < 0) { /* libpool's: the task was not begun */
        pr_text_say(why, "not started: %s", strerror(-code));
        return (struct pr_ending){.has_failed = true, .exit_value = NO_START};
    }
    if (code & PR_JOB_NO_START)
        return not_started(value, program, why);
    if (code & PR_JOB_NO_OUTPUT) {
        pr_text_say(why, "its output can't be opened: %s", strerror(value));
        return (struct pr_ending){.has_failed = true, .exit_value = NO_START};
    }
    if (code & PR_JOB_SIGNAL)
        return (struct pr_ending){
            .has_failed = true, .exit_value = SIGNALLED + value, .signal = value};
    return (struct pr_ending){.has_failed = true, .exit_value = value};
}

struct pr_ending pr_ending_of(const libpool_result *result, int last_words, const char *program,
                              struct pr_text *why)
{
    libpool_cause cause = result->cause;
    struct pr_ending ending = {.has_failed = true, .exit_value = -1, .signal = result->signal};
    if (cause == LIBPOOL_COMPLETED)
        return (struct pr_ending){.exit_value = 0};
    if (cause == LIBPOOL_ERROR)
        return by_code(result->code, program, why);
    if (cause == LIBPOOL_CANCELLED || cause == LIBPOOL_SHUTDOWN)
        return (struct pr_ending){.is_dropped = true};
    if (cause == LIBPOOL_KILLED && last_words)
        return by_code(last_words, program, why);
    if (cause == LIBPOOL_TIMEOUT)
        pr_text_say(why, "killed: it took longer than --timeout");
    else if (cause == LIBPOOL_MEMORY)
        pr_text_say(why, "killed: it took more memory than --memory");
    else if (cause == LIBPOOL_OOM)
        pr_text_say(why, "killed by the kernel: out of memory");
    else
        pr_text_say(why, "%s: %s", libpool_cause_name(cause), result->text);
    if (cause == LIBPOOL_TIMEOUT || cause == LIBPOOL_MEMORY)
        ending.signal = SIGKILL;
    return ending;
}
