/* SPDX-License-Identifier: MIT */
/*
 * One result tree, written in each format and compared byte for byte; then the same with texts that
 * hold whatever a format must not let through, read back by small readers of their own.
 */
#include "chaos/report.h"

#include <stdlib.h>
#include <string.h>

#include "harness/test.h"

static struct ch_need needs[] = {{.place = {4, 9}, .capability = CH_NEEDS_MEMCG}};

static const struct ch_scenario scenarios[] = {
    {.path = "crash/busy.chaos", .title = "a kill costs its task only"},
    {.path = "final/bad.chaos",
     .title = "finalizer ends by segv",
     .matrix_name = "how",
     .matrix_value = "segv"},
    {.path = "final/bad.chaos",
     .title = "finalizer ends by hang",
     .matrix_name = "how",
     .matrix_value = "hang"},
    {.path = "oom/one.chaos", .title = "one is killed", .needs = needs, .needs_count = 1},
    {.path = "it's.chaos", .title = "never #1"},
};
#define COUNT (sizeof(scenarios) / sizeof(scenarios[0]))

struct tree {
    struct ch_suite suite;
    struct ch_entry entries[COUNT];
};

static void make_tree(struct tree *tree)
{
    memset(tree, 0, sizeof(*tree));
    tree->suite = (struct ch_suite){.command = "build/chaos",
                                    .seed = 0x2a,
                                    .entries = tree->entries,
                                    .count = COUNT,
                                    .duration_ns = 2500000000};
    for (size_t i = 0; i < COUNT; i++) {
        tree->entries[i].scenario = &scenarios[i];
        tree->entries[i].done = true;
        tree->entries[i].result.seed = 0x2a;
        tree->entries[i].result.duration_ns = 125000000;
    }
    struct ch_result *failed = &tree->entries[2].result;
    ch_result_object(failed, CH_FAIL, (struct ch_place){12, 3}, "counter tasks_failed", "0", "1",
                     "libpool_stats_read");
    ch_result_object(failed, CH_FAIL, (struct ch_place){0, 0}, "I4", "nothing", "pid 7 <defunct>",
                     "/proc");
    ch_result_object(&tree->entries[3].result, CH_SKIP, needs[0].place, "needs", "the capability",
                     "no controller", "chaos doctor");
    ch_result_object(&tree->entries[4].result, CH_INCONCLUSIVE, (struct ch_place){9, 1}, "fired",
                     "this fault", "it never fired", "the timeline");
}

static char *write_report(const struct tree *tree, void (*report)(const struct ch_suite *, FILE *))
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    report(&tree->suite, out);
    fclose(out);
    char *copy = strdup(text); /* gcc 12 takes memory of open_memstream for that of its stack */
    free(text);
    return copy;
}

static void human(const struct ch_suite *suite, FILE *out)
{
    ch_report_human(suite, false, out);
}

static void compare(const struct tree *tree, void (*report)(const struct ch_suite *, FILE *),
                    const char *wanted)
{
    char *text = write_report(tree, report);
    CU_ASSERT_STRING_EQUAL(text, wanted);
    if (strcmp(text, wanted) != 0)
        fputs(text, stdout);
    free(text);
}

/* ---- Golden ------------------------------------------------------------------------------ */

TEST(report, for_people)
{
    struct tree tree;
    make_tree(&tree);
    compare(&tree, human,
            "FAIL         final/bad.chaos [how=hang] (0.125 s)\n"
            "    finalizer ends by hang\n"
            "    final/bad.chaos:12:3: FAIL: counter tasks_failed\n"
            "      expected 0\n"
            "      actual   1\n"
            "      read     libpool_stats_read\n"
            "    final/bad.chaos: FAIL: I4\n"
            "      expected nothing\n"
            "      actual   pid 7 <defunct>\n"
            "      read     /proc\n"
            "    replay: build/chaos run final/bad.chaos --seed 0x2a --matrix how=hang\n"
            "\n"
            "SKIP         oom/one.chaos\n"
            "    needs memcg: no controller\n"
            "INCONCLUSIVE it's.chaos (0.125 s)\n"
            "    never #1\n"
            "    it's.chaos:9:1: INCONCLUSIVE: fired\n"
            "      expected this fault\n"
            "      actual   it never fired\n"
            "      read     the timeline\n"
            "    replay: build/chaos run 'it'\\''s.chaos' --seed 0x2a\n"
            "\n"
            "2 passed, 1 failed, 1 inconclusive, 1 skipped (2.5 s, seed 0x2a)\n");
}

