/* bench_subjects.h: what bench times: the models that its options name, each with images to run on. */
#ifndef RESQ_TOOLS_BENCH_SUBJECTS_H
#define RESQ_TOOLS_BENCH_SUBJECTS_H

#include "base/random.h"
#include "data/batch.h"
#include "tools/common/device.h"
#include "tools/common/model_file.h"

/* Values as the options leave them. */
struct bench_arguments {
    struct string_list models, precisions; /* precisions: at least one */
    struct integer_list batches, threads;
    const char *output, *images;   /* images: a batch file; NULL: random ones */
    const char *ranges;            /* with --train: models are trained quantized; NULL: not */
    int64_t width;                 /* also an untrained ResNet-18 of this width; 0: none */
    int image[3];                  /* height, width, channels of its images */
    double seconds;                /* for each case, at least */
    int layers;                    /* a row for every layer too */
    int flips;                     /* each image with its mirror image */
    struct device_arguments where; /* resolved */
    struct model_arguments given;
};

enum { BENCH_NAME_SIZE = 128, BENCH_SUBJECTS_MOST = STRING_LIST_MAX + 1 };

struct bench_subject {
    struct model model;
    char name
        [BENCH_NAME_SIZE]; /* the file's, without suffix, with as many of its folders as tell it from the others */
    uint8_t *images;       /* [batch,H,W,C]; owned; NULL before bench_subject_draw */
};

/* All-zero is empty. The model of the option --width comes last. */
struct bench_subjects {
    struct bench_subject items[BENCH_SUBJECTS_MOST];
    int count;
};

/* Fails too where the output cannot be written or is one of the models. bench_subjects_close after a failure too. */
int bench_subjects_open(struct bench_subjects *s, struct bench_arguments *o, struct message *m) RESQ_USE_RESULT;
/* Gives it `batch` images: those of the set, over and over, or, where it is empty, drawn ones. */
int bench_subject_draw(struct bench_subject *s, const struct image_set *set, int batch, struct random_stream *draw,
                       struct message *m) RESQ_USE_RESULT;
void bench_subjects_close(struct bench_subjects *s);

/* The largest of the batch sizes. */
int bench_largest_batch(const struct bench_arguments *o);

#endif
