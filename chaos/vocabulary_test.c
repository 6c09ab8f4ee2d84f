/* SPDX-License-Identifier: MIT */
/* The table against the enums that it names, the library that it speaks of, and itself. */
#include "chaos/vocabulary.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chaos/scenario.h"
#include "chaos/words.h"
#include "harness/test.h"

/* Each value below count has a word, and no word has another value. */
static void check_family(enum ch_family family, int first, int count)
{
    size_t words_count;
    const struct ch_word *words = ch_vocabulary_words(family, &words_count);
    CU_ASSERT_EQUAL(words_count, (size_t)(count - first));
    for (int value = first; value < count; value++) {
        const char *name = ch_vocabulary_name(family, value);
        CU_ASSERT_STRING_NOT_EQUAL(name, "?");
    }
    for (size_t i = 0; i < words_count; i++)
        CU_ASSERT(words[i].value >= first && words[i].value < count);
}

TEST(vocabulary, every_enum_value_has_a_word)
{
    check_family(CH_FAMILY_STATEMENT, 0, CH_STATEMENTS);
    check_family(CH_FAMILY_HEADING, 0, CH_HEADINGS);
    check_family(CH_FAMILY_TASK, 0, CH_TASK_KINDS);
    check_family(CH_FAMILY_TRIGGER, 0, CH_TRIGGER_KINDS);
    check_family(CH_FAMILY_EVENT, 0, CH_EVENTS);
    check_family(CH_FAMILY_ACTION, 0, CH_ACTIONS);
    check_family(CH_FAMILY_FIELD, 0, CH_CHECK_KINDS);
    check_family(CH_FAMILY_EXPECTATION, 0, CH_EXPECTATION_KINDS);
    check_family(CH_FAMILY_COUNTER, 0, CH_COUNTERS);
    check_family(CH_FAMILY_KERNEL, 0, CH_KERNEL_COUNTERS);
    check_family(CH_FAMILY_CAUSE, LIBPOOL_COMPLETED, LIBPOOL_CAUSES);
    check_family(CH_FAMILY_SELECTOR, 0, CH_SELECTORS);
    check_family(CH_FAMILY_CAPABILITY, 0, CH_CAPABILITIES);
}

TEST(vocabulary, causes_and_events_are_called_as_the_library_calls_them)
{
    for (int cause = LIBPOOL_COMPLETED; cause < LIBPOOL_CAUSES; cause++)
        CU_ASSERT_STRING_EQUAL(ch_vocabulary_name(CH_FAMILY_CAUSE, cause),
                               libpool_cause_name((libpool_cause)cause));
    for (int kind = 0; kind < LIBPOOL_EVENT_KINDS; kind++)
        CU_ASSERT_PTR_NOT_NULL(
            ch_vocabulary_find(CH_FAMILY_EVENT, libpool_event_name((libpool_event_kind)kind)));
}

static void check_key(const struct ch_key *key)
{
    CU_ASSERT(key->help != NULL && key->help[0] != '\0');
    CU_ASSERT(key->low <= key->high || key->kind == CH_VALUE_FLAG);
    CU_ASSERT(key->width == 0 || key->width == 1 || key->width == 4 || key->width == 8 ||
              key->kind == CH_VALUE_SELECTOR);
    bool time = key->kind == CH_VALUE_TIME || key->kind == CH_VALUE_TIME_RANGE ||
                key->kind == CH_VALUE_TIME_OR_FOREVER;
    CU_ASSERT_EQUAL(time, key->divisor != 0);
    CU_ASSERT(!time || key->low % key->divisor == 0);
    CU_ASSERT_EQUAL(key->kind == CH_VALUE_CHOICE || key->kind == CH_VALUE_CALLBACK,
                    key->choices != NULL);
}

TEST(vocabulary, every_row_is_whole)
{
    for (int family = 0; family < CH_FAMILIES; family++) {
        size_t count;
        const struct ch_word *words = ch_vocabulary_words((enum ch_family)family, &count);
        CU_ASSERT(count > 0);
        for (size_t i = 0; i < count; i++) {
            CU_ASSERT(words[i].help != NULL && words[i].help[0] != '\0');
            CU_ASSERT_PTR_EQUAL(ch_vocabulary_find((enum ch_family)family, words[i].word),
                                &words[i]);
            for (const struct ch_key *key = words[i].keys; key != NULL && key->word != NULL; key++)
                check_key(key);
        }
    }
}

static char *explain(const char *word, int *error)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    *error = ch_explain(word, out);
    fclose(out);
    return text;
}

TEST(vocabulary, explain_knows_every_word_and_key)
{
    int error;
    char *all = explain(NULL, &error);
    CU_ASSERT_EQUAL(error, 0);
    for (int family = 0; family < CH_FAMILIES; family++) {
        size_t count;
        const struct ch_word *words = ch_vocabulary_words((enum ch_family)family, &count);
        for (size_t i = 0; i < count; i++) {
            char *text = explain(words[i].word, &error);
            CU_ASSERT_EQUAL(error, 0);
            CU_ASSERT_PTR_NOT_NULL(strstr(text, words[i].help));
            CU_ASSERT_PTR_NOT_NULL(strstr(all, words[i].word));
            for (const struct ch_key *key = words[i].keys; key != NULL && key->word != NULL; key++)
                CU_ASSERT_PTR_NOT_NULL(strstr(text, key->help));
            free(text);
        }
    }
    free(all);
    char *key = explain("backoff", &error);
    CU_ASSERT_PTR_NOT_NULL(strstr(key, "backoff is a key of pool"));
    free(key);
    char *nothing = explain("nonsense", &error);
    CU_ASSERT_EQUAL(error, -ENOENT);
    CU_ASSERT_STRING_EQUAL(nothing, "");
    free(nothing);
}

