#include "train/quantized_training.h"
#include "base/memory.h"
#include "exec/train/gradient.h"
#include "quant/histogram.h"
#include "record/digest.h"
#include "record/stream.h"
#include "train/held_out.h"
#include "train/quantized_start.h"
#include <stdio.h>
#include <string.h>

int range_mode_parse(const char *name, enum range_mode *mode, struct message *m)
{
    static const char *const names[] = {"fixed", "average", "learned"};
    for (int i = 0; i < (int)(sizeof names / sizeof names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            *mode = (enum range_mode)i;
            return STATUS_OK;
        }
    }
    return message_set(m, STATUS_RANGE, "ranges: '%s' is not one of fixed|average|learned", name);
}

/* Metadata alone outlives the files: for the lineage. */
static int keep_side(struct record **side, const struct record *from, struct message *m)
{
    *side = record_new(m);
    return *side ? record_inherit(*side, from, m) : STATUS_NOMEM;
}

static int load_model(struct quantized_training *q, struct model *start, char digest[MODEL_DIGEST_SIZE],
                      struct message *m)
{
    TRY(model_load_given(start, q->model, q->given, m)); /* names the file itself */
    int status = model_digest(start, digest, m);
    if (status >= 0)
        status = graph_require_stage(&start->graph, STAGE_FUSED, m);
    if (status >= 0)
        status = keep_side(&q->sides[0], start->record, m);
    return status < 0 ? message_prefix(m, status, "%s", q->model) : STATUS_OK;
}

static int load_ranges(struct quantized_training *q, const struct model *model, char hex[DIGEST_HEX],
                       struct message *m)
{
    struct record *record;
    TRY(record_load(&record, q->ranges, m));
    int status = digest_record(record, hex, m);
    if (status >= 0)
        status = ranges_from_record(&q->observed, record, m);
    if (status >= 0)
        status = ranges_match_model(record, model, m);
    if (status >= 0)
        status = keep_side(&q->sides[1], record, m);
    record_free(record);
    return status < 0 ? message_prefix(m, status, "%s", q->ranges) : STATUS_OK;
}

/* After it q->lower has what the plan says. */
static int load_plan(struct quantized_training *q, const struct model *start, struct lineage *lineage,
                     struct message *m)
{
    char hex[DIGEST_HEX];
    if (!q->plan)
        return 0;
    TRY(bit_plan_load(&q->bits, q->plan, &start->graph, hex, m));
    q->lower.plan = &q->bits;
    lineage_add(lineage, "plan", "sha256:%s", hex);
    return 0;
}

/* ---- the start ---- */

/* Scales that are searched, or learned, are found once, of the start's weights: a search for each step would cost more
 * than the step. */
static int find_scales(struct quantized_training *q, const struct model *start, int i, struct message *m)
{
    const struct tensor *w = model_tensor(start, i, "weight");
    int outputs = (int)w->shape[0];
    int8_t *codes = memory_new_raw(w->count, 1, m);
    q->weight_scales[i] = memory_new((size_t)outputs, sizeof(float), m);
    if (codes && q->weight_scales[i])
        weights_quantize(w->data, outputs, (int)(w->count / (size_t)outputs), &q->weights[i], codes,
                         q->weight_scales[i]);
    memory_free(codes);
    return codes && q->weight_scales[i] ? 0 : STATUS_NOMEM;
}

static int set_weights(struct quantized_training *q, const struct model *start, struct message *m)
{
    for (int i = 0; i < q->nodes; i++) {
        if (!model_tensor(start, i, "weight"))
            continue;
        q->weights[i] = lower_weight_codes(&q->lower, &start->graph, i);
        if (!q->weight_scales[i] && (q->weights[i].observer != WEIGHT_MAX || q->learn_weight_scales))
            TRY(find_scales(q, start, i, m));
        q->weights[i].scale = q->weight_scales[i];
    }
    q->lower.weight_scales = (const float *const *)q->weight_scales;
    return 0;
}

static int load_init(struct quantized_training *q, const struct record *stream, struct model *start,
                     char digest[MODEL_DIGEST_SIZE], struct message *m)
{
    struct model init;
    const char *before = record_get(start->record, "trained-on"), *trained;
    TRY(model_load(&init, q->init, m)); /* names the file itself */
    int status = model_digest(&init, digest, m);
    if (status >= 0 && stream)
        status = data_continues_model(stream, init.record, m);
    if (status >= 0)
        status = keep_side(&q->sides[2], init.record, m);
    if (status >= 0)
        status = quantized_start(start, &init, &q->lower, q->weight_scales, q->activations, m);
    trained = record_get(init.record, "trained-on"); /* more than the float model, or the same */
    if (status >= 0 && trained && !(before && strstr(before, "/all")))
        status = record_set(start->record, "trained-on", trained, m);
    model_free(&init);
    return status < 0 ? message_prefix(m, status, "%s", q->init) : STATUS_OK;
}

