/* pipe.h: images in, results out, two batches at a time: the next one is copied to the device while the one before
 * is computed. A slot is the caller's from device_pipe_wait, which waits until what it carried is over, to
 * device_pipe_receive. Private to lib/exec. */
#ifndef RESQ_EXEC_DEVICE_PIPE_H
#define RESQ_EXEC_DEVICE_PIPE_H

#include "exec/device/context.h"

enum { PIPE_SLOTS = 2 };

struct device_pipe_slot {
    void *in, *out; /* page-locked */
    void *staged;   /* on the device: `in` as it arrives */
    struct device_event *copied, *done;
    int busy;
};

struct device_pipe {
    struct device_context *context;
    size_t in_bytes, out_bytes;
    struct device_pipe_slot slots[PIPE_SLOTS];
    int next;
};

int device_pipe_open(struct device_pipe *p, struct device_context *c, size_t in_bytes, size_t out_bytes,
                     struct message *m) RESQ_USE_RESULT;
void device_pipe_close(struct device_pipe *p);
/* The slot to fill next: waits until it is free. */
int device_pipe_wait(struct device_pipe *p, int slot, struct message *m) RESQ_USE_RESULT;
/* What the slot's `in` holds goes to `to` on the device, in time for what is queued next. */
int device_pipe_send(struct device_pipe *p, int slot, void *to, size_t bytes, struct message *m) RESQ_USE_RESULT;
/* `from` on the device goes to the slot's `out`, which device_pipe_wait then finds filled. */
int device_pipe_receive(struct device_pipe *p, int slot, const void *from, size_t bytes,
                        struct message *m) RESQ_USE_RESULT;

#endif
