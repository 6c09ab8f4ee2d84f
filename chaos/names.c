/* SPDX-License-Identifier: MIT */
/*
 * Names bound by `as`. A name is bound once, before it is used, and says what it stands for: a
 * group of tasks, what a trigger saw, or what an action did.
 */
#include <string.h>

#include "chaos/parser.h"

/* Words that stand where a name may stand, so that neither can be taken for the other. */
static bool is_taken_word(const char *text)
{
    return ch_vocabulary_find(CH_FAMILY_SELECTOR, text) != NULL ||
           ch_vocabulary_find(CH_FAMILY_ACTION, text) != NULL;
}

bool ch_name_valid(struct ch_parser *parser, const struct ch_token *token, const char *text)
{
    size_t length = strlen(text);
    bool plain = length > 0 && text[0] >= 'a' && text[0] <= 'z' &&
                 strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-") == length;
    if (!plain)
        ch_complain(parser, token,
                    "'%.40s' can't be a name: small letters, digits, '_' and '-', a letter first",
                    text);
    else if (length > CH_NAME_MAX)
        ch_complain(parser, token, "a name has %d bytes at most", CH_NAME_MAX);
    else if (is_taken_word(text))
        ch_complain(parser, token, "'%s' is a word of the language and can't be a name", text);
    else
        return true;
    return false;
}

int ch_name_look(const struct ch_parser *parser, const char *text)
{
    for (size_t i = 0; i < parser->scenario->names_count; i++)
        if (strcmp(parser->scenario->names[i].text, text) == 0)
            return (int)i;
    return CH_NOBODY;
}

int ch_name_bind(struct ch_parser *parser, const struct ch_token *token, enum ch_name_kind kind,
                 uint32_t index)
{
    if (token == NULL || !ch_name_valid(parser, token, token->text))
        return CH_NOBODY;
    struct ch_scenario *scenario = parser->scenario;
    int same = ch_name_look(parser, token->text);
    if (same != CH_NOBODY) {
        ch_complain(parser, token, "the name '%s' is taken: line %u", token->text,
                    scenario->names[same].place.line);
        return CH_NOBODY;
    }
    scenario->names = ch_arena_grow(parser->arena, scenario->names, scenario->names_count,
                                    sizeof(scenario->names[0]));
    scenario->names[scenario->names_count] = (struct ch_name){
        .place = token->place, .text = token->text, .kind = kind, .index = index};
    return (int)scenario->names_count++;
}

void ch_name_missing(struct ch_parser *parser, const struct ch_token *at, const char *text)
{
    const char *best = NULL;
    for (size_t i = 0; i < parser->scenario->names_count; i++)
        ch_nearer(text, parser->scenario->names[i].text, &best);
    ch_complain(parser, at, "no name '%.40s' is bound before this line%s", text,
                ch_did_you_mean(parser, best));
}

/* ---- What a name stands for -------------------------------------------------------------- */

static const char *describe(const struct ch_parser *parser, const struct ch_name *name)
{
    switch (name->kind) {
    case CH_NAME_TASKS: return "a group of tasks";
    case CH_NAME_EVENT:
        return ch_vocabulary_name(CH_FAMILY_EVENT,
                                  (int)parser->scenario->steps[name->index].trigger.event);
    case CH_NAME_ACTION:
        return ch_vocabulary_name(CH_FAMILY_ACTION,
                                  (int)parser->scenario->steps[name->index].action.kind);
    case CH_NAME_BROKEN: break;
    }
    return "?";
}

static void complain_kind(struct ch_parser *parser, const struct ch_token *at, int name,
                          const char *wanted)
{
    const struct ch_name *bound = &parser->scenario->names[name];
    ch_complain(parser, at, "'%s' stands for %s (line %u), not for %s", bound->text,
                describe(parser, bound), bound->place.line, wanted);
}

int ch_name_of_tasks(struct ch_parser *parser, const struct ch_token *at, const char *text)
{
    int name = ch_name_look(parser, text);
    if (name == CH_NOBODY) {
        ch_name_missing(parser, at, text);
        return CH_NOBODY;
    }
    enum ch_name_kind kind = parser->scenario->names[name].kind;
    if (kind == CH_NAME_TASKS)
        return name;
    if (kind != CH_NAME_BROKEN)
        complain_kind(parser, at, name, "a group of tasks");
    return CH_NOBODY;
}

enum workers {
    NO_WORKER,
    ONE_WORKER,
    SEVERAL_WORKERS
};

static enum workers workers_of(const struct ch_parser *parser, const struct ch_name *name);