TEST(report, tap)
{
    struct tree tree;
    make_tree(&tree);
    compare(&tree, ch_report_tap,
            "TAP version 13\n"
            "# seed 0x2a\n"
            "1..5\n"
            "ok 1 - crash/busy.chaos: a kill costs its task only\n"
            "ok 2 - final/bad.chaos [how=segv]: finalizer ends by segv\n"
            "not ok 3 - final/bad.chaos [how=hang]: finalizer ends by hang\n"
            "  ---\n"
            "  verdict: FAIL\n"
            "  seed: \"0x2a\"\n"
            "  replay: \"build/chaos run final/bad.chaos --seed 0x2a --matrix how=hang\"\n"
            "  reasons:\n"
            "    - {verdict: FAIL, line: 12, \"checker\": \"counter tasks_failed\", "
            "\"expected\": \"0\", \"actual\": \"1\", \"read\": \"libpool_stats_read\"}\n"
            "    - {verdict: FAIL, line: 0, \"checker\": \"I4\", \"expected\": \"nothing\", "
            "\"actual\": \"pid 7 <defunct>\", \"read\": \"/proc\"}\n"
            "  ...\n"
            "ok 4 - oom/one.chaos: one is killed # SKIP needs memcg: no controller\n"
            "not ok 5 - it's.chaos: never \\#1\n"
            "  ---\n"
            "  verdict: INCONCLUSIVE\n"
            "  seed: \"0x2a\"\n"
            "  replay: \"build/chaos run 'it'\\\\''s.chaos' --seed 0x2a\"\n"
            "  reasons:\n"
            "    - {verdict: INCONCLUSIVE, line: 9, \"checker\": \"fired\", "
            "\"expected\": \"this fault\", \"actual\": \"it never fired\", "
            "\"read\": \"the timeline\"}\n"
            "  ...\n");
}

TEST(report, junit)
{
    struct tree tree;
    make_tree(&tree);
    compare(
        &tree, ch_report_junit,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<testsuites name=\"chaos\" tests=\"5\" failures=\"2\" errors=\"0\" skipped=\"1\" "
        "time=\"0.625\">\n"
        "  <testsuite name=\"crash/busy.chaos\" tests=\"1\" failures=\"0\" errors=\"0\" "
        "skipped=\"0\" time=\"0.125\">\n"
        "    <testcase classname=\"crash/busy.chaos\" name=\"a kill costs its task only\" "
        "time=\"0.125\"/>\n"
        "  </testsuite>\n"
        "  <testsuite name=\"final/bad.chaos\" tests=\"2\" failures=\"1\" errors=\"0\" "
        "skipped=\"0\" time=\"0.250\">\n"
        "    <testcase classname=\"final/bad.chaos\" name=\"finalizer ends by segv [how=segv]\" "
        "time=\"0.125\"/>\n"
        "    <testcase classname=\"final/bad.chaos\" name=\"finalizer ends by hang [how=hang]\" "
        "time=\"0.125\">\n"
        "      <failure message=\"counter tasks_failed: 1\" type=\"FAIL\">"
        "final/bad.chaos:12:3: FAIL: counter tasks_failed\n"
        "  expected: 0\n"
        "  actual: 1\n"
        "  read: libpool_stats_read\n"
        "final/bad.chaos:0:0: FAIL: I4\n"
        "  expected: nothing\n"
        "  actual: pid 7 &lt;defunct&gt;\n"
        "  read: /proc\n"
        "replay: build/chaos run final/bad.chaos --seed 0x2a --matrix how=hang\n"
        "</failure>\n"
        "    </testcase>\n"
        "  </testsuite>\n"
        "  <testsuite name=\"oom/one.chaos\" tests=\"1\" failures=\"0\" errors=\"0\" "
        "skipped=\"1\" time=\"0.125\">\n"
        "    <testcase classname=\"oom/one.chaos\" name=\"one is killed\" time=\"0.125\">\n"
        "      <skipped message=\"needs memcg: no controller\"/>\n"
        "    </testcase>\n"
        "  </testsuite>\n"
        "  <testsuite name=\"it's.chaos\" tests=\"1\" failures=\"1\" errors=\"0\" skipped=\"0\" "
        "time=\"0.125\">\n"
        "    <testcase classname=\"it's.chaos\" name=\"never #1\" time=\"0.125\">\n"
        "      <failure message=\"fired: it never fired\" type=\"INCONCLUSIVE\">"
        "it's.chaos:9:1: INCONCLUSIVE: fired\n"
        "  expected: this fault\n"
        "  actual: it never fired\n"
        "  read: the timeline\n"
        "replay: build/chaos run 'it'\\''s.chaos' --seed 0x2a\n"
        "</failure>\n"
        "    </testcase>\n"
        "  </testsuite>\n"
        "</testsuites>\n");
}

