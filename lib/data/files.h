/* files.h: a whole data set, both splits, as a list of .bin files in CIFAR-10's layout, whether they were mapped,
 * unpacked from an archive, or made from pictures: records of a label (of two bytes, the lower first, where there are
 * more than 256 classes) and one plane a channel. Digest, name, export and loading all start here. Internal to data.
 */
#ifndef RESQ_DATA_FILES_H
#define RESQ_DATA_FILES_H

#include "data/dataset.h"
#include "base/text.h"
#include "record/digest.h"
#include <stddef.h>

enum { SPLIT_TRAIN, SPLIT_TEST, SPLIT_COUNT };
enum {
    FILE_RECORDS = 10000, /* records a file of the official layout */
    FILE_BYTES = FILE_RECORDS * CIFAR_RECORD_BYTES,
    SPLIT_MAX_FILES = 256,
    NOTE_MAX_BYTES = 16 << 20, /* of batches.meta.txt and dataset.tsv */
    PICTURE_MAX_BYTES = 32 << 20
};

#define NAME_OFFICIAL "CIFAR-10"
#define NAME_JPEG "CIFAR-10 (JPEG q75)"

struct bin_file {
    uint8_t *bytes;
    size_t size; /* 0: no such file */
    int mapped;  /* else from memory_new_raw */
    char digest[DIGEST_HEX];
};

/* All-zero but for wish, shape and label_bytes is empty. files[SPLIT][N - 1] is data_batch_N.bin; test_batch.bin,
 * then test_batch_2.bin .. */
struct image_files {
    struct bin_file files[SPLIT_COUNT][SPLIT_MAX_FILES];
    int count[SPLIT_COUNT]; /* files, contiguous from 0 once files_finish has passed */
    int single;             /* one lone .bin file: serves either split */
    int from_pictures;
    struct dataset_wish wish;
    struct image_shape shape; /* of every record's image */
    int label_bytes;          /* 1 or 2 */
    char **classes;
    int class_count;
    char *notes[2];     /* texts of batches.meta.txt and dataset.tsv, or NULL */
    char *report;       /* of pictures: what was left out or taken for another, in one line, or NULL */
    char *found;        /* of pictures: the folders that stand where a split's would, or NULL */
    char *instead;      /* where there is no set: the reason */
    struct text sample; /* one of its JPEGs, and the digest of its pixels; empty where it has none */
    char sample_digest[DIGEST_HEX];
    char source[DIGEST_HEX]; /* of the file that was decoded, where it was computed; else "" */
    char name[128], digest[72];
    const uint8_t *labels;   /* of a decoded copy: of both splits, train's first; owned by the copy. Else NULL */
    struct image_copy *copy; /* not NULL: opened from a decoded copy, and records come by files_fetch */
};

enum { NOTE_CLASSES, NOTE_DATASET };

extern const char *const split_names[SPLIT_COUNT]; /* "train", "test" */
extern const char *const note_names[2];            /* "batches.meta.txt", "dataset.tsv" */

/* Opens whatever path is, checks every label, finds name and digest. warning as in dataset_load. cache: a folder
 * for decoded copies of archives, or NULL; said gets what became of it. Of a copy no record is there before
 * files_fetch. */
int files_open(struct image_files *s, const char *path, const struct dataset_wish *wish, const char *cache,
               struct message *warning, struct message *said, struct message *m) RESQ_USE_RESULT;
void files_free(struct image_files *s);
/* Makes records first..first + count - 1 of a split readable, in the file that holds them. Fails only where a
 * decoded copy is damaged. */
int files_fetch(struct image_files *s, int split, int64_t first, int64_t count, struct message *m) RESQ_USE_RESULT;
/* Frees all but a copy, which files_free closes. */
void files_clear(struct image_files *s);
/* The labels of a split, in order. */
void files_labels(const struct image_files *s, int split, uint16_t *labels);

/* Bytes of a record, and of the label in front of its planes. */
size_t files_record_bytes(const struct image_files *s);
int files_label_bytes(int class_count);
int files_label_get(const struct image_files *s, const uint8_t *record);
void files_label_put(const struct image_files *s, uint8_t *record, int label);
/* Makes of records of another shape what wish asks for. Nothing is done to those that are so. */
int files_convert(struct image_files *s, struct message *m) RESQ_USE_RESULT;

/* The name of file `index` (0-based) of a split; out holds 32 bytes. And back: 1 where name is one of those. */
void file_name(int split, int index, char out[32]);
int file_name_parse(const char *name, int *split, int *index);
/* Index of note_names, or -1. */
int note_parse(const char *name);
/* Takes ownership of bytes on success. A file that is there already and an empty one are failures (without the
 * file's name in the text). */
int files_add(struct image_files *s, int split, int index, uint8_t *bytes, size_t size, int mapped,
              struct message *m) RESQ_USE_RESULT;
/* Maps one .bin file. */
int files_map(struct image_files *s, int split, int index, const char *path, struct message *m) RESQ_USE_RESULT;
/* Once .bin files and their notes are there: their shape and bytes a label where dataset.tsv says them, and that every
 * file is a whole number of records (the text begins with the file's name, unless it is a lone one). */
int files_whole(struct image_files *s, struct message *m) RESQ_USE_RESULT;
int64_t files_records(const struct image_files *s, int split);

/* The sources. Each fills files and notes, or files and classes. */
int files_from_folder(struct image_files *s, const char *path, struct message *m) RESQ_USE_RESULT;
int files_from_archive(struct image_files *s, const char *path, struct message *m) RESQ_USE_RESULT;

/* Once the files are there: classes where they are not yet known (from the notes), labels, digest, name. */
int files_classes(struct image_files *s, struct message *m) RESQ_USE_RESULT;
int files_identify(struct image_files *s, const char *path, struct message *warning,
                   struct message *m) RESQ_USE_RESULT;
/* STATUS_MISMATCH where dataset.tsv says another digest than these records have: asked before they are converted. */
int files_verify(struct image_files *s, const char *path, struct message *m) RESQ_USE_RESULT;
/* After a failure to read an archive that goes by a known name: adds its digest and the right one, where they
 * differ. */
void archive_explain(const char *path, struct message *m);
/* The value of `key` in a text of KEY<TAB>VALUE lines. note_copy: 1 where there is one that fits; note_dup: *out
 * stays as it is where there is none. */
int note_copy(const char *text, const char *key, char *out, size_t size);
int note_dup(const char *text, const char *key, char **out, struct message *m) RESQ_USE_RESULT;
/* Writes data set name, digest, classes, and a shape other than CIFAR-10's in dataset.tsv's form. */
char *dataset_note(const struct image_files *s, struct message *m) RESQ_USE_RESULT;

#endif
