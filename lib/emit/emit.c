/* A model as C: planned as for inference, then written. */
#include "emit/emit.h"
#include "base/memory.h"
#include "base/version.h"
#include "emit/emit_state.h"
#include "exec/plan/shapes.h"
#include "graph/op.h"
#include "kernel/contract/kernel.h"
#include <stdio.h>
#include <string.h>

/* ---- the plan ---- */

static int is_float(const struct emit *e, int node)
{
    return e->model->graph.nodes[node].type == NODE_F32;
}

/* The image and the logits lie where the caller wants them; what else is stored, in the arena; and there is room for
 * weights that are packed, all the time. */
static int plan_arena(struct emit *e, struct message *m)
{
    int nodes = e->model->graph.count;
    e->values = memory_new((size_t)nodes + 1, sizeof *e->values, m);
    if (!e->values)
        return STATUS_NOMEM;
    lives_of_inference(&e->steps, nodes, 0, e->values);
    for (int i = 1; i < nodes - 1; i++)
        if (e->values[i].begin >= 0) {
            e->values[i].bytes = node_elements(&e->model->graph.nodes[i]) * (is_float(e, i) ? sizeof(float) : 1);
            e->has_float_values |= is_float(e, i);
        }
    e->room = &e->values[nodes];
    *e->room = (struct lifetime){.begin = 0, .end = e->steps.count};
    for (int i = 0; i < e->steps.count; i++)
        if (e->steps.at[i].kind == STEP_CONV)
            e->room->bytes = max_size(e->room->bytes, weights_room(e, i));
    return lifetimes_place(e->values, nodes + 1, &e->arena_bytes, m);
}

static int plan(struct emit *e, struct message *m)
{
    const struct kernel_table *definition;
    TRY(model_verify(e->model, m));
    for (int i = 0; i < e->model->graph.count; i++)
        TRY(emit_check_node(&e->model->graph.nodes[i], m));
    TRY(kernel_table_get(&definition, "ref", m));
    TRY(steps_plan(&e->steps, &e->model->graph, FUSE_INTO_CONV, m));
    e->constants = memory_new((size_t)e->steps.count, sizeof *e->constants, m);
    if (!e->constants)
        return STATUS_NOMEM;
    for (int i = 0; i < e->steps.count; i++)
        TRY(step_constants_make(&e->constants[i], e->model, &e->steps.at[i], &definition->elementwise, m));
    return plan_arena(e, m);
}

static void plan_free(struct emit *e)
{
    for (int i = 0; e->constants && i < e->steps.count; i++)
        step_constants_free(&e->constants[i]);
    memory_free(e->constants);
    memory_free(e->values);
    steps_free(&e->steps);
    text_free(&e->tables);
    text_free(&e->calls);
}

/* ---- what others may use ---- */

static const struct node *last_node(const struct emit *e)
{
    return &e->model->graph.nodes[e->model->graph.count - 1];
}

static void put_declarations(struct emit *e, struct text *t)
{
    const struct node *image = &e->model->graph.nodes[0];
    const char *name = e->options->name, *up = e->upper;
    put(e, t,
        "#define %s_HEIGHT %d\n#define %s_WIDTH %d\n#define %s_CHANNELS %d\n#define %s_CLASSES %d\n"
        "#define %s_ARENA_BYTES %zu\n\n",
        up, image->h, up, image->w, up, image->c, up, last_node(e)->c, up, e->arena_bytes);
    put(e, t, "extern const char *const %s_classes[%s_CLASSES];\n\n", name, up);
    put(e, t,
        "/* image: [HEIGHT][WIDTH][CHANNELS], red first; logits: [CLASSES], a larger one is likelier; arena: "
        "ARENA_BYTES to work\n"
        " * in%s, of no meaning before and after. Returns the class of the largest logit, the first of equal "
        "ones%s.\n"
        " * Calls with arenas of their own may run at the same time. */\n",
        e->has_float_values ? ", aligned as a float is" : "",
        e->has_float_values && e->options->weights ? ";\n * -1: the arena is not aligned, or the weights are others"
        : e->has_float_values                      ? ";\n * -1: the arena is not aligned"
        : e->options->weights                      ? ";\n * -1: the weights are others"
                                                   : "");
    put(e, t, "int %s_run(const uint8_t *image, float *logits, void *arena);\n", name);
}

