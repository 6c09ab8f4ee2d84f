/* SPDX-License-Identifier: MIT */
/*
 * load: functions found by name, in a worker: a shared object and a symbol of it.
 *
 * What is loaded stays loaded; the last names are remembered with their functions. What could not be
 * found is looked for again the next time. The libc's loader is referred to weakly: a program that is
 * linked without one is told so when it asks.
 */
#ifndef LP_OS_LOAD_H
#define LP_OS_LOAD_H

#include <stddef.h>

#define LP_LOAD_KEPT 16u
#define LP_LOAD_NAME_BYTES 4608u /* a path and a symbol */
#define LP_LOAD_SYMBOL_BYTES 512u

struct lp_load {
    struct lp_load_entry {
        char *name;
        size_t size;
        void *function;
    } kept[LP_LOAD_KEPT];
    unsigned next;   /* to be overwritten */
    const char *why; /* the last refusal, in the loader's words, until the next call */
};

/* A name: object and symbol, each with its zero byte. Its size; 0: they are longer than a name may be. */
size_t lp_load_name_size(const char *object, const char *symbol);
void lp_load_write_name(char *name, const char *object, const char *symbol);

/* One that was found before, or NULL. */
void *lp_load_recall(const struct lp_load *load, const char *name, size_t size);

/*
 * Runs the object's constructors if it was not loaded. NULL: `why` is set, and *error: -ENOENT, -ENOSYS
 * (there is no loader), -EPROTO (that is no name).
 */
void *lp_load_find(struct lp_load *load, const char *name, size_t size, int *error);

/* Of names and functions; what was loaded stays loaded. */
void lp_load_forget(struct lp_load *load);

/* Only loads the object. 0, -ENOENT, -ENOSYS. */
int lp_load_object(const char *object);

#endif
