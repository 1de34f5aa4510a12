/* device.h: what a device of its own memory (an NVIDIA GPU) does for exec: one table of functions, of the level of
 * one cuDNN or cublasLt call or of one kernel. Plain C and nothing of CUDA; C++ may include it.
 *
 * A backend is a table `struct device_backend`. `cuda/` makes it in a shared library of its own, resq-cuda.so,
 * which device_backend_open loads at run time; `host/` is the same over ordinary memory, in plain C: the definition
 * that the first is compared with, and what tests drive exec and train through.
 *
 * Memory of the device is a plain pointer that only the backend dereferences; whoever calls may add offsets to it
 * (arenas are planned by exec). Activations and workspaces begin on a multiple of 256 bytes, weights and other
 * slices of the flat buffers on one of 16 elements. Structs that a comment calls `on the device` lie there too,
 * because their values change between two launches of one captured step.
 *
 * Operations are queued on QUEUE_COMPUTE, in order, and return at once: pointers must stay valid and unread until
 * a synchronisation. Values that the caller passes by value are frozen when a step is captured. Nothing allocates
 * but open, allocate, event_new, capture_end and the *_plan functions. A device is used by one thread at a time.
 *
 * Tensors: activations NHWC, dense, [n][h][w][c]; weights of convolutions [K][R][R][C] (not PyTorch's OIHW: exec
 * permutes on the way in and out); of linear layers [K][C]. Statistics, sums and everything called f32 are float32.
 * Dimensions are ints, so that no tensor has 2^31 elements or more; a plan refuses (STATUS_RANGE) where one would.
 *
 * Every function that returns int returns 0 or a negative STATUS_* and then leaves one line in m, the vendor's own
 * reason at its end: `cudnnConvolutionForward: CUDNN_STATUS_EXECUTION_FAILED`. A failure of the device itself may
 * come late, from any later call. STATUS_NOMEM names the bytes that were asked for; STATUS_UNSUPPORTED: this device
 * or library cannot do it. No struct is changed by a failed call, no plan leaked. */
#ifndef RESQ_KERNEL_CONTRACT_DEVICE_H
#define RESQ_KERNEL_CONTRACT_DEVICE_H

#include "base/status.h"
#include "kernel/contract/device_calls.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Raised with every change of this file: a library of another version is refused. */
enum { DEVICE_VERSION = 3, DEVICE_ALIGNMENT = 256 };

enum device_queue { QUEUE_COMPUTE, QUEUE_COPY, DEVICE_QUEUES };

struct device;       /* one opened device */
struct device_event; /* a point in a queue */
struct device_graph; /* a captured step */
struct device_peers; /* devices of other processes, which this one tells bytes */
struct device_plan;  /* a convolution or batch norm of one shape, its algorithms chosen */

struct device_options {
    int tf32;  /* products of f32 may be rounded to 11 bits of significand; 0: IEEE float32 throughout */
    int fast;  /* algorithms whose sums change from run to run are allowed */
    int index; /* which of the machine's devices: index modulo how many there are */
};

struct device_information {
    char name[128];                /* "NVIDIA H200" */
    char library[128];             /* "CUDA 13.0, cuDNN 9.19.0, driver 580.65" */
    size_t memory, free;           /* bytes, now */
    int has_f16, has_bf16, has_s8; /* tensor-core products of that type */
    int multiprocessors;
};

struct device_backend {
    int version;      /* DEVICE_VERSION */
    size_t size;      /* sizeof(struct device_backend) */
    const char *name; /* "cuda" */

    /* ---- device, memory, queues ---- */

    /* The first usable device. Runs a small operation of every kind that it will be asked for (convolution,
     * product, own kernel), so that a missing or unfit driver, GPU or library is said here, in one line. */
    int (*open)(const struct device_options *options, struct device **d, struct message *m);
    void (*close)(struct device *d); /* frees all that is left; NULL is fine */
    int (*information)(struct device *d, struct device_information *i, struct message *m);

