/* batch.h: the stream of batches: what travels between cifar-load, augment and everything that reads images. */
#ifndef RESQ_DATA_BATCH_H
#define RESQ_DATA_BATCH_H

#include "data/dataset.h"
#include "record/record.h"
#include "record/stream.h"

enum { BATCH_MOST_MIXED = 3 };

/* A verified view of a batch record: shapes, types and labels < class count are checked. Pointers belong to record.
 */
struct batch {
    struct record *record; /* owned */
    int64_t count;
    int64_t *indices;
    struct image_shape shape; /* of an image */
    uint8_t *images;          /* [count,H,W,C] */
    void *labels;             /* [count], see batch_label */
    int has_wide_labels;      /* of 16 bits, else of 8 */
    int mixed;                /* further labels an image, 0..BATCH_MOST_MIXED: 0, images are not mixed */
    void *labels2;            /* [count,mixed], see batch_label2 */
    float *share;             /* [count,mixed]: each in [0,1], an image's sum at most 1 (to rounding) */
    int64_t epoch, position, total;
};

int batch_label(const struct batch *b, int64_t i);
void batch_label_set(struct batch *b, int64_t i,
                     int label);                           /* which fits: 0..255, or ..65535 where they are wide */
int batch_label2(const struct batch *b, int64_t i, int k); /* image i's further label k < mixed */
void batch_mixed_set(struct batch *b, int64_t i, int k, int label, float share);
/* Gives a batch that has none its labels2 and share of `mixed` labels an image, all of them 0; one that has is
 * STATUS_MISMATCH. */
int batch_mix(struct batch *b, int mixed, struct message *m) RESQ_USE_RESULT;

struct batch_reader {
    struct record_reader *reader;
    char dataset[128], digest[72], split[8], part[16]; /* of the stream, set by the first batch and then enforced */
    int class_count;
    char **classes;
    struct image_shape shape;
    int64_t images, epoch, position; /* so far; where the next batch must begin */
    int started, ended;
    int takes_mixed; /* the caller's, before the first batch: mixed images are fine; else they are STATUS_MISMATCH */
    int mixed;       /* of every batch */
    struct record *first; /* metadata of the first batch (tensors removed), for lineage */
};

int batch_reader_open(struct batch_reader *r, const char *path, struct message *m) RESQ_USE_RESULT;
/* 1: *b is a batch (release with batch_free); 0: the end record was read, its count was right and nothing follows;
 * negative: failure. A stream without any batch is `empty input`; end of file before the end record is
 * STATUS_TRUNCATED `truncated stream after N records`; a change of data set, classes, split, part, image, mixed, mean
 * or std within the stream, a gap in position, or a batch that spans two epochs is STATUS_MISMATCH. */
int batch_reader_next(struct batch_reader *r, struct batch *b, struct message *m) RESQ_USE_RESULT;
void batch_reader_close(struct batch_reader *r);
void batch_free(struct batch *b);
/* Makes record the batch's own on success; on failure it stays the caller's. Absent epoch, position and total are
 * 0. */
int batch_from_record(struct batch *b, struct record *record, int class_count, struct message *m) RESQ_USE_RESULT;

/* New batch record with zeroed tensors for count images; labels are wide where there are more than 256 classes. */
int batch_new(struct batch *b, struct image_shape shape, int class_count, int64_t count,
              struct message *m) RESQ_USE_RESULT;
/* New batch of d's images indices[count], with all of a batch's metadata but made-by. classes: d's as JSON. */
int batch_from_dataset(struct batch *b, const struct dataset *d, const char *part, const char *classes,
                       const int64_t *indices, int64_t count, int64_t epoch, int64_t position, int64_t total,
                       struct message *m) RESQ_USE_RESULT;
/* The end record of a stream that held `images`. */
int batch_write_end(struct record_writer *w, int64_t images, const struct record *metadata_source,
                    struct message *m) RESQ_USE_RESULT;
/* classes as a JSON list, e.g. for metadata; memory_free. And back: *classes is an array of strings, classes_free.
 */
char *classes_to_json(char *const *classes, int count, struct message *m) RESQ_USE_RESULT;
int classes_from_json(const char *json, char ***classes, int *count, struct message *m) RESQ_USE_RESULT;
void classes_free(char **classes, int count);

/* A batch file read whole into memory as one set (validation, predictions). labels/images owned. */
struct image_set {
    int64_t count;
    int64_t *indices;
    struct image_shape shape;
    uint8_t *images;
    uint16_t *labels;
    struct record *first; /* metadata */
    int class_count;
    char **classes;
};
int image_set_load(struct image_set *s, const char *path, struct message *m) RESQ_USE_RESULT;
void image_set_free(struct image_set *s);
/* 0 where images of this shape are what a network takes whose input has `height`, `width` and `channels`; else
 * STATUS_MISMATCH, with both shapes. */
int images_match_input(struct image_shape images, int height, int width, int channels,
                       struct message *m) RESQ_USE_RESULT;
/* 0 where the images may be used with this model (a field that either lacks is not compared): same number of
 * classes and names and the same data set (allow_other_data lets the digest differ); failure says which field
 * differs. model_metadata: the model's record. */
int data_matches_model(const struct record *batch_metadata, const struct record *model_metadata,
                       int allow_other_data, struct message *m) RESQ_USE_RESULT;

#endif
