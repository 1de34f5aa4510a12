/* cublasLt's products, as far as lib/kernel/device/cuda calls them: by columns, as the real one counts. */
#include "tests/cuda/emulation/emulate.h"
#include "tests/cuda/emulation/values.h"
#include <cublasLt.h>
#include <stdlib.h>
#include <string.h>

struct how {
    cublasComputeType_t compute;
    cublasOperation_t a, b;
};
struct matrix {
    cudaDataType_t type;
    uint64_t rows, columns;
    int64_t ld;
};

static enum value_type type_of(cudaDataType_t type)
{
    switch (type) {
    case CUDA_R_16F:
        return VALUE_F16;
    case CUDA_R_16BF:
        return VALUE_BF16;
    case CUDA_R_8I:
        return VALUE_S8;
    case CUDA_R_32I:
        return VALUE_S32;
    default:
        return VALUE_F32;
    }
}

/* The shapes fit, and integers come as they are wanted: A turned, B not, everything in fours. */
static bool fits(const struct how *h, const struct matrix *a, const struct matrix *b, const struct matrix *d)
{
    uint64_t rows = h->a == CUBLAS_OP_T ? a->columns : a->rows, inner = h->a == CUBLAS_OP_T ? a->rows : a->columns;
    uint64_t inner_b = h->b == CUBLAS_OP_T ? b->columns : b->rows;
    uint64_t columns = h->b == CUBLAS_OP_T ? b->rows : b->columns;
    if (rows != d->rows || columns != d->columns || inner != inner_b || a->type != b->type)
        return false;
    if ((h->compute == CUBLAS_COMPUTE_32I) != (a->type == CUDA_R_8I) ||
        (h->compute == CUBLAS_COMPUTE_32I) != (d->type == CUDA_R_32I))
        return false;
    return h->compute != CUBLAS_COMPUTE_32I ||
           (h->a == CUBLAS_OP_T && h->b == CUBLAS_OP_N && rows % 4 == 0 && inner % 4 == 0 && columns % 4 == 0);
}

static double operand(const struct how *h, const struct matrix *l, cublasOperation_t turned, const void *p,
                      uint64_t row, uint64_t column)
{
    uint64_t at = turned == CUBLAS_OP_T ? column + row * (uint64_t)l->ld : row + column * (uint64_t)l->ld;
    double v = value_at(p, type_of(l->type), at);
    return h->compute == CUBLAS_COMPUTE_32F_FAST_TF32 ? tf32_rounded(v) : v;
}

static void multiply(const struct how *h, const struct matrix *la, const struct matrix *lb, const struct matrix *ld,
                     const void *a, const void *b, void *d)
{
    uint64_t inner = h->a == CUBLAS_OP_T ? la->rows : la->columns;
    for (uint64_t column = 0; column < ld->columns; column++)
        for (uint64_t row = 0; row < ld->rows; row++) {
            double sum = 0;
            for (uint64_t i = 0; i < inner; i++)
                sum += operand(h, la, h->a, a, row, i) * operand(h, lb, h->b, b, i, column);
            value_set(d, type_of(ld->type), row + column * (uint64_t)ld->ld, sum);
        }
}

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
    if (emulate_failure("cublasLtCreate"))
        return CUBLAS_STATUS_NOT_INITIALIZED;
    *handle = (cublasLtHandle_t)malloc(1);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
    free(handle);
    return CUBLAS_STATUS_SUCCESS;
}

const char *cublasLtGetStatusString(cublasStatus_t status)
{
    return status == CUBLAS_STATUS_SUCCESS           ? "CUBLAS_STATUS_SUCCESS"
           : status == CUBLAS_STATUS_NOT_SUPPORTED   ? "CUBLAS_STATUS_NOT_SUPPORTED"
           : status == CUBLAS_STATUS_NOT_INITIALIZED ? "CUBLAS_STATUS_NOT_INITIALIZED"
                                                     : "CUBLAS_STATUS_EXECUTION_FAILED";
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *h, cublasComputeType_t compute, cudaDataType_t)
{
    *h = (cublasLtMatmulDesc_t) new how{compute, CUBLAS_OP_N, CUBLAS_OP_N};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t h)
{
    delete (struct how *)h;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t h, cublasLtMatmulDescAttributes_t which,
                                              const void *value, size_t)
{
    cublasOperation_t *to = which == CUBLASLT_MATMUL_DESC_TRANSA ? &((struct how *)h)->a : &((struct how *)h)->b;
    if (which != CUBLASLT_MATMUL_DESC_TRANSA && which != CUBLASLT_MATMUL_DESC_TRANSB)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    memcpy(to, value, sizeof *to);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *l, cudaDataType type, uint64_t rows,
                                          uint64_t columns, int64_t ld)
{
    if (ld < (int64_t)rows)
        return CUBLAS_STATUS_INVALID_VALUE;
    *l = (cublasLtMatrixLayout_t) new matrix{type, rows, columns, ld};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l)
{
    delete (struct matrix *)l;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *p)
{
    *p = (cublasLtMatmulPreference_t)malloc(1);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p)
{
    free(p);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t,
                                                    cublasLtMatmulPreferenceAttributes_t, const void *, size_t)
{
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t h, cublasLtMatrixLayout_t a,
                                              cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t,
                                              cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t, int,
                                              cublasLtMatmulHeuristicResult_t found[], int *count)
{
    memset(&found[0], 0, sizeof found[0]);
    *count = fits((struct how *)h, (struct matrix *)a, (struct matrix *)b, (struct matrix *)d);
    return *count ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t h, const void *alpha, const void *a,
                              cublasLtMatrixLayout_t la, const void *b, cublasLtMatrixLayout_t lb, const void *beta,
                              const void *, cublasLtMatrixLayout_t, void *d, cublasLtMatrixLayout_t ld,
                              const cublasLtMatmulAlgo_t *, void *, size_t, cudaStream_t)
{
    struct how how = *(struct how *)h;
    struct matrix ma = *(struct matrix *)la, mb = *(struct matrix *)lb, md = *(struct matrix *)ld;
    bool integers = how.compute == CUBLAS_COMPUTE_32I;
    double one = integers ? *(const int32_t *)alpha : (double)*(const float *)alpha;
    double zero = integers ? *(const int32_t *)beta : (double)*(const float *)beta;
    if (one != 1 || zero != 0 || !fits(&how, &ma, &mb, &md))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (emulate_failure("cublasLtMatmul"))
        return CUBLAS_STATUS_EXECUTION_FAILED;
    emulate_submit([=] { multiply(&how, &ma, &mb, &md, a, b, d); });
    return CUBLAS_STATUS_SUCCESS;
}
}
