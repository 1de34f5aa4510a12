#include "tools/common/self_test.h"
#include "base/memory.h"
#include "base/random.h"
#include "data/batch.h"
#include "exec/infer/exec.h"
#include <string.h>

static int images_reserve(struct self_test *t, int64_t count, size_t bytes, struct message *m)
{
    t->count = count < SELF_TEST_IMAGES ? (int)count : SELF_TEST_IMAGES;
    t->images = memory_new((size_t)t->count, bytes, m);
    return t->images ? 0 : STATUS_NOMEM;
}

static int images_load(struct self_test *t, const struct model *model, const char *path, size_t bytes,
                       struct message *m)
{
    struct image_set set = {0};
    TRY(image_set_load(&set, path, m));
    int status = data_matches_model(set.first, model->record, 1, m);
    if (status >= 0 && bytes != IMAGE_BYTES)
        status = message_set(m, STATUS_MISMATCH, "images: %d bytes each, the model wants %zu", IMAGE_BYTES, bytes);
    if (status < 0)
        message_prefix(m, status, "%s", path);
    else
        status = images_reserve(t, set.count, bytes, m);
    if (status >= 0)
        memcpy(t->images, set.images, (size_t)t->count * bytes);
    image_set_free(&set);
    return status;
}

static int images_draw(struct self_test *t, size_t bytes, struct message *m)
{
    struct random_stream draw = random_open(1, RANDOM_TEST, 0, 0);
    TRY(images_reserve(t, SELF_TEST_IMAGES, bytes, m));
    for (size_t i = 0; i < (size_t)t->count * bytes; i++)
        t->images[i] = (uint8_t)random_below(&draw, 256);
    return 0;
}

static int logits_make(struct self_test *t, struct exec *e, struct message *m)
{
    t->logits = memory_new((size_t)t->count * (size_t)exec_classes(e), sizeof *t->logits, m);
    return t->logits ? exec_run(e, t->images, t->count, t->logits, m) : STATUS_NOMEM;
}

int self_test_make(struct self_test *t, const struct model *model, const char *path, struct message *m)
{
    const struct exec_options definition = {.isa = "ref", .device = "cpu", .batch = 1};
    struct exec *e = NULL;
    *t = (struct self_test){0};
    TRY(exec_open(&e, model, &definition, m));
    size_t bytes = exec_image_bytes(e);
    int status = path ? images_load(t, model, path, bytes, m) : images_draw(t, bytes, m);
    if (status >= 0)
        status = logits_make(t, e, m);
    exec_close(e);
    return status;
}

void self_test_free(struct self_test *t)
{
    memory_free(t->images);
    memory_free(t->logits);
    *t = (struct self_test){0};
}
