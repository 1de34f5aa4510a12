/* worker: resq's side of the comparison. The protocol is worker.py's; models stay open between requests.
 *
 *     worker FLOAT-MODEL INT8-MODEL IMAGES THREADS
 *
 * Every timed call's logits are checked against those of an untimed one.
 */
#include "base/memory.h"
#include "base/progress.h"
#include "base/text.h"
#include "data/batch.h"
#include "exec/infer/exec.h"
#include "record/lineage.h"
#include <stdio.h>
#include <string.h>

enum { MODELS = 2, PRECISIONS = 3, CASES = 16, MOST_CALLS = 100000, LINE = 4096 };
static const char *const precisions[PRECISIONS] = {"float", "int8", "bf16"}; /* the last of the first one's model */

/* A model planned for a batch. */
struct prepared {
    int precision, batch;
    struct exec *exec;
    float *want, *got; /* logits of the first `batch` images */
};

struct worker {
    struct model models[MODELS];
    struct image_set images;
    struct prepared cases[CASES];
    int case_count, threads;
    double samples[MOST_CALLS];
};

/* ---- cases ---- */

static int prepare(struct worker *w, struct prepared *c, struct message *m)
{
    int is_bf16 = c->precision >= MODELS;
    const struct exec_options how = {
        .threads = w->threads, .batch = c->batch, .precision = is_bf16 ? "bf16" : "fp32"};
    TRY(exec_open(&c->exec, &w->models[is_bf16 ? 0 : c->precision], &how, m));
    size_t count = (size_t)c->batch * (size_t)exec_classes(c->exec);
    c->want = memory_new(count, sizeof(float), m);
    c->got = memory_new(count, sizeof(float), m);
    if (!c->want || !c->got)
        return STATUS_NOMEM;
    return exec_run(c->exec, w->images.images, c->batch, c->want, m);
}

static void case_close(struct prepared *c)
{
    exec_close(c->exec);
    memory_free(c->want);
    memory_free(c->got);
}

static int find_case(struct worker *w, const char *precision, int batch, struct prepared **out, struct message *m)
{
    int p = 0;
    while (p < PRECISIONS && strcmp(precision, precisions[p]) != 0)
        p++;
    if (p == PRECISIONS || batch < 1 || batch > w->images.count)
        return message_set(m, STATUS_RANGE, "no such case: %s, batch %d", precision, batch);
    for (int i = 0; i < w->case_count; i++)
        if (w->cases[i].precision == p && w->cases[i].batch == batch) {
            *out = &w->cases[i];
            return STATUS_OK;
        }
    if (w->case_count == CASES)
        return message_set(m, STATUS_RANGE, "more than %d cases", CASES);
    struct prepared c = {.precision = p, .batch = batch};
    int status = prepare(w, &c, m);
    if (status < 0) {
        case_close(&c);
        return status;
    }
    w->cases[w->case_count] = c;
    *out = &w->cases[w->case_count++];
    return STATUS_OK;
}

/* One checked call; the seconds it took in *seconds. */
static int call(struct worker *w, struct prepared *c, double *seconds, struct message *m)
{
    size_t bytes = (size_t)c->batch * (size_t)exec_classes(c->exec) * sizeof(float);
    memset(c->got, 0xff, bytes); /* no logits of ours: NaN */
    double start = clock_seconds();
    TRY(exec_run(c->exec, w->images.images, c->batch, c->got, m));
    *seconds = clock_seconds() - start;
    if (memcmp(c->got, c->want, bytes) != 0)
        return message_set(m, STATUS_MISMATCH, "logits differ from those of the untimed call");
    return STATUS_OK;
}

/* ---- requests ---- */

