#include "data/survey.h"
#include "data/unread.h"
#include "base/memory.h"
#include "base/utf8.h"
#include <stdio.h>
#include <string.h>

void survey_free(struct survey *s)
{
    for (int i = 0; i < s->root_count; i++)
        memory_free(s->roots[i].path);
    memory_free(s->file_root);
    *s = (struct survey){0};
}

static const char *root_name(const char *root)
{
    return *root ? root : ".";
}

static int root_find(struct survey *s, const char *path, size_t length, struct message *m)
{
    for (int i = 0; i < s->root_count; i++)
        if (strncmp(s->roots[i].path, path, length) == 0 && s->roots[i].path[length] == '\0')
            return i;
    if (s->root_count == SURVEY_MAX_ROOTS)
        return message_set(m, STATUS_RANGE, "holds more than %d sets of pictures", SURVEY_MAX_ROOTS);
    char *copy = memory_printf(m, "%.*s", (int)length, path);
    if (!copy)
        return STATUS_NOMEM;
    s->roots[s->root_count] = (struct survey_root){.path = copy};
    return s->root_count++;
}

static void tally_add(struct survey_tally *t, const char *path)
{
    if (t->count++ == 0 || strncmp(path, t->example, sizeof t->example - 1) < 0)
        snprintf(t->example, sizeof t->example, "%s", path);
}

static void found_add(struct survey *s, const char *name, size_t length)
{
    char copy[SURVEY_NAME];
    int at = 0;
    snprintf(copy, sizeof copy, "%.*s", (int)length, name);
    while (at < s->found_count && strcmp(s->found[at], copy) < 0)
        at++;
    if (at == SURVEY_MAX_FOUND || (at < s->found_count && strcmp(s->found[at], copy) == 0))
        return;
    int kept = s->found_count < SURVEY_MAX_FOUND ? s->found_count : SURVEY_MAX_FOUND - 1;
    memmove(s->found[at + 1], s->found[at], (size_t)(kept - at) * sizeof s->found[0]);
    memcpy(s->found[at], copy, sizeof copy);
    s->found_count = kept + 1;
}

/* The folder that stands where a split's would be: two above the picture, or the last that there is. */
static void stray_folder_add(struct survey *s, const char *path)
{
    const char *end = strrchr(path, '/'), *begin;
    for (int above = 0; end; above++) {
        for (begin = end; begin > path && begin[-1] != '/';)
            begin--;
        if (above == 1 || begin == path) {
            found_add(s, begin, (size_t)(end - begin));
            return;
        }
        end = begin - 1;
    }
}

static int file_root_check(struct survey *s, const char *path, size_t length, struct message *m)
{
    if (!s->file_root) {
        s->file_root = memory_printf(m, "%.*s", (int)length, path);
        return s->file_root ? 0 : STATUS_NOMEM;
    }
    if (strncmp(s->file_root, path, length) == 0 && s->file_root[length] == '\0')
        return 0;
    return message_set(m, STATUS_FORMAT, "holds several sets of .bin files, in '%s' and '%.*s': name one",
                       root_name(s->file_root), length ? (int)length : 1, length ? path : ".");
}

int survey_add(struct survey *s, const char *path, const struct member_path *p, struct message *m)
{
    if (!s->foreign)
        s->foreign = unread_name(path);
    switch (p->kind) {
    case MEMBER_OTHER:
        tally_add(&s->others, path);
        return 0;
    case MEMBER_HIDDEN:
        tally_add(&s->hidden, path);
        return 0;
    case MEMBER_STRAY:
        tally_add(&s->strays, path);
        stray_folder_add(s, path);
        return 0;
    case MEMBER_FILE:
        return file_root_check(s, path, p->root, m);
    case MEMBER_NOTE:
    case MEMBER_RAW:
        return 0;
    case MEMBER_CLASS:
    case MEMBER_PICTURE:
        break;
    }
    int root = root_find(s, path, p->root, m);
    if (root >= 0 && p->kind == MEMBER_PICTURE) {
        if (s->roots[root].pictures[p->folder]++ == 0)
            found_add(s, folder_names[p->folder], strlen(folder_names[p->folder]));
    }
    return root;
}

/* ---- the choice ---- */

static int64_t root_pictures(const struct survey_root *r)
{
    int64_t count = 0;
    for (int i = 0; i < FOLDER_COUNT; i++)
        count += r->pictures[i];
    return count;
}

static int root_depth(const char *path)
{
    int depth = *path != '\0';
    for (; *path; path++)
        depth += *path == '/';
    return depth;
}

/* The root nearest to the top, in s->root. */
static int root_choose(struct survey *s, struct message *m)
{
    int second = -1;
    s->root = -1;
    for (int i = 0; i < s->root_count; i++) {
        if (root_pictures(&s->roots[i]) == 0)
            continue;
        int order = s->root < 0 ? -1 : root_depth(s->roots[i].path) - root_depth(s->roots[s->root].path);
        if (order < 0) {
            s->root = i;
            second = -1;
        } else if (order == 0) {
            second = i;
        }
    }
    if (second < 0)
        return 0;
    const char *a = s->roots[s->root].path, *b = s->roots[second].path;
    int swap = strcmp(a, b) > 0;
    return message_set(m, STATUS_FORMAT, "holds several sets of pictures, in '%s' and '%s': name one", swap ? b : a,
                       swap ? a : b);
}

