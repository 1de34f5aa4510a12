/* host.h: a device in ordinary memory: the whole table of kernel/contract/device.h in plain C, over kernel/ref and the
 * arithmetic that GPU kernels share. It is slow and exact, never offered to users, and stricter than a GPU:
 *
 *   - nothing runs before something waits for it (an event, a synchronisation), so that whoever reads too early or
 *     reuses memory too soon gets wrong values in every test, not once in a thousand runs;
 *   - memory comes filled with NaNs, and every pointer is checked against what was allocated;
 *   - the calls are recorded, can be made to fail, to find too little memory, or to see an overflow. */
#ifndef RESQ_KERNEL_DEVICE_HOST_HOST_H
#define RESQ_KERNEL_DEVICE_HOST_HOST_H

#include "kernel/contract/device.h"

const struct device_backend *host_backend(void); /* calls itself "cuda", which it stands for */

/* What tests tell it, for all devices of the process; all-zero is the default. */
struct host_control {
    int64_t fail_call;   /* the n-th call that may fail (from 1) does so, as a device's failure; 0: none */
    size_t memory;       /* bytes that may be allocated in all; 0: unlimited */
    int overflows;       /* so many of the next scale_check see an overflow, whatever the gradients are */
    int copies_at_once;  /* QUEUE_COPY runs as soon as it may, not as late as it may */
    int no_capture;      /* capture_begin is STATUS_UNSUPPORTED */
    const char *no_open; /* open fails with this reason; NULL: it does not */
    int no_f16;          /* information says that there is no 16-bit float */
};
extern struct host_control host_control;

/* What happened since host_forget. */
struct host_record {
    int64_t calls;       /* that may fail, of any kind */
    int64_t plans;       /* conv_plan and norm_plan */
    int64_t allocations; /* of any memory */
    int64_t launches;    /* of graphs */
    int64_t operations;  /* queued on QUEUE_COMPUTE outside of graphs */
    size_t held;         /* bytes allocated now */
    int open;            /* devices open now */
    int plans_held, events_held, graphs_held;
};
extern struct host_record host_record;
/* Called before the process ends by a trap, where whoever drives the device broke its contract; may be NULL. */
extern void (*host_mistake)(const char *what, const char *where, size_t bytes);
void host_forget(void); /* counters to zero; what is held stays */

#endif
