/* SPDX-License-Identifier: MIT */
#include "os/omen.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"
#include "os/file.h"
#include "sys/sys.h"

/* Younger than the headers may be. */
#define SETUP_NO_ARRAY (1u << 16)
#define OPERATION_FUTEX_WAIT 51
#define FUTEX_IS_U32 0x02 /* FUTEX2_SIZE_U32, and not private */
#define IS_EXITING 0x4u   /* PF_EXITING */

struct entry { /* struct io_uring_sqe, as a wait for a futex fills it in */
    uint8_t operation, unused[3];
    int32_t futex_flags; /* fd */
    uint64_t value;      /* addr2 */
    uint64_t word;       /* addr */
    uint64_t unused2;
    uint64_t slot; /* user_data */
    uint64_t unused3;
    uint64_t mask; /* addr3 */
    uint64_t unused4;
};

struct lp_omen_answer { /* struct io_uring_cqe */
    uint64_t slot;
    int32_t result;
    uint32_t flags;
};

_Static_assert(sizeof(struct entry) == sizeof(struct io_uring_sqe), "the kernel's");
_Static_assert(sizeof(struct lp_omen_answer) == sizeof(struct io_uring_cqe), "the kernel's");

/* ---- the worker's side ----------------------------------------------------------------------- */

/*
 * Where in a mutex the futex stands is the libc's affair, but the kernel has to be told, too: the thread's
 * list begins with what was locked last, and says how far from its entry the word is.
 */
static _Atomic uint32_t *find_word(const struct lp_omen *omen)
{
    void *list = NULL;
    if (lp_sys.get_robust_list(&list) || !list)
        return NULL;
    const struct robust_list_head *head = list;
    uintptr_t entry = (uintptr_t)head->list.next & ~(uintptr_t)1;
    uintptr_t word = entry + (uintptr_t)head->futex_offset, mutex = (uintptr_t)&omen->mutex;
    if (word < mutex || word > mutex + sizeof(omen->mutex) - sizeof(uint32_t) || word % 4)
        return NULL;
    return (_Atomic uint32_t *)word;
}

/* The kernel wakes only where the word says that somebody waits. It may: nobody will unlock it. */
static void show(struct lp_omen *omen)
{
    _Atomic uint32_t *word = find_word(omen);
    if (!word || (atomic_load(word) & FUTEX_TID_MASK) != (uint32_t)gettid())
        return;
    (void)atomic_fetch_or(word, FUTEX_WAITERS);
    atomic_store(&omen->place, (uint32_t)((uintptr_t)word - (uintptr_t)omen) + 1);
}

void lp_omen_hold(struct lp_omen *omen)
{
    pthread_mutexattr_t attributes;
    if (pthread_mutexattr_init(&attributes))
        return;
    int error = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    if (!error)
        error = pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    if (!error)
        error = pthread_mutex_init(&omen->mutex, &attributes);
    if (!error && !pthread_mutex_lock(&omen->mutex))
        show(omen);
    (void)pthread_mutexattr_destroy(&attributes);
}

/* ---- the host's side -------------------------------------------------------------------------- */

void lp_omen_wipe(struct lp_omen *omen)
{
    atomic_store_explicit(&omen->place, 0, memory_order_relaxed);
}

const _Atomic uint32_t *lp_omen_word(const struct lp_omen *omen)
{
    uint32_t place = atomic_load(&omen->place);
    uint32_t at = place - 1;
    if (!place || at > sizeof(omen->mutex) - sizeof(uint32_t) || at % 4)
        return NULL;
    return (const _Atomic uint32_t *)((const char *)omen + at);
}

/* Asked for a descriptor, a kernel says at once that there are none any more: not each, and not to all. */
static bool is_exiting(pid_t pid, int pid_fd)
{
    struct lp_file_stat stat;
    if (lp_sys.pidfd_getfd(pid_fd, -1) == -ESRCH)
        return true;
    return lp_file_stat(pid, &stat) == 0 && (stat.flags & IS_EXITING) != 0;
}

/* A directory for each is in that of all. */
static uint64_t count_threads(pid_t pid)
{
    char path[32];
    struct stat status = {0};
    struct lp_text text = lp_text_begin(path, sizeof(path));
    lp_text_add(&text, "/proc/");
    lp_text_add_number(&text, pid);
    lp_text_add(&text, "/task");
    lp_fd_auto int fd = lp_sys.openat(AT_FDCWD, path, O_PATH | O_DIRECTORY);
    bool is_there = fd >= 0 && lp_sys.fstat(fd, &status) == 0 && status.st_nlink > 2;
    return is_there ? (uint64_t)status.st_nlink - 2 : 0;
}

