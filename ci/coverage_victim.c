/* SPDX-License-Identifier: MIT */
/*
 * What ci/coverage proves itself with: lines that only processes run which are killed, lines that
 * nobody runs, and memory that must stay private although the counters are shared.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static int private_to_each_process;

static void is_killed(void)
{
    private_to_each_process = 1; /* counted: 3 */
    kill(getpid(), SIGKILL);
}

static int returns(void)
{
    return 0; /* counted: 1 */
}

static int is_never_called(void)
{
    return 1; /* counted: 0 */
}

int main(int argc, char **argv)
{
    for (int i = 0; i < 3; i++) {
        pid_t pid = fork();
        if (pid == 0)
            is_killed();
        waitpid(pid, NULL, 0);
    }
    if (fork() == 0)
        return returns();
    wait(NULL);
    if (argc > 9)
        return is_never_called() + argv[0][0];
    return private_to_each_process; /* counted: 1 */
}
