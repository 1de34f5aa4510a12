#include "train/schedule.h"
#include <math.h>
#include <string.h>

int schedule_parse(const char *name, enum schedule_kind *kind, struct message *m)
{
    static const char *const names[] = {"one-cycle", "cosine", "step", "constant"};
    for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            *kind = (enum schedule_kind)i;
            return STATUS_OK;
        }
    }
    return message_set(m, STATUS_RANGE, "schedule: '%s' is not one of " SCHEDULE_NAMES, name);
}

static double one_cycle(const struct schedule *s, double u)
{
    if (u < s->peak)
        return s->rate * u / s->peak;
    return s->peak < 1 ? s->rate * (1 - u) / (1 - s->peak) : s->rate;
}

static double stepped(const struct schedule *s, double u)
{
    double rate = s->rate;
    for (int i = 0; i < s->milestone_count; i++)
        rate *= u >= s->milestones[i] ? s->factor : 1;
    return rate;
}

double schedule_rate(const struct schedule *s, int64_t step, int64_t steps_an_epoch, int64_t epochs)
{
    const double pi = 3.14159265358979323846;
    double middle = (double)step + 0.5, all = (double)steps_an_epoch * (double)epochs, u = middle / all;
    if (s->kind == SCHEDULE_ONE_CYCLE)
        return one_cycle(s, u);
    double warm = fmin(s->warm_up_epochs * (double)steps_an_epoch, all);
    if (middle < warm)
        return s->rate * middle / warm;
    if (s->kind == SCHEDULE_COSINE)
        return s->rate * (1 + cos(pi * (middle - warm) / (all - warm))) / 2;
    return s->kind == SCHEDULE_STEP ? stepped(s, u) : s->rate;
}