static int answer_time(struct worker *w, const char *line, struct message *m)
{
    char precision[16], form[32];
    int batch, least;
    double warm, seconds, unused;
    struct prepared *c;
    if (sscanf(line, "time %15s %d %31s %lf %lf %d", precision, &batch, form, &warm, &seconds, &least) != 6)
        return message_set(m, STATUS_FORMAT, "bad request");
    TRY(find_case(w, precision, batch, &c, m));
    double end = clock_seconds() + warm;
    do
        TRY(call(w, c, &unused, m));
    while (clock_seconds() < end);
    int count = 0;
    for (end = clock_seconds() + seconds; count < MOST_CALLS && (count < least || clock_seconds() < end); count++)
        TRY(call(w, c, &w->samples[count], m));
    printf("times");
    for (int i = 0; i < count; i++)
        printf(" %.9f", w->samples[i]);
    printf("\n");
    return STATUS_OK;
}

static int write_logits(const struct prepared *c, const struct image_set *images, const char *path,
                        struct message *m)
{
    size_t classes = (size_t)exec_classes(c->exec), count = (size_t)images->count;
    float *logits = memory_new(count * classes, sizeof(float), m);
    if (!logits)
        return STATUS_NOMEM;
    int status = exec_run(c->exec, images->images, images->count, logits, m);
    FILE *f = status < 0 ? NULL : fopen(path, "wb");
    int is_written = f && fwrite(logits, classes * sizeof(float), count, f) == count;
    is_written = f && fclose(f) == 0 && is_written;
    if (status >= 0 && !is_written)
        status = message_set(m, STATUS_IO, "%s: cannot be written", path);
    memory_free(logits);
    return status;
}

static int answer_logits(struct worker *w, const char *line, struct message *m)
{
    char precision[16], form[32], path[LINE], others[LINE];
    int batch;
    struct prepared *c;
    int words = sscanf(line, "logits %15s %d %31s %4095s %4095s", precision, &batch, form, path, others);
    if (words < 4)
        return message_set(m, STATUS_FORMAT, "bad request");
    TRY(find_case(w, precision, batch, &c, m));
    struct image_set images = {0};
    int status = words == 5 ? image_set_load(&images, others, m) : STATUS_OK;
    if (status >= 0)
        status = write_logits(c, words == 5 ? &images : &w->images, path, m);
    image_set_free(&images);
    TRY(status);
    printf("ok\n");
    return STATUS_OK;
}

static int answer_about(struct worker *w, struct message *m)
{
    struct prepared *c;
    TRY(find_case(w, "int8", 1, &c, m));
    printf("about " RESQ_VERSION " %s\n", exec_isa(c->exec));
    return STATUS_OK;
}

/* 1: go on; 0: no more requests. */
static int answer(struct worker *w, struct message *m)
{
    char line[LINE];
    if (!fgets(line, sizeof line, stdin))
        return 0;
    int status;
    if (strncmp(line, "time ", 5) == 0)
        status = answer_time(w, line, m);
    else if (strncmp(line, "logits ", 7) == 0)
        status = answer_logits(w, line, m);
    else if (strncmp(line, "about", 5) == 0)
        status = answer_about(w, m);
    else if (strncmp(line, "forms ", 6) == 0)
        status = printf("forms resq\n") < 0 ? STATUS_IO : STATUS_OK;
    else
        status = message_set(m, STATUS_FORMAT, "bad request");
    TRY(status);
    return fflush(stdout) == 0 ? 1 : STATUS_IO;
}

int main(int argc, char **argv)
{
    static struct worker w; /* large */
    struct message m = {0};
    int64_t threads = 0;
    if (argc != 5) {
        fprintf(stderr, "usage: worker FLOAT-MODEL INT8-MODEL IMAGES THREADS\n");
        return 2;
    }
    int status = parse_integer(argv[4], 1, 64, "threads", &threads, &m);
    w.threads = (int)threads;
    for (int p = 0; p < MODELS && status >= 0; p++)
        status = model_load(&w.models[p], argv[1 + p], &m);
    if (status >= 0)
        status = image_set_load(&w.images, argv[3], &m);
    while (status >= 0 && (status = answer(&w, &m)) > 0)
        ;
    if (status < 0)
        printf("error %s\n", m.text);
    for (int i = 0; i < w.case_count; i++)
        case_close(&w.cases[i]);
    for (int p = 0; p < MODELS; p++)
        model_free(&w.models[p]);
    image_set_free(&w.images);
    return status < 0;
}
