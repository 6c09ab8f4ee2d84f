/* SPDX-License-Identifier: MIT */
/*
 * One result tree, four ways to write it. Reporters only read; what a run came to is decided
 * before. Texts may hold any byte (a path, a task's message), each format escapes them its own way.
 */
#ifndef CHAOS_REPORT_H
#define CHAOS_REPORT_H

#include <stdio.h>

#include "chaos/suite.h"

/* Every run that did not pass, in full, and the count; with `all`, a line for those that did. */
void ch_report_human(const struct ch_suite *suite, bool all, FILE *out);

void ch_report_tap(const struct ch_suite *suite, FILE *out);   /* TAP 13 with YAML blocks */
void ch_report_junit(const struct ch_suite *suite, FILE *out); /* one testsuite a file */
void ch_report_json(const struct ch_suite *suite, FILE *out);

/* One line that is written over again and again: only for a terminal. */
void ch_report_progress(const struct ch_suite *suite, FILE *out);
void ch_report_progress_clear(FILE *out);

/* "crash/busy.chaos [how=segv] #2" */
void ch_report_name(const struct ch_entry *entry, char *text, size_t size);

/* The command that runs it again: "COMMAND run FILE --seed S". Quoted for a shell. */
void ch_report_replay(const struct ch_suite *suite, const struct ch_entry *entry, char *text,
                      size_t size);

/* For a skip: the capability that the reason is about; "" when it is about none. */
const char *ch_report_need(const struct ch_scenario *scenario, const struct ch_reason *reason);

/* Writes text as a quoted JSON string; bytes that are not UTF-8 become U+FFFD. */
void ch_write_json_string(const char *text, FILE *out);

/* Writes text for XML, in an attribute or between tags; what XML can't hold becomes U+FFFD. */
void ch_write_xml(const char *text, FILE *out);

/* Bytes of the UTF-8 character at the front, 0 when there is none. */
size_t ch_utf8_length(const char *text);

#endif
