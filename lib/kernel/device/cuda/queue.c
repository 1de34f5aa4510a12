/* Copies, events and captured steps: two streams, which wait for each other only where an event says so. */
#include "base/memory.h"
#include "kernel/device/cuda/cuda.h"

int cuda_copy_in(struct device *d, enum device_queue q, void *to, const void *from, size_t bytes, struct message *m)
{
    CUDA_TRY(m, cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, d->queue[q]));
    return 0;
}

int cuda_copy_out(struct device *d, enum device_queue q, void *to, const void *from, size_t bytes,
                  struct message *m)
{
    CUDA_TRY(m, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, d->queue[q]));
    return 0;
}

int cuda_copy_on(struct device *d, enum device_queue q, void *to, const void *from, size_t bytes, struct message *m)
{
    CUDA_TRY(m, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, d->queue[q]));
    return 0;
}

int cuda_zero(struct device *d, void *to, size_t bytes, struct message *m)
{
    CUDA_TRY(m, cudaMemsetAsync(to, 0, bytes, d->queue[QUEUE_COMPUTE]));
    return 0;
}

/* ---- events ---- */

int cuda_event_new(struct device *d, struct device_event **e, struct message *m)
{
    struct device_event *new = memory_new(1, sizeof *new, m);
    if (!new)
        return STATUS_NOMEM;
    cudaError_t error = cudaEventCreateWithFlags(&new->event, cudaEventDefault);
    int status =
        error == cudaSuccess ? held_add(d, HELD_EVENT, new, m) : cuda_failure(m, error, "cudaEventCreateWithFlags");
    if (status < 0) {
        if (error == cudaSuccess)
            (void)cudaEventDestroy(new->event);
        memory_free(new);
        return status;
    }
    *e = new;
    return 0;
}

void cuda_event_free(struct device *d, struct device_event *e)
{
    if (!e || !held_remove(d, HELD_EVENT, e))
        return;
    (void)cudaEventDestroy(e->event);
    memory_free(e);
}

int cuda_event_record(struct device *d, struct device_event *e, enum device_queue q, struct message *m)
{
    CUDA_TRY(m, cudaEventRecord(e->event, d->queue[q]));
    return 0;
}

int cuda_event_wait(struct device *d, enum device_queue q, struct device_event *e, struct message *m)
{
    CUDA_TRY(m, cudaStreamWaitEvent(d->queue[q], e->event, 0));
    return 0;
}

int cuda_event_synchronize(struct device *d, struct device_event *e, struct message *m)
{
    (void)d;
    CUDA_TRY(m, cudaEventSynchronize(e->event));
    return 0;
}

int cuda_event_seconds(struct device *d, struct device_event *from, struct device_event *to, double *seconds,
                       struct message *m)
{
    float milliseconds = 0;
    (void)d;
    CUDA_TRY(m, cudaEventElapsedTime(&milliseconds, from->event, to->event));
    *seconds = (double)milliseconds * 1e-3;
    return 0;
}

int cuda_synchronize(struct device *d, struct message *m)
{
    for (int q = 0; q < DEVICE_QUEUES; q++)
        CUDA_TRY(m, cudaStreamSynchronize(d->queue[q]));
    return 0;
}

/* ---- captured steps ---- */

/* Relaxed: other threads and the copy queue go on as they like. */
int cuda_capture_begin(struct device *d, struct message *m)
{
    CUDA_TRY(m, cudaStreamBeginCapture(d->queue[QUEUE_COMPUTE], cudaStreamCaptureModeRelaxed));
    return 0;
}

static int instantiate(cudaStream_t queue, cudaGraphExec_t *exec, struct message *m)
{
    cudaGraph_t graph = NULL;
    CUDA_TRY(m, cudaStreamEndCapture(queue, &graph));
    cudaError_t error = cudaGraphInstantiate(exec, graph, 0);
    (void)cudaGraphDestroy(graph);
    return error == cudaSuccess ? 0 : cuda_failure(m, error, "cudaGraphInstantiate");
}

int cuda_capture_end(struct device *d, struct device_graph **g, struct message *m)
{
    struct device_graph *new = memory_new(1, sizeof *new, m);
    if (!new) {
        cuda_capture_abandon(d);
        return STATUS_NOMEM;
    }
    int status = instantiate(d->queue[QUEUE_COMPUTE], &new->exec, m);
    if (status >= 0)
        status = held_add(d, HELD_GRAPH, new, m);
    if (status < 0) {
        if (new->exec)
            (void)cudaGraphExecDestroy(new->exec);
        memory_free(new);
        return status;
    }
    *g = new;
    return 0;
}

void cuda_capture_abandon(struct device *d)
{
    cudaGraph_t graph = NULL;
    (void)cudaStreamEndCapture(d->queue[QUEUE_COMPUTE], &graph);
    if (graph)
        (void)cudaGraphDestroy(graph);
    (void)cudaGetLastError();
}

int cuda_graph_launch(struct device *d, struct device_graph *g, struct message *m)
{
    CUDA_TRY(m, cudaGraphLaunch(g->exec, d->queue[QUEUE_COMPUTE]));
    return 0;
}

void cuda_graph_free(struct device *d, struct device_graph *g)
{
    if (!g || !held_remove(d, HELD_GRAPH, g))
        return;
    (void)cudaGraphExecDestroy(g->exec);
    memory_free(g);
}
