/* SPDX-License-Identifier: MIT */
/*
 * The command itself, as a shell sees it: exit codes, and what goes to which stream. It is looked
 * for beside the binary of the tests.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/test.h"

/* Where files of a test live; gone with it. */
struct place {
    char directory[64];
    char command[PATH_MAX + 16];
    bool there; /* the command is */
};

static struct place make_place(void)
{
    struct place place = {.directory = "/tmp/chaos-command-XXXXXX"};
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (length < 0 || mkdtemp(place.directory) == NULL)
        return place;
    self[length] = '\0';
    *strrchr(self, '/') = '\0';
    snprintf(place.command, sizeof(place.command), "%s/chaos", self);
    place.there = access(place.command, X_OK) == 0;
    return place;
}

static void write_file(const struct place *place, const char *name, const char *text)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", place->directory, name);
    FILE *file = fopen(path, "we");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fputs(text, file);
    fclose(file);
}

#define WORDS_MAX 16

/* The child: becomes the command, in the place, with both streams in the pipe. */
static _Noreturn void become_command(const struct place *place, const char *arguments, int out_fd)
{
    char words[512];
    char *vector[WORDS_MAX] = {strdup(place->command)};
    snprintf(words, sizeof(words), "%s", arguments);
    char *at = words;
    for (size_t count = 1; *at != '\0' && count < WORDS_MAX - 1; count++) {
        vector[count] = at;
        at += strcspn(at, " ");
        if (*at == ' ')
            *at++ = '\0';
    }
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (chdir(place->directory) == 0 && dup2(nothing, 0) == 0 && dup2(out_fd, 1) == 1 &&
        dup2(out_fd, 2) == 2)
        execv(vector[0], vector);
    _exit(127);
}

