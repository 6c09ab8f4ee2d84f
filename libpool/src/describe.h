/* SPDX-License-Identifier: MIT */
/*
 * describe: the one sentence a person reads about a result, and the stable names of public enums.
 */
#ifndef LP_DESCRIBE_H
#define LP_DESCRIBE_H

#include <stddef.h>

#include <libpool.h>

/*
 * From the result's other fields; never mentions what is not known. silent_ms: a TIMEOUT for want of a
 * heartbeat; 0: any other.
 */
void lp_describe(const libpool_result *result, uint32_t silent_ms, char *buffer, size_t size);
/* The same of a task that ended as LIBPOOL_MEMORY, with what was seen and allowed. */
void lp_describe_memory(const libpool_result *result, uint64_t limit_bytes, char *buffer,
                        size_t size);

/* A task whose function could not be had: `why` are the worker's words, not to be trusted. */
void lp_describe_refusal(libpool_result *result, const unsigned char *why, size_t size);

#endif
