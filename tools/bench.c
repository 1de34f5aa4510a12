/* bench: how long models take: all cases in one run, taking turns, with the machine's own peak beside them. */
#include "base/memory.h"
#include "base/random.h"
#include "data/augment.h"
#include "data/batch.h"
#include "exec/infer/measure.h"
#include "graph/resnet.h"
#include "record/file.h"
#include "tools/common/bench_table.h"
#include "tools/common/bench_train.h"
#include "tools/common/device.h"
#include "tools/common/model_file.h"
#include <stdio.h>
#include <string.h>

struct opts {
    struct string_list models, precisions;
    struct integer_list batches, threads;
    const char *output, *images, *ranges, *size, *tta;
    int image[3];
    int64_t width;
    double seconds;
    int layers, train;
    struct device_arguments where;
    struct model_arguments given;
};

/* Everything a run holds: one exec a case, planned for its batch and threads; cases in the order of the table. */
struct run {
    struct opts *o;
    struct model models[STRING_LIST_MAX + 1];
    char names[STRING_LIST_MAX + 1][BENCH_NAME_SIZE];
    int model_count, case_count, batch;
    struct exec **execs;
    struct measure_case *cases;
    uint8_t *images[STRING_LIST_MAX + 1];
};

static const char details[] =
    "Every model runs with every batch size and number of threads. The cases take turns of 50 ms, for\n"
    "--seconds a case; a turn's first call, which finds the caches as another case left them, does not\n"
    "count if there are more. Times are per image: a call's time over its batch. Logits are checked in\n"
    "every timed call against those of an untimed one; a difference is a failure.\n"
    "\n"
    "Rows:\n"
    "  what=infer        a whole network; algorithm: that of its largest layer; bytes: activations and packed\n"
    "                    weights\n"
    "  what=infer:flip   with --tta flip: a call has each image and its mirror image; times are an image's\n"
    "  what=layer:NAME   with --layers, one step of it; bytes: packed weights. Where there is another algorithm\n"
    "                    for it, ms_alone and ms_other are the times of the chosen and the other one on one\n"
    "                    thread, in turns\n"
    "  gmac_per_s is reached at the median; peak_gmac_per_s is what this machine's multiply-adds reach on\n"
    "  registers alone, measured in this run (- where the instruction set has no such loop)\n"
    "\n"
    "Without --images, images are random but always the same. --precision is of float layers: bf16 is fast\n"
    "on a CPU with tiles (amx), training with avx2 too; models with integer layers have their own and are\n"
    "timed once. RESQ_ISA chooses the instruction set, RESQ_CONV=direct|winograd the algorithm of\n"
    "convolutions; otherwise a rule of costs does, and of integers only what is proved exact is Winograd.\n"
    "\n"
    "Examples:\n"
    "  bench -m fused.safetensors -m ptq.safetensors -b 1,32 -j 1,2 -o bench.tsv\n"
    "  bench --width 64 -b 1 --layers\n" BENCH_TRAIN_HELP;

/* ---- models and images ---- */

static int load_models(struct run *r, struct message *m)
{
    for (int i = 0; i < r->o->models.count; i++) {
        TRY(model_open(&r->models[i], r->o->models.items[i], &r->o->given, m));
        r->model_count = i + 1;
        bench_name(r->names[i], r->o->models.items, r->o->models.count, i);
    }
    if (r->o->width > 0) {
        struct graph g = {0};
        TRY(resnet18_build_for(&g, r->o->image, (int)r->o->width, 10, NULL, NULL, m));
        TRY(model_initialise(&r->models[r->model_count], &g, 1, m));
        snprintf(r->names[r->model_count++], sizeof r->names[0], "resnet18-width%d", (int)r->o->width);
    }
    return 0;
}

static int views_of(const struct opts *o)
{
    return o->tta ? 2 : 1;
}

/* Every second image becomes the one before it, mirrored: a case takes as many of both as it wants. */
static void make_mirrors(uint8_t *images, int batch, struct image_shape s)
{
    const size_t bytes = image_shape_bytes(s);
    for (int n = 0; n + 1 < batch; n += 2) {
        uint8_t *mirror = images + (size_t)(n + 1) * bytes;
        memcpy(mirror, mirror - bytes, bytes);
        image_flip(s, mirror);
    }
}