/* Runs "chaos ARGUMENTS" in the place, both streams in one; the exit code, or -1. */
static int run_command(const struct place *place, const char *arguments, char *output, size_t size)
{
    int fds[2], status;
    char rest[512];
    size_t length = 0;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    int pid = fork();
    if (pid == 0)
        become_command(place, arguments, fds[1]);
    close(fds[1]);
    for (;;) {
        bool room = length < size - 1;
        ssize_t got = read(fds[0], room ? output + length : rest, room ? size - 1 - length : 512);
        if (got <= 0)
            break;
        length += room ? (size_t)got : 0;
    }
    output[length] = '\0';
    close(fds[0]);
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void remove_place(const struct place *place)
{
    DIR *directory = opendir(place->directory);
    CU_ASSERT_PTR_NOT_NULL_FATAL(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (unlinkat(dirfd(directory), entry->d_name, 0) < 0 && entry->d_name[0] != '.')
            unlinkat(dirfd(directory), entry->d_name, AT_REMOVEDIR);
    closedir(directory);
    CU_ASSERT_EQUAL(rmdir(place->directory), 0);
}

static const char good[] = "chaos 1\n"
                           "scenario \"ten tasks are ten tasks\"\n"
                           "pool p workers=1\n"
                           "load\n"
                           "  submit 10 task=noop\n"
                           "expect\n"
                           "  counter tasks_received == 10\n";

static const char wrong[] = "chaos 1\n"
                            "scenario \"ten tasks are eleven\"\n"
                            "pool p workers=1\n"
                            "load\n"
                            "  submit 10 task=noop\n"
                            "expect\n"
                            "  counter tasks_received == 11\n";

static const char two_mistakes[] = "chaos 1\n"
                                   "scenario \"x\"\n"
                                   "  limit 20\n"
                                   "pool p workers=x\n"
                                   "expect\n"
                                   "  invariant all\n";

static unsigned count_of(const char *text, const char *word)
{
    unsigned count = 0;
    for (; (text = strstr(text, word)) != NULL; text++)
        count++;
    return count;
}

TEST(command, lint_tells_all_mistakes_and_exits_2)
{
    char output[8192];
    struct place place = make_place();
    if (!place.there) {
        remove_place(&place);
        TEST_SKIP("the command is not built");
    }
    write_file(&place, "bad.chaos", two_mistakes);
    write_file(&place, "good.chaos", good);
    CU_ASSERT_EQUAL(run_command(&place, "lint bad.chaos", output, sizeof(output)), 2);
    CU_ASSERT_EQUAL(count_of(output, ": error: "), 2);
    CU_ASSERT_EQUAL(run_command(&place, "lint good.chaos", output, sizeof(output)), 0);
    CU_ASSERT_EQUAL(run_command(&place, "lint .", output, sizeof(output)), 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(output, "1 of 2 files have mistakes"));
    CU_ASSERT_EQUAL(run_command(&place, "run .", output, sizeof(output)), 2);
    CU_ASSERT_PTR_NULL(strstr(output, "passed"));
    remove_place(&place);
}

TEST(command, what_leads_nowhere_exits_2)
{
    static const char *const rows[][2] = {
        {"", "usage:"},
        {"frobnicate x", "there is no command 'frobnicate'"},
        {"lint", "'lint' needs a path"},
        {"run", "'run' needs a path"},
        {"lint missing.chaos", "missing.chaos: error: No such file"},
        {"lint empty", "empty: error: there is no *.chaos file"},
        {"run empty", "empty: error: there is no *.chaos file"},
        {"must-fail good.chaos", "it has no 'must-fail' line"},
        {"run good.chaos --seed x", "'x' is not a number"},
        {"run good.chaos -j 0", "'0' is not a number that fits"},
        {"run good.chaos --world sim", "there is no world 'sim'"},
        {"run good.chaos --require gpu", "'gpu' is not a capability"},
        {"run good.chaos --matrix how=x", "there is no scenario to run"},
        {"run good.chaos --evidence nowhere/x", "--evidence nowhere/x: No such file"},
        {"run good.chaos --evidence good.chaos", "--evidence good.chaos: Not a directory"},
        {"explain nonsense", "nothing is called 'nonsense'"},
        {"explain limt", "did you mean 'limit'?"},
        {"run --frob", "frob"},
    };
    char output[8192];
    struct place place = make_place();
    if (!place.there) {
        remove_place(&place);
        TEST_SKIP("the command is not built");
    }
    write_file(&place, "good.chaos", good);
    write_file(&place, "empty.txt", "");
    char empty[128];
    snprintf(empty, sizeof(empty), "%s/empty", place.directory);
    CU_ASSERT_EQUAL(mkdir(empty, 0700), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int code = run_command(&place, rows[i][0], output, sizeof(output));
        bool said = strstr(output, rows[i][1]) != NULL;
        CU_assertImplementation(code == 2 && said, __LINE__, rows[i][0], __FILE__, "", CU_FALSE);
    }
    remove_place(&place);
}

TEST(command, a_failure_leaves_its_history_and_the_way_to_run_it_again)
{
    char output[8192], replay[PATH_MAX + 64], path[128];
    struct stat status;
    struct place place = make_place();
    if (!place.there) {
        remove_place(&place);
        TEST_SKIP("the command is not built");
    }
    write_file(&place, "bad.chaos", wrong);
    CU_ASSERT_EQUAL(
        run_command(&place, "run bad.chaos --evidence kept --seed 7", output, sizeof(output)), 1);
    snprintf(replay, sizeof(replay), "replay: %s run bad.chaos --seed 0x7\n", place.command);
    CU_ASSERT_PTR_NOT_NULL(strstr(output, replay));
    snprintf(path, sizeof(path), "%s/kept/bad.chaos-0-0.history", place.directory);
    CU_ASSERT(stat(path, &status) == 0 && status.st_size > 100);
    CU_ASSERT_EQUAL(unlink(path), 0);
    remove_place(&place);
}

TEST(command, trouble_that_is_not_named_is_told_as_such)
{
    static const char unnamed[] = "chaos 1\n"
                                  "scenario \"a task fails\"\n"
                                  "pool p workers=1\n"
                                  "load\n"
                                  "  submit 1 task=fail code=1\n"
                                  "expect\n"
                                  "  counter ended.error == 1\n";
    char output[8192];
    struct place place = make_place();
    if (!place.there) {
        remove_place(&place);
        TEST_SKIP("the command is not built");
    }
    write_file(&place, "bad.chaos", unnamed);
    CU_ASSERT_EQUAL(run_command(&place, "run bad.chaos", output, sizeof(output)), 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(output, "bad.chaos:6:1: FAIL: counter tasks_failed\n"
                                          "      expected 0, as it is not named in 'expect'\n"));
    remove_place(&place);
}

TEST(command, help_version_list_and_explain_exit_0)
{
    static const char *const rows[][2] = {
        {"--help", "usage:"},   {"--version", "chaos "},     {"list .", "ten tasks are ten tasks"},
        {"explain", "counter"}, {"explain memcg", "limit="},
    };
    char output[32768];
    struct place place = make_place();
    if (!place.there) {
        remove_place(&place);
        TEST_SKIP("the command is not built");
    }
    write_file(&place, "good.chaos", good);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CU_ASSERT_EQUAL(run_command(&place, rows[i][0], output, sizeof(output)), 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(output, rows[i][1]));
    }
    remove_place(&place);
}

TEST(command, a_run_says_its_seed_and_writes_its_reports)
{
    char output[8192], path[128];
    struct stat status;
    struct place place = make_place();
    if (!place.there) {
        remove_place(&place);
        TEST_SKIP("the command is not built");
    }
    write_file(&place, "good.chaos", good);
    CU_ASSERT_EQUAL(run_command(&place, "run good.chaos --seed 0x2a --junit j.xml --json j.json",
                                output, sizeof(output)),
                    0);
    CU_ASSERT_PTR_NOT_NULL(strstr(output, "1 passed, 0 failed"));
    CU_ASSERT_PTR_NOT_NULL(strstr(output, "seed 0x2a"));
    snprintf(path, sizeof(path), "%s/j.xml", place.directory);
    CU_ASSERT(stat(path, &status) == 0 && status.st_size > 100);
    snprintf(path, sizeof(path), "%s/j.json", place.directory);
    CU_ASSERT(stat(path, &status) == 0 && status.st_size > 100);
    CU_ASSERT_EQUAL(run_command(&place, "run good.chaos --json /nowhere/x", output, sizeof(output)),
                    5);
    CU_ASSERT_EQUAL(run_command(&place, "run good.chaos --tap", output, sizeof(output)), 0);
    CU_ASSERT_EQUAL(strncmp(output, "TAP version 13\n", 15), 0);
    remove_place(&place);
}
