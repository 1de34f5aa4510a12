/* augment: batches -> batches with their images varied at random. */
#include "tools/common/options.h"
#include "base/progress.h"
#include "base/text.h"
#include "base/threads.h"
#include "data/augment.h"
#include "data/batch.h"
#include "data/mix.h"
#include "record/stream.h"
#include <stdio.h>
#include <string.h>

struct options {
    struct augment_options augment;
    struct mix_options mix;
    double cutmix, mixup, ricap;
    int64_t crop, cutout, seed, threads;
    const char *pad, *jitter, *output;
    int quiet;
};

static const char details[] =
    "Reads batches on standard input and writes them on standard output. Everything is off unless asked\n"
    "for, and done in the order of the list above, with the arithmetic of Pillow, byte for byte. What an\n"
    "image gets depends on the seed, its epoch, its index and the operation alone: not on threads or\n"
    "batches, nor on which other operations are on.\n"
    "\n"
    "--cutmix, --mixup and --ricap come last. Such images have several labels with shares, which training takes\n"
    "(`labels2` and `share` of lib/FORMATS.md); the others in them are of the 127 before it in its epoch. With\n"
    "them what an image becomes depends on the order too: --shuffle.\n"
    "\n"
    "  cifar-load --shuffle --epochs 5 | augment --crop 4 --flip 0.5 --jitter 0.2,0.2,0.2,0.05 | train-fp32 -o M\n";

/* "B,C,S,H" into the four strengths. */
static int jitter_parse(const char *list, struct augment_options *a, struct message *m)
{
    double *const values[] = {&a->brightness, &a->contrast, &a->saturation, &a->hue};
    const double high[] = {100, 100, 100, 0.5};
    for (int i = 0; i < 4; i++) {
        char item[64];
        size_t length = strcspn(list, ",");
        if (length >= sizeof item || (list[length] == ',') != (i < 3))
            return message_set(m, STATUS_RANGE, "--jitter: want four numbers B,C,S,H");
        memcpy(item, list, length);
        item[length] = '\0';
        TRY(parse_number(item, 0, high[i], "--jitter", values[i], m));
        list += length + 1;
    }
    return 0;
}

static void mix_take(struct options *o)
{
    o->mix = (struct mix_options){.kind = o->cutmix > 0  ? MIX_CUTMIX
                                          : o->mixup > 0 ? MIX_MIXUP
                                          : o->ricap > 0 ? MIX_RICAP
                                                         : MIX_NONE,
                                  .strength = o->cutmix + o->mixup + o->ricap, /* of which one is not 0 */
                                  .seed = (uint64_t)o->seed};
}

struct stream {
    const struct options *o;
    struct batch_reader reader;
    struct record_writer *writer;
    struct threads *pool;
    struct mixer mixer;
    struct lineage lineage;
    struct progress progress;
};

static int batch_run(struct stream *s, struct batch *b, struct record **last, struct message *m)
{
    int status = augment_batch(&s->o->augment, s->pool, b, m);
    if (status >= 0 && s->mixer.options.kind != MIX_NONE)
        status = mixer_batch(&s->mixer, s->pool, b, m);
    if (status < 0)
        return message_prefix(m, status, "stdin");
    TRY(lineage_apply(b->record, b->record, "augment", &s->lineage, NULL, 0, m));
    TRY(writer_put(s->writer, b->record, m));
    progress_show(&s->progress, s->reader.images, NULL);
    record_free(*last);
    *last = b->record;
    b->record = NULL;
    return 0;
}

static int stream_run(struct stream *s, struct message *m)
{
    struct record *last = NULL; /* the end record takes its metadata */
    struct batch b;
    int status;
    while ((status = batch_reader_next(&s->reader, &b, m)) > 0) {
        status = batch_run(s, &b, &last, m);
        batch_free(&b);
        if (status < 0)
            break;
    }
    if (status >= 0)
        status = batch_write_end(s->writer, s->reader.images, last, m);
    record_free(last);
    return status;
}

static int run(const struct options *o, const struct tool *t, struct message *m)
{
    struct stream s = {.o = o, .mixer.options = o->mix};
    int status;
    s.lineage.message = m;
    tool_lineage(t, &s.lineage);
    TRY_GOTO(writer_open(&s.writer, o->output, m), end);
    TRY_GOTO(threads_open(&s.pool, (int)o->threads, m), end);
    TRY_GOTO(batch_reader_open(&s.reader, NULL, m), end);
    s.reader.takes_mixed = 1;
    progress_open(&s.progress, stderr, o->quiet || !o->output, tool_called(t), 0);
    status = stream_run(&s, m);
    progress_close(&s.progress);
    if (status >= 0) {
        struct record_writer *w = s.writer;
        s.writer = NULL; /* commit releases it, whatever comes out */
        status = writer_commit(w, m);
    }
end:
    writer_abandon(s.writer);
    batch_reader_close(&s.reader);
    mixer_close(&s.mixer);
    threads_close(s.pool);
    lineage_free(&s.lineage);
    return status;
}