    int (*allocate)(struct device *d, size_t bytes, void **p, struct message *m);
    void (*release)(struct device *d, void *p);
    /* Ordinary memory, page-locked, that the host reads and writes and from which copies run beside the host. */
    int (*allocate_host)(struct device *d, size_t bytes, void **p, struct message *m);
    void (*release_host)(struct device *d, void *p);

    int (*copy_in)(struct device *d, enum device_queue q, void *to, const void *from, size_t bytes,
                   struct message *m);
    int (*copy_out)(struct device *d, enum device_queue q, void *to, const void *from, size_t bytes,
                    struct message *m);
    int (*copy_on)(struct device *d, enum device_queue q, void *to, const void *from, size_t bytes,
                   struct message *m);
    int (*zero)(struct device *d, void *to, size_t bytes, struct message *m);

    int (*event_new)(struct device *d, struct device_event **e, struct message *m);
    void (*event_free)(struct device *d, struct device_event *e);
    int (*event_record)(struct device *d, struct device_event *e, enum device_queue q, struct message *m);
    int (*event_wait)(struct device *d, enum device_queue q, struct device_event *e,
                      struct message *m); /* the queue waits; the host does not */
    int (*event_synchronize)(struct device *d, struct device_event *e, struct message *m); /* the host waits */
    int (*event_seconds)(struct device *d, struct device_event *from, struct device_event *to, double *seconds,
                         struct message *m);                 /* between two events that are over */
    int (*synchronize)(struct device *d, struct message *m); /* all queues */

    /* What is queued on QUEUE_COMPUTE between begin and end is recorded, not run; launch queues all of it. begin
     * may be STATUS_UNSUPPORTED: the caller then runs each step itself. No allocation, plan or synchronisation
     * inside. */
    int (*capture_begin)(struct device *d, struct message *m);
    int (*capture_end)(struct device *d, struct device_graph **g, struct message *m);
    void (*capture_abandon)(struct device *d); /* after a failure between begin and end */
    int (*graph_launch)(struct device *d, struct device_graph *g, struct message *m);
    void (*graph_free)(struct device *d, struct device_graph *g);

    /* Multiply-accumulates a second of a large matrix product of that type, as the library does it best (f32: with
     * tf32 as the device was opened), measured for about so long. */
    int (*peak)(struct device *d, enum device_type type, double seconds, double *macs, struct message *m);

    /* ---- planned operations ---- */

    /* passes: 1 << DEVICE_FORWARD | .. that will be used, with DEVICE_FIXED or without. Algorithms are chosen by
     * measuring them once, among those that need at most workspace_limit bytes; deterministic ones unless the device
     * was opened fast. */
    int (*conv_plan)(struct device *d, const struct device_conv *c, unsigned passes, size_t workspace_limit,
                     struct device_plan **p, struct message *m);
    int (*norm_plan)(struct device *d, const struct device_norm *n, struct device_plan **p, struct message *m);
    void (*plan_free)(struct device *d, struct device_plan *p);
    const char *(*plan_algorithm)(const struct device_plan *p, enum device_pass pass); /* "implicit-precomp-gemm" */
    size_t (*plan_workspace)(const struct device_plan *p); /* bytes that its calls need, the largest */
    size_t (*plan_reserve)(const struct device_plan *p);   /* batch norm: bytes kept from forward to backward */
    size_t (*plan_packed)(const struct device_plan *p);    /* DEVICE_U8: bytes of packed weights */

    int (*conv_forward)(struct device *d, struct device_plan *p, const struct device_conv_call *call,
                        struct message *m);
    int (*conv_data)(struct device *d, struct device_plan *p, const struct device_conv_data_call *call,
                     struct message *m);
    int (*conv_weight)(struct device *d, struct device_plan *p, const void *x, const void *dy,
                       float *dw /* f32, overwritten, whatever the plan's type */, void *workspace,
                       struct message *m);

    int (*norm_forward)(struct device *d, struct device_plan *p, const struct device_norm_call *call,
                        struct message *m);
    int (*norm_backward)(struct device *d, struct device_plan *p, const struct device_norm_backward_call *call,
                         struct message *m);

