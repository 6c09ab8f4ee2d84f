/* SPDX-License-Identifier: MIT */
/*
 * maps: is this address code that is mapped here?
 *
 * A task's function is an address that is valid in the host. A worker has what the zygote had when
 * it was forked; code that the host loaded later is not there. /proc/self/maps tells; it is read at
 * each question, for it is asked once a function, and a task may load code itself.
 */
#ifndef LP_OS_MAPS_H
#define LP_OS_MAPS_H

#include <stdbool.h>
#include <stdint.h>

/* True also when /proc can't be read: then nobody knows better. */
bool lp_maps_is_executable(uintptr_t address);

/* The same over a text in the form of /proc/PID/maps; a line that is cut off at the end counts not. */
bool lp_maps_find(const char *text, uintptr_t address);

#endif