static int set_start(struct quantized_training *q, const struct record *stream, struct model *start,
                     struct lineage *lineage, struct message *m)
{
    char digest[MODEL_DIGEST_SIZE];
    q->nodes = start->graph.count;
    q->activations = memory_new((size_t)q->nodes, sizeof *q->activations, m);
    q->weights = memory_new((size_t)q->nodes, sizeof *q->weights, m);
    q->weight_scales = memory_new((size_t)q->nodes, sizeof *q->weight_scales, m);
    if (!q->activations || !q->weights || !q->weight_scales)
        return STATUS_NOMEM;
    TRY(lower_choose_activations(start, &q->observed, &q->lower, q->activations, m));
    if (!q->init)
        return STATUS_OK;
    TRY(load_init(q, stream, start, digest, m));
    lineage_add(lineage, "init", "%s", digest);
    q->lower.weight_scales = (const float *const *)q->weight_scales;
    return STATUS_OK;
}

static int set_gradient(struct quantized_training *q, const struct model *start, struct gradient_options *gradient,
                        struct message *m)
{
    TRY(set_weights(q, start, m));
    gradient->quantized = 1;
    gradient->activations = q->activations;
    gradient->weight_bits = q->lower.weight_bits;
    gradient->activation_bits = q->lower.activation_bits;
    gradient->per_tensor = q->lower.per_tensor;
    gradient->weights = q->weights;
    gradient->ranges = q->range_mode;
    gradient->learn_weight_scales = q->learn_weight_scales;
    gradient->scale_rate = q->scale_rate;
    gradient->ewgs = q->ewgs;
    return STATUS_OK;
}

static void describe_low_bits(const struct quantized_training *q, struct lineage *lineage)
{
    if (lower_ends_name(&q->lower))
        lineage_add(lineage, "ends", "%s", lower_ends_name(&q->lower));
    if (lower_observer_name(&q->lower))
        lineage_add(lineage, "weight-observer", "%s", lower_observer_name(&q->lower));
    if (!q->learn_weight_scales)
        return;
    char number[32];
    format_number(number, q->scale_rate);
    lineage_add(lineage, "weight-scales", "learned");
    lineage_add(lineage, "scale-rate", "%s", number);
}

static int prepare(void *context, const struct record *stream, struct image_shape images, struct model *start,
                   struct gradient_options *gradient, struct lineage *lineage, struct message *m)
{
    (void)images; /* the model brings its own */
    struct quantized_training *q = context;
    char model_hex[MODEL_DIGEST_SIZE], ranges_hex[DIGEST_HEX];
    if (stream && q->lower.keep_float)
        return message_set(
            m, STATUS_UNSUPPORTED,
            "--keep-float: layers left in float cannot be trained with quantized ones; only --epochs 0 "
            "takes it");
    TRY(load_model(q, start, model_hex, m));
    TRY(load_plan(q, start, lineage, m));
    TRY(load_ranges(q, start, ranges_hex, m));
    lineage_add(lineage, "model", "%s", model_hex);
    if (q->given)
        model_given_lineage(q->given, lineage);
    lineage_add(lineage, "ranges", "sha256:%s", ranges_hex);
    describe_low_bits(q, lineage);
    TRY(set_start(q, stream, start, lineage, m));
    if (!stream)
        return STATUS_OK;
    int status = data_continues_model(stream, start->record, m);
    return status < 0 ? message_prefix(m, status, "%s", q->model) : set_gradient(q, start, gradient, m);
}

/* ---- what comes of it ---- */

/* The scales of all layers' weights by these parameters, one a node of model, to be freed each and
 * together. g NULL: at the start. */
static int scales_by(const struct quantized_training *q, const struct gradient *g, const float *parameters,
                     const struct model *model, float ***out, struct message *m)
{
    float **scales = memory_new((size_t)q->nodes, sizeof *scales, m);
    int status = scales ? STATUS_OK : STATUS_NOMEM;
    for (int i = 0; status >= 0 && i < q->nodes; i++) {
        if (!q->weight_scales[i])
            continue;
        size_t outputs = (size_t)model_tensor(model, i, "weight")->shape[0];
        scales[i] = memory_new(outputs, sizeof **scales, m);
        if (!scales[i])
            status = STATUS_NOMEM;
        else if (!g || !gradient_weight_scales(g, parameters, i, scales[i]))
            memcpy(scales[i], q->weight_scales[i], outputs * sizeof **scales);
    }
    *out = scales;
    return status;
}

