/* SPDX-License-Identifier: MIT */
/*
 * client: another process that uses the target's pool, through libpool_remote.
 *
 * It is told by its target which rows to submit, and writes into the world what became of them: what the
 * target does for tasks of its own. It may be killed or stopped like anybody else; its rows are its
 * target's to close then.
 */
#ifndef HARNESS_CLIENT_H
#define HARNESS_CLIENT_H

#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "harness/target.h"

/* What the target sends: rows from `first` on, of one group. */
struct hn_client_order {
    uint32_t group, first, count;
};

struct hn_client_options {
    const struct hn_target_options *target;
    struct sockaddr_un address; /* where the pool is served */
    socklen_t address_size;
    uint32_t number; /* from 0 */
    int command_fd; /* SOCK_SEQPACKET: a byte from here: it has its session, or rows have changed */
};

/* Its whole life: until the target closes its end. The exit code. */
int hn_client_live(const struct hn_client_options *options);

#endif