    /* Shards of a mini-batch, see above. sums f64 [c][2], overwritten. */
    int (*norm_sums)(struct device *d, const struct device_norm *norm, const void *x, double *sums,
                     struct message *m);
    int (*norm_statistics)(struct device *d, const struct device_norm_statistics_call *call, struct message *m);
    /* The sum of `shards` rows [values] f64, one after the other, over the tree of base/tree.h -> sums. */
    int (*tree_sums)(struct device *d, const double *rows, int shards, int values, double *sums, struct message *m);
    /* norm_backward in two: d_other and the shard's own dgamma and dbeta, with the sums [c][2] of g and of g * xhat,
     * g being dy where the relu let it pass; and, of those sums over all `rows` values a channel, dx. reserve and
     * workspace are not read. */
    int (*norm_backward_sums)(struct device *d, const struct device_norm *norm,
                              const struct device_norm_backward_call *call, double *sums, struct message *m);
    int (*norm_backward_apply)(struct device *d, const struct device_norm *norm,
                               const struct device_norm_backward_call *call, const double *sums, double rows,
                               struct message *m);

    /* Integers, equal to kernel/ref bit for bit. codes s8 [k][R][R][c]; bias s32 [k] (never NULL). The zero point
     * of x is read from *requantize. */
    int (*conv_u8_pack)(struct device *d, struct device_plan *p, const int8_t *codes, const int32_t *bias,
                        const struct device_requantize *requantize, void *packed, struct message *m);
    int (*conv_u8)(struct device *d, struct device_plan *p, const struct device_conv_u8_call *call, void *workspace,
                   struct message *m);

    /* ---- linear ---- */

    int (*linear_forward)(struct device *d, const struct device_linear *l, const void *x, const void *w,
                          const float *bias, void *y, struct message *m);
    int (*linear_backward)(struct device *d, const struct device_linear *l,
                           const struct device_linear_backward_call *call, struct message *m);

    /* ---- elementwise, floats: `type` is that of every void * ---- */

    int (*normalize)(struct device *d, const struct device_normalize_call *call, struct message *m);
    int (*scale_shift)(struct device *d, const struct device_scale_shift_call *call, struct message *m);
    int (*add)(struct device *d, const struct device_add_call *call, struct message *m);
    int (*relu)(struct device *d, enum device_type type, const void *x, size_t count, void *y, struct message *m);
    /* dx = y > 0 ? dy : 0; may be in place */
    int (*relu_backward)(struct device *d, enum device_type type, const void *y, const void *dy, size_t count,
                         void *dx, struct message *m);
    int (*average_pool)(struct device *d, const struct device_pool *p, const void *x, void *y, struct message *m);
    int (*average_pool_backward)(struct device *d, const struct device_pool *p, const void *dy, void *dx,
                                 struct message *m);
    /* db[k] = sum over rows of dy, f32, overwritten */
    int (*bias_gradient)(struct device *d, enum device_type type, const void *dy, size_t rows, int k, float *db,
                         struct message *m);
    int (*cast)(struct device *d, enum device_type from_type, const void *from, enum device_type to_type, void *to,
                size_t count, struct message *m); /* f32, f16, bf16; to nearest, ties to even */

    /* ---- loss and optimizer ---- */

    int (*loss)(struct device *d, const struct device_loss_call *call, struct message *m);
    /* scale->overflow = any of the gradients is NaN or Inf. */
    int (*scale_check)(struct device *d, const float *gradients, size_t count, struct device_scale *scale,
                       struct message *m);
    int (*scale_update)(struct device *d, struct device_scale *scale, struct message *m); /* scale_update_value */
    int (*sgd)(struct device *d, const struct device_sgd *s, struct message *m);
    /* average += scalars->share * (values - average), unless *scale (may be NULL) says overflow. */
    int (*blend)(struct device *d, float *average, const float *values, size_t count,
                 const struct device_scalars *scalars, const struct device_scale *scale, struct message *m);

