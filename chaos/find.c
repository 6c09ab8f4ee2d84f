/* SPDX-License-Identifier: MIT */
/* See find.h. */
#include "chaos/find.h"

#include <errno.h>
#include <fts.h>
#include <string.h>
#include <sys/stat.h>

static void add(struct ch_found_list *list, struct ch_arena *arena, const char *path, bool named)
{
    list->items = ch_arena_grow(arena, list->items, list->count, sizeof(list->items[0]));
    list->items[list->count++] = (struct ch_found){.path = ch_arena_text(arena, path, strlen(path)),
                                                   .named = named};
}

static bool is_scenario(const char *name)
{
    const char *dot = strrchr(name, '.');
    return name[0] != '.' && dot != NULL && strcmp(dot, ".chaos") == 0;
}

static int by_name(const FTSENT **one, const FTSENT **other)
{
    return strcmp((*one)->fts_name, (*other)->fts_name);
}

/* False after a complaint. */
static bool visit(FTS *tree, FTSENT *entry, struct ch_arena *arena, struct ch_found_list *list,
                  FILE *err)
{
    if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS) {
        fprintf(err, "%s: error: %s\n", entry->fts_path, strerror(entry->fts_errno));
        return false;
    }
    if (entry->fts_info == FTS_D && entry->fts_level > 0 && entry->fts_name[0] == '.')
        fts_set(tree, entry, FTS_SKIP);
    if (entry->fts_info == FTS_F && is_scenario(entry->fts_name))
        add(list, arena, entry->fts_path, false);
    return true;
}

static bool walk(char *path, struct ch_arena *arena, struct ch_found_list *list, FILE *err)
{
    char *const paths[] = {path, NULL};
    size_t before = list->count;
    bool fine = true;
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
    if (tree == NULL) {
        fprintf(err, "%s: error: %s\n", path, strerror(errno));
        return false;
    }
    for (FTSENT *entry; (entry = fts_read(tree)) != NULL;)
        fine &= visit(tree, entry, arena, list, err);
    fts_close(tree);
    if (fine && list->count == before) {
        fprintf(err, "%s: error: there is no *.chaos file in this directory\n", path);
        return false;
    }
    return fine;
}

bool ch_find_scenarios(char *const *paths, struct ch_arena *arena, struct ch_found_list *list,
                       FILE *err)
{
    bool fine = true;
    *list = (struct ch_found_list){.items = NULL};
    for (; *paths != NULL; paths++) {
        struct stat status;
        if (stat(*paths, &status) < 0) {
            fprintf(err, "%s: error: %s\n", *paths, strerror(errno));
            fine = false;
        } else if (S_ISDIR(status.st_mode)) {
            char *path = ch_arena_text(arena, *paths, strlen(*paths));
            size_t length = strlen(path);
            while (length > 1 && path[length - 1] == '/')
                path[--length] = '\0';
            fine &= walk(path, arena, list, err);
        } else {
            add(list, arena, *paths, true);
        }
    }
    return fine;
}
