/* SPDX-License-Identifier: MIT */
/*
 * text: sentences put together without stdio (no locale, no allocation, safe after fork). What does
 * not fit is cut off; the text always ends with a zero byte.
 */
#ifndef LP_BASE_TEXT_H
#define LP_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct lp_text {
    char *at;
    size_t left; /* with the final zero */
};

struct lp_text lp_text_begin(char *buffer, size_t size); /* size > 0 */
void lp_text_add(struct lp_text *text, const char *words);
void lp_text_add_number(struct lp_text *text, int64_t number);

#endif