    /* ---- integers. Maps and requantize are on the device. lib/quant/QUANT.md has the arithmetic ---- */

    /* maps[i] from sources[i], both on the device; report may be NULL. */
    int (*maps)(struct device *d, const struct device_map_source *sources, int count, struct affine *maps,
                struct device_report *report, struct message *m);
    int (*quantize_weights)(struct device *d, const struct device_quantize_weights_call *call, struct message *m);
    int (*requantize_prepare)(struct device *d, const struct device_requantize_call *call, struct message *m);
    /* q[i,c] = table[c][pixel[i,c]]; table [c][256] on the device */
    int (*lookup_u8)(struct device *d, const uint8_t *pixels, size_t rows, int c, const uint8_t *table, uint8_t *q,
                     struct message *m);
    int (*average_pool_u8)(struct device *d, const struct device_pool *p, const struct device_pool_u8_call *call,
                           struct message *m); /* p->type is not read */
    int (*relu_u8)(struct device *d, const uint8_t *x, size_t count, const struct affine *map_x, uint8_t *y,
                   struct message *m); /* max(q, zero point) */
    int (*quantize)(struct device *d, const float *x, size_t count, const struct affine *map, uint8_t *q,
                    struct message *m);
    int (*dequantize)(struct device *d, const uint8_t *q, size_t count, const struct affine *map,
                      enum device_type type, void *x, struct message *m);
    int (*dequantize_weights)(struct device *d, const struct device_dequantize_weights_call *call,
                              struct message *m);
    int (*straight_through)(struct device *d, const struct device_straight_through_call *call, struct message *m);
    int (*range_update)(struct device *d, const struct device_range_call *call, struct message *m);
    /* ends[0] = the least, ends[1] = the largest of 0 and the values; on the device. range_update of the ends of all
     * shards is that of all values. */
    int (*extremes)(struct device *d, const float *values, size_t count, float *ends, struct message *m);

    /* ---- between devices of several processes: bytes alone, nothing is added on the way. NULL: there is no such
     * library for this kind of device ---- */

    /* STATUS_UNSUPPORTED: no library here; why. */
    int (*peers_offer)(struct device *d, struct device_peers_offer *offer, struct message *m);
    /* All processes call it with the same id, each with a device of its own; returns when all have. */
    int (*peers_open)(struct device *d, const unsigned char id[DEVICE_PEERS_ID_BYTES], int rank, int count,
                      struct device_peers **p, struct message *m);
    void (*peers_close)(struct device *d, struct device_peers *p);
    /* Queued on QUEUE_COMPUTE, by all processes in the same order. Process r gives the bytes[r] bytes at its `own`; all
     * get them at all + offset[r], where r's own may lie already. Tables [processes], read before it returns. */
    int (*peers_gather)(struct device *d, struct device_peers *p, const void *own, void *all, const size_t *bytes,
                        const size_t *offset, struct message *m);
    int (*peers_exchange)(struct device *d, struct device_peers *p, const struct device_exchange_call *call,
                          struct message *m);
};

/* ---- the loader (device_load.c) ---- */

/* The backend of that name ("cuda"); valid for the rest of the process, the same pointer each time. Looked for
 * where RESQ_CUDA says; else as resq-NAME.so beside the running program and in ../lib/resq of it.
 * STATUS_UNSUPPORTED: there is none, or it cannot be loaded or is of another version; one line with the loader's
 * own reason. */
int device_backend_open(const char *name, const struct device_backend **backend, struct message *m) RESQ_USE_RESULT;

/* 1 where device_backend_open has something to load, whether it can be loaded or not. A library that was not named
 * but found counts only where its driver (libcuda.so.1) is. */
int device_backend_exists(const char *name);

/* For tests: where set, what device_backend_open gives for every name. NULL in programs. */
extern const struct device_backend *device_backend_test;

/* What a shared library has to define under this name. */
#define DEVICE_BACKEND_SYMBOL "resq_device_backend"
typedef const struct device_backend *device_backend_entry(void);

#ifdef __cplusplus
}
#endif

#endif
