/* relu: y = max(x, 0); on codes max(q, zero point). */
#include "graph/op.h"

const struct op op_relu = {.name = "relu", .input_count = 1, .integer = INTEGER_INPUT_MAP};
