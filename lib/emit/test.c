/* The self-test of an emitted source: a main that shows it images and looks at every bit of what comes out. */
#include "emit/emit_state.h"
#include "exec/plan/shapes.h"
#include <string.h>

static void put_images(struct emit *e, struct text *t, const struct emit_test *test, size_t bytes)
{
    put(e, t, "static const uint8_t images[%d][%zu] = {\n", test->count, bytes);
    for (int i = 0; i < test->count && e->status >= 0; i++) {
        put(e, t, "    {\n");
        put_bytes(e, t, test->images + (size_t)i * bytes, bytes);
        put(e, t, "},\n");
    }
    put(e, t, "};\n\n");
}

static void put_logits(struct emit *e, struct text *t, const struct emit_test *test, int classes)
{
    put(e, t, "/* What the model gave, as the bits of floats. */\nstatic const uint32_t expected[%d][%d] = {\n",
        test->count, classes);
    for (int i = 0; i < test->count && e->status >= 0; i++) {
        put(e, t, "    {");
        for (int k = 0; k < classes; k++) {
            uint32_t bits;
            memcpy(&bits, &test->logits[(size_t)i * (size_t)classes + (size_t)k], sizeof bits);
            put(e, t, "%s0x%08lx", k == 0 ? "" : k % 8 == 0 ? ",\n     " : ", ", (unsigned long)bits);
        }
        put(e, t, "},\n");
    }
    put(e, t, "};\n\n");
}

void put_test(struct emit *e, struct text *t)
{
    const struct emit_test *test = &e->options->test;
    const struct node *image = &e->model->graph.nodes[0];
    int classes = e->model->graph.nodes[e->model->graph.count - 1].c;
    put(e, t, "\n/* ---- the test ---- */\n\n#ifdef %s_TEST\n#include <stdio.h>\n\n", e->upper);
    put_images(e, t, test, node_elements(image));
    put_logits(e, t, test, classes);
    put(e, t, "static float arena[(%s_ARENA_BYTES + sizeof(float) - 1) / sizeof(float)];\n\n", e->upper);
    put(e, t, "#define TEST_RUN(image, logits) %s_run(image, logits, arena)\n#define TEST_CLASSES %s_classes\n\n",
        e->options->name, e->options->name);
    put_piece(e, t, PIECE_self_test);
    put(e, t, "#endif\n");
}