/* No two lines that follow each other come again: a word and what is said of it. */
static bool says_once(char *text)
{
    enum {
        LINES_MAX = 400
    };
    char *lines[LINES_MAX], *rest = text;
    size_t count = 0;
    while (count < LINES_MAX && (lines[count] = strsep(&rest, "\n")) != NULL)
        if (lines[count][0] != '\0')
            count++;
    for (size_t i = 0; i + 1 < count; i++)
        for (size_t j = i + 1; j + 1 < count; j++)
            if (strcmp(lines[i], lines[j]) == 0 && strcmp(lines[i + 1], lines[j + 1]) == 0)
                return false;
    return count < LINES_MAX;
}

static void check_explained_once(const char *word)
{
    int error;
    char *text = explain(word, &error);
    CU_assertImplementation(error == 0 && says_once(text), __LINE__, word != NULL ? word : "all",
                            __FILE__, "", CU_FALSE);
    free(text);
}

TEST(vocabulary, explain_says_nothing_twice)
{
    check_explained_once(NULL);
    for (int family = 0; family < CH_FAMILIES; family++) {
        size_t count;
        const struct ch_word *words = ch_vocabulary_words((enum ch_family)family, &count);
        check_explained_once(ch_words[family].name);
        for (size_t i = 0; i < count; i++) {
            check_explained_once(words[i].word);
            for (const struct ch_key *key = words[i].keys; key != NULL && key->word != NULL; key++)
                check_explained_once(key->word);
        }
    }
    for (const struct ch_key *key = ch_keys_action; key->word != NULL; key++)
        check_explained_once(key->word);
}

TEST(vocabulary, explain_names_all_who_take_a_key)
{
    int error;
    char *text = explain("code", &error);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "code is a key of fail\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "code is a key of exit, _exit\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "code is a key of task\n"));
    free(text);
    text = explain("optional", &error);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "optional is a key of every action\n"));
    free(text);
}

TEST(vocabulary, values_are_described_in_the_largest_unit)
{
    static const struct {
        enum ch_value_kind kind;
        uint64_t value;
        const char *wanted;
    } rows[] = {
        {CH_VALUE_TIME, 0, "0us"},        {CH_VALUE_TIME, 1500, "1500us"},
        {CH_VALUE_TIME, 20000, "20ms"},   {CH_VALUE_TIME, 60000000, "1min"},
        {CH_VALUE_SIZE, 0, "0B"},         {CH_VALUE_SIZE, 4097, "4097B"},
        {CH_VALUE_SIZE, 4 << 20, "4MiB"}, {CH_VALUE_NUMBER, 1024, "1024"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[32];
        ch_vocabulary_describe_value(rows[i].kind, rows[i].value, text, sizeof(text));
        CU_ASSERT_STRING_EQUAL(text, rows[i].wanted);
    }
}

TEST(vocabulary, a_description_that_does_not_fit_is_cut_and_says_so)
{
    char text[20];
    ch_vocabulary_describe("pool", ch_keys_pool, NULL, text, sizeof(text));
    CU_ASSERT_EQUAL(strlen(text), sizeof(text) - 1);
    CU_ASSERT_STRING_EQUAL(text + sizeof(text) - 4, "...");
    ch_vocabulary_describe("noop", NULL, NULL, text, sizeof(text));
    CU_ASSERT_STRING_EQUAL(text, "noop takes nothing");
}

static void check_described(const struct ch_key *keys, const struct ch_key *more)
{
    char all[CH_DESCRIBED_MAX], one[CH_DESCRIBED_KEY_MAX];
    ch_vocabulary_describe("a-word-of-some-length", keys, more, all, sizeof(all));
    CU_ASSERT(strlen(all) < sizeof(all) - 1);
    for (const struct ch_key *key = keys; key != NULL && key->word != NULL; key++) {
        ch_vocabulary_describe_key(key, one, sizeof(one));
        CU_ASSERT(strlen(one) < sizeof(one) - 1);
        CU_ASSERT_PTR_NOT_NULL(strstr(all, one));
    }
}

TEST(vocabulary, there_is_room_to_describe_each_list_of_keys)
{
    check_described(ch_keys_pool, NULL);
    check_described(ch_keys_host, NULL);
    check_described(ch_keys_on, NULL);
    check_described(ch_keys_task, NULL);
    for (int family = 0; family < CH_FAMILIES; family++) {
        size_t count;
        const struct ch_word *words = ch_vocabulary_words((enum ch_family)family, &count);
        for (size_t i = 0; i < count; i++) {
            check_described(words[i].keys, ch_keys_submit);
            check_described(words[i].keys, ch_keys_action);
        }
    }
}
