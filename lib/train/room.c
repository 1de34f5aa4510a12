/* room.c: what a run will hold, told before it is allocated. */
#include "base/available.h"
#include "train/trainer.h"

struct planned {
    const struct trainer *trainer;
    struct gradient_options options;
};

/* Besides the gradient's own: momentum, averages, the best epoch's and a checkpoint's copy of all floats, at most;
 * logits with their gradient; and a teacher. */
static int planned_bytes(void *context, int batch, size_t *bytes, struct message *m)
{
    struct planned *p = context;
    const struct graph *g = &p->trainer->start.graph;
    p->options.batch = batch;
    TRY(gradient_plan_bytes(&p->trainer->start, &p->options, bytes, m));
    if (*bytes == 0)
        return STATUS_OK; /* a device's, which has memory of its own */
    *bytes += 4 * sizeof(float) * (size_t)model_parameter_elements(&p->trainer->start);
    *bytes += 2 * sizeof(float) * (size_t)batch * (size_t)g->nodes[g->count - 1].c;
    size_t teacher;
    const struct exec_options how = {.threads = p->options.threads, .isa = p->options.isa};
    TRY(teacher_plan_bytes(&p->trainer->teacher, &how, batch, &teacher, m));
    *bytes += teacher;
    return STATUS_OK;
}

int trainer_check_room(const struct trainer *t, const struct gradient_options *options, struct message *m)
{
    struct planned p = {t, *options};
    struct message said = {{0}};
    TRY(batch_fits(planned_bytes, &p, options->batch, "training on a mini-batch", memory_available(), &said, m));
    if (said.text[0])
        trainer_say(t, 1, "%s", said.text);
    return STATUS_OK;
}
