/* SPDX-License-Identifier: MIT */
/* base: see the header. */
#include "base.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

uint64_t lpr_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

uint64_t lpr_deadline(int timeout_ms)
{
    return timeout_ms < 0 ? LPR_NEVER : lpr_now_ns() + (uint64_t)timeout_ms * LPR_MS;
}

int lpr_left_ms(uint64_t deadline_ns, uint64_t now_ns)
{
    if (deadline_ns == LPR_NEVER)
        return -1;
    if (deadline_ns <= now_ns)
        return 0;
    uint64_t left_ms = (deadline_ns - now_ns + LPR_MS - 1) / LPR_MS;
    return left_ms > INT_MAX ? INT_MAX : (int)left_ms;
}

void lpr_send_at_once(int fd)
{
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void lpr_keep_alive(int fd)
{
    int on = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
}

int lpr_copy(void *ours, size_t our_size, const void *theirs)
{
    size_t their_size;
    memset(ours, 0, our_size);
    if (!theirs)
        return -EINVAL;
    memcpy(&their_size, theirs, sizeof their_size);
    if (their_size < sizeof their_size || their_size > 4096)
        return their_size > 4096 ? -E2BIG : -EINVAL;
    for (size_t i = our_size; i < their_size; i++)
        if (((const char *)theirs)[i])
            return -E2BIG;
    memcpy(ours, theirs, their_size < our_size ? their_size : our_size);
    memcpy(ours, &our_size, sizeof our_size);
    return 0;
}

void lpr_say(char *text, size_t size, const char *words)
{
    size_t at = strnlen(text, size), n = strlen(words);
    if (at >= size)
        return;
    if (n > size - at - 1)
        n = size - at - 1;
    memcpy(text + at, words, n);
    text[at + n] = 0;
}

void lpr_say_number(char *text, size_t size, int64_t number)
{
    char digits[24];
    size_t at = sizeof digits;
    bool negative = number < 0;
    uint64_t left = negative ? 0 - (uint64_t)number : (uint64_t)number;
    digits[--at] = 0;
    do
        digits[--at] = (char)('0' + left % 10);
    while (left /= 10);
    if (negative)
        digits[--at] = '-';
    lpr_say(text, size, digits + at);
}