static void put_header(struct emit *e)
{
    struct text *t = &e->out->header;
    put(e, t,
        "/* %s: a network. Made by resq's emit-c " RESQ_VERSION ". */\n"
        "#ifndef %s_NETWORK_H\n#define %s_NETWORK_H\n\n#include <stdint.h>\n\n"
        "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n",
        e->options->name, e->upper, e->upper);
    put_declarations(e, t);
    put(e, t, "\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
}

/* ---- the source ---- */

static void put_introduction(struct emit *e, struct text *t)
{
    const struct node *image = &e->model->graph.nodes[0];
    const char *made_by = record_get(e->model->record, "made-by");
    char digest[MODEL_DIGEST_SIZE];
    if (e->status >= 0)
        e->status = model_digest(e->model, digest, e->m);
    put(e, t,
        "/* %s: a network in C99, for images of %dx%dx%d and %d classes. Made by resq's emit-c " RESQ_VERSION
        " from the model\n * %s.\n *\n",
        e->options->name, image->h, image->w, image->c, last_node(e)->c, digest);
    put(e, t,
        " * It needs nothing else: no allocation, no global that is written, no library but memcpy.\n"
        " * Integers are two's complement, an int has 32 bits%s.\n",
        e->has_float_values ? "; float and double are IEEE's and computed as such (no -ffast-math)" : "");
    if (e->options->test.count > 0)
        put(e, t, " * Its own test: compile it with -D%s_TEST and run it.\n", e->upper);
    if (made_by) {
        put(e, t, " *\n * How the model came to be:\n");
        put_comment(e, t, "  ", made_by);
    }
    put(e, t, " */\n");
}

static void put_classes(struct emit *e, struct text *t)
{
    int count = last_node(e)->c;
    put(e, t, "const char *const %s_classes[%d] = {\n", e->options->name, count);
    for (int i = 0; i < count && e->status >= 0; i++) {
        put(e, t, "    ");
        if (e->options->classes)
            put_string(e, t, e->options->classes[i]);
        else
            put(e, t, "\"%d\"", i);
        put(e, t, ",\n");
    }
    put(e, t, "};\n\n");
}

static void put_values(struct emit *e, struct text *t)
{
    char name[IDENTIFIER_SIZE];
    for (int i = 1; i < e->model->graph.count - 1 && e->status >= 0; i++) {
        if (e->values[i].begin < 0)
            continue;
        value_name(e, i, name);
        if (is_float(e, i))
            put(e, t, "    float *const %s = (float *)(void *)(at + %zu);\n", name, e->values[i].offset);
        else
            put(e, t, "    uint8_t *const %s = at + %zu;\n", name, e->values[i].offset);
    }
}

static void put_run(struct emit *e, struct text *t)
{
    put(e, t, "int %s_run(const uint8_t *image, float *logits, void *arena)\n{\n", e->options->name);
    put(e, t, "    uint8_t *const at = arena;\n");
    put_values(e, t);
    if (e->room->bytes > 0)
        put(e, t, "    int8_t *const room = (int8_t *)(at + %zu);\n", e->room->offset);
    if (e->has_float_values)
        put(e, t, "    if ((uintptr_t)arena %% sizeof(float) != 0)\n        return -1;\n");
    if (e->options->weights)
        put_weights_check(e, t);
    put(e, t, "%s    return largest(logits, %d);\n}\n", e->calls.data ? e->calls.data : "", last_node(e)->c);
}

static void put_source(struct emit *e)
{
    struct text *t = &e->out->source;
    put_introduction(e, t);
    put(e, t, "#include <stdint.h>\n#include <string.h>\n");
    if (e->options->header) {
        put(e, t, "#include ");
        put_string(e, t, e->options->header);
        put(e, t, "\n\n");
    } else {
        put(e, t, "\n");
        put_declarations(e, t);
        put(e, t, "\n");
    }
    put_pieces(e, t);
    put(e, t, "/* ---- the layers' constants ---- */\n\n");
    if (e->options->weights)
        put_weights_beside(e, t);
    put(e, t, "%s/* ---- the network ---- */\n\n", e->tables.data ? e->tables.data : "");
    put_classes(e, t);
    put_run(e, t);
    if (e->options->test.count > 0)
        put_test(e, t);
}

/* ---- all of it ---- */

void emitted_free(struct emitted *out)
{
    text_free(&out->source);
    text_free(&out->header);
    text_free(&out->weights);
}

double emit_weight_bytes(const struct model *model)
{
    double bytes = 0;
    for (int i = 0; i < model->graph.count; i++)
        bytes += node_weight_count(&model->graph, &model->graph.nodes[i]) *
                 (node_is_integer(&model->graph, i) ? 1 : sizeof(float));
    return bytes;
}

int emit_name_check(const char *name, struct message *m)
{
    size_t length = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
    if (length == 0 || name[length] || length > EMIT_NAME_MAX || name[0] == '_' ||
        (name[0] >= '0' && name[0] <= '9'))
        return message_set(m, STATUS_RANGE,
                           "'%s' is no name in C: a letter, then letters, digits and '_', at most %d", name,
                           EMIT_NAME_MAX);
    return 0;
}

int emit_model(struct emitted *out, const struct model *model, const struct emit_options *options,
               struct message *m)
{
    struct emit e = {.model = model, .options = options, .out = out, .m = m};
    *out = (struct emitted){0};
    TRY(emit_name_check(options->name, m));
    name_upper(options->name, e.upper);
    int status = plan(&e, m);
    int classes = model->graph.count ? last_node(&e)->c : 0;
    if (status >= 0 && options->classes && options->class_count != classes)
        status = message_set(m, STATUS_MISMATCH, "classes: %d names for %d outputs", options->class_count, classes);
    e.status = status;
    need(&e, PIECE_largest);
    for (int i = 0; i < e.steps.count && e.status >= 0; i++)
        put_step(&e, i);
    if (e.status >= 0) {
        put_header(&e);
        put_source(&e);
    }
    status = e.status;
    plan_free(&e);
    if (status < 0)
        emitted_free(out);
    return status < 0 ? status : 0;
}
