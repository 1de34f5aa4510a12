#include "train/feed.h"
#include "base/memory.h"
#include <pthread.h>
#include <string.h>
#include <time.h>

enum { SLOTS = 4, POLL_MILLISECONDS = 50, GRACE_POLLS = 4 };

struct slot {
    struct minibatch minibatch;
    int status; /* 1, or how the stream ended */
};

/* The producer (thread, or feed_next itself) alone touches what stands above the lock. */
struct feed {
    struct batch_reader reader;
    struct batch pending; /* read but not used up; record NULL: none */
    int64_t offset;       /* images of it already used */
    int64_t epochs, total;
    int64_t epoch, step;           /* of the mini-batch being filled */
    int64_t from_epoch, from_step; /* earlier ones are passed over */
    int64_t surplus;
    int batch;
    struct message message; /* of a failed slot */
    struct slot slots[SLOTS];
    uint8_t *storage;
    uint16_t *labels, *labels2;
    float *share;

    pthread_mutex_t lock;
    pthread_cond_t filled_changed;
    pthread_t thread;
    int threaded, head, filled, holding; /* holding: the consumer still uses slots[head] */
    int closing; /* the consumer is gone: stop; and where it did not wait, free everything */
    int abandoned, finished;
};

/* ---- producing ---- */

static int epoch_is_wanted(const struct feed *f, int64_t epoch)
{
    return epoch >= f->from_epoch && epoch < f->epochs;
}

/* Makes f->pending a batch with images left. 1, 0 at the end of the stream, negative. */
static int pending_fetch(struct feed *f, struct message *m)
{
    if (f->pending.record && f->offset < f->pending.count)
        return 1;
    batch_free(&f->pending);
    f->pending = (struct batch){0};
    f->offset = 0;
    int got = batch_reader_next(&f->reader, &f->pending, m);
    if (got <= 0)
        return got;
    if (f->total == 0)
        f->total = f->pending.total;
    if (f->pending.total != f->total)
        return message_set(m, STATUS_MISMATCH, "%s: epoch %lld has %lld images, epochs before it had %lld",
                           reader_name(f->reader.reader), (long long)f->pending.epoch, (long long)f->pending.total,
                           (long long)f->total);
    return 1;
}

static int stream_ended(const struct feed *f, int64_t next_epoch, struct message *m)
{
    if (next_epoch >= f->epochs)
        return 0;
    return message_set(m, STATUS_MISMATCH, "%s: the stream ends after %lld epochs, want %lld (--epochs)",
                       reader_name(f->reader.reader), (long long)next_epoch, (long long)f->epochs);
}

static void labels_take(const struct batch *from, int64_t i, struct minibatch *to, int64_t k)
{
    to->labels[k] = (uint16_t)batch_label(from, i);
    for (int j = 0; j < from->mixed; j++) {
        to->labels2[k * from->mixed + j] = (uint16_t)batch_label2(from, i, j);
        to->share[k * from->mixed + j] = from->share[i * from->mixed + j];
    }
}

/* Images of the pending batch that go into the mini-batch at hand, which holds `have`; moves past those not wanted.
 */
static int64_t pending_take(struct feed *f, struct minibatch *b)
{
    const struct batch *p = &f->pending;
    int64_t start = p->position + f->offset, left = p->count - f->offset;
    int64_t skip = p->epoch == f->from_epoch ? f->from_step * f->batch : 0;
    if (!epoch_is_wanted(f, p->epoch)) {
        f->surplus += p->epoch >= f->epochs ? left : 0;
        f->offset = p->count;
        return 0;
    }
    if (start < skip) {
        f->offset += skip - start < left ? skip - start : left;
        return 0;
    }
    int64_t take = f->batch - b->count < left ? f->batch - b->count : left;
    const size_t bytes = image_shape_bytes(p->shape);
    memcpy(b->images + (size_t)b->count * bytes, p->images + (size_t)f->offset * bytes, (size_t)take * bytes);
    for (int64_t i = 0; i < take; i++)
        labels_take(p, f->offset + i, b, b->count + i);
    b->count += (int)take;
    f->offset += take;
    return take;
}

