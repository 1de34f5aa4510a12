#include "train/stages.h"
#include "exec/train/gradient.h"
#include "pass/pass.h"

/* One program's answer: its reason becomes a line; running out of memory stays a failure. */
static int note(struct text *report, const char *program, int status, const struct message *why, struct message *m)
{
    if (status >= 0)
        return 0;
    if (status == STATUS_NOMEM)
        return message_set(m, STATUS_NOMEM, "%s", why->text);
    TRY(text_add(report, m, "%s: %s\n", program, why->text));
    return 1;
}

static int fused_check(struct model *copy, struct text *report, struct message *m)
{
    struct message why = {{0}};
    int status = pass_fold_batchnorm(copy, NULL, &why);
    if (status >= 0)
        status = pass_fuse_epilogue(copy, NULL, &why);
    int noted = note(report, "fuse", status, &why, m);
    if (noted != 0) /* nothing comes after it */
        return noted;
    status = gradient_check_quantized(&copy->graph, &why);
    return note(report, "qat-finetune", status, &why, m);
}

int stages_check(const struct model *model, struct text *report, struct message *m)
{
    struct model copy;
    TRY(model_copy(&copy, model, m));
    int status = fused_check(&copy, report, m);
    model_free(&copy);
    return status < 0 ? status : STATUS_OK;
}
