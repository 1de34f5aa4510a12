/* emit-c: model -> one C file that needs nothing else. */
#include "base/memory.h"
#include "data/batch.h"
#include "emit/emit.h"
#include "record/file.h"
#include "report/save.h"
#include "tools/common/model_file.h"
#include "tools/common/self_test.h"
#include <stdio.h>
#include <string.h>

enum { MOST_INSIDE = 1 << 20 }; /* bytes of weights that stand in the source as text */

struct opts {
    const char *model, *output, *header, *weights, *name, *images;
    int quiet;
    struct model_arguments given;
};

static const char details[] =
    "Writes the network as C99 that needs no library but <stdint.h> and <string.h>, allocates nothing and writes "
    "no global:\n"
    "  int NAME_run(const uint8_t *image, float *logits, void *arena)\n"
    "one short function an operation, a table of constants a layer, the memory it works in (NAME_ARENA_BYTES), the class\n"
    "names, the model's lineage. An int8 network gives the logits of `evaluate`, bit for bit, with any compiler "
    "and options:\n"
    "it computes with integers alone. Float layers give those of RESQ_ISA=ref where float and double are IEEE's (no\n"
    "-ffast-math, no x87).\n"
    "Codes that fit in 4 or 2 bits are packed. Weights of up to 1 MiB stand in the source; others in a file beside\n"
    "it, OUT.bin, which the assembler takes in (.incbin).\n"
    "Compiled with -DNAME_TEST the file is a program that checks itself: ten images with the logits that the model gives\n"
    "for them stand in it, the first ten of --images, or ten drawn ones, always the same.\n"
    "\n"
    "  emit-c -m int8.safetensors -o net.c --header net.h\n"
    "  gcc -std=c99 -O3 -DNET_TEST net.c -o test && ./test\n"
    "  cifar-load --split test -n 10 | emit-c -m int8.safetensors --images - -o net.c\n";

/* ---- files ---- */

static const char *file_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? slash + 1 : path;
}

static int is_stdout(const char *path)
{
    return !path || strcmp(path, "-") == 0;
}

/* Where the weights go: NULL, into the source. *made: for memory_free. */
static int weights_path(const struct opts *o, const struct model *model, char **made, struct message *m)
{
    double bytes = emit_weight_bytes(model);
    *made = NULL;
    if (o->weights || bytes <= MOST_INSIDE)
        return o->weights && !(*made = memory_strdup(o->weights, m)) ? STATUS_NOMEM : 0;
    if (is_stdout(o->output))
        return message_set(m, STATUS_MISMATCH, "%s: %.0f bytes of weights: name a file for them: --weights FILE",
                           o->model, bytes);
    size_t length = strlen(o->output);
    int has_c = length > 2 && strcmp(o->output + length - 2, ".c") == 0;
    *made = memory_printf(m, "%.*s.bin", (int)(has_c ? length - 2 : length), o->output);
    return *made ? 0 : STATUS_NOMEM;
}

static int same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

/* Each of the files could be written, and none is another of them or the model. */
static int outputs_check(const struct opts *o, const char *weights, struct message *m)
{
    const char *const paths[] = {o->output, o->header, weights};
    for (int i = 0; i < 3; i++) {
        TRY(output_check(paths[i], m));
        TRY(output_differs(o->model, paths[i], m));
        TRY(output_differs(o->given.graph, paths[i], m));
        TRY(output_differs(o->images, paths[i], m));
        for (int k = 0; k < i; k++)
            if (same(paths[i], paths[k]))
                return message_set(m, STATUS_MISMATCH, "%s: is to be two of the files", paths[i]);
    }
    return 0;
}

static int save(const struct text *t, const char *path, struct message *m)
{
    return bytes_save(t->data ? t->data : "", t->length, path, m);
}

static int emit(const struct opts *o, const struct model *model, const char *weights, const struct self_test *test,
                struct message *m)
{
    struct emitted out;
    struct emit_options how = {.name = o->name,
                               .header = file_name(o->header),
                               .weights = file_name(weights),
                               .test = {test->images, test->logits, test->count}};
    char **classes = NULL;
    const char *names = record_get(model->record, "classes");
    if (names)
        TRY(classes_from_json(names, &classes, &how.class_count, m));
    how.classes = classes;
    int status = emit_model(&out, model, &how, m);
    classes_free(classes, how.class_count);
    if (status < 0)
        return message_prefix(m, status, "%s", o->model);
    if (weights)
        status = save(&out.weights, weights, m);
    if (status >= 0 && o->header)
        status = save(&out.header, o->header, m);
    if (status >= 0)
        status = save(&out.source, o->output, m);
    emitted_free(&out);
    return status;
}

static int run(struct opts *o, struct message *m)
{
    struct model model;
    struct self_test test = {0};
    char *weights;
    TRY(model_open(&model, o->model, &o->given, m));
    int status = weights_path(o, &model, &weights, m);
    if (status >= 0)
        status = outputs_check(o, weights, m);
    if (status >= 0)
        status = self_test_make(&test, &model, o->images, m);
    if (status >= 0)
        status = emit(o, &model, weights, &test, m);
    self_test_free(&test);
    memory_free(weights);
    model_free(&model);
    return status;
}

int main(int argc, char **argv)
{
    struct opts o = {.name = "net"};
    struct message m = {{0}};
    const struct option_spec options[] = {
        OPTION_MODEL(&o.model),
        OPTION_OUTPUT(&o.output),
        {"header", 0, OPTION_STRING, &o.header, 0, 0, "FILE", "also write a header, which the source includes", 0,
         0},
        {"weights", 0, OPTION_STRING, &o.weights, 0, 0, "FILE", "write the weights here, for .incbin", 0, 0},
        {"name", 0, OPTION_STRING, &o.name, 0, 0, "NAME", "what all names begin with", 0, 0},
        {"images", 0, OPTION_STRING, &o.images, 0, 0, "BATCHES", "the self-test's images; without: drawn ones", 0,
         0},
        MODEL_OPTIONS(o.given),
        OPTION_QUIET(&o.quiet),
    };
    const struct tool tool =
        TOOL("emit-c", "-m MODEL [-o OUT.c] [--header OUT.h] [--weights OUT.bin] [--name NAME]",
             "Write a network as one C file that needs nothing else.", details, options, 0);
    int status = tool_start(&tool, argc, argv, NULL);
    if (status >= 0)
        return status;
    if (!o.model)
        return tool_misuse(&tool, "missing option -m MODEL");
    if (emit_name_check(o.name, &m) < 0)
        return tool_misuse(&tool, "--name: %s", m.text);
    if ((status = model_arguments_take(&o.given, &tool, o.quiet)) >= 0)
        return status;
    status = tool_end(&tool, run(&o, &m), &m);
    model_arguments_free(&o.given);
    return status;
}