/* 1: b was filled; 0: the stream is read to its end and all epochs came; negative: failure. */
static int minibatch_fill(struct feed *f, struct minibatch *b, struct message *m)
{
    b->count = 0;
    for (;;) {
        int got = pending_fetch(f, m);
        if (got == 0)
            return stream_ended(f, f->epoch, m);
        if (got < 0)
            return got;
        if (f->pending.epoch != f->epoch && f->pending.epoch < f->epochs)
            return message_set(m, STATUS_MISMATCH, "%s: epoch %lld stands where epoch %lld should",
                               reader_name(f->reader.reader), (long long)f->pending.epoch, (long long)f->epoch);
        int64_t epoch = f->pending.epoch, taken = pending_take(f, b);
        int ends = f->pending.position + f->offset == f->total;
        if (ends && epoch < f->epochs)
            f->epoch = epoch + 1;
        if (taken == 0 || (b->count < f->batch && !ends))
            continue;
        b->epoch = epoch;
        b->last = ends;
        b->step = f->step;
        f->step = ends ? 0 : f->step + 1;
        return 1;
    }
}

static void feed_release(struct feed *f)
{
    batch_free(&f->pending);
    batch_reader_close(&f->reader);
    memory_free(f->storage);
    memory_free(f->labels);
    memory_free(f->labels2);
    memory_free(f->share);
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->filled_changed);
    memory_free(f);
}

/* ---- the thread ---- */

static void *producer(void *argument)
{
    struct feed *f = argument;
    pthread_mutex_lock(&f->lock);
    int status = 1;
    while (!f->closing && status > 0) {
        if (f->filled == SLOTS) {
            pthread_cond_wait(&f->filled_changed, &f->lock);
            continue;
        }
        struct slot *s = &f->slots[(f->head + f->filled) % SLOTS];
        pthread_mutex_unlock(&f->lock);
        status = s->status = minibatch_fill(f, &s->minibatch, &f->message);
        pthread_mutex_lock(&f->lock);
        f->filled++;
        pthread_cond_broadcast(&f->filled_changed);
    }
    f->finished = 1;
    pthread_cond_broadcast(&f->filled_changed);
    int abandoned = f->abandoned;
    pthread_mutex_unlock(&f->lock);
    if (abandoned)
        feed_release(f);
    return NULL;
}

/* Waits on the condition, but not for ever: a signal handler can only set a flag. Called with the lock held. */
static void wait_a_moment(struct feed *f)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += POLL_MILLISECONDS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&f->filled_changed, &f->lock, &until);
}

static void lock_open(struct feed *f)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->filled_changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

static int slots_open(struct feed *f, struct message *m)
{
    const size_t bytes = (size_t)f->batch * image_shape_bytes(f->pending.shape);
    const size_t mixed = (size_t)f->pending.mixed, further = (size_t)f->batch * mixed;
    f->storage = memory_new_raw(SLOTS, bytes, m);
    f->labels = memory_new_raw(SLOTS * (size_t)f->batch, sizeof *f->labels, m);
    if (!f->storage || !f->labels)
        return STATUS_NOMEM;
    if (mixed) {
        f->labels2 = memory_new_raw(SLOTS * further, sizeof *f->labels2, m);
        f->share = memory_new_raw(SLOTS * further, sizeof *f->share, m);
        if (!f->labels2 || !f->share)
            return STATUS_NOMEM;
    }
    for (int i = 0; i < SLOTS; i++) {
        f->slots[i].minibatch.images = f->storage + (size_t)i * bytes;
        f->slots[i].minibatch.labels = f->labels + (size_t)i * (size_t)f->batch;
        f->slots[i].minibatch.mixed = (int)mixed;
        f->slots[i].minibatch.labels2 = mixed ? f->labels2 + (size_t)i * further : NULL;
        f->slots[i].minibatch.share = mixed ? f->share + (size_t)i * further : NULL;
    }
    return STATUS_OK;
}

