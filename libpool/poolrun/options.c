/* SPDX-License-Identifier: MIT */
/* options: the command line in, a struct or one sentence about what is wrong out. */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define N(array_) (sizeof(array_) / sizeof((array_)[0]))
#define JOBS_MAX 4000u
#define RETRIES_MAX 1000000u
#define BYTES_LEAST (1u << 20)
#define BYTES_MOST (1ull << 50)

const char pr_options_help[] =
    "usage: poolrun [OPTIONS] [COMMAND [ARGS]]  <LINES\n"
    "Runs one job for each line, several at once, each with whatever it starts under control.\n"
    "\n"
    "Without COMMAND each line is a command of its own, run by `sh -c`. With COMMAND it is run\n"
    "for each line, without a shell: {} in it stands for the line, {#} for the number of the job\n"
    "(which is that of the line, from 1), {%} for its place among those that run at once (1 to "
    "N).\n"
    "Where none of the three is in it, the line becomes the last argument. A line is always one\n"
    "argument, or a part of one, whatever characters it has. An empty line is a job,\n"
    "too: with an empty argument, or an empty command, which succeeds.\n"
    "\n"
    "  ls *.wav | poolrun flac --best           compress all, on all CPUs\n"
    "  ls *.png | poolrun -j 4 --timeout 10s convert {} -resize 100 small/{}\n"
    "                                           a picture that takes longer is given up\n"
    "  poolrun --joblog log --resume --retries 2 -a commands.txt\n"
    "                                           go on where the last run was interrupted\n"
    "\n"
    "  -j, --jobs N         run N at once (as many as there are CPUs to use)\n"
    "  -a, --arg-file FILE  read lines from FILE, not from standard input\n"
    "  -0, --null           lines end with a zero byte, as those of find -print0\n"
    "      --timeout TIME   kill a job, with all it has started, after TIME (500ms, 10s, 2m,\n"
    "                       1h; a bare number is seconds)\n"
    "      --memory SIZE    kill a job when it takes, with all it has started, more than SIZE "
    "(500M,\n"
    "                       2G). The kernel does it where it can, files the job touches included;\n"
    "                       else poolrun looks at their memory every 100 ms\n"
    "      --retries N      run a job that failed again, up to N more times\n"
    "      --halt WHEN,WHY  stop early. WHEN: `soon` starts no more, `now` kills what runs, too.\n"
    "                       WHY: fail=N, success=N or done=N jobs; or N% of those that have\n"
    "                       ended, three at least\n"
    "      --joblog FILE    write a line for each job that has ended, in GNU parallel's columns\n"
    "      --resume         skip the jobs that are in the job log, whatever they came to\n"
    "      --group          print what a job wrote when it has ended (the default)\n"
    "  -k, --keep-order     the same, in the order of the lines\n"
    "      --line-buffer    print each line when it is complete\n"
    "  -u, --ungroup        let jobs write for themselves\n"
    "      --progress       show how far it is, when standard error is a terminal\n"
    "      --dry-run        print the commands, run nothing\n"
    "  -h, --help           this text\n"
    "      --version        the version of libpool\n"
    "\n"
    "A job reads /dev/null, has no terminal, and leads a process group. It has ended when its\n"
    "first process has; what that left behind is killed. What it writes waits in files without a\n"
    "name in $TMPDIR (/tmp), so memory is bounded; standard output comes before standard error. A\n"
    "job has failed when it exits with anything but 0, dies of a signal, overruns --timeout, or\n"
    "can't be started (127: no such command, 126: another reason). What a failed attempt wrote is\n"
    "dropped if another follows. In the job log Exitval is -1 when --timeout, --memory or the\n"
    "kernel, out of memory, has killed the job, and 128 + N after another signal N; jobs that\n"
    "--halt now or a signal to poolrun has ended are not in it: --resume runs them. If poolrun\n"
    "is killed itself, by whatever signal, its jobs are dead within a second.\n"
    "\n"
    "SIGINT or SIGTERM: no more jobs are started, those that run may finish; once more: they are\n"
    "killed. Exit status: 0 all jobs succeeded; 1 to 100 so many failed; 101 more than 100 did;\n"
    "128 + N stopped by signal N; 255 anything else.\n";

enum {
    JOBS = 'j',
    ARG_FILE = 'a',
    ZERO = '0',
    KEEP_ORDER = 'k',
    UNGROUP = 'u',
    HELP = 'h'
};
enum {
    TIMEOUT = 256,
    MEMORY,
    RETRIES,
    HALT,
    JOBLOG,
    RESUME,
    GROUP,
    LINE_BUFFER,
    PROGRESS,
    DRY_RUN,
    VERSION
};

