/* SPDX-License-Identifier: MIT */
#include "os/child.h"

#include "base/text.h"
#include "os/fds.h"
#include "os/file.h"
#include "os/lifeline.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define NAME_BYTES 16
#define OOM_SCORE "/proc/self/oom_score_adj"
#define OOM_SCORE_STEP 500
#define OOM_SCORE_MAX 1000

void lp_child_reset_signals(void)
{
    const struct sigaction action = {.sa_handler = SIG_DFL};
    for (int number = 1; number < NSIG; number++)
        (void)lp_sys.sigaction(number, &action, NULL);
}

void lp_child_set_name(const char *name, const char *suffix)
{
    char whole[NAME_BYTES];
    size_t space = sizeof(whole) - 1 - strlen(":") - strlen(suffix);
    struct lp_text head = lp_text_begin(whole, space + 1);
    lp_text_add(&head, name);
    struct lp_text tail = {.at = head.at, .left = (size_t)(whole + sizeof(whole) - head.at)};
    lp_text_add(&tail, ":");
    lp_text_add(&tail, suffix);
    (void)lp_sys.prctl(PR_SET_NAME, (unsigned long)(uintptr_t)whole);
}

int lp_child_worse_oom_score(void)
{
    char text[16];
    if (lp_file_read(AT_FDCWD, OOM_SCORE, text, sizeof(text)) <= 0)
        return OOM_SCORE_MAX;
    long score = strtol(text, NULL, 10);
    return score > OOM_SCORE_MAX - OOM_SCORE_STEP ? OOM_SCORE_MAX : (int)score + OOM_SCORE_STEP;
}

static void set_oom_score(int score)
{
    char text[16];
    struct lp_text number = lp_text_begin(text, sizeof(text));
    lp_text_add_number(&number, score);
    (void)lp_file_write(AT_FDCWD, OOM_SCORE, text);
}

static void name_worker(const struct lp_child_plan *plan)
{
    char digits[12];
    struct lp_text text = lp_text_begin(digits, sizeof(digits));
    lp_text_add_number(&text, plan->number);
    lp_child_set_name(plan->options->name, digits);
}

/* As the kernel would have done a moment later. */
static _Noreturn void die_with_the_others(void)
{
    (void)lp_sys.kill(getpid(), SIGKILL);
    _exit(LP_CHILD_UNPREPARED);
}

/* The doorbell and the lifeline are all it keeps beside 0, 1 and 2. */
static int keep_fds(const struct lp_child_plan *plan)
{
    int fds[2] = {plan->doorbell_fd, plan->lifeline_fd};
    if (plan->lifeline_fd >= 0)
        fds[1] = lp_lifeline_arm(plan->lifeline_fd);
    if (fds[1] == -EPIPE)
        die_with_the_others();
    return lp_fds_keep(fds, fds[1] >= 0 ? 2 : 1);
}

/* A worker that was never reported must not outlive the zygote; worker_main lifts this again. */
static void die_with_zygote(const struct lp_child_plan *plan)
{
    (void)lp_sys.prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != plan->zygote_pid)
        die_with_the_others(); /* it died before that */
}

_Noreturn void lp_child_run(const struct lp_child_plan *plan)
{
    die_with_zygote(plan);
    /* First the cgroup: what it does not hold, cgroup.kill does not reach. */
    if (plan->makes_directories) /* here, while the zygote goes on; if that fails, entering does */
        (void)lp_cgroup_prepare(plan->cgroup, plan->slot);
    if (lp_cgroup_enter(plan->cgroup, plan->slot) < 0)
        _exit(LP_CHILD_UNPREPARED);
    (void)lp_sys.setsid();
    (void)lp_sys.prctl(PR_SET_CHILD_SUBREAPER, 1);
    name_worker(plan);
    set_oom_score(plan->oom_score);
    if (keep_fds(plan) < 0)
        _exit(LP_CHILD_UNPREPARED);
    static const sigset_t none;
    (void)lp_sys.signal_mask(SIG_SETMASK, &none, NULL);
    plan->options->worker_main(plan->options->context, plan->slot, plan->number, plan->generation);
    _exit(0);
}