/*
 * The last thread of a process ends with it. While there are others the first one may have ended alone, or
 * make room for a program that another one executes. What is reaped can't be signalled: then the number may
 * have been another's.
 */
bool lp_omen_is_true(pid_t pid, int pid_fd)
{
    return pid_fd >= 0 && is_exiting(pid, pid_fd) && count_threads(pid) == 1 &&
           lp_sys.pidfd_send_signal(pid_fd, 0) == 0;
}

static _Atomic uint32_t *word_at(const struct lp_omens *omens, uint32_t offset)
{
    return (_Atomic uint32_t *)((char *)omens->rings + offset);
}

static int map_rings(struct lp_omens *omens, const struct io_uring_params *made)
{
    size_t rings_bytes = made->cq_off.cqes + made->cq_entries * sizeof(struct lp_omen_answer);
    size_t entries_bytes = made->sq_entries * sizeof(struct entry);
    if (!(made->features & IORING_FEAT_SINGLE_MMAP))
        return -ENOSYS;
    int error = lp_sys.map_part(omens->fd, rings_bytes, IORING_OFF_SQ_RING, &omens->rings);
    if (error)
        return error;
    omens->rings_bytes = rings_bytes;
    error = lp_sys.map_part(omens->fd, entries_bytes, IORING_OFF_SQES, &omens->entries);
    if (!error)
        omens->entries_bytes = entries_bytes;
    return error;
}

int lp_omens_open(struct lp_omens *omens, uint32_t slots)
{
    struct io_uring_params made = {.flags = SETUP_NO_ARRAY};
    *omens = LP_OMENS_NULL;
    omens->fd = lp_sys.io_uring_setup(slots, &made);
    if (omens->fd < 0)
        return omens->fd;
    int error = map_rings(omens, &made);
    if (error) {
        lp_omens_close(omens);
        return error;
    }
    omens->mask = made.sq_entries - 1;
    omens->answers_mask = made.cq_entries - 1;
    omens->tail = word_at(omens, made.sq_off.tail);
    omens->answers_head = word_at(omens, made.cq_off.head);
    omens->answers_tail = word_at(omens, made.cq_off.tail);
    omens->answers = (const void *)word_at(omens, made.cq_off.cqes);
    return 0;
}

void lp_omens_close(struct lp_omens *omens)
{
    if (omens->rings_bytes)
        (void)lp_sys.unmap(omens->rings, omens->rings_bytes);
    if (omens->entries_bytes)
        (void)lp_sys.unmap(omens->entries, omens->entries_bytes);
    lp_fd_close(&omens->fd);
    *omens = LP_OMENS_NULL;
}

/* It waits while the word is what it is now. */
void lp_omens_await(struct lp_omens *omens, const _Atomic uint32_t *word, uint32_t slot)
{
    uint32_t at = atomic_load_explicit(omens->tail, memory_order_relaxed);
    struct entry *entries = omens->entries;
    entries[at & omens->mask] = (struct entry){.operation = OPERATION_FUTEX_WAIT,
                                               .futex_flags = FUTEX_IS_U32,
                                               .value = atomic_load(word),
                                               .word = (uintptr_t)word,
                                               .slot = slot,
                                               .mask = FUTEX_BITSET_MATCH_ANY};
    atomic_store_explicit(omens->tail, at + 1, memory_order_release);
}

/* What it does not take now it takes the next time, unless it never will. */
bool lp_omens_submit(struct lp_omens *omens)
{
    if (omens->fd < 0)
        return false;
    uint32_t tail = atomic_load_explicit(omens->tail, memory_order_acquire);
    if (tail == omens->submitted)
        return false;
    int taken = lp_sys.io_uring_enter(omens->fd, tail - omens->submitted);
    if (taken > 0)
        omens->submitted += (uint32_t)taken;
    bool may = taken >= 0 || taken == -EAGAIN || taken == -EINTR || taken == -EBUSY;
    return may && tail != omens->submitted;
}

bool lp_omens_take(struct lp_omens *omens, uint32_t *slot, int *error)
{
    if (omens->fd < 0)
        return false;
    uint32_t head = atomic_load_explicit(omens->answers_head, memory_order_relaxed);
    if (head == atomic_load_explicit(omens->answers_tail, memory_order_acquire))
        return false;
    const struct lp_omen_answer *answer = &omens->answers[head & omens->answers_mask];
    *slot = (uint32_t)answer->slot;
    *error = answer->result;
    atomic_store_explicit(omens->answers_head, head + 1, memory_order_release);
    return true;
}