static const struct option known[] = {
    {"jobs", required_argument, NULL, JOBS},
    {"arg-file", required_argument, NULL, ARG_FILE},
    {"null", no_argument, NULL, ZERO},
    {"timeout", required_argument, NULL, TIMEOUT},
    {"memory", required_argument, NULL, MEMORY},
    {"retries", required_argument, NULL, RETRIES},
    {"halt", required_argument, NULL, HALT},
    {"joblog", required_argument, NULL, JOBLOG},
    {"resume", no_argument, NULL, RESUME},
    {"group", no_argument, NULL, GROUP},
    {"keep-order", no_argument, NULL, KEEP_ORDER},
    {"line-buffer", no_argument, NULL, LINE_BUFFER},
    {"ungroup", no_argument, NULL, UNGROUP},
    {"progress", no_argument, NULL, PROGRESS},
    {"dry-run", no_argument, NULL, DRY_RUN},
    {"help", no_argument, NULL, HELP},
    {"version", no_argument, NULL, VERSION},
    {NULL, 0, NULL, 0},
};

/* ---- values --------------------------------------------------------------------------------- */

int pr_options_parse_ms(const char *text, uint32_t *ms)
{
    static const struct {
        const char *name;
        double ms;
    } units[] = {{"", 1e3}, {"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}, {"d", 86400e3}};
    size_t n = strspn(text, "0123456789.");
    if (!isdigit((unsigned char)*text) || n > 15)
        return -EINVAL;
    char *end;
    double number = strtod(text, &end);
    if (end != text + n)
        return -EINVAL;
    for (size_t i = 0; i < N(units); i++) {
        double value = number * units[i].ms;
        if (strcmp(end, units[i].name) == 0 && value >= 1 && value <= UINT32_MAX) {
            *ms = (uint32_t)value;
            return 0;
        }
    }
    return -EINVAL;
}

int pr_options_parse_bytes(const char *text, uint64_t *bytes)
{
    static const char units[] = "KMGT";
    size_t n = strspn(text, "0123456789.");
    char *end;
    if (!isdigit((unsigned char)*text) || n > 15)
        return -EINVAL;
    double number = strtod(text, &end);
    const char *unit = *end ? strchr(units, *end) : NULL;
    if (end != text + n || (*end && (!unit || end[1])))
        return -EINVAL;
    for (const char *u = units; unit && u <= unit; u++)
        number *= 1024;
    if (number < (double)BYTES_LEAST || number > (double)BYTES_MOST)
        return -EINVAL;
    *bytes = (uint64_t)number;
    return 0;
}

static int parse_number(const char *text, uint32_t least, uint32_t most, uint32_t *number)
{
    char *end;
    if (!isdigit((unsigned char)*text))
        return -EINVAL;
    unsigned long long value = strtoull(text, &end, 10);
    if (*end || value < least || value > most)
        return -EINVAL;
    *number = (uint32_t)value;
    return 0;
}

static int parse_value(struct pr_options *options, int letter, const char *value,
                       struct pr_text *error)
{
    const char *name = "", *expected = "";
    int wrong = 0;
    switch (letter) {
    case JOBS:
        name = "--jobs", expected = "a number from 1 to 4000";
        wrong = parse_number(value, 1, JOBS_MAX, &options->jobs);
        break;
    case TIMEOUT:
        name = "--timeout", expected = "a time such as 500ms, 10s, 2m; a bare number is seconds";
        wrong = pr_options_parse_ms(value, &options->timeout_ms);
        break;
    case MEMORY:
        name = "--memory", expected = "a size such as 500M or 2G, of 1M at least";
        wrong = pr_options_parse_bytes(value, &options->memory_bytes);
        break;
    case RETRIES:
        name = "--retries", expected = "a number from 0 to 1000000";
        wrong = parse_number(value, 0, RETRIES_MAX, &options->retries);
        break;
    default:
        name = "--halt", expected = "a rule such as now,fail=1 or soon,fail=10%";
        wrong = pr_halt_parse(value, &options->halt);
    }
    if (wrong)
        pr_text_say(error, "%s: \"%s\": expected %s", name, value, expected);
    return wrong;
}

/* ---- unknown options ------------------------------------------------------------------------ */

/* How many characters have to be changed, put in or left out; names are short. */
static size_t distance(const char *a, const char *b)
{
    size_t row[32], m = strlen(b);
    if (strlen(a) >= N(row) || m >= N(row))
        return N(row);
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            size_t other = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < other ? change : other;
        }
    }
    return row[m];
}

