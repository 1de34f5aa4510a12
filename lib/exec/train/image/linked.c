/* Which convolutions share an image's way with the batch norms around them. */
#include "exec/train/image/image_engine.h"

enum { LINKED_IMAGES = 16 }; /* fewer are cut into rows, so that all threads have work */

/* Nothing but a convolution: no sums of its own, no gradient that another step begins or ends. */
static int is_plain(const struct gradient *g, int i)
{
    const struct step *s = &g->steps.at[i];
    return s->kind == STEP_CONV && !s->relu && !s->clip.on && s->other < 0 && g->train[i].bias == NO_OFFSET;
}

void image_links_plan(struct gradient *g)
{
    struct image_engine *e = image_of(g);
    e->links = !gradient_quantized(g);
    for (int i = 0; e->links && i < g->steps.count; i++) {
        const struct step *s = &g->steps.at[i];
        if (!is_plain(g, i))
            continue;
        e->steps[i].norm_before = i > 0 && s[-1].kind == STEP_NORM && s[-1].output == s->x && s[-1].other < 0;
        e->steps[i].norm_behind = i + 1 < g->steps.count && s[1].kind == STEP_NORM && s[1].x == s->output &&
                                  !g->train[i + 1].accumulate_x;
    }
}

static int is_linked(const struct gradient *g)
{
    return image_of(g)->links && !g->profiling && g->count >= LINKED_IMAGES;
}

int image_links_before(const struct gradient *g, int i)
{
    return i < g->steps.count && is_linked(g) && image_of(g)->steps[i].norm_before;
}

int image_links_behind(const struct gradient *g, int i)
{
    return i >= 0 && is_linked(g) && image_of(g)->steps[i].norm_behind;
}
