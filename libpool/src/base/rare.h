/* SPDX-License-Identifier: MIT */
/*
 * rare: what a plain task does not come to. Kept out of the functions that it does come to, whose registers
 * would be saved and restored for it each time.
 */
#ifndef LP_BASE_RARE_H
#define LP_BASE_RARE_H

#define LP_RARE __attribute__((noinline, cold))

#endif