static void say_unknown(struct pr_text *error, const char *word)
{
    const char *best = NULL;
    size_t least = 4, n = strcspn(word, "=");
    pr_text_say(error, "there is no option %.*s", (int)n, word);
    if (strncmp(word, "--", 2) != 0)
        return;
    char name[32] = "";
    if (n - 2 < sizeof name)
        memcpy(name, word + 2, n - 2);
    for (size_t i = 0; known[i].name; i++) {
        bool is_start = *name && strncmp(name, known[i].name, strlen(name)) == 0;
        size_t far = is_start ? 0 : distance(name, known[i].name);
        if (far < least && far < strlen(known[i].name))
            least = far, best = known[i].name;
    }
    if (best)
        pr_text_say(error, "; did you mean --%s?", best);
}

/* What those who come from xargs write; NULL: nothing of its. */
static const char *hint_for(int letter)
{
    switch (letter) {
    case 'P': return "xargs -P N is -j N";
    case 'n':
    case 'L': return "a line is a job";
    case 'I': return "{} stands for the line";
    case 'd': return "lines end with a newline, or with -0";
    default: return NULL;
    }
}

static void say_no_letter(struct pr_text *error, int letter)
{
    const char *hint = hint_for(letter);
    pr_text_say(error, "there is no option -%c%s%s", letter, hint ? "; " : "", hint ? hint : "");
}

/* Told apart by getopt: ':' a value is missing, '?' unknown, ambiguous, or a value too many. */
static void say_wrong(struct pr_text *error, int letter, char **argv)
{
    const char *word = argv[optind - 1];
    if (letter == ':' && strncmp(word, "--", 2) != 0)
        pr_text_say(error, "-%c: a value is missing", optopt);
    else if (letter == ':')
        pr_text_say(error, "%s: a value is missing", word);
    else if (optopt > 255 || (optopt && strncmp(word, "--", 2) == 0))
        pr_text_say(error, "%.*s: takes no value", (int)strcspn(word, "="), word);
    else if (optopt)
        say_no_letter(error, optopt);
    else
        say_unknown(error, word);
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* False: it is none that is only set. */
static bool set(struct pr_options *options, int letter)
{
    switch (letter) {
    case ARG_FILE: options->arg_file = optarg; return true;
    case JOBLOG: options->joblog = optarg; return true;
    case ZERO: return options->null = true;
    case RESUME: return options->resume = true;
    case KEEP_ORDER: return options->keep_order = true;
    case PROGRESS: return options->progress = true;
    case DRY_RUN: return options->dry_run = true;
    case GROUP: options->grouping = PR_GROUP; return true;
    case LINE_BUFFER: options->grouping = PR_LINE_BUFFER; return true;
    case UNGROUP: options->grouping = PR_UNGROUP; return true;
    default: return false;
    }
}

/* What those write who come from GNU parallel; NULL: nothing of its. */
static const char *separator_in(char *const *command)
{
    for (; *command; command++)
        if (!strcmp(*command, ":::") || !strcmp(*command, "::::") || !strcmp(*command, ":::+") ||
            !strcmp(*command, "::::+"))
            return *command;
    return NULL;
}

static enum pr_wish check(const struct pr_options *options, struct pr_text *error)
{
    const char *separator = separator_in(options->command);
    if (separator)
        pr_text_say(error, "'%s' is not known; give the lines on standard input, or -a FILE",
                    separator);
    else if (options->resume && !options->joblog)
        pr_text_say(error, "--resume needs --joblog FILE: it skips what that has");
    else if (options->keep_order && options->grouping != PR_GROUP)
        pr_text_say(error, "--keep-order prints whole jobs: not with --line-buffer or --ungroup");
    return error->n ? PR_WISH_WRONG : PR_WISH_RUN;
}

enum pr_wish pr_options_parse(int argc, char **argv, struct pr_options *options,
                              struct pr_text *error)
{
    int letter;
    *options = (struct pr_options){.jobs = 0};
    optind = 0; /* anew; the plus sign: COMMAND's own options are not ours */
    opterr = 0;
    while ((letter = getopt_long(argc, argv, "+:j:a:0kuh", known, NULL)) != -1) {
        if (letter == HELP)
            return PR_WISH_HELP;
        if (letter == VERSION)
            return PR_WISH_VERSION;
        if (letter == '?' || letter == ':') {
            say_wrong(error, letter, argv);
            return PR_WISH_WRONG;
        }
        if (!set(options, letter) && parse_value(options, letter, optarg, error))
            return PR_WISH_WRONG;
    }
    options->command = argv + optind;
    return check(options, error);
}
