/* cuda.h: what the files of this folder share. Private to it: everybody else sees kernel/contract/device.h. */
#ifndef RESQ_KERNEL_DEVICE_CUDA_CUDA_H
#define RESQ_KERNEL_DEVICE_CUDA_CUDA_H

#include <cuda_runtime_api.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "base/status.h"
#include "kernel/contract/device.h"

/* Everything that close has to free, by what frees it. */
enum held_kind { HELD_MEMORY, HELD_HOST, HELD_EVENT, HELD_GRAPH, HELD_PLAN, HELD_PEERS };
struct held {
    enum held_kind kind;
    void *p;
    struct held *next;
};

/* Bytes that operations without a plan use for partial sums; one after the other on QUEUE_COMPUTE. */
enum { SCRATCH_BYTES = 4 << 20, PRODUCT_WORKSPACE_BYTES = 32 << 20 };

struct device {
    struct device_options options;
    int index; /* of CUDA's devices */
    cudaStream_t queue[DEVICE_QUEUES];
    struct cudnnContext *dnn;     /* bound to QUEUE_COMPUTE */
    struct cublasLtContext *blas; /* gets the queue with each call */
    struct product *products;     /* of gemm.c: prepared so far */
    void *product_workspace;
    void *scratch;
    struct held *held;
};

struct device_event {
    cudaEvent_t event;
};
struct device_graph {
    cudaGraphExec_t exec;
};

/* The beginning of every plan. */
struct device_plan {
    const char *algorithm[DEVICE_PASSES]; /* NULL: no such pass */
    size_t workspace, reserve, packed;
    void (*free)(struct device_plan *p);
};

/* ---- failures: the function's name, then NVIDIA's words. call: its text, of which the part before '(' is shown.
 */

