#include "train/teacher.h"
#include "base/memory.h"
#include "train/held_out.h"

static int check(const struct teacher *t, const struct record *stream, const struct model *start, struct message *m)
{
    const struct node *own = &t->model.graph.nodes[0], *theirs = &start->graph.nodes[0];
    int classes = t->model.graph.nodes[t->model.graph.count - 1].c,
        want = start->graph.nodes[start->graph.count - 1].c;
    if (!record_get(t->model.record, "graph"))
        return message_set(
            m, STATUS_UNSUPPORTED,
            "a teacher needs its graph, which a state_dict has not: train-fp32 --init FILE --epochs 0 adds it");
    if (classes != want)
        return message_set(m, STATUS_MISMATCH, "classes: the teacher has %d, the network that learns %d", classes,
                           want);
    if (own->h != theirs->h || own->w != theirs->w || own->c != theirs->c)
        return message_set(m, STATUS_MISMATCH,
                           "images: the teacher reads %dx%dx%d, the network that learns %dx%dx%d", own->h, own->w,
                           own->c, theirs->h, theirs->w, theirs->c);
    return data_continues_model(stream, t->model.record, m);
}

static int take(struct teacher *t, const struct record *stream, const struct model *start, struct lineage *lineage,
                struct message *m)
{
    char digest[MODEL_DIGEST_SIZE], number[2][32];
    TRY(check(t, stream, start, m));
    TRY(model_digest(&t->model, digest, m));
    lineage_add(lineage, "teacher", "%s", digest);
    format_number(number[0], t->how.share);
    format_number(number[1], t->how.temperature);
    lineage_add(lineage, "teacher-share", "%s", number[0]);
    lineage_add(lineage, "temperature", "%s", number[1]);
    t->side = record_new(m);
    return t->side ? record_inherit(t->side, t->model.record, m) : STATUS_NOMEM;
}

int teacher_load(struct teacher *t, const struct teacher_options *o, const struct record *stream,
                 const struct model *start, struct lineage *lineage, struct message *m)
{
    *t = (struct teacher){.how = o->how};
    if (!o->model)
        return STATUS_OK;
    TRY(model_load(&t->model, o->model, m)); /* names the file itself */
    int status = take(t, stream, start, lineage, m);
    return status < 0 ? message_prefix(m, status, "%s", o->model) : STATUS_OK;
}

int teacher_plan_bytes(const struct teacher *t, const struct exec_options *how, int batch, size_t *bytes,
                       struct message *m)
{
    *bytes = 0;
    if (!t->side)
        return STATUS_OK;
    TRY(exec_plan_bytes(&t->model, how, bytes, m));
    *bytes += (size_t)batch * (size_t)t->model.graph.nodes[t->model.graph.count - 1].c * sizeof *t->logits;
    return STATUS_OK;
}

int teacher_open(struct teacher *t, const struct exec_options *how, int batch, struct message *m)
{
    if (!t->side)
        return STATUS_OK;
    TRY(exec_open(&t->exec, &t->model, how, m));
    t->logits = memory_new_raw((size_t)batch, (size_t)exec_classes(t->exec) * sizeof *t->logits, m);
    return t->logits ? STATUS_OK : STATUS_NOMEM;
}

int teacher_teach(struct teacher *t, const uint8_t *images, int count, int classes, const float *logits,
                  double before, float *dlogits, struct loss_sums *sums, struct message *m)
{
    TRY(exec_run(t->exec, images, count, t->logits, m));
    return distill(logits, t->logits, count, classes, &t->how, before, dlogits, sums, m);
}

void teacher_close(struct teacher *t)
{
    exec_close(t->exec);
    memory_free(t->logits);
    record_free(t->side);
    model_free(&t->model);
    *t = (struct teacher){0};
}
