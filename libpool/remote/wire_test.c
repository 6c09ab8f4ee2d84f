/* SPDX-License-Identifier: MIT */
/* Messages come back as they went; and nothing that comes can make a reader read, keep or believe more. */
#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "harness/test.h"

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static void allow_all(struct lpr_reader *reader, uint64_t largest)
{
    memset(reader, 0, sizeof *reader);
    for (int i = 0; i < LPR_TYPES; i++)
        reader->largest[i] = largest;
}

/* Byte by byte: 1 when it was a message at its last byte and not before. */
static int feed_slowly(struct lpr_reader *reader, const unsigned char *bytes, size_t n)
{
    int complete = 0;
    for (size_t i = 0; i < n && complete == 0; i++) {
        size_t used;
        complete = lpr_reader_feed(reader, bytes + i, 1, &used);
        if (complete == 1 && i + 1 < n)
            return -1;
    }
    return complete;
}

TEST(remote_wire, a_task_comes_back_as_it_went)
{
    unsigned char bytes[LPR_HEAD_SIZE + LPR_SUBMIT_SIZE + 7] = {0};
    struct lpr_submit submit = {.priority = 5,
                                .run_timeout_ms = 0x01020304,
                                .queue_timeout_ms = UINT32_MAX,
                                .group = UINT64_C(0x1122334455667788),
                                .name_size = 4,
                                .input_size = 3},
                      got;
    struct lpr_reader reader;
    allow_all(&reader, 1000);
    lpr_put_submit(bytes, UINT64_C(0xfedcba9876543210), &submit);
    memcpy(bytes + LPR_HEAD_SIZE + LPR_SUBMIT_SIZE, "nameabc", 7);
    CU_ASSERT_EQUAL(bytes[0], LPR_SUBMIT_SIZE + 7); /* little endian, whatever this machine is */
    CU_ASSERT_EQUAL(bytes[8], 0x10);
    CU_ASSERT_EQUAL_FATAL(feed_slowly(&reader, bytes, sizeof bytes), 1);
    CU_ASSERT_EQUAL(reader.head.id, UINT64_C(0xfedcba9876543210));
    CU_ASSERT_EQUAL_FATAL(lpr_get_submit(reader.body, reader.head.size, &got), 0);
    CU_ASSERT_EQUAL(got.priority, 5);
    CU_ASSERT_EQUAL(got.run_timeout_ms, 0x01020304);
    CU_ASSERT_EQUAL(got.queue_timeout_ms, UINT32_MAX);
    CU_ASSERT_EQUAL(got.group, submit.group);
    CU_ASSERT_TRUE(got.name_size == 4 && memcmp(got.name, "name", 4) == 0);
    CU_ASSERT_TRUE(got.input_size == 3 && memcmp(got.input, "abc", 3) == 0);
    lpr_reader_clear(&reader);
}

TEST(remote_wire, a_result_comes_back_as_it_went)
{
    unsigned char bytes[LPR_HEAD_SIZE + LPR_RESULT_SIZE + 10] = {0};
    libpool_result result = {.cause = LIBPOOL_CRASH,
                             .certainty = LIBPOOL_MAY_HAVE_RUN,
                             .code = -7,
                             .signal = 11,
                             .core_dumped = 1,
                             .slot = UINT32_MAX,
                             .pid = 4242,
                             .task_id = 1,
                             .pending_ns = 2,
                             .running_ns = 3,
                             .data_size = 3,
                             .text = "text",
                             .memory_bytes = 4,
                             .user_ns = 5,
                             .system_ns = 6,
                             .max_rss_bytes = UINT64_MAX,
                             .attempts = 8,
                             .retried_cause = LIBPOOL_OOM,
                             .tail_size = 3},
                   got;
    struct lpr_reader reader;
    allow_all(&reader, 1000);
    lpr_put_result(bytes, 9, &result);
    memcpy(bytes + LPR_HEAD_SIZE + LPR_RESULT_SIZE, "dattaitext", 10);
    CU_ASSERT_EQUAL_FATAL(feed_slowly(&reader, bytes, sizeof bytes), 1);
    CU_ASSERT_EQUAL_FATAL(lpr_get_result(reader.body, reader.head.size, &got), 0);
    CU_ASSERT_TRUE(memcmp(got.data, "dat", 3) == 0 && memcmp(got.tail, "tai", 3) == 0);
    result.data = got.data;
    result.tail = got.tail;
    CU_ASSERT_EQUAL(memcmp(&got, &result, sizeof got), 0);
    lpr_reader_clear(&reader);
}

