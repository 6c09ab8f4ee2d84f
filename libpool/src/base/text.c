/* SPDX-License-Identifier: MIT */
#include "base/text.h"

struct lp_text lp_text_begin(char *buffer, size_t size)
{
    buffer[0] = 0;
    return (struct lp_text){.at = buffer, .left = size};
}

void lp_text_add(struct lp_text *text, const char *words)
{
    for (; *words && text->left > 1; text->left--)
        *text->at++ = *words++;
    *text->at = 0;
}

void lp_text_add_number(struct lp_text *text, int64_t number)
{
    char digits[24];
    char *at = digits + sizeof digits;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    *--at = 0;
    do
        *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (number < 0)
        *--at = '-';
    lp_text_add(text, at);
}
