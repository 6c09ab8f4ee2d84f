/* SPDX-License-Identifier: MIT */
/*
 * The command: what the words on the command line mean. Each subcommand is a row of a table; what
 * they do stands elsewhere.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chaos/arena.h"
#include "chaos/find.h"
#include "chaos/parse.h"
#include "chaos/report.h"
#include "chaos/run.h"
#include "chaos/suite.h"
#include "chaos/vocabulary.h"

#define EXIT_USAGE 2
#define EXIT_SKIPPED 4
#define EXIT_HARNESS 5
#define REQUIRED_MAX CH_CAPABILITIES

struct arguments {
    const char *command; /* argv[0] */
    char *const *operands;
    unsigned jobs;
    uint64_t seed;
    bool seed_given;
    uint32_t repeats;
    bool verbose;
    bool tap;
    bool must_fail; /* the subcommand is must-fail */
    const char *junit_path;
    const char *json_path;
    const char *evidence_dir;
    const char *matrix; /* NAME=VALUE: only this one */
    enum ch_capability required[REQUIRED_MAX];
    size_t required_count;
};

/* All scenarios that the operands lead to. */
struct loaded {
    struct ch_arena *arena;
    const struct ch_scenario **scenarios;
    size_t count;
    size_t files;
    size_t bad_files;
    size_t left_out; /* with a must-fail line, below a directory, for `run` */
};

static const char usage[] =
    "usage: chaos run PATH...        run scenarios: files, or directories of *.chaos\n"
    "       chaos must-fail PATH...  run scenarios that have to be objected to\n"
    "       chaos lint PATH...       find all mistakes, run nothing\n"
    "       chaos list PATH...       say what is there\n"
    "       chaos explain [WORD]     explain the language\n"
    "       chaos doctor             say what this machine can do\n"
    "\n"
    "  -j N             so many at once (1)\n"
    "  --seed S         the seed of all choices (drawn, and printed)\n"
    "  --repeat N       run each so often\n"
    "  --matrix K=V     only this value of the matrix\n"
    "  --require CAP    a machine without this capability is a failure\n"
    "  --tap            report as TAP 13 on standard output\n"
    "  --junit FILE     report as JUnit XML, too\n"
    "  --json FILE      report as JSON, too\n"
    "  --evidence DIR   keep the history of runs that did not pass; made if it is missing\n"
    "  --world real     the world to run in; there is only this one\n"
    "  -v, --verbose    say more\n"
    "  -h, --help  --version\n"
    "\n"
    "exit code: 0 all passed, 1 failed, 2 mistake in a file or on the command line,\n"
    "           3 inconclusive, 4 all skipped or a required capability missing, 5 harness broke\n";

/* ---- Loading ----------------------------------------------------------------------------- */

static bool wanted(const struct ch_scenario *scenario, const struct arguments *arguments)
{
    char value[256];
    if (arguments->matrix == NULL)
        return true;
    if (scenario->matrix_name == NULL)
        return false;
    snprintf(value, sizeof(value), "%s=%s", scenario->matrix_name, scenario->matrix_value);
    return strcmp(value, arguments->matrix) == 0;
}

static void add_file(struct loaded *loaded, const struct ch_file *file, bool named,
                     const struct arguments *arguments, bool running)
{
    for (size_t i = 0; i < file->scenarios_count; i++) {
        const struct ch_scenario *scenario = &file->scenarios[i];
        bool other = (scenario->must_fail != NULL) != arguments->must_fail;
        if (!wanted(scenario, arguments))
            continue;
        if (running && other && !named) {
            loaded->left_out++;
            continue;
        }
        loaded->scenarios = ch_arena_grow(loaded->arena, loaded->scenarios, loaded->count,
                                          sizeof(loaded->scenarios[0]));
        loaded->scenarios[loaded->count++] = scenario;
    }
}

/* All diagnostics of all files go to stderr. False when there were any, or no scenario at all. */
static bool load(const struct arguments *arguments, bool running, struct loaded *loaded)
{
    struct ch_found_list found;
    *loaded = (struct loaded){.arena = ch_arena_new()};
    bool fine = ch_find_scenarios(arguments->operands, loaded->arena, &found, stderr);
    for (size_t i = 0; i < found.count; i++) {
        struct ch_diagnostics diagnostics;
        const struct ch_file *file = ch_parse_file(found.items[i].path, loaded->arena,
                                                   &diagnostics);
        loaded->files++;
        if (file != NULL) {
            add_file(loaded, file, found.items[i].named, arguments, running);
            continue;
        }
        ch_diagnostics_print(&diagnostics, stderr);
        loaded->bad_files++;
    }
    if (fine && loaded->bad_files == 0 && loaded->count == 0) {
        fprintf(stderr, "chaos: there is no scenario to %s in what was named\n",
                running ? "run" : "read");
        return false;
    }
    return fine && loaded->bad_files == 0;
}

