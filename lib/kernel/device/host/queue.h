/* queue.h: how the device in ordinary memory queues, records and checks. Private to lib/kernel/device/host. */
#ifndef RESQ_KERNEL_DEVICE_HOST_QUEUE_H
#define RESQ_KERNEL_DEVICE_HOST_QUEUE_H

#include "kernel/device/host/host.h"
#include "kernel/contract/kernel.h"

enum { CALL_POINTERS = 6, CALL_INTEGERS = 5 };

struct device_event;

/* One queued operation with its arguments; run unpacks them. */
struct host_call {
    void (*run)(struct device *d, const struct host_call *c);
    union {
        struct {
            const void *p[CALL_POINTERS];
            int64_t i[CALL_INTEGERS];
        };
        struct {
            struct device_plan *plan;
            union {
                struct device_conv_u8_call u8;
                struct device_conv_call conv;
                struct device_conv_data_call conv_data;
                struct device_norm_call norm;
                struct device_norm_backward_call norm_backward;
            };
        };
        struct {
            struct device_norm norm;
            struct device_norm_backward_call backward;
            const void *x;
            double *sums, rows;
        } shard;
        struct device_norm_statistics_call statistics;
        struct device_sgd sgd;
        struct device_normalize_call normalize;
        struct device_scale_shift_call scale_shift;
        struct device_add_call add;
        struct device_loss_call loss;
        struct device_quantize_weights_call quantize_weights;
        struct device_dequantize_weights_call dequantize_weights;
        struct device_requantize_call requantize;
        struct device_straight_through_call straight_through;
        struct device_range_call range;
    };
};

struct call_list {
    struct host_call *calls;
    size_t count, capacity, done;
};

struct device_event {
    struct device *device;
    enum device_queue queue;
    uint64_t recorded, reached; /* how often; a wait wants the count at its time */
};

struct device_graph {
    struct call_list list;
};

struct device_plan {
    int is_norm;
    struct device_conv conv;
    struct device_norm norm;
    struct conv_shape shape;
    size_t workspace, reserve, packed;
};

struct device {
    struct device_options options;
    struct call_list queues[DEVICE_QUEUES];
    struct call_list capture;
    int capturing;
    const struct kernel_table *kernels; /* ref */
};

/* Counts a call that may fail: 0, or the failure that was asked for. */
int host_enter(const char *name, struct message *m);
/* Queues, or records while a step is captured. */
int host_queue(struct device *d, enum device_queue q, const char *name, const struct host_call *call,
               struct message *m);
/* Runs what is queued, of both queues. */
void host_drain(struct device *d);
void host_wrong(const char *what, const char *where, size_t bytes);
/* host_wrong where [p, p + bytes) is not inside one allocation of the device. */
void host_check(const void *p, size_t bytes, const char *name);

/* Queue an operation on QUEUE_COMPUTE: pointers, integers; or the struct that the call came in. */
#define HOST_P(...) .p = {__VA_ARGS__}
#define HOST_I(...) .i = {__VA_ARGS__}
#define HOST_QUEUE(d, name, runs, m, ...) \
    host_queue(d, QUEUE_COMPUTE, name, &(struct host_call){.run = (runs), __VA_ARGS__}, m)

const struct kernel_table *host_definition(void); /* kernel/ref, without block */

/* ---- the parts of the table ---- */

int host_conv_plan(struct device *d, const struct device_conv *c, unsigned passes, size_t workspace_limit,
                   struct device_plan **p, struct message *m);
void host_table_device(struct device_backend *b);   /* queue.c, memory.c */
void host_table_memory(struct device_backend *b);   /* memory.c */
void host_table_conv(struct device_backend *b);     /* conv.c */
void host_table_norm(struct device_backend *b);     /* norm.c */
void host_table_floats(struct device_backend *b);   /* floats.c */
void host_table_loss(struct device_backend *b);     /* loss.c */
void host_table_integers(struct device_backend *b); /* integers.c */
void host_table_codes(struct device_backend *b);    /* codes.c */

#endif