TEST(report, json)
{
    struct tree tree;
    make_tree(&tree);
    tree.suite.count = 1;
    tree.entries[0] = tree.entries[3];
    compare(&tree, ch_report_json,
            "{\"chaos\": 1, \"seed\": \"0x2a\", \"duration_ms\": 2500.000,\n"
            " \"exit_code\": 4, \"left_behind\": 0,\n"
            " \"runs\": [\n"
            "    {\"file\": \"oom/one.chaos\",\n"
            "     \"title\": \"one is killed\",\n"
            "     \"repeat\": 0, \"verdict\": \"SKIP\", \"seed\": \"0x2a\", "
            "\"duration_ms\": 125.000,\n"
            "     \"replay\": \"build/chaos run oom/one.chaos --seed 0x2a\",\n"
            "     \"history\": \"\",\n"
            "     \"reasons\": [\n"
            "        {\"verdict\": \"SKIP\", \"line\": 4, \"column\": 9, \"checker\": \"needs\", "
            "\"expected\": \"the capability\", \"actual\": \"no controller\", "
            "\"read\": \"chaos doctor\"}],\n"
            "     \"reasons_lost\": 0}]}\n");
}

/* ---- Hostile texts ----------------------------------------------------------------------- */

/* Bytes that some format gives a meaning to, and some that none can hold. */
static const char hostile[] = "a\"b\\c<d>&e'f\ng\th\x01i\x7fj\xffk\xc3\xa4l\xef\xbf\xbfm]]>n#o\xed"
                              "\xa0\x80p\xf0\x9f\x92\xa5";

static void make_hostile(struct tree *tree, struct ch_scenario *scenario)
{
    make_tree(tree);
    *scenario = (struct ch_scenario){
        .path = hostile, .title = hostile, .matrix_name = "how", .matrix_value = hostile};
    for (size_t i = 0; i < COUNT; i++) {
        tree->entries[i].scenario = scenario;
        ch_result_object(&tree->entries[i].result, (enum ch_verdict)(i % CH_VERDICTS),
                         (struct ch_place){1, 1}, hostile, hostile, hostile, hostile);
        memcpy(tree->entries[i].result.evidence, hostile, sizeof(hostile));
    }
}

/* A reader of JSON that is strict about what stands in a string. NULL: it is none. */
static const char *read_json(const char *at);

static const char *skip_space(const char *at)
{
    return at + strspn(at, " \n\t\r");
}

