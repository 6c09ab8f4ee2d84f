/* SPDX-License-Identifier: MIT */
/*
 * books: the server's numbers. Each change is one of these functions, under a lock that is held for nothing
 * else: so they balance whenever they are read.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "server.h"

static libpool_remote_stats *begin(libpool_remote_server *server)
{
    pthread_mutex_lock(&server->books_lock);
    return &server->books;
}

static void end(libpool_remote_server *server)
{
    pthread_mutex_unlock(&server->books_lock);
}

void lpr_books_accepted(libpool_remote_server *server)
{
    libpool_remote_stats *books = begin(server);
    books->sessions_accepted++;
    books->sessions_open++;
    end(server);
}

void lpr_books_ended_session(libpool_remote_server *server, libpool_remote_end reason)
{
    libpool_remote_stats *books = begin(server);
    books->sessions_open--;
    books->sessions_ended[reason]++;
    end(server);
}

void lpr_books_lingering(libpool_remote_server *server, int change)
{
    begin(server)->sessions_lingering += (uint64_t)(int64_t)change;
    end(server);
}

void lpr_books_paused(libpool_remote_server *server)
{
    begin(server)->accept_pauses++;
    end(server);
}

void lpr_books_received(libpool_remote_server *server)
{
    libpool_remote_stats *books = begin(server);
    books->tasks_received++;
    books->tasks_waiting = ++server->waiting;
    end(server);
}

void lpr_books_handed_over(libpool_remote_server *server)
{
    libpool_remote_stats *books = begin(server);
    books->tasks_waiting = --server->waiting;
    books->tasks_in_pool = ++server->in_pool;
    end(server);
}

void lpr_books_ended(libpool_remote_server *server, enum lpr_place from, libpool_cause cause)
{
    libpool_remote_stats *books = begin(server);
    if (from == LPR_WAITING)
        books->tasks_waiting = --server->waiting;
    else
        books->tasks_in_pool = --server->in_pool;
    books->tasks_ended[cause]++;
    end(server);
}

void lpr_books_dropped(libpool_remote_server *server)
{
    begin(server)->results_dropped++;
    end(server);
}

void lpr_books_bytes(libpool_remote_server *server, uint64_t received, uint64_t sent)
{
    libpool_remote_stats *books = begin(server);
    books->received_bytes += received;
    books->sent_bytes += sent;
    end(server);
}

int libpool_remote_stats_read(libpool_remote_server *server, libpool_remote_stats *stats)
{
    if (!server || !stats || stats->size < sizeof stats->size)
        return -EINVAL;
    if (getpid() != server->owner)
        return -ECHILD;
    size_t size = stats->size, known = sizeof server->books;
    if (size > 4096)
        return -E2BIG;
    memset(stats, 0, size);
    begin(server);
    memcpy(stats, &server->books, size < known ? size : known);
    end(server);
    stats->size = size;
    return 0;
}
