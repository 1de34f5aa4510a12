/* Dispatch: names, the environment, slots without holes, the list. */
#include "tests/unit/kernel/shapes.h"
#include <stdlib.h>

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(kernel_isa_at(0), "ref");
    assert_string_equal(kernel_isa_at(1), "blas");
    assert_null(kernel_isa_at(-1));
    assert_null(kernel_isa_at(100));
    FOR_EACH_TABLE(table)
    {
        assert_string_equal(table->isa, kernel_isa_at(isa_index));
        assert_ptr_equal(table, table_of(table->isa));
    }
}

static const char *strongest(void)
{
    int i = 0;
    while (kernel_isa_at(i + 1))
        i++;
    return kernel_isa_at(i);
}

static void test_choice(void **state)
{
    (void)state;
    unsetenv("RESQ_ISA");
    assert_string_equal(table_of(NULL)->isa, strongest());
    assert_string_equal(table_of("")->isa, strongest());
    setenv("RESQ_ISA", "ref", 1);
    assert_string_equal(table_of(NULL)->isa, "ref");
    assert_string_equal(table_of("")->isa, "ref");
    assert_string_equal(table_of("blas")->isa, "blas"); /* what is asked for counts more */
    setenv("RESQ_ISA", "", 1);
    assert_string_equal(table_of(NULL)->isa, strongest());
    unsetenv("RESQ_ISA");
}

static void refused(const char *isa)
{
    const struct kernel_table *table = NULL;
    struct message m;
    assert_int_equal(kernel_table_get(&table, isa, &m), STATUS_UNSUPPORTED);
    assert_non_null(strstr(m.text, "(ref, blas"));
    assert_null(strchr(m.text, '\n'));
    assert_null(table);
}

static void test_wrong_name(void **state)
{
    (void)state;
    refused("avx9");
    refused("Ref");
    setenv("RESQ_ISA", "altivec", 1);
    refused(NULL);
    unsetenv("RESQ_ISA");
}

static void test_no_slot_is_empty(void **state)
{
    (void)state;
    FOR_EACH_TABLE(table)
    {
        assert_non_null(table->conv_f32.run);
        assert_non_null(table->conv_f32.algorithm);
        assert_non_null(table->conv_f32_backward_data.run);
        assert_non_null(table->conv_f32_backward_data.algorithm);
        assert_non_null(table->conv_f32_backward_weight.run);
        assert_non_null(table->conv_f32_backward_weight.algorithm);
        assert_non_null(table->conv_u8.run);
        assert_non_null(table->conv_u8.algorithm);
        void (*slots[sizeof table->elementwise / sizeof(void (*)(void))])(void);
        memcpy(slots, &table->elementwise, sizeof table->elementwise);
        for (size_t i = 0; i < sizeof slots / sizeof *slots; i++)
            assert_true(slots[i] != NULL);
    }
}

/* Sets are a tree: from each the way up ends at ref, over sets that run here and stand before it. */
static void test_parents(void **state)
{
    (void)state;
    FOR_EACH_TABLE(table)
    {
        const struct kernel_table *t = table;
        int at = isa_index;
        for (; t->parent; t = t->parent) {
            int above = 0;
            while (above < at && strcmp(kernel_isa_at(above), t->parent->isa) != 0)
                above++;
            assert_true(above < at);
            at = above;
        }
        assert_string_equal(t->isa, "ref");
    }
}

static int refuses(const struct conv_shape *s)
{
    return s->stride == 1;
}

static int block_refuses(const struct block_conv *s)
{
    return s->stride == 1;
}

/* A shape that a set does not take is its parent's, and nobody's only where there is no such kernel at all. */
static void test_kernel_for_a_shape(void **state)
{
    (void)state;
    const struct conv_shape taken = {.h = 8, .w = 8, .c = 3, .out = 4, .kernel = 3, .stride = 1, .pad = 1},
                            odd = {.stride = 2};
    const struct block_conv block_taken = {.stride = 1}, block_odd = {.stride = 2};
    const struct kernel_table *above = table_of("ref");
    struct kernel_table own = *above;
    own.isa = "own";
    own.parent = above;
    own.conv_f32.supports = own.conv_u8.supports = own.conv_bf16.supports = refuses;
    own.conv_f32_backward_data.supports = own.conv_f32_backward_weight.supports = refuses;
    own.conv_u8_winograd.algorithm = "here";
    own.conv_u8_winograd.supports = refuses;
    own.block.supports = block_refuses;
    assert_ptr_equal(kernel_conv_f32(&own, &taken), &own.conv_f32);
    assert_ptr_equal(kernel_conv_f32(&own, &odd), &above->conv_f32);
    assert_ptr_equal(kernel_conv_u8(&own, &odd), &above->conv_u8);
    assert_ptr_equal(kernel_conv_bf16(&own, &odd), &above->conv_bf16);
    assert_ptr_equal(kernel_conv_f32_backward_data(&own, &odd), &above->conv_f32_backward_data);
    assert_ptr_equal(kernel_conv_f32_backward_weight(&own, &odd), &above->conv_f32_backward_weight);
    assert_ptr_equal(kernel_block(&own, &block_taken), &own.block);
    assert_ptr_equal(kernel_block(&own, &block_odd), &above->block);
    assert_ptr_equal(kernel_conv_u8_winograd(&own, &taken), &own.conv_u8_winograd);
    assert_null(kernel_conv_u8_winograd(&own, &odd));
    assert_null(kernel_conv_f32_winograd(&own, &taken));
}

/* What a set lists is what its table holds. */
static void test_list(void **state)
{
    (void)state;
    int count = 0, convolutions = 0;
    for (const struct kernel_name *name; (name = kernel_name_at(count)); count++) {
        assert_true(*name->operation && *name->types && *name->isa && *name->algorithm);
        if (strcmp(name->operation, "conv_f32") != 0)
            continue;
        convolutions++;
        FOR_EACH_TABLE(table)
        if (strcmp(table->isa, name->isa) == 0)
            assert_string_equal(table->conv_f32.algorithm, name->algorithm);
    }
    assert_true(count >= 30 && convolutions >= 2);
    assert_null(kernel_name_at(-1));
}

static void test_peak(void **state)
{
    (void)state;
    FOR_EACH_TABLE(table)
    {
        double f32 = kernel_peak(table, "f32", 0.002), u8 = kernel_peak(table, "u8", 0.002);
        int measured = strcmp(table->isa, "ref") != 0, vector = measured && strcmp(table->isa, "blas") != 0;
        assert_true(measured ? f32 > 1e5 && f32 < 1e13 : f32 == 0);
        assert_true(vector ? u8 > 1e5 && u8 < 1e13 : u8 == 0);
        assert_true(kernel_peak(table, "f64", 0.002) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names),      cmocka_unit_test(test_choice),
                                       cmocka_unit_test(test_wrong_name), cmocka_unit_test(test_no_slot_is_empty),
                                       cmocka_unit_test(test_parents),    cmocka_unit_test(test_kernel_for_a_shape),
                                       cmocka_unit_test(test_list),       cmocka_unit_test(test_peak)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
