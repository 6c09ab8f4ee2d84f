/* SPDX-License-Identifier: MIT */
#include "os/maps.h"

#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/fd.h"
#include "sys/sys.h"

#define TEXT_BYTES 8192

/* "first-end rwxp ..." */
static bool line_covers(const char *line, uintptr_t address)
{
    char *at;
    unsigned long first = strtoul(line, &at, 16);
    if (*at != '-')
        return false;
    unsigned long end = strtoul(at + 1, &at, 16);
    bool executable = at[0] == ' ' && at[1] && at[2] && at[3] == 'x';
    return executable && address >= first && address < end;
}

bool lp_maps_find(const char *text, uintptr_t address)
{
    for (const char *end = strchr(text, '\n'); end; text = end + 1, end = strchr(text, '\n'))
        if (line_covers(text, address))
            return true;
    return false;
}

/* Searches whole lines and keeps the cut-off last one for the next round. */
static size_t keep_rest(char *text, size_t size)
{
    char *last = memrchr(text, '\n', size);
    size_t rest = last ? size - (size_t)(last + 1 - text) : 0;
    memmove(text, text + size - rest, rest);
    return rest;
}

/* The program itself never goes away: its own segments need no look into /proc. */
static bool is_in_program(uintptr_t address)
{
    const ElfW(Phdr) *headers = (const void *)getauxval(AT_PHDR); /* NOLINT: an address */
    size_t n = getauxval(AT_PHNUM);
    for (size_t i = 0; headers && i < n && headers[0].p_type == PT_PHDR; i++) {
        uintptr_t first = (uintptr_t)headers - headers[0].p_vaddr + headers[i].p_vaddr;
        if (headers[i].p_type == PT_LOAD && (headers[i].p_flags & PF_X) && address >= first &&
            address - first < headers[i].p_memsz)
            return true;
    }
    return false;
}

/* A frame of its own: its text would be two more pages of the worker's stack. */
static __attribute__((noinline)) bool is_listed(uintptr_t address)
{
    char text[TEXT_BYTES + 1];
    size_t size = 0;
    lp_fd_auto int fd = lp_sys.openat(AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true;
    for (;;) {
        ssize_t got = lp_sys.read(fd, text + size, TEXT_BYTES - size);
        if (got <= 0)
            return got < 0;
        size += (size_t)got;
        text[size] = 0;
        if (lp_maps_find(text, address))
            return true;
        size = keep_rest(text, size);
    }
}

bool lp_maps_is_executable(uintptr_t address)
{
    return is_in_program(address) || is_listed(address);
}