static const char *read_json_string(const char *at)
{
    if (*at++ != '"')
        return NULL;
    while (*at != '"') {
        size_t length = ch_utf8_length(at);
        if (length == 0 || (unsigned char)*at < ' ')
            return NULL;
        if (*at == '\\') {
            length = at[1] == 'u' ? 6 : 2;
            if (at[1] == 'u' ? strspn(at + 2, "0123456789abcdef") < 4
                             : at[1] == '\0' || strchr("\"\\", at[1]) == NULL)
                return NULL;
        }
        at += length;
    }
    return at + 1;
}

static const char *read_json_list(const char *at, char open, char close)
{
    at = skip_space(at + 1);
    while (at != NULL && *at != close) {
        if (open == '{') {
            at = read_json_string(at);
            at = at != NULL ? skip_space(at) : NULL;
            if (at == NULL || *at++ != ':')
                return NULL;
        }
        at = read_json(at);
        at = at != NULL ? skip_space(at) : NULL;
        if (at == NULL || (*at != ',' && *at != close))
            return NULL;
        if (*at == ',')
            at = skip_space(at + 1);
    }
    return at != NULL ? at + 1 : NULL;
}

static const char *read_json(const char *at)
{
    at = skip_space(at);
    if (*at == '{' || *at == '[')
        return read_json_list(at, *at, *at == '{' ? '}' : ']');
    if (*at == '"')
        return read_json_string(at);
    size_t digits = strspn(at, "-0123456789.");
    return digits > 0 ? at + digits : NULL;
}

TEST(report, json_holds_any_text)
{
    struct tree tree;
    struct ch_scenario scenario;
    make_hostile(&tree, &scenario);
    char *text = write_report(&tree, ch_report_json);
    const char *end = read_json(text);
    CU_ASSERT_PTR_NOT_NULL_FATAL(end);
    CU_ASSERT_STRING_EQUAL(skip_space(end), "");
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "a\\\"b\\\\c<d>&e'f\\u000ag\\u0009h\\u0001i\\u007fj"
                                        "\\ufffdk\xc3\xa4l"));
    free(text);
}

