/* SPDX-License-Identifier: MIT */
#include "os/load.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#pragma weak dlopen
#pragma weak dlsym
#pragma weak dlerror

/* ---- Names ------------------------------------------------------------------------------- */

size_t lp_load_name_size(const char *object, const char *symbol)
{
    size_t symbol_size = strnlen(symbol, LP_LOAD_SYMBOL_BYTES) + 1;
    size_t object_size = strnlen(object, LP_LOAD_NAME_BYTES) + 1;
    bool fits = symbol_size <= LP_LOAD_SYMBOL_BYTES &&
                object_size + symbol_size <= LP_LOAD_NAME_BYTES;
    return fits ? object_size + symbol_size : 0;
}

void lp_load_write_name(char *name, const char *object, const char *symbol)
{
    size_t object_size = strlen(object) + 1;
    memcpy(name, object, object_size);
    memcpy(name + object_size, symbol, strlen(symbol) + 1);
}

/* The symbol in it; NULL: that is no name. */
static const char *symbol_of(const char *name, size_t size)
{
    const char *end = memchr(name, 0, size);
    if (end == NULL || end + 1 == name + size || name[size - 1] != 0)
        return NULL;
    return end + 1;
}

/* ---- What is kept ------------------------------------------------------------------------ */

void *lp_load_recall(const struct lp_load *load, const char *name, size_t size)
{
    for (unsigned i = 0; i < LP_LOAD_KEPT; i++)
        if (load->kept[i].size == size && memcmp(load->kept[i].name, name, size) == 0)
            return load->kept[i].function;
    return NULL;
}

/* Without memory it is looked up again next time. */
static void keep(struct lp_load *load, const char *name, size_t size, void *function)
{
    struct lp_load_entry *entry = &load->kept[load->next++ % LP_LOAD_KEPT];
    free(entry->name);
    *entry = (struct lp_load_entry){.name = malloc(size)};
    if (entry->name == NULL)
        return;
    memcpy(entry->name, name, size);
    entry->size = size;
    entry->function = function;
}

void lp_load_forget(struct lp_load *load)
{
    for (unsigned i = 0; i < LP_LOAD_KEPT; i++)
        free(load->kept[i].name);
    *load = (struct lp_load){.next = 0};
}

/* ---- The loader -------------------------------------------------------------------------- */

static void *refuse(struct lp_load *load, const char *why, int error, int *told)
{
    load->why = why;
    *told = error;
    return NULL;
}

/* No name: the program itself, with what it exports. */
static void *open_object(const char *object)
{
    return dlopen(object[0] ? object : NULL, RTLD_NOW | RTLD_LOCAL);
}

static const char *loader_says(void)
{
    const char *why = dlerror();
    return why != NULL ? why : "the symbol is NULL";
}

int lp_load_object(const char *object)
{
    if (dlopen == NULL)
        return -ENOSYS;
    return open_object(object) != NULL ? 0 : -ENOENT;
}

void *lp_load_find(struct lp_load *load, const char *name, size_t size, int *error)
{
    const char *symbol = symbol_of(name, size);
    if (symbol == NULL)
        return refuse(load, "no name", -EPROTO, error);
    if (dlopen == NULL || dlsym == NULL || dlerror == NULL)
        return refuse(load, "this program is linked without a loader", -ENOSYS, error);
    void *object = open_object(name);
    void *function = object != NULL ? dlsym(object, symbol) : NULL;
    if (function == NULL)
        return refuse(load, loader_says(), -ENOENT, error);
    keep(load, name, size, function);
    return function;
}
