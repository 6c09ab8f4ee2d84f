/* SPDX-License-Identifier: MIT */
/* progress: at most ten times a second, and nothing at all where nobody looks. */
#include "progress.h"

#include <inttypes.h>
#include <unistd.h>

#define MS 1000000u
#define EVERY_NS (100u * MS)

void pr_progress_open(struct pr_progress *progress, bool wanted, uint64_t now_ns)
{
    *progress = (struct pr_progress){.is_on = wanted && isatty(STDERR_FILENO), .begun_ns = now_ns};
}

static void put(const char *data, size_t n)
{
    if (write(STDERR_FILENO, data, n) < 0)
        return; /* a terminal that is gone needs no progress */
}

void pr_progress_clear(struct pr_progress *progress)
{
    static const char erase[] = "\r\033[K";
    if (progress->is_drawn)
        put(erase, sizeof erase - 1);
    progress->is_drawn = false;
}

void pr_progress_say(struct pr_text *text, const struct pr_counts *counts, uint64_t elapsed_ns)
{
    uint64_t done = counts->succeeded + counts->failed, s = elapsed_ns / 1000 / MS;
    pr_text_say(text, "%" PRIu64 " done, %" PRIu64 " failed, %" PRIu64 " running", done,
                counts->failed, counts->running);
    if (counts->skipped)
        pr_text_say(text, ", %" PRIu64 " skipped", counts->skipped);
    pr_text_say(text, ", %" PRIu64 ":%02u:%02u", s / 3600, (unsigned)(s / 60 % 60),
                (unsigned)(s % 60));
    if (elapsed_ns && done)
        pr_text_say(text, ", %.1f/s", (double)done * 1e9 / (double)elapsed_ns);
}

int pr_progress_draw(struct pr_progress *progress, const struct pr_counts *counts, uint64_t now_ns)
{
    struct pr_text line = {.data = NULL};
    if (!progress->is_on)
        return -1;
    uint64_t since_ns = now_ns - progress->drawn_ns;
    if (since_ns < EVERY_NS)
        return (int)((EVERY_NS - since_ns) / MS) + 1;
    pr_text_say(&line, "\r");
    pr_progress_say(&line, counts, now_ns - progress->begun_ns);
    pr_text_say(&line, "\033[K");
    put(line.data, line.n);
    pr_text_free(&line);
    progress->drawn_ns = now_ns;
    progress->is_drawn = true;
    return (int)(EVERY_NS / MS);
}
