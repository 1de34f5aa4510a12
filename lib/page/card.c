/* card.c: MODEL_CARD.md: https://huggingface.co/docs/hub/model-cards: YAML front matter (model-index: what was
 * measured), then a page of Markdown. */
#include "page/page.h"
#include "page/section.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static double accuracy_of(const struct run_answer *a)
{
    return (double)a->metrics.correct / (double)a->metrics.images;
}

static void front(struct html *h, const struct run *r)
{
    const char *dataset = run_note(r, "dataset");
    h->form = HTML_YAML;
    html_raw(h, "---\nlibrary_name: resq\npipeline_tag: image-classification\ntags:\n- image-classification\n- "
                "quantization\n- int8\n");
    if (strncmp(dataset, "CIFAR-10", 8) == 0)
        html_raw(h, "datasets:\n- cifar10\n");
    if (r->answer_count)
        html_put(h, "metrics:\n- accuracy\nmodel-index:\n");
    for (int i = 0; i < r->answer_count; i++) {
        const struct run_answer *a = &r->answers[i];
        html_put(h,
                 "- name: \"%s %s\"\n  results:\n  - task:\n      type: image-classification\n    dataset:\n      "
                 "name: \"%s\"\n"
                 "      type: %s\n      split: \"%s\"\n    metrics:\n    - type: accuracy\n      value: %.6f\n",
                 r->name, a->name, *dataset ? dataset : "unknown",
                 strncmp(dataset, "CIFAR-10", 8) == 0 ? "cifar10" : "imagefolder", run_note(r, "split"),
                 accuracy_of(a));
    }
    html_raw(h, "---\n\n");
    h->form = HTML_MARKDOWN;
}

static void table(struct html *h, const struct run *r)
{
    html_raw(h, "| model | accuracy, % (95 % interval) | loss | calibration error, % | file, bytes | ms an image | "
                "images/s |\n"
                "|---|---|---|---|---|---|---|\n");
    for (int i = 0; i < r->answer_count; i++) {
        const struct run_answer *a = &r->answers[i];
        struct interval w = wilson_interval(a->metrics.correct, a->metrics.images);
        html_put(h, "| %s | %.2f (%.2f to %.2f) | %.4f | %.2f | %lld |", a->name, 100 * accuracy_of(a), 100 * w.low,
                 100 * w.high, a->metrics.loss, 100 * a->metrics.calibration_error, (long long)a->bytes);
        if (a->timing >= 0)
            html_put(h, " %.3f | %.1f |\n", run_number(r->bench, a->timing, "ms_median"),
                     run_number(r->bench, a->timing, "samples_per_s"));
        else
            html_raw(h, " - | - |\n");
    }
}

static int verdicts(struct html *h, const struct run *r, struct message *m)
{
    const struct run_answer *base = run_float(r);
    for (int i = 0; base && i < r->answer_count; i++) {
        struct comparison c;
        if (&r->answers[i] == base)
            continue;
        TRY(compare_answers(r, base, &r->answers[i], &c, m));
        html_raw(h, "- ");
        put_verdict(h, &c);
        html_raw(h, ".\n");
    }
    html_raw(h, "\n");
    return 0;
}

static void files(struct html *h, const struct run *r)
{
    if (r->model_count == 0)
        return;
    html_raw(
        h,
        "## Files\n\n| file | stage | bytes | parameters | quantization | digest |\n|---|---|---|---|---|---|\n");
    for (int i = 0; i < r->model_count; i++) {
        const struct run_model *x = &r->models[i];
        const char *how = record_get(x->model.record, "quantization");
        html_put(h, "| %s | %s | %lld | %lld | %.300s | %s |\n", x->name, graph_stage_name(x->stage),
                 (long long)x->bytes, (long long)model_parameter_elements(&x->model), how ? how : "-", x->digest);
    }
    html_raw(h, "\nWeights stand in PyTorch's layout under torchvision's names; an int8 layer X has `X.weight` "
                "(i8), `X.weight_scale` and "
                "`X.bias` (i32).\n\n");
}

static void training(struct html *h, const struct run *r)
{
    const struct run_model *x = r->model_count ? &r->models[0] : NULL;
    const char *made_by = x ? record_get(x->model.record, "made-by") : NULL;
    if (!made_by)
        return;
    html_put(h,
             "## Training\n\nThe lineage of %s: every program that it went through, with each option that could "
             "change the "
             "result.\n\n",
             x->name);
    while (*made_by) {
        size_t indent = strspn(made_by, " "), length = strcspn(made_by, "\n");
        char line[4096];
        size_t kept = length - indent < sizeof line - 1 ? length - indent : sizeof line - 1;
        memcpy(line, made_by + indent, kept);
        line[kept] = '\0';
        for (size_t k = 0; k < indent && k < 16; k++)
            html_raw(h, " ");
        html_put(h, "- %s\n", line);
        made_by += length + (made_by[length] == '\n');
    }
    html_raw(h, "\n");
}

int card_of_run(struct text *out, const struct run *r, struct message *m)
{
    struct html h = {.m = m};
    front(&h, r);
    html_put(&h, "# %s\n\n", r->name);
    if (r->answer_count) {
        char size[64] = "";
        if (r->model_count > 0) {
            const struct node *input = &r->models[0].model.graph.nodes[0];
            snprintf(size, sizeof size, " of %dx%d pixels%s", input->h, input->w, input->c == 1 ? ", grey," : "");
        }
        html_put(&h,
                 "A network for images%s in %d classes, in float and as int8, measured on %lld "
                 "images of %s%s%s.\n\n",
                 size, r->answers[0].metrics.classes, (long long)r->answers[0].metrics.images,
                 run_note(r, "dataset"), *run_note(r, "split") ? ", " : "", run_note(r, "split"));
        html_check(&h, verdicts(&h, r, m));
        html_raw(&h, "## Evaluation\n\n");
        table(&h, r);
        html_raw(&h, "\nNothing was trained, calibrated or chosen on these images. Times are for one image at a "
                     "time on one thread; the "
                     "float network is timed with batch norm folded.\n\n");
    }
    if (r->class_count) {
        html_raw(&h, "Classes: ");
        for (int i = 0; i < r->class_count; i++)
            html_put(&h, "%s%.40s", i ? ", " : "", run_class(r, i));
        html_raw(&h, ".\n\n");
    }
    files(&h, r);
    training(&h, r);
    html_raw(&h, "## Limits\n\nA single run says little about differences of a few tenths of a point: the "
                 "intervals say how little. "
                 "Accuracies hold for images like those above, no others.\n");
    *out = h.text;
    return h.status;
}