int feed_open(struct feed **out, const char *path, int batch, int64_t epochs, struct message *m)
{
    *out = NULL;
    struct feed *f = memory_new(1, sizeof *f, m);
    if (!f)
        return STATUS_NOMEM;
    f->batch = batch;
    f->epochs = epochs;
    int status = batch_reader_open(&f->reader, path, m);
    if (status < 0) {
        memory_free(f);
        return status;
    }
    f->reader.takes_mixed = 1;
    lock_open(f);
    TRY_GOTO(pending_fetch(f, m), fail);
    if (status == 0) {
        status = message_set(m, STATUS_FORMAT, "%s: empty input", reader_name(f->reader.reader));
        goto fail;
    }
    TRY_GOTO(slots_open(f, m), fail);
    *out = f;
    return STATUS_OK;
fail:
    feed_release(f);
    return status;
}

const struct batch_reader *feed_stream(const struct feed *f)
{
    return &f->reader;
}

int64_t feed_total(const struct feed *f)
{
    return f->total;
}

int64_t feed_steps(const struct feed *f)
{
    return (f->total + f->batch - 1) / f->batch;
}

int feed_start(struct feed *f, int64_t epoch, int64_t step, struct message *m)
{
    if (step >= feed_steps(f)) {
        epoch++;
        step = 0;
    }
    if (f->pending.epoch > epoch)
        return message_set(m, STATUS_MISMATCH, "%s: the stream begins at epoch %lld, want %lld",
                           reader_name(f->reader.reader), (long long)f->pending.epoch, (long long)epoch);
    f->from_epoch = epoch;
    f->from_step = f->step = step;
    f->epoch = f->pending.epoch;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the caller's thread */
    f->threaded = pthread_create(&f->thread, NULL, producer, f) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return STATUS_OK;
}

/* ---- consuming ---- */

static int is_set(const volatile sig_atomic_t *stop)
{
    return stop && *stop;
}

/* The slot at the head, once there is one; NULL where stop was set first. */
static struct slot *slot_wait(struct feed *f, const volatile sig_atomic_t *stop)
{
    struct slot *s = NULL;
    pthread_mutex_lock(&f->lock);
    if (f->holding) {
        f->holding = 0;
        f->head = (f->head + 1) % SLOTS;
        f->filled--;
        pthread_cond_broadcast(&f->filled_changed);
    }
    while (f->filled == 0 && !is_set(stop))
        wait_a_moment(f);
    if (f->filled > 0 && !is_set(stop))
        s = &f->slots[f->head];
    if (s && s->status > 0)
        f->holding = 1; /* an end or a failure stays where it is, to be found again */
    pthread_mutex_unlock(&f->lock);
    return s;
}

static int interrupted(struct message *m)
{
    return message_set(m, STATUS_INTERRUPTED, "interrupted");
}

/* The signal that broke the stream off may reach us a moment later. */
static int broken_off(struct feed *f, const volatile sig_atomic_t *stop, int status, struct message *m)
{
    const struct timespec moment = {.tv_nsec = POLL_MILLISECONDS * 1000000L};
    for (int i = 0; stop && i < GRACE_POLLS && !*stop; i++)
        nanosleep(&moment, NULL);
    return is_set(stop) ? interrupted(m) : message_set(m, status, "%s", f->message.text);
}

int feed_next(struct feed *f, struct minibatch *b, const volatile sig_atomic_t *stop, struct message *m)
{
    struct slot *s = &f->slots[0];
    if (f->threaded)
        s = slot_wait(f, stop);
    else if (!is_set(stop))
        s->status = minibatch_fill(f, &s->minibatch, &f->message);
    if (!s || is_set(stop))
        return interrupted(m);
    if (s->status < 0)
        return broken_off(f, s->status == STATUS_TRUNCATED ? stop : NULL, s->status, m);
    *b = s->minibatch;
    return s->status;
}

int64_t feed_surplus(const struct feed *f)
{
    return f->surplus;
}

void feed_close(struct feed *f)
{
    if (!f)
        return;
    if (!f->threaded) {
        feed_release(f);
        return;
    }
    pthread_t thread = f->thread;
    pthread_mutex_lock(&f->lock);
    f->closing = 1;
    pthread_cond_broadcast(&f->filled_changed);
    for (int i = 0; i < GRACE_POLLS && !f->finished; i++)
        wait_a_moment(f);
    f->abandoned = !f->finished;
    int abandoned = f->abandoned;
    pthread_mutex_unlock(&f->lock);
    if (abandoned) {
        pthread_detach(thread);
        return;
    }
    pthread_join(thread, NULL);
    feed_release(f);
}
