/* Every operator that is known, one a line. */
#include "onnx/importer.h"
#include <string.h>

static const struct operator_row rows[] = {
    {"Add", 2, 2, fold_arithmetic, import_add},
    {"AveragePool", 1, 1, NULL, import_average},
    {"BatchNormalization", 5, 5, NULL, import_batchnorm},
    {"Cast", 1, 1, fold_cast, import_same},
    {"CastLike", 2, 2, fold_cast_like, import_same},
    {"Clip", 1, 3, NULL, import_clip},
    {"Concat", 1, NODE_MAX_INPUTS, fold_concat, import_concat},
    {"Constant", 0, 0, fold_constant, NULL},
    {"ConstantOfShape", 1, 1, fold_constant_of_shape, NULL},
    {"Conv", 2, 3, NULL, import_conv},
    {"DequantizeLinear", 2, 3, fold_dequantize, import_dequantize},
    {"Div", 2, 2, fold_arithmetic, import_div},
    {"Dropout", 1, 3, fold_same, import_same},
    {"Expand", 2, 2, fold_expand, NULL},
    {"Flatten", 1, 1, NULL, import_flatten},
    {"Gather", 2, 2, fold_gather, NULL},
    {"Gemm", 2, 3, NULL, import_gemm},
    {"GlobalAveragePool", 1, 1, NULL, import_global_average},
    {"Identity", 1, 1, fold_same, import_same},
    {"LogSoftmax", 1, 1, NULL, import_softmax},
    {"MatMul", 2, 2, NULL, import_matmul},
    {"MaxPool", 1, 1, NULL, import_max},
    {"Mul", 2, 2, fold_arithmetic, import_mul},
    {"QuantizeLinear", 2, 3, fold_quantize, import_quantize},
    {"ReduceMean", 1, 2, NULL, import_reduce_mean},
    {"ReduceProd", 1, 2, fold_reduce_prod, NULL},
    {"Relu", 1, 1, NULL, import_relu},
    {"Reshape", 2, 2, fold_reshape, import_reshape},
    {"Shape", 1, 1, fold_shape, import_shape},
    {"Slice", 1, 5, fold_slice, NULL},
    {"Softmax", 1, 1, NULL, import_softmax},
    {"Squeeze", 1, 2, fold_squeeze, import_squeeze},
    {"Sub", 2, 2, fold_arithmetic, import_sub},
    {"Transpose", 1, 1, fold_transpose, import_transpose},
    {"Unsqueeze", 1, 2, fold_unsqueeze, import_unsqueeze},
};

const struct operator_row *operator_find(const char *op)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].op, op) == 0)
            return &rows[i];
    return NULL;
}

int operators_list(struct text *t, struct message *m)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        TRY(text_add(t, m, "%s%s", i ? ", " : "", rows[i].op));
    return 0;
}