int main(int argc, char **argv)
{
    struct options o = {.pad = "zero", .seed = 1, .threads = threads_online()};
    struct augment_options *a = &o.augment;
    const struct option_spec options[] = {
        {"resized-crop", 0, OPTION_NUMBER, &a->resized_crop, 0, 1, "SHARE",
         "cut out SHARE to all of the area, anywhere and 3:4 to 4:3, and resize it", 0, RECORDED_IF_GIVEN},
        {"crop", 0, OPTION_INTEGER, &o.crop, 0, 256, "PAD",
         "pad each side by PAD pixels and cut the images' size out anywhere", 0, 1},
        {"pad", 0, OPTION_CHOICE, &o.pad, 0, 0, 0, "what to pad with", "zero|reflect", 1},
        {"flip", 0, OPTION_NUMBER, &a->flip, 0, 1, "P", "mirror left and right with probability P", 0, 1},
        {"flip-alternate", 0, OPTION_FLAG, &a->is_flip_alternate, 0, 0, 0,
         "who is mirrored in one epoch is not in the next", 0, 1},
        {"brightness", 0, OPTION_NUMBER, &a->brightness, 0, 100, "B", "factor from 1-B to 1+B", 0, 1},
        {"contrast", 0, OPTION_NUMBER, &a->contrast, 0, 100, "C", "factor from 1-C to 1+C", 0, 1},
        {"saturation", 0, OPTION_NUMBER, &a->saturation, 0, 100, "S", "factor from 1-S to 1+S", 0, 1},
        {"hue", 0, OPTION_NUMBER, &a->hue, 0, 0.5, "H", "turn from -H to H of the whole circle", 0, 1},
        {"jitter", 0, OPTION_STRING, &o.jitter, 0, 0, "B,C,S,H", "those four at once; their order is random", 0, 0},
        {"rotation", 0, OPTION_NUMBER, &a->rotation, 0, 180, "DEG", "rotate by -DEG to DEG degrees", 0, 1},
        {"cutout", 0, OPTION_INTEGER, &o.cutout, 0, 512, "SIDE", "cover a square of SIDE pixels with grey", 0, 1},
        {"cutmix", 0, OPTION_NUMBER, &o.cutmix, 0, 1, "P", "with probability P, put a box of another image in", 0,
         RECORDED_IF_GIVEN},
        {"mixup", 0, OPTION_NUMBER, &o.mixup, 0, 100, "A", "blend with another image, by Beta(A,A)", 0,
         RECORDED_IF_GIVEN},
        {"ricap", 0, OPTION_NUMBER, &o.ricap, 0, 100, "B",
         "put pieces of four images together, which meet by Beta(B,B)", 0, RECORDED_IF_GIVEN},
        OPTION_SEED(&o.seed),
        OPTION_THREADS(&o.threads),
        OPTION_OUTPUT(&o.output),
        OPTION_QUIET(&o.quiet),
    };
    const struct tool tool = TOOL("augment", "[OPTION]... < BATCHES > BATCHES",
                                  "vary the images of batches at random", details, options, 0);
    struct message m = {{0}};
    int status = tool_start(&tool, argc, argv, NULL);
    if (status >= 0)
        return status;
    if (o.jitter && (a->brightness > 0 || a->contrast > 0 || a->saturation > 0 || a->hue > 0))
        return tool_misuse(&tool, "--jitter goes with none of --brightness, --contrast, --saturation, --hue");
    if (o.jitter && jitter_parse(o.jitter, a, &m) < 0)
        return tool_misuse(&tool, "%s", m.text);
    if (a->is_flip_alternate && a->flip == 0)
        return tool_misuse(&tool, "--flip-alternate goes with --flip");
    if ((o.cutmix > 0) + (o.mixup > 0) + (o.ricap > 0) > 1)
        return tool_misuse(&tool, "of --cutmix, --mixup and --ricap only one goes");
    mix_take(&o);
    a->seed = (uint64_t)o.seed;
    a->crop = (int)o.crop;
    a->cutout = (int)o.cutout;
    a->pad = strcmp(o.pad, "reflect") == 0 ? PAD_REFLECT : PAD_ZERO;
    return tool_end(&tool, run(&o, &tool, &m), &m);
}
