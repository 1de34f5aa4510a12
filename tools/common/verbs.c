#include "tools/common/verbs.h"
#include "record/file.h"
#include <string.h>

static int text_put(struct inspection *i, struct text *t, int status)
{
    if (status >= 0 && t->length > 0)
        fwrite(t->data, 1, t->length, i->out);
    text_free(t);
    return status;
}

static int show(struct inspection *i, struct file_summary *file, struct text *t, struct message *m)
{
    (void)i;
    return file_show(file, t, m);
}

static int graph(struct inspection *i, struct file_summary *file, struct text *t, struct message *m)
{
    return file_graph(file, &i->given.given, t, m);
}

static int network(struct inspection *i, struct file_summary *file, struct text *t, struct message *m)
{
    return file_network(file, &i->given.given, t, m);
}

static int bounds(struct inspection *i, struct file_summary *file, struct text *t, struct message *m)
{
    (void)i;
    return file_bounds(file, t, m);
}

static int stages(struct inspection *i, struct file_summary *file, struct text *t, struct message *m)
{
    int status = file_stages(file, &i->given.given, t, m);
    i->differs |= status >= 0 && t->length > 0;
    return status;
}

static int made_by(struct inspection *i, struct file_summary *file, struct text *t, struct message *m)
{
    (void)i;
    return record_show_lines(file->first, "made-by", t, m);
}

static int tensor(struct inspection *i, struct file_summary *file, struct text *t, struct message *m)
{
    const char *name = i->operands.items[0];
    const struct tensor *found = record_find(file->first, name);
    if (!found)
        return message_set(m, STATUS_MISMATCH, "%s: missing tensor", name);
    if (!i->values)
        return tensor_show(found, t, m);
    for (size_t at = 0; at < found->count;)
        TRY(text_put(i, t, tensor_values_print(found, &at, t, m)));
    return STATUS_OK;
}

static int check(struct inspection *i, struct file_summary *file, struct text *t, struct message *m)
{
    struct model_given given = i->given.given; /* nothing of it is shown */
    given.tell = NULL;
    (void)t;
    return file_fits(file, &given, m);
}

static int compare(struct inspection *i, struct file_summary *file, struct text *t, struct message *m)
{
    int status = record_compare(file->first, i->second.first, t, m);
    i->differs = status == 0;
    return status;
}

static const struct verb verbs[] = {
    {"show", 0, 1, 0, 0, show},       {"graph", 0, 1, 0, 0, graph},     {"tensor", 1, 2, 1, 0, tensor},
    {"bounds", 0, 1, 0, 0, bounds},   {"made-by", 0, 1, 0, 0, made_by}, {"check", 0, 1 << 20, 0, 1, check},
    {"compare", 2, 2, 0, 0, compare}, {"network", 0, 1, 0, 0, network}, {"stages", 0, 1, 0, 0, stages},
};

static int file_run(struct inspection *i, const struct verb *verb, const char *path, struct message *m)
{
    struct file_summary file;
    TRY(output_differs(path, i->output, m));
    TRY(record_check(path, &file, m));
    i->given.path = path;
    struct text t = {0};
    int status = text_put(i, &t, verb->run(i, &file, &t, m));
    record_free(file.first);
    return status < 0 ? message_prefix(m, status, "%s", strcmp(path, "-") ? path : "stdin") : status;
}

static int files_run(struct inspection *i, const struct verb *verb, struct message *m)
{
    const struct operands *o = &i->operands;
    int status = STATUS_OK;
    int end = verb->every_file && o->count > 0 ? o->count : verb->file_at + 1;
    for (int k = verb->file_at; k < end; k++) {
        struct message reason = {0};
        int one = file_run(i, verb, k < o->count ? o->items[k] : "-", &reason);
        if (one >= 0)
            continue;
        if (status < 0) /* one line a file; the last is printed at the end */
            fprintf(stderr, "%s: %s\n", tool_called(i->tool), m->text);
        status = one;
        *m = reason;
    }
    return status;
}

const struct verb *verb_find(const char *name)
{
    for (const struct verb *v = verbs; v < verbs + sizeof verbs / sizeof *verbs; v++)
        if (strcmp(v->name, name) == 0)
            return v;
    return NULL;
}

int verb_run(const struct verb *verb, struct inspection *i, struct message *m)
{
    struct atomic_file out;
    TRY(atomic_open(&out, i->output, m));
    i->out = out.stream;
    int status = verb->run == compare ? record_check(i->operands.items[1], &i->second, m) : STATUS_OK;
    if (status >= 0)
        status = files_run(i, verb, m);
    record_free(i->second.first);
    if (status >= 0)
        return atomic_commit(&out, m);
    atomic_abandon(&out);
    return status;
}