/* r->batch images for one model: from the set, over and over, or drawn. */
static int make_images(struct run *r, int i, const struct image_set *set, struct message *m)
{
    size_t bytes = exec_image_bytes(r->execs[r->case_count - 1]);
    struct random_stream draw = random_open(1, RANDOM_TEST, 0, 0);
    const struct node *input = &r->models[i].graph.nodes[0];
    int status = set->count > 0 ? images_match_input(set->shape, input->h, input->w, input->c, m) : 0;
    if (status < 0)
        return message_prefix(m, status, "%s", r->names[i]);
    r->images[i] = memory_new((size_t)r->batch, bytes, m);
    if (!r->images[i])
        return STATUS_NOMEM;
    for (int n = 0; n < r->batch && set->count > 0; n++)
        memcpy(r->images[i] + (size_t)n * bytes, set->images + (size_t)(n % set->count) * bytes, bytes);
    for (size_t k = 0; set->count == 0 && k < (size_t)r->batch * bytes; k++)
        r->images[i][k] = (uint8_t)random_below(&draw, 256);
    if (r->o->tta)
        make_mirrors(r->images[i], r->batch, (struct image_shape){input->h, input->w, input->c});
    return 0;
}

/* One case: model i with the k-th of all precisions, threads and batches. Integer layers have a precision of their
 * own: the first alone. */
static int make_case(struct run *r, int i, int k, struct message *m)
{
    const struct opts *o = r->o;
    int each = o->threads.count * o->batches.count;
    int batch = (int)o->batches.items[k % o->batches.count] * views_of(o);
    int integer = graph_stage(&r->models[i].graph) == STAGE_INT8;
    if (integer && k >= each)
        return 0;
    const struct exec_options how = {.threads = (int)o->threads.items[k % each / o->batches.count],
                                     .batch = batch,
                                     .device = o->where.device,
                                     .precision = integer ? NULL : o->precisions.items[k / each],
                                     .tf32 = o->where.tf32,
                                     .fast = o->where.fast};
    struct measure_case *c = &r->cases[r->case_count];
    int status = exec_open(&r->execs[r->case_count], &r->models[i], &how, m);
    if (status < 0)
        return message_prefix(m, status, "%s", r->names[i]);
    *c = (struct measure_case){
        .exec = r->execs[r->case_count++], .batch = batch, .views = views_of(o), .name = r->names[i]};
    return 0;
}

static int make_model_cases(struct run *r, int i, const struct image_set *set, struct message *m)
{
    const struct opts *o = r->o;
    int first = r->case_count;
    for (int k = 0; k < o->precisions.count * o->threads.count * o->batches.count; k++)
        TRY(make_case(r, i, k, m));
    TRY(make_images(r, i, set, m));
    for (int k = first; k < r->case_count; k++)
        r->cases[k].images = r->images[i];
    return 0;
}

static int make_cases(struct run *r, struct message *m)
{
    const struct opts *o = r->o;
    struct image_set set = {0};
    size_t all =
        (size_t)r->model_count * (size_t)o->precisions.count * (size_t)o->threads.count * (size_t)o->batches.count;
    r->execs = memory_new(all, sizeof(struct exec *), m);
    r->cases = memory_new(all, sizeof *r->cases, m);
    if (!r->execs || !r->cases)
        return STATUS_NOMEM;
    for (int i = 0; i < o->batches.count; i++)
        r->batch = r->batch > (int)o->batches.items[i] ? r->batch : (int)o->batches.items[i];
    r->batch *= views_of(o);
    if (o->images)
        TRY(image_set_load(&set, o->images, m));
    int status = 0;
    for (int i = 0; i < r->model_count && status >= 0; i++)
        status = make_model_cases(r, i, &set, m);
    image_set_free(&set);
    return status;
}

static void run_close(struct run *r)
{
    measure_free(r->cases, r->case_count);
    for (int i = 0; i < r->case_count; i++)
        exec_close(r->execs[i]);
    for (int i = 0; i < r->model_count; i++) {
        memory_free(r->images[i]);
        model_free(&r->models[i]);
    }
    memory_free(r->execs);
    memory_free(r->cases);
}

/* ---- all of it ---- */

