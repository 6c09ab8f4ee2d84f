/* SPDX-License-Identifier: MIT */
/*
 * A line of mountinfo:  35 31 0:32 /root /mount/point rw,relatime shared:1 - cgroup cgroup rw,memory
 * A line of membership: 4:memory:/path     and for v2: 0::/path
 *
 * The mount shows the hierarchy from `root` on; so the path in the file system is the mount point and
 * what follows the root in the membership's path.
 */
#include "os/cgroup_find.h"

#include "base/text.h"

#include <string.h>

struct span {
    const char *at;
    size_t length;
};

static struct span line_of(const char *text)
{
    return (struct span){text, strcspn(text, "\n")};
}

static const char *next_line(struct span line)
{
    const char *end = line.at + line.length;
    return *end == '\n' ? end + 1 : end;
}

/* Cuts the first word off. Length 0: there was none. */
static struct span take_word(struct span *rest)
{
    size_t length = 0;
    while (length < rest->length && rest->at[length] != ' ')
        length++;
    struct span word = {rest->at, length};
    size_t skipped = length + (length < rest->length);
    *rest = (struct span){rest->at + skipped, rest->length - skipped};
    return word;
}

static bool is_word(struct span span, const char *word)
{
    return span.length == strlen(word) && memcmp(span.at, word, span.length) == 0;
}

bool lp_cgroup_has_word(const char *text, size_t length, const char *word)
{
    for (size_t at = 0; at < length; at++) {
        size_t end = at;
        while (end < length && strchr(" ,\n", text[end]) == NULL)
            end++;
        if (is_word((struct span){text + at, end - at}, word))
            return true;
        at = end;
    }
    return false;
}

/* ---- Membership -------------------------------------------------------------------------- */

/* HIERARCHY:CONTROLLERS:PATH */
static bool is_member_line(struct span line, const char *controller, struct span *path)
{
    const char *first = memchr(line.at, ':', line.length);
    if (first == NULL)
        return false;
    const char *names = first + 1, *end = line.at + line.length;
    const char *second = memchr(names, ':', (size_t)(end - names));
    if (second == NULL)
        return false;
    *path = (struct span){second + 1, (size_t)(end - second - 1)};
    size_t length = (size_t)(second - names);
    if (controller == NULL)
        return length == 0 && is_word((struct span){line.at, (size_t)(first - line.at)}, "0");
    return lp_cgroup_has_word(names, length, controller);
}

static bool find_member(const char *membership, const char *controller, struct span *path)
{
    for (const char *text = membership; *text != '\0';) {
        struct span line = line_of(text);
        if (is_member_line(line, controller, path))
            return true;
        text = next_line(line);
    }
    return false;
}

const char *lp_cgroup_v2_line(const char *membership, size_t *length)
{
    struct span path;
    if (!find_member(membership, NULL, &path))
        return NULL;
    *length = path.length;
    return path.at;
}

/* ---- Mounts ------------------------------------------------------------------------------ */

struct mount {
    struct span root, point;
};

static bool is_mount_line(struct span line, const char *controller, struct mount *mount)
{
    for (int i = 0; i < 3; i++)
        (void)take_word(&line);
    mount->root = take_word(&line);
    mount->point = take_word(&line);
    while (line.length > 0 && !is_word(take_word(&line), "-"))
        continue;
    struct span type = take_word(&line);
    if (controller == NULL)
        return is_word(type, "cgroup2");
    (void)take_word(&line);
    return is_word(type, "cgroup") && lp_cgroup_has_word(line.at, line.length, controller);
}

static bool is_octal(const char *at, size_t left)
{
    return left >= 4 && at[0] == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] >= '0' &&
           at[2] <= '7' && at[3] >= '0' && at[3] <= '7';
}

/* Blanks, tabs, line ends and backslashes stand as \ooo in mountinfo. */
static bool add_unescaped(char *path, size_t *length, struct span escaped)
{
    for (size_t i = 0; i < escaped.length; i++) {
        char byte = escaped.at[i];
        const char *at = escaped.at + i;
        if (is_octal(at, escaped.length - i)) {
            byte = (char)((at[1] - '0') * 64 + (at[2] - '0') * 8 + (at[3] - '0'));
            i += 3;
        }
        if (*length + 1 >= LP_CGROUP_PATH_BYTES)
            return false;
        path[(*length)++] = byte;
    }
    path[*length] = '\0';
    return true;
}

/* A path that leads out of this namespace's root begins with /.. */
static bool leads_out(struct span path)
{
    return path.length >= 3 && memcmp(path.at, "/..", 3) == 0 &&
           (path.length == 3 || path.at[3] == '/');
}

/* Cuts the mount's root off the member's path; false when the path is not below it. */
static bool cut_root(struct span *path, const char *root, size_t length)
{
    if (length == 1 && root[0] == '/')
        length = 0;
    if (path->length < length || memcmp(path->at, root, length) != 0)
        return false;
    *path = (struct span){path->at + length, path->length - length};
    return path->length == 0 || path->at[0] == '/';
}

static bool join(const struct mount *mount, struct span member, char path[LP_CGROUP_PATH_BYTES])
{
    size_t length = 0;
    if (leads_out(member) || leads_out(mount->root) || !add_unescaped(path, &length, mount->root) ||
        !cut_root(&member, path, length))
        return false;
    length = 0;
    if (!add_unescaped(path, &length, mount->point) ||
        length + member.length >= LP_CGROUP_PATH_BYTES)
        return false;
    memcpy(path + length, member.at, member.length);
    path[length + member.length] = '\0';
    return true;
}

bool lp_cgroup_find(const char *mountinfo, const char *membership, const char *controller,
                    char path[LP_CGROUP_PATH_BYTES])
{
    struct span member;
    struct mount mount;
    if (!find_member(membership, controller, &member))
        return false;
    for (const char *text = mountinfo; *text != '\0';) {
        struct span line = line_of(text);
        if (is_mount_line(line, controller, &mount) && join(&mount, member, path))
            return true;
        text = next_line(line);
    }
    return false;
}
