/* SPDX-License-Identifier: MIT */
/*
 * Peer: the queue that everybody has written once: a bounded ring under one mutex, a condition for
 * "not empty", one for "something has ended". Nobody signals when nobody waits.
 */
#include "peer.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define WORKERS_MAX 8

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t not_empty, has_ended;
    void (**tasks)(void);
    uint64_t size, head, tail, ended, reaped, wanted;
    unsigned idle;
    bool over;
} queue = {.mutex = PTHREAD_MUTEX_INITIALIZER,
           .not_empty = PTHREAD_COND_INITIALIZER,
           .has_ended = PTHREAD_COND_INITIALIZER};

static pthread_t threads[WORKERS_MAX];
static unsigned thread_count;

/* False: there will be none. Called and left with the mutex held. */
static bool await_task(void)
{
    while (queue.head == queue.tail && !queue.over) {
        queue.idle++;
        (void)pthread_cond_wait(&queue.not_empty, &queue.mutex);
        queue.idle--;
    }
    return queue.head != queue.tail;
}

static void *work(void *unused)
{
    (void)pthread_mutex_lock(&queue.mutex);
    while (await_task()) {
        void (*task)(void) = queue.tasks[queue.tail++ % queue.size];
        (void)pthread_mutex_unlock(&queue.mutex);
        task();
        (void)pthread_mutex_lock(&queue.mutex);
        if (++queue.ended == queue.wanted)
            (void)pthread_cond_signal(&queue.has_ended);
    }
    (void)pthread_mutex_unlock(&queue.mutex);
    return unused;
}

static void open_pool(unsigned workers, unsigned window)
{
    queue.size = window;
    queue.tasks = calloc(window, sizeof *queue.tasks);
    peer_must(queue.tasks != NULL && workers <= WORKERS_MAX, "no room");
    for (; thread_count < workers; thread_count++)
        peer_must(pthread_create(&threads[thread_count], NULL, work, NULL) == 0, "pthread_create");
}

static void submit(void)
{
    (void)pthread_mutex_lock(&queue.mutex);
    queue.tasks[queue.head++ % queue.size] = peer_task;
    if (queue.idle)
        (void)pthread_cond_signal(&queue.not_empty);
    (void)pthread_mutex_unlock(&queue.mutex);
}

static uint64_t reap(uint64_t wanted)
{
    (void)pthread_mutex_lock(&queue.mutex);
    queue.wanted = queue.reaped + wanted;
    while (queue.ended < queue.wanted)
        (void)pthread_cond_wait(&queue.has_ended, &queue.mutex);
    uint64_t count = queue.ended - queue.reaped;
    queue.reaped = queue.ended;
    (void)pthread_mutex_unlock(&queue.mutex);
    return count;
}

static void close_pool(void)
{
    (void)pthread_mutex_lock(&queue.mutex);
    queue.over = true;
    (void)pthread_cond_broadcast(&queue.not_empty);
    (void)pthread_mutex_unlock(&queue.mutex);
    for (unsigned i = 0; i < thread_count; i++)
        (void)pthread_join(threads[i], NULL);
    free(queue.tasks);
}

int main(int argc, char **argv)
{
    return peer_main(argc, argv, &(struct peer){open_pool, submit, reap, close_pool});
}