/* A reader of XML as far as we write it: tags in pairs, attributes in quotes, known entities. */
static const char *read_entity(const char *at)
{
    static const char *const known[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#10;", "&#9;"};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strncmp(at, known[i], strlen(known[i])) == 0)
            return at + strlen(known[i]);
    return NULL;
}

static const char *read_xml_text(const char *at, const char *stop)
{
    while (strchr(stop, *at) == NULL) {
        size_t length = ch_utf8_length(at);
        bool allowed = length > 0 && ((unsigned char)*at >= ' ' || *at == '\n') && *at != '<' &&
                       !(*at == '>' && *stop == '"') && memcmp(at, "\xef\xbf\xbf", 3) != 0;
        if (!allowed)
            return NULL;
        at = *at == '&' ? read_entity(at) : at + length;
        if (at == NULL)
            return NULL;
    }
    return *at != '\0' ? at : NULL;
}

static const char *read_xml_element(const char *at)
{
    const char *name = at + 1;
    size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz");
    if (*at != '<' || length == 0)
        return NULL;
    at = name + length;
    while (*at == ' ') {
        at += 1 + strspn(at + 1, "abcdefghijklmnopqrstuvwxyz");
        if (at[0] != '=' || at[1] != '"')
            return NULL;
        at = read_xml_text(at + 2, "\"");
        if (at == NULL)
            return NULL;
        at++;
    }
    if (strncmp(at, "/>", 2) == 0)
        return at + 2;
    if (*at++ != '>')
        return NULL;
    for (;;) {
        at = read_xml_text(at, "<");
        if (at == NULL)
            return NULL;
        if (at[1] == '/')
            break;
        at = read_xml_element(at);
        if (at == NULL)
            return NULL;
    }
    bool paired = strncmp(at + 2, name, length) == 0 && at[2 + length] == '>';
    return paired ? at + 3 + length : NULL;
}

TEST(report, junit_holds_any_text)
{
    struct tree tree;
    struct ch_scenario scenario;
    make_hostile(&tree, &scenario);
    char *text = write_report(&tree, ch_report_junit);
    const char *body = strstr(text, "?>\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(body);
    const char *end = read_xml_element(body + 3);
    CU_ASSERT_PTR_NOT_NULL_FATAL(end);
    CU_ASSERT_STRING_EQUAL(end, "\n");
    free(text);
}

TEST(report, tap_keeps_a_text_in_its_line)
{
    struct tree tree;
    struct ch_scenario scenario;
    make_hostile(&tree, &scenario);
    char *text = write_report(&tree, ch_report_tap);
    unsigned results = 0;
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1)
        results += strncmp(line, "ok ", 3) == 0 || strncmp(line, "not ok ", 7) == 0;
    for (const char *at = text; *at != '\0'; at++)
        CU_ASSERT(*at == '\n' || ((unsigned char)*at >= ' ' && *at != 0x7f));
    CU_ASSERT_EQUAL(results, COUNT);
    free(text);
}

/* ---- What is not done -------------------------------------------------------------------- */

TEST(report, an_interrupted_run_is_no_pass_in_any_format)
{
    struct tree tree;
    make_tree(&tree);
    tree.suite.interrupted = true;
    tree.suite.count = 1;
    tree.entries[0].done = false;
    CU_ASSERT_EQUAL(ch_suite_exit_code(&tree.suite), 5);
    char *tap = write_report(&tree, ch_report_tap);
    char *junit = write_report(&tree, ch_report_junit);
    char *people = write_report(&tree, human);
    CU_ASSERT_PTR_NOT_NULL(strstr(tap, "not ok 1"));
    CU_ASSERT_PTR_NOT_NULL(strstr(tap, "Bail out!"));
    CU_ASSERT_PTR_NOT_NULL(strstr(junit, "errors=\"1\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(people, "interrupted\n0 passed, 0 failed, 1 not run"));
    free(tap);
    free(junit);
    free(people);
}

TEST(result, the_gravest_reason_is_the_verdict)
{
    static const enum ch_verdict order[] = {CH_SKIP, CH_INCONCLUSIVE, CH_ERROR, CH_FAIL};
    struct ch_result result = {.index = 0};
    CU_ASSERT_EQUAL(ch_result_verdict(&result), CH_PASS);
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        ch_result_object(&result, order[i], (struct ch_place){1, 1}, "x", "", "", "");
        ch_result_object(&result, CH_SKIP, (struct ch_place){1, 1}, "x", "", "", "");
        CU_ASSERT_EQUAL(ch_result_verdict(&result), order[i]);
    }
}

TEST(result, a_failure_is_kept_when_there_is_no_room)
{
    static struct ch_result result;
    for (int i = 0; i < CH_REASONS_MAX + 5; i++)
        ch_result_object(&result, CH_INCONCLUSIVE, (struct ch_place){1, 1}, "fired", "", "", "");
    ch_result_objectf(&result, CH_FAIL, (struct ch_place){2, 1}, "I1", "one end", "the future",
                      "%d ends", 2);
    CU_ASSERT_EQUAL(result.reasons_count, CH_REASONS_MAX);
    CU_ASSERT_EQUAL(result.reasons_lost, 6);
    CU_ASSERT_EQUAL(ch_result_verdict(&result), CH_FAIL);
    CU_ASSERT_STRING_EQUAL(result.reasons[CH_REASONS_MAX - 1].actual, "2 ends");
}

TEST(result, long_texts_are_cut)
{
    char text[1000];
    struct ch_result result = {.index = 0};
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    ch_result_object(&result, CH_FAIL, (struct ch_place){1, 1}, text, text, text, text);
    CU_ASSERT_EQUAL(strlen(result.reasons[0].checker), sizeof(result.reasons[0].checker) - 1);
    CU_ASSERT_STRING_EQUAL(result.reasons[0].checker + sizeof(result.reasons[0].checker) - 4,
                           "...");
}
