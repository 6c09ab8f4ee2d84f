/* SPDX-License-Identifier: MIT */
/*
 * sim_judge: is this action allowed, now? is something overdue? Part of the books.
 */
#ifndef HARNESS_SIM_JUDGE_H
#define HARNESS_SIM_JUDGE_H

#include "harness/sim_books.h"

/* Fails when a deadline has passed by more than the books' slack and nothing was done. */
void hn_judge_lateness(struct hn_books *books);

#endif