int cuda_failure(struct message *m, cudaError_t error, const char *call);
#define CUDA_TRY(m, call)                            \
    do {                                             \
        cudaError_t error_ = (call);                 \
        if (error_ != cudaSuccess)                   \
            return cuda_failure((m), error_, #call); \
    } while (0)

/* After a kernel of our own was queued: what its launch said. */
int kernel_queued(struct message *m, const char *kernel);

/* ---- memory.c ---- */

int held_add(struct device *d, enum held_kind kind, void *p, struct message *m);
int held_remove(struct device *d, enum held_kind kind, void *p); /* whether it was held */

int device_memory_new(size_t bytes, void **p, struct message *m); /* for the length of a plan's making */
void device_memory_free(void *p);

/* ---- shapes ---- */

static inline size_t type_bytes(enum device_type type)
{
    return type == DEVICE_F32 || type == DEVICE_S32 ? 4 : type == DEVICE_F16 || type == DEVICE_BF16 ? 2 : 1;
}

static inline size_t round_up(size_t value, size_t to)
{
    return (value + to - 1) / to * to;
}

static inline void *byte_offset(void *p, size_t bytes)
{
    return (char *)p + bytes;
}

/* Elements of n images; 0 where a dimension is not positive or the product reaches 2^31. */
size_t tensor_count(int n, int h, int w, int c);

/* ---- our own kernels, queued on QUEUE_COMPUTE ---- */

/* Values in [-1, 1) (S8: -127..127) that are no pattern: what is measured on zeros is too fast. */
int fill_run(struct device *d, enum device_type type, void *to, size_t count, struct message *m);

/* Products, row-major: y [n][k] = x [n][c] * w' [c][k], or what the other two passes of a linear layer need. */
enum product_form { PRODUCT_FORWARD, PRODUCT_DATA, PRODUCT_WEIGHT };
struct product_shape {
    enum product_form form;
    int n, c, k;              /* of the linear layer */
    enum device_type in, out; /* F32, F16, BF16 -> itself or F32; S8 -> S32 */
};
/* FORWARD: y [n][k], a: x [n][c], b: w [k][c]. DATA: dx [n][c], a: dy [n][k], b: w [k][c]. WEIGHT: dw [k][c], a: dy
 * [n][k], b: x [n][c]. The algorithm is cublasLt's own choice, at the first call of a shape. */
int product_run(struct device *d, const struct product_shape *s, const void *a, const void *b, void *y,
                struct message *m);
void products_free(struct device *d);

/* ---- the table's functions, a file each ---- */

int cuda_open(const struct device_options *options, struct device **d, struct message *m);
void cuda_close(struct device *d);
int cuda_information(struct device *d, struct device_information *i, struct message *m);
int cuda_self_test(struct device *d, struct message *m);

/* memory.c */
int cuda_allocate(struct device *d, size_t bytes, void **p, struct message *m);
void cuda_release(struct device *d, void *p);
int cuda_allocate_host(struct device *d, size_t bytes, void **p, struct message *m);
void cuda_release_host(struct device *d, void *p);

/* queue.c */
int cuda_copy_in(struct device *d, enum device_queue q, void *to, const void *from, size_t bytes,
                 struct message *m);
int cuda_copy_out(struct device *d, enum device_queue q, void *to, const void *from, size_t bytes,
                  struct message *m);
int cuda_copy_on(struct device *d, enum device_queue q, void *to, const void *from, size_t bytes,
                 struct message *m);
int cuda_zero(struct device *d, void *to, size_t bytes, struct message *m);
int cuda_event_new(struct device *d, struct device_event **e, struct message *m);
void cuda_event_free(struct device *d, struct device_event *e);
int cuda_event_record(struct device *d, struct device_event *e, enum device_queue q, struct message *m);
int cuda_event_wait(struct device *d, enum device_queue q, struct device_event *e, struct message *m);
int cuda_event_synchronize(struct device *d, struct device_event *e, struct message *m);
int cuda_event_seconds(struct device *d, struct device_event *from, struct device_event *to, double *seconds,
                       struct message *m);
int cuda_synchronize(struct device *d, struct message *m);
int cuda_capture_begin(struct device *d, struct message *m);
int cuda_capture_end(struct device *d, struct device_graph **g, struct message *m);
void cuda_capture_abandon(struct device *d);
int cuda_graph_launch(struct device *d, struct device_graph *g, struct message *m);
void cuda_graph_free(struct device *d, struct device_graph *g);

/* plan.c: the checks that all plans share, and conv.c, norm.c, conv_u8.cu */
int cuda_conv_plan(struct device *d, const struct device_conv *c, unsigned passes, size_t workspace_limit,
                   struct device_plan **p, struct message *m);
int cuda_norm_plan(struct device *d, const struct device_norm *n, struct device_plan **p, struct message *m);
int conv_float_plan(struct device *d, const struct device_conv *c, unsigned passes, size_t workspace_limit,
                    struct device_plan **p, struct message *m);
int conv_u8_plan(const struct device_conv *c, unsigned passes, size_t workspace_limit, struct device_plan **p,
                 struct message *m);
void cuda_plan_free(struct device *d, struct device_plan *p);
const char *cuda_plan_algorithm(const struct device_plan *p, enum device_pass pass);
size_t cuda_plan_workspace(const struct device_plan *p);
size_t cuda_plan_reserve(const struct device_plan *p);
size_t cuda_plan_packed(const struct device_plan *p);
int cuda_conv_forward(struct device *d, struct device_plan *p, const struct device_conv_call *call,
                      struct message *m);
int cuda_conv_data(struct device *d, struct device_plan *p, const struct device_conv_data_call *call,
                   struct message *m);
int cuda_conv_weight(struct device *d, struct device_plan *p, const void *x, const void *dy, float *dw,
                     void *workspace, struct message *m);
int cuda_norm_forward(struct device *d, struct device_plan *p, const struct device_norm_call *call,
                      struct message *m);
int cuda_norm_backward(struct device *d, struct device_plan *p, const struct device_norm_backward_call *call,
                       struct message *m);
int cuda_norm_sums(struct device *d, const struct device_norm *n, const void *x, double *sums, struct message *m);
int cuda_norm_statistics(struct device *d, const struct device_norm_statistics_call *call, struct message *m);
int cuda_norm_backward_sums(struct device *d, const struct device_norm *n,
                            const struct device_norm_backward_call *call, double *sums, struct message *m);
int cuda_norm_backward_apply(struct device *d, const struct device_norm *n,
                             const struct device_norm_backward_call *call, const double *sums, double rows,
                             struct message *m);
int cuda_conv_u8_pack(struct device *d, struct device_plan *p, const int8_t *codes, const int32_t *bias,
                      const struct device_requantize *requantize, void *packed, struct message *m);
int cuda_conv_u8(struct device *d, struct device_plan *p, const struct device_conv_u8_call *call, void *workspace,
                 struct message *m);

/* linear.c */
int cuda_peak(struct device *d, enum device_type type, double seconds, double *macs, struct message *m);
int cuda_linear_forward(struct device *d, const struct device_linear *l, const void *x, const void *w,
                        const float *bias, void *y, struct message *m);
int cuda_linear_backward(struct device *d, const struct device_linear *l,
                         const struct device_linear_backward_call *call, struct message *m);

/* elementwise.cu; of scale_shift scale and shift may be NULL here: 1, 0. */
int cuda_normalize(struct device *d, const struct device_normalize_call *call, struct message *m);
int cuda_scale_shift(struct device *d, const struct device_scale_shift_call *call, struct message *m);
int cuda_add(struct device *d, const struct device_add_call *call, struct message *m);
int cuda_relu(struct device *d, enum device_type type, const void *x, size_t count, void *y, struct message *m);
int cuda_relu_backward(struct device *d, enum device_type type, const void *y, const void *dy, size_t count,
                       void *dx, struct message *m);
int cuda_cast(struct device *d, enum device_type from_type, const void *from, enum device_type to_type, void *to,
              size_t count, struct message *m);

/* reduce.cu */
int cuda_average_pool(struct device *d, const struct device_pool *p, const void *x, void *y, struct message *m);
int cuda_average_pool_backward(struct device *d, const struct device_pool *p, const void *dy, void *dx,
                               struct message *m);
int cuda_bias_gradient(struct device *d, enum device_type type, const void *dy, size_t rows, int k, float *db,
                       struct message *m);

int cuda_tree_sums(struct device *d, const double *rows, int shards, int values, double *sums, struct message *m);

/* training.cu */
int cuda_loss(struct device *d, const struct device_loss_call *call, struct message *m);
int cuda_scale_check(struct device *d, const float *gradients, size_t count, struct device_scale *scale,
                     struct message *m);
int cuda_scale_update(struct device *d, struct device_scale *scale, struct message *m);
int cuda_sgd(struct device *d, const struct device_sgd *s, struct message *m);
int cuda_blend(struct device *d, float *average, const float *values, size_t count,
               const struct device_scalars *scalars, const struct device_scale *scale, struct message *m);

/* codes.cu */
int cuda_lookup_u8(struct device *d, const uint8_t *pixels, size_t rows, int c, const uint8_t *table, uint8_t *q,
                   struct message *m);
int cuda_average_pool_u8(struct device *d, const struct device_pool *p, const struct device_pool_u8_call *call,
                         struct message *m);
int cuda_relu_u8(struct device *d, const uint8_t *x, size_t count, const struct affine *map_x, uint8_t *y,
                 struct message *m);
int cuda_quantize(struct device *d, const float *x, size_t count, const struct affine *map, uint8_t *q,
                  struct message *m);
int cuda_dequantize(struct device *d, const uint8_t *q, size_t count, const struct affine *map,
                    enum device_type type, void *x, struct message *m);

/* quantize.cu */
int cuda_maps(struct device *d, const struct device_map_source *sources, int count, struct affine *maps,
              struct device_report *report, struct message *m);
int cuda_quantize_weights(struct device *d, const struct device_quantize_weights_call *call, struct message *m);
int cuda_requantize_prepare(struct device *d, const struct device_requantize_call *call, struct message *m);
int cuda_dequantize_weights(struct device *d, const struct device_dequantize_weights_call *call, struct message *m);

/* straight_through.cu */
int cuda_straight_through(struct device *d, const struct device_straight_through_call *call, struct message *m);
int cuda_range_update(struct device *d, const struct device_range_call *call, struct message *m);
int cuda_extremes(struct device *d, const float *values, size_t count, float *ends, struct message *m);

/* nccl.c */
int cuda_peers_offer(struct device *d, struct device_peers_offer *offer, struct message *m);
int cuda_peers_open(struct device *d, const unsigned char id[DEVICE_PEERS_ID_BYTES], int rank, int count,
                    struct device_peers **p, struct message *m);
void cuda_peers_close(struct device *d, struct device_peers *p);
int cuda_peers_gather(struct device *d, struct device_peers *p, const void *own, void *all, const size_t *bytes,
                      const size_t *offset, struct message *m);
int cuda_peers_exchange(struct device *d, struct device_peers *p, const struct device_exchange_call *call,
                        struct message *m);

#ifdef __cplusplus
}
#endif

#endif