static void scales_free(float **scales, int nodes)
{
    for (int i = 0; scales && i < nodes; i++)
        memory_free(scales[i]);
    memory_free(scales);
}

static int note_learned(struct model *out, struct message *m)
{
    const char *how = record_get(out->record, "quantization");
    return record_setf(out->record, "quantization", m, "%s weight-scales=learned", how ? how : "");
}

static int lower_trained(const struct quantized_training *q, const struct gradient *g, const float *parameters,
                         const float *state, struct model *out, struct message *m)
{
    struct affine *activations = memory_new((size_t)out->graph.count, sizeof *activations, m);
    struct lower_options how = q->lower;
    float **scales = NULL;
    int status = activations ? scales_by(q, g, parameters, out, &scales, m) : STATUS_NOMEM;
    how.weight_scales = (const float *const *)scales;
    if (status >= 0)
        status = gradient_store(g, parameters, state, out, m);
    if (status >= 0)
        status = gradient_activations(g, parameters, state, activations, m);
    if (status >= 0)
        status = pass_lower_int8_with(out, activations, &how, NULL, m);
    if (status >= 0 && q->learn_weight_scales)
        status = note_learned(out, m);
    scales_free(scales, q->nodes);
    memory_free(activations);
    return status;
}

/* Untrained: exactly what quantize makes, by the same call; or what the start was taken from. */
static int lower_start(const struct quantized_training *q, struct model *out, struct message *m)
{
    return q->init ? pass_lower_int8_with(out, q->activations, &q->lower, NULL, m)
                   : pass_lower_int8(out, &q->observed, &q->lower, NULL, m);
}

static int deliver(void *context, const struct model *start, const struct gradient *g, const float *parameters,
                   const float *state, struct model *out, struct message *m)
{
    const struct quantized_training *q = context;
    TRY(model_copy(out, start, m));
    int status = g ? lower_trained(q, g, parameters, state, out, m) : lower_start(q, out, m);
    if (status < 0)
        model_free(out);
    return status;
}

/* Weights beyond the largest code count as that code in the integer network, and so they shall here. */
static void clip_weights(const struct model *model, int i, const float *scale, int qmax)
{
    struct tensor *w = model_tensor(model, i, "weight");
    size_t row = w->count / (size_t)w->shape[0];
    float *values = w->data;
    for (size_t k = 0; k < w->count; k++) {
        float most = scale[k / row] * (float)qmax;
        values[k] = values[k] > most ? most : values[k] < -most ? -most : values[k];
    }
}

static int deliver_floats(void *context, const struct model *start, const struct gradient *g,
                          const float *parameters, const float *state, struct model *out, struct message *m)
{
    const struct quantized_training *q = context;
    float **scales = NULL;
    TRY(model_copy(out, start, m));
    int status = g ? gradient_store(g, parameters, state, out, m) : STATUS_OK;
    if (status >= 0)
        status = scales_by(q, g, parameters, out, &scales, m);
    for (int i = 0; status >= 0 && i < q->nodes; i++)
        if (scales[i])
            clip_weights(out, i, scales[i], weight_qmax(lower_weight_codes(&q->lower, &out->graph, i).bits));
    scales_free(scales, q->nodes);
    if (status < 0)
        model_free(out);
    return status;
}

struct training_kind quantized_training_kind(struct quantized_training *q)
{
    return (struct training_kind){.prepare = prepare,
                                  .deliver = deliver,
                                  .floats = deliver_floats,
                                  .sides = (const struct record *const *)q->sides,
                                  .side_count = q->init ? 3 : 2,
                                  .evaluate_start = 1};
}

void quantized_training_close(struct quantized_training *q)
{
    ranges_free(&q->observed);
    bit_plan_free(&q->bits);
    q->lower.plan = NULL;
    scales_free(q->weight_scales, q->nodes);
    memory_free(q->weights);
    memory_free(q->activations);
    record_free(q->sides[0]);
    record_free(q->sides[1]);
    record_free(q->sides[2]);
    q->activations = NULL;
    q->weights = NULL;
    q->weight_scales = NULL;
    q->sides[0] = q->sides[1] = q->sides[2] = NULL;
}