static int run(struct opts *o, struct message *m)
{
    static struct run r; /* large */
    struct table table = {0};
    r.o = o;
    int status = output_check(o->output, m);
    for (int i = 0; i < o->models.count && status >= 0; i++)
        status = output_differs(o->models.items[i], o->output, m);
    if (status >= 0)
        status = load_models(&r, m);
    if (status >= 0)
        status = make_cases(&r, m);
    if (status >= 0)
        status = measure_run(r.cases, r.case_count, &(struct measure_options){o->seconds, o->layers}, m);
    if (status >= 0)
        status = bench_table(&table, r.cases, r.case_count, o->images ? "from a batch file" : "random", m);
    if (status >= 0)
        status = table_save(&table, o->output, m);
    table_free(&table);
    run_close(&r);
    return status;
}

static int run_train(struct opts *o, struct message *m)
{
    const struct bench_train train = {&o->models, &o->precisions, &o->batches, &o->threads, o->ranges,
                                      o->images,  o->output,      o->image,    o->width,    o->seconds,
                                      o->layers,  o->where,       &o->given};
    return bench_train_run(&train, m);
}

int main(int argc, char **argv)
{
    struct opts o = {.batches = {{1}, 1}, .threads = {{1}, 1}, .seconds = 1, .where = {.device = device_default}};
    const struct option_spec options[] = {
        OPTION_MODELS(&o.models),
        {"width", 0, OPTION_INTEGER, &o.width, 0, 512, "N", "also a ResNet-18 of this width, untrained; 0: none", 0,
         0},
        {"size", 0, OPTION_STRING, &o.size, 0, 0, "HxW[xC]", "the images of --width's network", 0, 0},
        OPTION_BATCHES(&o.batches),
        OPTION_THREADS_LIST(&o.threads),
        OPTION_OUTPUT(&o.output),
        {"seconds", 0, OPTION_NUMBER, &o.seconds, 0, 3600, "S", "time for each case, at least", 0, 0},
        {"layers", 0, OPTION_FLAG, &o.layers, 0, 0, 0, "a row for every layer too", 0, 0},
        {"tta", 0, OPTION_CHOICE, &o.tta, 0, 0, 0, "time each image with its mirror image, as evaluate --tta",
         "flip", 0},
        {"images", 0, OPTION_STRING, &o.images, 0, 0, "FILE", "images from this batch file", 0, 0},
        {"train", 0, OPTION_FLAG, &o.train, 0, 0, 0, "time training steps", 0, 0},
        {"precision", 0, OPTION_STRINGS, &o.precisions, 0, 0, "NAME",
         "of floats: fp32, bf16, fp16 (GPU); may be repeated", 0, 0},
        OPTION_RANGES(&o.ranges),
        OPTION_DEVICE(o.where),
        MODEL_OPTIONS(o.given),
    };
    const struct tool tool =
        TOOL("bench", "-m MODEL [-m MODEL]... [-b LIST] [-j LIST] [-o TSV]", "Time models.", details, options, 0);
    struct message m = {0};
    int status = tool_start(&tool, argc, argv, NULL);
    if (status >= 0)
        return status;
    if (o.models.count == 0 && o.width == 0)
        return tool_misuse(&tool, "missing option -m MODEL (or --width N)");
    struct image_shape image = IMAGE_CIFAR;
    if (o.size && o.width == 0)
        return tool_misuse(&tool, "--size: is of --width's network; models have their own");
    if (o.size && image_input_parse(o.size, &image, &m) < 0)
        return tool_misuse(&tool, "--size: %s", m.text);
    memcpy(o.image, (const int[3]){image.height, image.width, image.channels}, sizeof o.image);
    if (o.tta && (o.train || o.layers))
        return tool_misuse(&tool, "--tta: times whole networks, not --layers or --train");
    if (!o.train && o.ranges)
        return tool_misuse(&tool, "--ranges: needs --train");
    if (device_resolve(&tool, &o.where, 0, &m) < 0)
        return tool_end(&tool, STATUS_UNSUPPORTED, &m);
    if (o.precisions.count == 0)
        o.precisions = (struct string_list){{"fp32"}, 1};
    if ((status = model_arguments_take(&o.given, &tool, 0)) >= 0)
        return status;
    status = tool_end(&tool, o.train ? run_train(&o, &m) : run(&o, &m), &m);
    model_arguments_free(&o.given);
    return status;
}