static enum workers workers_of_selector(const struct ch_parser *parser,
                                        const struct ch_selector *selector)
{
    if (selector->kind == CH_WORKER_ALL || selector->kind == CH_WORKER_PERCENT)
        return SEVERAL_WORKERS;
    if (selector->kind == CH_WORKER_NAME && selector->name != CH_NOBODY)
        return workers_of(parser, &parser->scenario->names[selector->name]);
    return ONE_WORKER;
}

static enum workers workers_of_action(const struct ch_parser *parser,
                                      const struct ch_action *action)
{
    bool signal = action->kind == CH_ACTION_KILL || action->kind == CH_ACTION_STOP ||
                  action->kind == CH_ACTION_CONT;
    if (signal && action->signal.process == CH_PROCESS_WORKER)
        return workers_of_selector(parser, &action->signal.worker);
    if (action->kind == CH_ACTION_MEMCG)
        return workers_of_selector(parser, &action->memcg.worker);
    bool fills = action->kind == CH_ACTION_FILL_FDS;
    return fills && action->fill_fds.process == CH_PROCESS_WORKER ? ONE_WORKER : NO_WORKER;
}

static enum workers workers_of(const struct ch_parser *parser, const struct ch_name *name)
{
    if (name->kind == CH_NAME_TASKS)
        return parser->scenario->submits[name->index].count == 1 ? ONE_WORKER : SEVERAL_WORKERS;
    const struct ch_step *step = &parser->scenario->steps[name->index];
    if (name->kind == CH_NAME_ACTION) {
        enum workers workers = workers_of_action(parser, &step->action);
        bool again = step->trigger.kind == CH_TRIGGER_EVERY;
        return workers == ONE_WORKER && again ? SEVERAL_WORKERS : workers;
    }
    unsigned traits = ch_vocabulary_traits(CH_FAMILY_EVENT, (int)step->trigger.event);
    return traits & CH_EVENT_HAS_WORKER ? ONE_WORKER : NO_WORKER;
}

int ch_name_of_worker(struct ch_parser *parser, const struct ch_token *at, const char *text,
                      bool single)
{
    int name = ch_name_look(parser, text);
    if (name == CH_NOBODY) {
        ch_name_missing(parser, at, text);
        return CH_NOBODY;
    }
    if (parser->scenario->names[name].kind == CH_NAME_BROKEN)
        return CH_NOBODY;
    enum workers workers = workers_of(parser, &parser->scenario->names[name]);
    if (single && parser->scenario->names[name].kind == CH_NAME_TASKS)
        workers = NO_WORKER; /* no moment is said at which it would be one */
    if (workers == NO_WORKER)
        complain_kind(parser, at, name, "a worker");
    else if (workers == SEVERAL_WORKERS && single)
        ch_complain(parser, at, "'%s' stands for several workers", text);
    else
        return name;
    return CH_NOBODY;
}

int ch_name_of_action(struct ch_parser *parser, const struct ch_token *at, const char *text,
                      unsigned trait, const char *what)
{
    int name = ch_name_look(parser, text);
    if (name == CH_NOBODY) {
        ch_name_missing(parser, at, text);
        return CH_NOBODY;
    }
    const struct ch_name *bound = &parser->scenario->names[name];
    if (bound->kind == CH_NAME_BROKEN)
        return CH_NOBODY;
    if (bound->kind == CH_NAME_ACTION) {
        enum ch_action_kind kind = parser->scenario->steps[bound->index].action.kind;
        if (ch_vocabulary_traits(CH_FAMILY_ACTION, (int)kind) & trait)
            return name;
    }
    complain_kind(parser, at, name, what);
    return CH_NOBODY;
}

int ch_name_of_shutdown(struct ch_parser *parser, const struct ch_token *at, const char *text)
{
    int name = ch_name_look(parser, text);
    if (name == CH_NOBODY) {
        ch_name_missing(parser, at, text);
        return CH_NOBODY;
    }
    const struct ch_name *bound = &parser->scenario->names[name];
    if (bound->kind == CH_NAME_ACTION &&
        parser->scenario->steps[bound->index].action.kind == CH_ACTION_SHUTDOWN)
        return name;
    if (bound->kind != CH_NAME_BROKEN)
        complain_kind(parser, at, name, "a shutdown");
    return CH_NOBODY;
}

int ch_name_of_dotted(struct ch_parser *parser, const struct ch_token *at, const char *suffix,
                      bool *dotted)
{
    const char *dot = strrchr(at->text, '.');
    *dotted = dot != NULL;
    if (dot == NULL)
        return CH_NOBODY;
    if (strcmp(dot + 1, suffix) != 0) {
        ch_complain(parser, at, "expected NAME.%s, not '%.40s'", suffix, at->text);
        return CH_NOBODY;
    }
    const char *name = ch_arena_text(parser->arena, at->text, (size_t)(dot - at->text));
    return ch_name_of_worker(parser, at, name, true);
}
