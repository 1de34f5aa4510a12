#include "tools/common/bench_subjects.h"
#include "base/memory.h"
#include "graph/resnet.h"
#include "record/file.h"
#include <stdio.h>
#include <string.h>

/* The last `parts` parts of a path; the whole path where it has no more. */
static const char *path_tail(const char *path, int parts)
{
    const char *tail = path + strlen(path);
    while (tail > path && (tail[-1] != '/' || --parts > 0))
        tail--;
    return tail;
}

/* paths[i], one of `count`, as the table names its model. */
static void name_of_file(char out[BENCH_NAME_SIZE], const char *const *paths, int count, int i)
{
    static const char suffix[] = ".safetensors";
    const char *tail = path_tail(paths[i], 1);
    for (int k = 0, parts = 1; k < count; k++) {
        if (strcmp(paths[k], paths[i]) == 0)
            continue;
        while (tail > paths[i] && strcmp(tail, path_tail(paths[k], parts)) == 0)
            tail = path_tail(paths[i], ++parts);
    }
    size_t length = strlen(tail), dots = sizeof suffix - 1;
    if (length > dots && strcmp(tail + length - dots, suffix) == 0)
        length -= dots;
    if (length >= BENCH_NAME_SIZE) { /* the end tells more */
        tail += length - (BENCH_NAME_SIZE - 1);
        length = BENCH_NAME_SIZE - 1;
    }
    snprintf(out, BENCH_NAME_SIZE, "%.*s", (int)length, tail);
}

static int open_models(struct bench_subjects *s, struct bench_arguments *o, struct message *m)
{
    for (int i = 0; i < o->models.count; i++) {
        TRY(model_open(&s->items[i].model, o->models.items[i], &o->given, m));
        s->count = i + 1;
        name_of_file(s->items[i].name, o->models.items, o->models.count, i);
    }
    return 0;
}

int bench_subjects_open(struct bench_subjects *s, struct bench_arguments *o, struct message *m)
{
    struct bench_subject *made = &s->items[o->models.count];
    struct graph g = {0};
    TRY(output_check(o->output, m));
    for (int i = 0; i < o->models.count; i++)
        TRY(output_differs(o->models.items[i], o->output, m));
    TRY(open_models(s, o, m));
    if (o->width == 0)
        return 0;
    TRY(resnet18_build_for(&g, o->image, (int)o->width, 10, NULL, NULL, m));
    TRY(model_initialise(&made->model, &g, 1, m));
    snprintf(made->name, sizeof made->name, "resnet18-width%d", (int)o->width);
    s->count++;
    return 0;
}

int bench_subject_draw(struct bench_subject *s, const struct image_set *set, int batch, struct random_stream *draw,
                       struct message *m)
{
    const struct node *x = &s->model.graph.nodes[0];
    const size_t images = (size_t)batch, bytes = (size_t)x->h * (size_t)x->w * (size_t)x->c;
    int status = set->count > 0 ? images_match_input(set->shape, x->h, x->w, x->c, m) : 0;
    if (status < 0)
        return message_prefix(m, status, "%s", s->name);
    s->images = memory_new(images, bytes, m);
    if (!s->images)
        return STATUS_NOMEM;
    for (size_t n = 0; n < images && set->count > 0; n++)
        memcpy(s->images + n * bytes, set->images + n % (size_t)set->count * bytes, bytes);
    for (size_t k = 0; set->count == 0 && k < images * bytes; k++)
        s->images[k] = (uint8_t)random_below(draw, 256);
    return 0;
}

void bench_subjects_close(struct bench_subjects *s)
{
    for (int i = 0; i < s->count; i++) {
        model_free(&s->items[i].model);
        memory_free(s->items[i].images);
    }
    s->count = 0;
}

int bench_largest_batch(const struct bench_arguments *o)
{
    int largest = 0;
    for (int i = 0; i < o->batches.count; i++)
        largest = largest > (int)o->batches.items[i] ? largest : (int)o->batches.items[i];
    return largest;
}
