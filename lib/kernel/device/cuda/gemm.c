/* Matrix products by cublasLt: the only file that speaks to it. What a shape needs is prepared at its first call
 * and kept. Sums are float32 (or exact 32-bit integers); no algorithm that adds up in the order of arrival. */
#include "base/memory.h"
#include "kernel/device/cuda/cuda.h"
#include <cublasLt.h>
#include <string.h>

enum { ALIGNMENT = 16 }; /* bytes, of every operand: slices of flat buffers are no better */

struct product {
    struct product_shape shape;
    cublasLtMatmulDesc_t how;
    cublasLtMatrixLayout_t a, b, to;
    cublasLtMatmulAlgo_t algorithm;
    struct product *next;
};

static int blas_failure(struct message *m, cublasStatus_t status, const char *call)
{
    int code = status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_ARCH_MISMATCH ? STATUS_UNSUPPORTED
               : status == CUBLAS_STATUS_ALLOC_FAILED                                         ? STATUS_NOMEM
                                                                                              : STATUS_IO;
    return message_set(m, code, "%.*s: %s", (int)strcspn(call, "("), call, cublasLtGetStatusString(status));
}
#define BLAS_TRY(m, call)                                  \
    do {                                                   \
        cublasStatus_t blas_status_ = (call);              \
        if (blas_status_ != CUBLAS_STATUS_SUCCESS)         \
            return blas_failure((m), blas_status_, #call); \
    } while (0)

static cudaDataType_t data_type(enum device_type type)
{
    switch (type) {
    case DEVICE_F16:
        return CUDA_R_16F;
    case DEVICE_BF16:
        return CUDA_R_16BF;
    case DEVICE_S8:
        return CUDA_R_8I;
    case DEVICE_S32:
        return CUDA_R_32I;
    default:
        return CUDA_R_32F;
    }
}

/* cublasLt counts by columns, so it computes the transpose: to (rows x columns) = op(first) op(second), where first
 * is our b and second our a, except that the weights' gradient takes them as they are named there. */
struct operands {
    int rows, columns, inner;
    int first_turned, second_turned;
};

static struct operands operands_of(const struct product_shape *s)
{
    switch (s->form) {
    case PRODUCT_FORWARD:
        return (struct operands){s->k, s->n, s->c, 1, 0};
    case PRODUCT_DATA:
        return (struct operands){s->c, s->n, s->k, 0, 0};
    default:
        return (struct operands){s->c, s->k, s->n, 0, 1};
    }
}

/* A matrix as it lies: `rows` neighbours in memory; turned: the transpose is what is multiplied. */
static cublasStatus_t layout_new(cublasLtMatrixLayout_t *l, enum device_type type, int rows, int columns,
                                 int turned)
{
    int lie = turned ? columns : rows, count = turned ? rows : columns;
    return cublasLtMatrixLayoutCreate(l, data_type(type), (uint64_t)lie, (uint64_t)count, lie);
}

static int describe(struct product *p, int tf32, struct message *m)
{
    const struct product_shape *s = &p->shape;
    struct operands o = operands_of(s);
    int integers = s->in == DEVICE_S8;
    cublasComputeType_t compute = integers                      ? CUBLAS_COMPUTE_32I
                                  : s->in == DEVICE_F32 && tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                                                : CUBLAS_COMPUTE_32F;
    cublasOperation_t first = o.first_turned ? CUBLAS_OP_T : CUBLAS_OP_N,
                      second = o.second_turned ? CUBLAS_OP_T : CUBLAS_OP_N;
    BLAS_TRY(m, cublasLtMatmulDescCreate(&p->how, compute, integers ? CUDA_R_32I : CUDA_R_32F));
    BLAS_TRY(m, cublasLtMatmulDescSetAttribute(p->how, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first));
    BLAS_TRY(m, cublasLtMatmulDescSetAttribute(p->how, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second));
    BLAS_TRY(m, layout_new(&p->a, s->in, o.rows, o.inner, o.first_turned));
    BLAS_TRY(m, layout_new(&p->b, s->in, o.inner, o.columns, o.second_turned));
    BLAS_TRY(m, layout_new(&p->to, s->out, o.rows, o.columns, 0));
    return 0;
}

static int preferences(cublasLtMatmulPreference_t preference, struct message *m)
{
    const size_t workspace = PRODUCT_WORKSPACE_BYTES;
    const uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, alignment = ALIGNMENT;
    static const cublasLtMatmulPreferenceAttributes_t alignments[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    BLAS_TRY(m, cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                                     &workspace, sizeof workspace));
    BLAS_TRY(m, cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
                                                     &schemes, sizeof schemes));
    for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++)
        BLAS_TRY(m, cublasLtMatmulPreferenceSetAttribute(preference, alignments[i], &alignment, sizeof alignment));
    return 0;
}

