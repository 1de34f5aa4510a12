/* inspect: any record as text, checked or compared. */
#include "tools/common/model_file.h"
#include "record/describe.h"
#include "record/file.h"
#include <stdio.h>
#include <string.h>

static const char details[] =
    "Verbs (FILE: a record or a stream of batches; default standard input):\n"
    "  show [FILE]          metadata, tensors, totals; of an int8 model also, layer by layer, the proven bound of\n"
    "                       the accumulator and how far below 2^31 it stays; of a stream its first batch\n"
    "  graph [FILE]         the network as text\n"
    "  network [FILE]       what to call it in a title: ResNet-18 and its width, or what it is made of\n"
    "  tensor NAME [FILE]   type, shape and statistics; with --values every value\n"
    "  bounds [FILE]        of an int8 model, for each 3x3 convolution of stride 1: the proved bound of its sums\n"
    "                       and how far below 2^25 it stays, where exact Winograd may compute it; outputs beyond\n"
    "                       are computed directly\n"
    "  stages [FILE]        of a float model, a line for each later stage that cannot take it (fuse, "
    "qat-finetune,\n"
    "                       evaluate) and why, with exit status 1; silent, with 0, where every one can\n"
    "  made-by [FILE]       one line per program that the record went through\n"
    "  check [FILE]...      silent where every file is whole; a stream must have its end record, a model fit its\n"
    "                       graph\n"
    "  compare FILE FILE    what differs, as TSV: metadata, and per tensor largest and mean difference and the\n"
    "                       signal-to-noise ratio in dB, the first file being the signal; int8 weights are\n"
    "                       compared by the values that they stand for; silent, with exit status 0, where\n"
    "                       nothing differs\n\n"
    "Example: diff <(inspect graph a.safetensors) <(inspect graph b.safetensors)";

struct opts {
    const char *output;
    int values;
    struct model_arguments given;
};

struct job {
    const struct tool *tool;
    struct opts *opts;
    struct operands operands;   /* after the verb */
    FILE *out;                  /* failed writes show at its commit */
    struct file_summary second; /* of compare */
    int differs;                /* exit status 1 without a message */
};

/* One verb on one checked file, whose text goes out behind it. May take file->first, leaving NULL. */
typedef int verb_run(struct job *j, struct file_summary *file, struct text *t, struct message *m);

static int text_put(struct job *j, struct text *t, int status)
{
    if (status >= 0 && t->length > 0)
        fwrite(t->data, 1, t->length, j->out);
    text_free(t);
    return status;
}

static int show(struct job *j, struct file_summary *file, struct text *t, struct message *m)
{
    (void)j;
    return file_show(file, t, m);
}

static int graph(struct job *j, struct file_summary *file, struct text *t, struct message *m)
{
    return file_graph(file, &j->opts->given.given, t, m);
}

static int network(struct job *j, struct file_summary *file, struct text *t, struct message *m)
{
    return file_network(file, &j->opts->given.given, t, m);
}

static int bounds(struct job *j, struct file_summary *file, struct text *t, struct message *m)
{
    (void)j;
    return file_bounds(file, t, m);
}

static int stages(struct job *j, struct file_summary *file, struct text *t, struct message *m)
{
    int status = file_stages(file, &j->opts->given.given, t, m);
    j->differs |= status >= 0 && t->length > 0;
    return status;
}

static int made_by(struct job *j, struct file_summary *file, struct text *t, struct message *m)
{
    (void)j;
    return record_show_lines(file->first, "made-by", t, m);
}

static int tensor(struct job *j, struct file_summary *file, struct text *t, struct message *m)
{
    const char *name = j->operands.items[0];
    const struct tensor *found = record_find(file->first, name);
    if (!found)
        return message_set(m, STATUS_MISMATCH, "%s: missing tensor", name);
    if (!j->opts->values)
        return tensor_show(found, t, m);
    for (size_t at = 0; at < found->count;)
        TRY(text_put(j, t, tensor_values_print(found, &at, t, m)));
    return STATUS_OK;
}

static int check(struct job *j, struct file_summary *file, struct text *t, struct message *m)
{
    struct model_given given = j->opts->given.given; /* nothing of it is shown */
    given.tell = NULL;
    (void)t;
    return file_fits(file, &given, m);
}