/* ---- lint, list, explain, doctor --------------------------------------------------------- */

static int lint(const struct arguments *arguments)
{
    struct loaded loaded;
    bool fine = load(arguments, false, &loaded);
    if (fine)
        printf("%zu files, %zu scenarios, no mistake\n", loaded.files, loaded.count);
    else if (loaded.bad_files > 0)
        fprintf(stderr, "%zu of %zu files have mistakes\n", loaded.bad_files, loaded.files);
    ch_arena_free(loaded.arena);
    return fine ? 0 : EXIT_USAGE;
}

static void print_scenario(const struct ch_scenario *scenario)
{
    printf("%s", scenario->path);
    if (scenario->matrix_name != NULL)
        printf(" [%s=%s]", scenario->matrix_name, scenario->matrix_value);
    printf("\n    %s\n", scenario->title);
    for (size_t i = 0; i < scenario->needs_count; i++)
        printf("%s%s%s", i == 0 ? "    needs " : " ",
               ch_vocabulary_name(CH_FAMILY_CAPABILITY, (int)scenario->needs[i].capability),
               i + 1 == scenario->needs_count ? "\n" : "");
    if (scenario->must_fail != NULL)
        printf("    must fail by %s\n", scenario->must_fail);
}

static int list(const struct arguments *arguments)
{
    struct loaded loaded;
    bool fine = load(arguments, false, &loaded);
    for (size_t i = 0; i < loaded.count; i++)
        print_scenario(loaded.scenarios[i]);
    ch_arena_free(loaded.arena);
    return fine ? 0 : EXIT_USAGE;
}

static int explain(const struct arguments *arguments)
{
    const char *word = arguments->operands[0];
    if (ch_explain(word, stdout) == 0)
        return 0;
    const char *best = NULL;
    for (int i = 0; i < CH_FAMILIES; i++) {
        const char *suggestion = ch_vocabulary_suggest((enum ch_family)i, word);
        if (suggestion != NULL && best == NULL)
            best = suggestion;
    }
    fprintf(stderr, "chaos: nothing is called '%s'%s%s%s\n", word,
            best != NULL ? ", did you mean '" : "", best != NULL ? best : "",
            best != NULL ? "'?" : "");
    return EXIT_USAGE;
}

static int doctor(const struct arguments *arguments)
{
    (void)arguments;
    return ch_doctor(stdout) == 0 ? 0 : EXIT_HARNESS;
}

/* ---- run, must-fail ---------------------------------------------------------------------- */

static struct ch_suite make_suite(const struct arguments *arguments, const struct loaded *loaded)
{
    struct ch_suite suite = {
        .command = arguments->command, .seed = arguments->seed, .must_fail = arguments->must_fail};
    suite.count = loaded->count * arguments->repeats;
    suite.entries = ch_arena_take(loaded->arena, suite.count * sizeof(suite.entries[0]));
    for (size_t i = 0; i < suite.count; i++) {
        uint32_t repeat = (uint32_t)(i % arguments->repeats);
        suite.entries[i].scenario = loaded->scenarios[i / arguments->repeats];
        suite.entries[i].result.index = (uint32_t)i;
        suite.entries[i].result.repeat = repeat;
        suite.entries[i].result.seed = ch_seed_of_repeat(suite.seed, repeat);
    }
    return suite;
}

static bool write_report(const char *path, void (*report)(const struct ch_suite *, FILE *),
                         const struct ch_suite *suite)
{
    if (path == NULL)
        return true;
    FILE *file = fopen(path, "we");
    if (file != NULL)
        report(suite, file);
    bool written = file != NULL && ferror(file) == 0;
    if (file != NULL && fclose(file) != 0)
        written = false;
    if (!written)
        fprintf(stderr, "chaos: %s: %s\n", path, strerror(errno));
    return written;
}

static void show_progress(const struct ch_suite *suite, void *context)
{
    ch_report_progress(suite, context);
}