/* Where there is no `test`, one of its other names is taken. */
static int folders_choose(struct survey *s, struct message *m)
{
    const int64_t *pictures = s->roots[s->root].pictures;
    s->folders[SPLIT_TRAIN] = pictures[FOLDER_TRAIN] > 0 ? FOLDER_TRAIN : -1;
    s->folders[SPLIT_TEST] = pictures[FOLDER_TEST] > 0 ? FOLDER_TEST : -1;
    for (int i = FOLDER_VAL; i < FOLDER_COUNT && pictures[FOLDER_TEST] == 0; i++) {
        if (pictures[i] == 0)
            continue;
        if (s->folders[SPLIT_TEST] >= 0)
            return message_set(m, STATUS_FORMAT, "has no test/, but both %s/ and %s/: call one of them test",
                               folder_names[s->folders[SPLIT_TEST]], folder_names[i]);
        s->folders[SPLIT_TEST] = i;
    }
    return 0;
}

int survey_choose(struct survey *s, struct message *m)
{
    s->folders[SPLIT_TRAIN] = s->folders[SPLIT_TEST] = -1;
    TRY(root_choose(s, m));
    if (s->root < 0)
        return 0;
    if (s->file_root)
        return message_set(m, STATUS_FORMAT, "holds both .bin files and pictures");
    return folders_choose(s, m);
}

int survey_leaves_raw(const struct survey *s)
{
    return s->root < 0 && !s->file_root;
}

/* ---- the report ---- */

static int part_add(struct text *out, struct message *m, const char **before, int64_t count, const char *what,
                    const char *where, const char *example)
{
    if (count == 0)
        return 0;
    int status = text_add(out, m, "%s%lld %s%s%s%s%s%s", *before, (long long)count, what, count == 1 ? "" : "s",
                          where, *example ? " (such as " : "", example, *example ? ")" : "");
    *before = ", ";
    return status;
}

/* Pictures of the roots that were not chosen; *root: the first of those by byte. */
static int64_t other_sets(const struct survey *s, const char **root)
{
    int64_t count = 0;
    for (int i = 0; i < s->root_count; i++) {
        int64_t pictures = i == s->root ? 0 : root_pictures(&s->roots[i]);
        if (pictures > 0 && (count == 0 || strcmp(s->roots[i].path, *root) < 0))
            *root = s->roots[i].path;
        count += pictures;
    }
    return count;
}

static int report_make(const struct survey *s, struct text *out, struct message *m)
{
    const char *before = "left out ";
    int test = s->folders[SPLIT_TEST];
    if (test > FOLDER_TEST) {
        TRY(text_add(out, m, "%s/ is taken for the test split", folder_names[test]));
        before = "; left out ";
    }
    for (int i = 0; i < FOLDER_COUNT; i++)
        if (i != s->folders[SPLIT_TRAIN] && i != test) {
            char where[32];
            snprintf(where, sizeof where, " in %s/", folder_names[i]);
            TRY(part_add(out, m, &before, s->roots[s->root].pictures[i], "picture", where, ""));
        }
    const char *other = "";
    int64_t others = other_sets(s, &other);
    TRY(part_add(out, m, &before, others, "picture", " of other sets", other));
    TRY(part_add(out, m, &before, s->strays.count, "picture", " outside SPLIT/CLASS/", s->strays.example));
    TRY(part_add(out, m, &before, s->others.count, "other file", "", s->others.example));
    return part_add(out, m, &before, s->hidden.count, "hidden or system file", "", s->hidden.example);
}

static int found_join(const struct survey *s, struct text *out, struct message *m)
{
    int status = 0;
    for (int i = 0; i < s->found_count && status >= 0; i++)
        status = text_add(out, m, "%s%s", i ? ", " : "", s->found[i]);
    return status;
}

/* Why there is no set. */
static int instead_find(const struct survey *s, struct text *out, struct message *m)
{
    if (s->foreign)
        return text_add(out, m, "%s", s->foreign);
    if (s->strays.count == 0)
        return text_add(out, m, "holds neither data_batch_N.bin nor pictures train/CLASS/NAME.png");
    return text_add(out, m, "none of its %lld picture%s (such as %s) is in train/CLASS/ or test/CLASS/%s",
                    (long long)s->strays.count, s->strays.count == 1 ? "" : "s", s->strays.example,
                    strchr(s->strays.example, '/') ? "; --hold-out 10 takes CLASS/NAME, every tenth for testing"
                                                   : "");
}

/* Escaped, so that it stays one line whatever the paths hold. */
static int text_keep(struct text *t, int status, char **out, struct message *m)
{
    if (status >= 0 && t->length > 0) {
        *out = memory_new(4 * t->length + 1, 1, m);
        if (*out)
            text_escape(t->data, *out);
        else
            status = STATUS_NOMEM;
    }
    text_free(t);
    return status;
}

int survey_tell(const struct survey *s, struct image_files *files, struct message *m)
{
    struct text report = {0}, found = {0}, instead = {0};
    if (s->root >= 0) {
        TRY(text_keep(&report, report_make(s, &report, m), &files->report, m));
        return text_keep(&found, found_join(s, &found, m), &files->found, m);
    }
    return s->file_root ? 0 : text_keep(&instead, instead_find(s, &instead, m), &files->instead, m);
}