static int compare(struct job *j, struct file_summary *file, struct text *t, struct message *m)
{
    int status = record_compare(file->first, j->second.first, t, m);
    j->differs = status == 0;
    return status;
}

static const struct verb {
    const char *name;
    verb_run *run;
    int least, most; /* operands after the verb */
    int file_at;     /* the first operand that is a file */
    int every_file;  /* run on all of them, not on the first */
} verbs[] = {
    {"show", show, 0, 1, 0, 0},       {"graph", graph, 0, 1, 0, 0},     {"tensor", tensor, 1, 2, 1, 0},
    {"bounds", bounds, 0, 1, 0, 0},   {"made-by", made_by, 0, 1, 0, 0}, {"check", check, 0, 1 << 20, 0, 1},
    {"compare", compare, 2, 2, 0, 0}, {"network", network, 0, 1, 0, 0}, {"stages", stages, 0, 1, 0, 0},
};

static int file_run(struct job *j, const struct verb *verb, const char *path, struct message *m)
{
    struct file_summary file;
    TRY(output_differs(path, j->opts->output, m));
    TRY(record_check(path, &file, m));
    j->opts->given.path = path;
    struct text t = {0};
    int status = text_put(j, &t, verb->run(j, &file, &t, m));
    record_free(file.first);
    return status < 0 ? message_prefix(m, status, "%s", strcmp(path, "-") ? path : "stdin") : status;
}

static int files_run(struct job *j, const struct verb *verb, struct message *m)
{
    int status = STATUS_OK;
    int end = verb->every_file && j->operands.count > 0 ? j->operands.count : verb->file_at + 1;
    for (int i = verb->file_at; i < end; i++) {
        struct message reason = {0};
        int one = file_run(j, verb, i < j->operands.count ? j->operands.items[i] : "-", &reason);
        if (one >= 0)
            continue;
        if (status < 0) /* one line a file; the last is printed at the end */
            fprintf(stderr, "%s: %s\n", tool_called(j->tool), m->text);
        status = one;
        *m = reason;
    }
    return status;
}

static int job_run(struct job *j, const struct verb *verb, struct message *m)
{
    struct atomic_file out;
    TRY(atomic_open(&out, j->opts->output, m));
    j->out = out.stream;
    int status = verb->run == compare ? record_check(j->operands.items[1], &j->second, m) : STATUS_OK;
    if (status >= 0)
        status = files_run(j, verb, m);
    record_free(j->second.first);
    if (status >= 0)
        return atomic_commit(&out, m);
    atomic_abandon(&out);
    return status;
}

int main(int argc, char **argv)
{
    struct opts o = {0};
    const struct option_spec options[] = {
        OPTION_OUTPUT(&o.output),
        {"values", 0, OPTION_FLAG, &o.values, 0, 0, 0, "tensor: print every value", 0, 0},
        MODEL_OPTIONS(o.given),
    };
    const struct tool tool =
        TOOL("inspect", "VERB [OPERAND]...", "Print, check or compare records.", details, options, 1 << 20);
    struct job j = {.tool = &tool, .opts = &o};
    struct message m = {0};
    int status = tool_start(&tool, argc, argv, &j.operands);
    if (status >= 0)
        return status;
    if ((status = model_arguments_take(&o.given, &tool, 0)) >= 0)
        return status;
    if (j.operands.count == 0)
        return tool_misuse(&tool,
                           "no verb: show, graph, network, bounds, stages, tensor, made-by, check or compare");
    const char *name = *j.operands.items++;
    j.operands.count--;
    for (const struct verb *v = verbs; v < verbs + sizeof verbs / sizeof *verbs; v++) {
        if (strcmp(v->name, name))
            continue;
        if (j.operands.count < v->least || j.operands.count > v->most)
            return tool_misuse(&tool, "%s: takes %d to %d operands", name, v->least, v->most);
        return tool_end(&tool, job_run(&j, v, &m), &m) || j.differs;
    }
    return tool_misuse(
        &tool, "unknown verb '%s': show, graph, network, bounds, stages, tensor, made-by, check or compare", name);
}
