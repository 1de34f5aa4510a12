/* What an emitted source says, of which names and texts; what is refused.
 * tests/cli/emit-c.bats compiles and runs it. */
#include "../exec/nets.h"
#include "base/memory.h"
#include "emit/emit_state.h"

#define ASSERT_FAILS(call, code, part, m)                             \
    do {                                                              \
        if ((call) != (code) || !strstr((m).text, (part)))            \
            fail_msg("%s: '%s', want '%s'", #call, (m).text, (part)); \
    } while (0)

static const char net[] = "x = input u8[8,8,3]\n"
                          "n = normalize x mean=0.4,0.5,0.6 std=0.2,0.3,0.4\n"
                          "q = quantize n\n"
                          "a = conv2d q out=8 kernel=3 pad=1 bias relu\n"
                          "b.c = conv2d a out=8 kernel=3 pad=1 add=a bias\n"
                          "r = relu b.c\n"
                          "p = avgpool r\n"
                          "fc = linear p out=5 bias\n";

static int left; /* allocations until one fails */

static int fail_later(size_t bytes)
{
    (void)bytes;
    return left-- <= 0;
}

static void words(struct text *t, const char *what, const char *s)
{
    struct message m;
    struct emit e = {.m = &m};
    text_clear(t);
    if (strcmp(what, "string") == 0)
        put_string(&e, t, s);
    else
        put_comment(&e, t, "  ", s);
    assert_int_equal(e.status, 0);
}

static void test_no_text_can_end_a_string(void **state)
{
    (void)state;
    struct text t = {0};
    words(&t, "string", "a\"b\\");
    assert_string_equal(t.data, "\"a\\\"b\\\\\"");
    words(&t, "string", "\?\?/\n1\x7f");
    assert_string_equal(t.data, "\"?\\?/\\0121\\177\"");
    words(&t, "string",
          "\xc3\xa9"
          "1");
    assert_string_equal(t.data, "\"\\303\\2511\"");
    text_free(&t);
}

static void test_no_text_can_end_a_comment(void **state)
{
    (void)state;
    struct text t = {0};
    static const char hostile[] = "*/ int x; /* \?\?/\n/ *\n*/**/\\\n*\xe2\x80\xae\t*/";
    words(&t, "comment", hostile);
    assert_null(strstr(t.data, "*/"));
    assert_null(strstr(t.data, "/*"));
    assert_null(strstr(t.data, "\?\?"));
    for (const char *c = t.data; *c; c++)
        assert_true(*c == '\n' || (*c >= ' ' && *c <= '~'));
    for (const char *line = t.data; line;
         line = strchr(line, '\n') && strchr(line, '\n')[1] ? strchr(line, '\n') + 1 : NULL)
        assert_memory_equal(line, " *   ", 5);
    text_free(&t);
}

static void test_names(void **state)
{
    (void)state;
    struct message m;
    char out[IDENTIFIER_SIZE], longest[EMIT_NAME_MAX + 2];
    identifier(out, "layer1.0.conv1", "_weights", 7);
    assert_string_equal(out, "layer1_0_conv1_weights_7");
    identifier(out, "0._", "", 12);
    assert_string_equal(out, "n0___12");
    static const char *const good[] = {"net", "N", "resnet18_int8"}, *const bad[] = {"",           "1a",  "_a",
                                                                                     "a-b",        "a b", "a.b",
                                                                                     "n\xc3\xa9t", "a\n"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        ASSERT_OK(emit_name_check(good[i], &m), m);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ASSERT_FAILS(emit_name_check(bad[i], &m), STATUS_RANGE, "is no name in C", m);
    memset(longest, 'a', sizeof longest);
    longest[EMIT_NAME_MAX] = '\0';
    ASSERT_OK(emit_name_check(longest, &m), m);
    longest[EMIT_NAME_MAX] = 'a';
    longest[EMIT_NAME_MAX + 1] = '\0';
    ASSERT_FAILS(emit_name_check(longest, &m), STATUS_RANGE, "at most 23", m);
}

static void test_numbers(void **state)
{
    (void)state;
    struct message m;
    struct emit e = {.m = &m};
    struct text t = {0};
    static const float floats[] = {1, -0.0f, 0.1f, 1e-30f, 16777216};
    put_floats(&e, &t, floats, 5);
    assert_string_equal(t.data, "    1.0f, -0.0f, 0.1f, 1e-30f, 16777216.0f");
    text_clear(&t);
    put_real(&e, &t, 0.75f);
    put_real(&e, &t, 0x1.fffffep-100f);
    put_real(&e, &t, 0x1p-149f);
    put_real(&e, &t, 0);
    assert_string_equal(t.data, "{12582912, -24}{16777215, -123}{8388608, -172}{0, 0}");
    text_free(&t);
}

static void test_same_bytes_and_pieces(void **state)
{
    (void)state;
    struct message m;
    struct model model;
    struct emitted a, b;
    struct emit_options o = {.name = "net"};
    random_model(&model, net, 1);
    ASSERT_OK(emit_model(&a, &model, &o, &m), m);
    ASSERT_OK(emit_model(&b, &model, &o, &m), m);
    assert_string_equal(a.source.data, b.source.data);
    assert_string_equal(a.header.data, b.header.data);
    assert_int_equal(a.weights.length, 0);
    assert_non_null(strstr(a.source.data, "static void conv_codes("));
    assert_null(strstr(a.source.data, "conv_floats"));
    assert_null(strstr(a.source.data, "double"));
    assert_null(strstr(a.source.data, "_TEST"));
    /* two maps of 8x8x8 at once beside nothing else: a, b.c in the place of q */
    assert_non_null(strstr(a.header.data, "#define NET_ARENA_BYTES 1024\n"));
    emitted_free(&b);
    o.weights = "w.bin";
    ASSERT_OK(emit_model(&b, &model, &o, &m), m);
    /* 8*27, 8*72, 5*8, each up to 64 bytes, and a digest */
    assert_int_equal(b.weights.length, 256 + 576 + 64 + 32);
    const int8_t *w = model_tensor(&model, 4, "weight")->data; /* [8][8][3][3] -> [8][3][3][8] */
    const int8_t *to = (const int8_t *)b.weights.data + 256;
    for (int k = 0; k < 8; k++)
        for (int c = 0; c < 8; c++)
            for (int p = 0; p < 9; p++)
                assert_int_equal(to[(k * 9 + p) * 8 + c], w[(k * 8 + c) * 9 + p]);
    assert_non_null(strstr(b.source.data, ".bits = 8,"));
    assert_null(strstr(b.source.data, "room =")); /* nothing is unpacked */
    emitted_free(&a);
    emitted_free(&b);
    model_free(&model);
}

/* Codes that fit stand in 4 or 2 bits, whatever the model's own form of them. */
static void test_packed(void **state)
{
    (void)state;
    struct message m;
    struct model model;
    struct emitted out;
    const struct emit_options o = {.name = "net", .weights = "w.bin"};
    random_model(&model, net, 1);
    struct tensor *w = model_tensor(&model, 4, "weight"), *fc = model_tensor(&model, 7, "weight");
    for (size_t i = 0; i < w->count; i++)
        ((int8_t *)w->data)[i] = (int8_t)(i % 16) - 8;
    for (size_t i = 0; i < fc->count; i++)
        ((int8_t *)fc->data)[i] = (int8_t)(i % 4) - 2;
    ASSERT_OK(emit_model(&out, &model, &o, &m), m);
    assert_int_equal(out.weights.length, 256 + 320 + 64 + 32);    /* 576 codes: 288 bytes; 40: 10 */
    assert_int_equal((unsigned char)out.weights.data[256], 0x18); /* channel 0: -8; channel 1, nine on: 1 */
    assert_int_equal((unsigned char)out.weights.data[256 + 320],
                     0x4e); /* -2, -1, 0, 1 from the low bits: 2, 3, 0, 1 */
    assert_non_null(strstr(out.source.data, ".bits = 4,"));
    assert_non_null(strstr(out.source.data, ".bits = 2,"));
    assert_non_null(strstr(out.source.data, "#define NET_ARENA_BYTES 1152\n")); /* 72 bytes more, and up to 64 */
    emitted_free(&out);
    ((int8_t *)w->data)[5] = 8;
    ASSERT_OK(emit_model(&out, &model, &o, &m), m);
    assert_null(strstr(out.source.data, ".bits = 4,"));
    emitted_free(&out);
    model_free(&model);
}

static void test_refusals(void **state)
{
    (void)state;
    struct message m;
    struct model model;
    struct emitted out;
    char *classes[] = {"a", "b"};
    struct emit_options o = {.name = "net", .classes = classes, .class_count = 2};
    random_model(&model, net, 1);
    ASSERT_FAILS(emit_model(&out, &model, &o, &m), STATUS_MISMATCH, "classes: 2 names for 5 outputs", m);
    assert_null(out.source.data);
    o = (struct emit_options){.name = "net"};
    float *scale = (float *)model_tensor(&model, 4, "weight_scale")->data,
          *y = model_tensor(&model, 4, "scale")->data;
    float kept = scale[2], kept_y = *y;
    scale[2] = 0x1p100f;
    *y = 0x1p-10f;
    memcpy(model_tensor(&model, 5, "scale")->data, y, sizeof *y); /* the relu's is its input's */
    ASSERT_FAILS(emit_model(&out, &model, &o, &m), STATUS_UNSUPPORTED, "b.c: a multiplier of ", m);
    scale[2] = kept;
    *y = kept_y;
    memcpy(model_tensor(&model, 5, "scale")->data, y, sizeof *y);
    ((float *)model_tensor(&model, 7, "weight_scale")->data)[0] = 0x1p-126f;
    *(float *)model_tensor(&model, 6, "scale")->data = 0x1p-20f;
    ASSERT_FAILS(emit_model(&out, &model, &o, &m), STATUS_UNSUPPORTED, "fc: a multiplier of ", m);
    assert_null(out.source.data);
    model_free(&model);
}

static void test_an_op_without_code(void **state)
{
    (void)state;
    struct message m;
    struct node n = {.name = "later", .op = OP_COUNT};
    ASSERT_FAILS(emit_check_node(&n, &m), STATUS_UNSUPPORTED, "later: there is no C code for ", m);
}

static void test_failing_allocations(void **state)
{
    (void)state;
    struct message m;
    struct model model;
    struct emitted out;
    const struct emit_options o = {.name = "net", .header = "net.h", .weights = "net.bin"};
    int status = STATUS_NOMEM, count = 0;
    random_model(&model, net, 1);
    memory_test_hook = fail_later;
    for (; status == STATUS_NOMEM; count += 1 + count / 16) {
        left = count;
        status = emit_model(&out, &model, &o, &m);
        if (status < 0) {
            assert_int_equal(status, STATUS_NOMEM);
            assert_null(out.source.data);
            assert_null(out.header.data);
            assert_null(out.weights.data);
        }
    }
    memory_test_hook = NULL;
    assert_int_equal(status, 0);
    assert_true(count > 50);
    emitted_free(&out);
    model_free(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_text_can_end_a_string),
        cmocka_unit_test(test_no_text_can_end_a_comment),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_same_bytes_and_pieces),
        cmocka_unit_test(test_packed),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_an_op_without_code),
        cmocka_unit_test(test_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