/* Each capability that --require names; false when one is missing. */
static bool have_required(const struct arguments *arguments)
{
    bool all = true;
    for (size_t i = 0; i < arguments->required_count; i++) {
        char why[256] = "";
        enum ch_capability capability = arguments->required[i];
        if (ch_capability_probe(capability, why, sizeof(why)) == 0)
            continue;
        fprintf(stderr, "chaos: this machine lacks %s: %s\n",
                ch_vocabulary_name(CH_FAMILY_CAPABILITY, (int)capability), why);
        all = false;
    }
    return all;
}

static int report_suite(const struct arguments *arguments, const struct ch_suite *suite)
{
    if (arguments->tap)
        ch_report_tap(suite, stdout);
    else
        ch_report_human(suite, arguments->verbose, stdout);
    bool junit = write_report(arguments->junit_path, ch_report_junit, suite);
    bool json = write_report(arguments->json_path, ch_report_json, suite);
    if (fflush(stdout) != 0 || !junit || !json)
        return EXIT_HARNESS;
    return ch_suite_exit_code(suite);
}

static int run_suite(const struct arguments *arguments, struct loaded *loaded)
{
    struct ch_suite suite = make_suite(arguments, loaded);
    bool terminal = isatty(STDERR_FILENO) == 1;
    struct ch_suite_options options = {
        .jobs = arguments->jobs,
        .verbose = arguments->verbose,
        .evidence_dir = arguments->evidence_dir,
        .run = ch_run_scenario,
        .changed = terminal ? show_progress : NULL,
        .context = stderr,
    };
    if (loaded->left_out > 0 && !arguments->tap)
        printf("%zu scenarios left to `chaos %s`\n", loaded->left_out,
               arguments->must_fail ? "run" : "must-fail");
    int error = ch_suite_run(&suite, &options);
    if (terminal)
        ch_report_progress_clear(stderr);
    if (error < 0)
        fprintf(stderr, "chaos: can't start a process: %s\n", strerror(-error));
    return report_suite(arguments, &suite);
}

/* Before anything is run: a failure whose evidence is lost may not come again. */
static bool have_evidence_dir(const struct arguments *arguments)
{
    struct stat status;
    const char *path = arguments->evidence_dir;
    if (path == NULL)
        return true;
    int error = mkdir(path, 0777) < 0 && errno != EEXIST ? errno : 0;
    if (error == 0 && stat(path, &status) < 0)
        error = errno;
    if (error == 0 && !S_ISDIR(status.st_mode))
        error = ENOTDIR;
    if (error == 0 && access(path, W_OK | X_OK) < 0)
        error = errno;
    if (error != 0)
        fprintf(stderr, "chaos: --evidence %s: %s\n", path, strerror(error));
    return error == 0;
}

static int run(const struct arguments *arguments)
{
    struct loaded loaded;
    int code = EXIT_USAGE;
    bool fine = load(arguments, true, &loaded);
    for (size_t i = 0; fine && i < loaded.count; i++)
        if (arguments->must_fail && loaded.scenarios[i]->must_fail == NULL) {
            fprintf(stderr, "%s: error: it has no 'must-fail' line\n", loaded.scenarios[i]->path);
            fine = false;
        }
    if (fine && !have_evidence_dir(arguments))
        fine = false;
    else if (fine && !have_required(arguments))
        code = EXIT_SKIPPED;
    else if (fine)
        code = run_suite(arguments, &loaded);
    ch_arena_free(loaded.arena);
    return code;
}

/* ---- The command line -------------------------------------------------------------------- */

enum long_option {
    OPTION_SEED = 256,
    OPTION_REPEAT,
    OPTION_MATRIX,
    OPTION_REQUIRE,
    OPTION_TAP,
    OPTION_JUNIT,
    OPTION_JSON,
    OPTION_EVIDENCE,
    OPTION_WORLD,
    OPTION_VERSION
};

static const struct option long_options[] = {
    {"jobs", required_argument, NULL, 'j'},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"repeat", required_argument, NULL, OPTION_REPEAT},
    {"matrix", required_argument, NULL, OPTION_MATRIX},
    {"require", required_argument, NULL, OPTION_REQUIRE},
    {"tap", no_argument, NULL, OPTION_TAP},
    {"junit", required_argument, NULL, OPTION_JUNIT},
    {"json", required_argument, NULL, OPTION_JSON},
    {"evidence", required_argument, NULL, OPTION_EVIDENCE},
    {"world", required_argument, NULL, OPTION_WORLD},
    {"verbose", no_argument, NULL, 'v'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, OPTION_VERSION},
    {NULL, 0, NULL, 0},
};