static int ask(const struct device *d, struct product *p, cublasLtMatmulPreference_t preference, struct message *m)
{
    cublasLtMatmulHeuristicResult_t found;
    int count = 0;
    TRY(preferences(preference, m));
    BLAS_TRY(m, cublasLtMatmulAlgoGetHeuristic(d->blas, p->how, p->a, p->b, p->to, p->to, preference, 1, &found,
                                               &count));
    if (count < 1)
        return blas_failure(m, CUBLAS_STATUS_NOT_SUPPORTED, "cublasLtMatmulAlgoGetHeuristic");
    p->algorithm = found.algo;
    return 0;
}

static int prepare(const struct device *d, struct product *p, struct message *m)
{
    cublasLtMatmulPreference_t preference = NULL;
    TRY(describe(p, d->options.tf32, m));
    BLAS_TRY(m, cublasLtMatmulPreferenceCreate(&preference));
    int status = ask(d, p, preference, m);
    (void)cublasLtMatmulPreferenceDestroy(preference);
    return status;
}

static void product_free(struct product *p)
{
    if (p->a)
        (void)cublasLtMatrixLayoutDestroy(p->a);
    if (p->b)
        (void)cublasLtMatrixLayoutDestroy(p->b);
    if (p->to)
        (void)cublasLtMatrixLayoutDestroy(p->to);
    if (p->how)
        (void)cublasLtMatmulDescDestroy(p->how);
    memory_free(p);
}

void products_free(struct device *d)
{
    while (d->products) {
        struct product *p = d->products;
        d->products = p->next;
        product_free(p);
    }
}

static int same(const struct product_shape *a, const struct product_shape *b)
{
    return a->form == b->form && a->n == b->n && a->c == b->c && a->k == b->k && a->in == b->in && a->out == b->out;
}

static int product_find(struct device *d, const struct product_shape *s, const struct product **found,
                        struct message *m)
{
    for (const struct product *p = d->products; p; p = p->next)
        if (same(&p->shape, s)) {
            *found = p;
            return 0;
        }
    struct product *new = memory_new(1, sizeof *new, m);
    if (!new)
        return STATUS_NOMEM;
    new->shape = *s;
    int status = prepare(d, new, m);
    if (status < 0) {
        product_free(new);
        return message_prefix(m, status, "product of %d x %d x %d", s->n, s->c, s->k);
    }
    new->next = d->products;
    d->products = new;
    *found = new;
    return 0;
}

int product_run(struct device *d, const struct product_shape *s, const void *a, const void *b, void *y,
                struct message *m)
{
    const struct product *p = NULL;
    const float one = 1, zero = 0;
    const int32_t one_s32 = 1, zero_s32 = 0;
    int integers = s->in == DEVICE_S8;
    TRY(product_find(d, s, &p, m));
    const void *first = b, *second = a;
    BLAS_TRY(m, cublasLtMatmul(d->blas, p->how, integers ? (const void *)&one_s32 : (const void *)&one, first, p->a,
                               second, p->b, integers ? (const void *)&zero_s32 : (const void *)&zero, y, p->to, y,
                               p->to, &p->algorithm, d->product_workspace, PRODUCT_WORKSPACE_BYTES,
                               d->queue[QUEUE_COMPUTE]));
    return 0;
}