TEST(remote_wire, an_announced_size_takes_no_memory)
{
    unsigned char head[LPR_HEAD_SIZE + 1] = {0};
    struct lpr_reader reader;
    size_t used;
    allow_all(&reader, UINT32_MAX);
    lpr_put_head(head, LPR_SUBMIT, 1, UINT32_MAX);
    CU_ASSERT_EQUAL(lpr_reader_feed(&reader, head, sizeof head, &used), 0);
    CU_ASSERT_TRUE(reader.room <= 64u << 10);
    lpr_reader_clear(&reader);
    allow_all(&reader, 1 << 20);
    CU_ASSERT_EQUAL(lpr_reader_feed(&reader, head, sizeof head, &used), -EMSGSIZE);
    allow_all(&reader, 1 << 20);
    reader.largest[LPR_SUBMIT] = 0; /* not to come at all */
    lpr_put_head(head, LPR_SUBMIT, 1, LPR_SUBMIT_SIZE);
    CU_ASSERT_EQUAL(lpr_reader_feed(&reader, head, sizeof head, &used), -EPROTO);
}

/* In memory of exactly its size, so that a sanitizer sees what is read beyond. */
static bool decode(uint32_t type, const unsigned char *body, size_t size)
{
    struct lpr_hello hello;
    struct lpr_welcome welcome;
    struct lpr_submit submit;
    struct lpr_bye bye;
    libpool_result result;
    switch (type) {
    case LPR_HELLO: return lpr_get_hello(body, size, &hello) || hello.credential_size <= size;
    case LPR_WELCOME: return lpr_get_welcome(body, size, &welcome) || welcome.tasks <= 65536;
    case LPR_SUBMIT:
        return lpr_get_submit(body, size, &submit) ||
               (submit.priority < LIBPOOL_PRIORITIES && submit.name_size <= LPR_NAME_MAX &&
                submit.name_size <= size && submit.input_size <= size &&
                LPR_SUBMIT_SIZE + submit.name_size + submit.input_size == size);
    case LPR_RESULT:
        return lpr_get_result(body, size, &result) ||
               (result.cause > LIBPOOL_PENDING && result.cause < LIBPOOL_CAUSES_MAX &&
                result.data_size <= size && result.tail_size <= size &&
                result.data_size + result.tail_size <= size - LPR_RESULT_SIZE &&
                strnlen(result.text, sizeof result.text) < sizeof result.text);
    case LPR_BYE: return lpr_get_bye(body, size, &bye) || bye.error < 0;
    default: return true;
    }
}

/* A message that is nearly right: half of its numbers are 0, others small, at a border, or anything. */
static size_t invent(unsigned char *to, uint64_t *state)
{
    static const uint32_t borders[] = {0, 1, UINT32_MAX, 255, 256, 64, 63, 160, 24, 23};
    uint32_t type = (uint32_t)next_random(state) % (LPR_TYPES + 1);
    size_t size = next_random(state) % 300;
    lpr_put_head(to, (enum lpr_type)type, next_random(state), size);
    for (size_t i = 0; i < size; i += 4) {
        uint32_t kind = (uint32_t)next_random(state) % 6;
        uint32_t number = kind == 0   ? (uint32_t)next_random(state)
                          : kind == 1 ? borders[next_random(state) % 10]
                          : kind == 2 ? (uint32_t)next_random(state) % 20
                                      : 0;
        memcpy(to + LPR_HEAD_SIZE + i, &number, 4);
    }
    if (next_random(state) % 4 == 0) /* and a greeting should have its word */
        memcpy(to + LPR_HEAD_SIZE, "plremote", 8);
    return LPR_HEAD_SIZE + size;
}

TEST(remote_wire, whatever_comes_is_refused_or_within_bounds)
{
    unsigned char bytes[LPR_HEAD_SIZE + 400];
    uint64_t state = 1;
    unsigned messages = 0, refused = 0, wrong = 0;
    for (int i = 0; i < 200000; i++) {
        struct lpr_reader reader;
        size_t n = invent(bytes, &state), used = 0;
        allow_all(&reader, 256);
        int complete = lpr_reader_feed(&reader, bytes, n, &used);
        if (complete == 1) {
            unsigned char *body = reader.body;
            wrong += used != n || !decode(reader.head.type, body, reader.head.size);
            messages++;
        } else {
            refused++;
        }
        lpr_reader_clear(&reader);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_TRUE(messages > 50000 && refused > 10000); /* both were really tried */
}

TEST(remote_wire, noise_of_any_length_never_makes_a_reader_keep_much)
{
    uint64_t state = 7;
    struct lpr_reader reader;
    unsigned wrong = 0, failed = 0;
    allow_all(&reader, 4096);
    for (int i = 0; i < 200000; i++) {
        unsigned char bytes[64];
        size_t n = 1 + next_random(&state) % sizeof bytes, used = 0;
        for (size_t at = 0; at < n; at++)
            bytes[at] = (unsigned char)(next_random(&state) % (i % 2 ? 256 : 12));
        int complete = lpr_reader_feed(&reader, bytes, n, &used);
        wrong += used > n || reader.room > 4096 || complete > 1;
        if (complete < 0) {
            failed++;
            lpr_reader_clear(&reader);
        }
    }
    lpr_reader_clear(&reader);
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_TRUE(failed > 1000);
}