static bool complain(const char *format, const char *text)
{
    fputs("chaos: ", stderr);
    fprintf(stderr, format, text);
    fputs("; see chaos --help\n", stderr);
    return false;
}

/* Decimal, or 0x and hexadecimal; the whole text. */
static bool read_number(const char *text, uint64_t low, uint64_t high, uint64_t *value)
{
    char *end;
    bool hexadecimal = text[0] == '0' && text[1] == 'x';
    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *value = strtoull(hexadecimal ? text + 2 : text, &end, hexadecimal ? 16 : 10);
    return errno == 0 && *end == '\0' && end != text && *value >= low && *value <= high;
}

static bool take_required(struct arguments *arguments, const char *text)
{
    const struct ch_word *word = ch_vocabulary_find(CH_FAMILY_CAPABILITY, text);
    if (word == NULL)
        return complain("'%s' is not a capability", text);
    if (arguments->required_count < REQUIRED_MAX)
        arguments->required[arguments->required_count++] = (enum ch_capability)word->value;
    return true;
}

static bool take_number(struct arguments *arguments, int option, const char *text)
{
    uint64_t value;
    uint64_t high = option == 'j'             ? CH_JOBS_MAX
                    : option == OPTION_REPEAT ? CH_REPEATS_MAX
                                              : UINT64_MAX;
    if (!read_number(text, option == OPTION_SEED ? 0 : 1, high, &value))
        return complain("'%s' is not a number that fits here", text);
    if (option == 'j')
        arguments->jobs = (unsigned)value;
    else if (option == OPTION_REPEAT)
        arguments->repeats = (uint32_t)value;
    else
        arguments->seed = value;
    arguments->seed_given |= option == OPTION_SEED;
    return true;
}

static bool take_option(struct arguments *arguments, int option, const char *text)
{
    switch (option) {
    case 'j':
    case OPTION_SEED:
    case OPTION_REPEAT: return take_number(arguments, option, text);
    case OPTION_REQUIRE: return take_required(arguments, text);
    case OPTION_MATRIX: arguments->matrix = text; return true;
    case OPTION_TAP: arguments->tap = true; return true;
    case OPTION_JUNIT: arguments->junit_path = text; return true;
    case OPTION_JSON: arguments->json_path = text; return true;
    case OPTION_EVIDENCE: arguments->evidence_dir = text; return true;
    case OPTION_WORLD:
        return strcmp(text, "real") == 0 ||
               complain("there is no world '%s' here, only 'real'", text);
    case 'v': arguments->verbose = true; return true;
    }
    fputs(usage, stderr);
    return false;
}

static const struct command {
    const char *word;
    int (*function)(const struct arguments *arguments);
    int operands_min, operands_max;
} commands[] = {
    {"run", run, 1, INT32_MAX},   {"must-fail", run, 1, INT32_MAX}, {"lint", lint, 1, INT32_MAX},
    {"list", list, 1, INT32_MAX}, {"explain", explain, 0, 1},       {"doctor", doctor, 0, 0},
};

static const struct command *find_command(const char *word)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(commands[i].word, word) == 0)
            return &commands[i];
    return NULL;
}

/* 0 to go on, 1 when all is said, -1 after a complaint. */
static int read_arguments(int argc, char **argv, struct arguments *arguments)
{
    int option;
    while ((option = getopt_long(argc, argv, "j:vh", long_options, NULL)) != -1) {
        if (option == 'h') {
            fputs(usage, stdout);
            return 1;
        }
        if (option == OPTION_VERSION) {
            printf("chaos %s\n", libpool_version());
            return 1;
        }
        if (!take_option(arguments, option, optarg))
            return -1;
    }
    if (!arguments->seed_given &&
        getrandom(&arguments->seed, sizeof(arguments->seed), 0) != sizeof(arguments->seed))
        return -1;
    return 0;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.command = argv[0], .jobs = 1, .repeats = 1};
    int done = read_arguments(argc, argv, &arguments);
    if (done != 0)
        return done > 0 ? 0 : EXIT_USAGE;
    if (optind == argc) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    const struct command *command = find_command(argv[optind]);
    int operands = argc - optind - 1;
    arguments.operands = argv + optind + 1;
    arguments.must_fail = strcmp(argv[optind], "must-fail") == 0;
    if (command == NULL)
        complain("there is no command '%s'", argv[optind]);
    else if (operands < command->operands_min)
        complain("'%s' needs a path", command->word);
    else if (operands > command->operands_max)
        complain("'%s' takes no more operands", command->word);
    else
        return command->function(&arguments);
    return EXIT_USAGE;
}
