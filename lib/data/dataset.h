/* dataset.h: labelled pictures of one split, all of one shape, in memory, wherever they came from. */
#ifndef RESQ_DATA_DATASET_H
#define RESQ_DATA_DATASET_H

#include "base/status.h"
#include "data/image.h"
#include <stdint.h>

/* Of CIFAR-10's pictures, and of its files' records. */
enum { IMAGE_SIDE = 32, IMAGE_BYTES = 32 * 32 * 3, CIFAR_RECORD_BYTES = 3073 };
enum { DATASET_MAX_CLASSES = 65535 };

struct image_files; /* opaque */

struct dataset {
    int64_t count;
    struct image_shape shape;
    uint8_t *images;  /* [count,H,W,C] */
    uint16_t *labels; /* [count] */
    int class_count;
    char **classes;
    char name[128];  /* "CIFAR-10", "CIFAR-10 (JPEG q75)", or the path's last component without suffixes */
    char digest[72]; /* "sha256:HEX", see lib/FORMATS.md; of the whole data set, both splits where both exist */
    char split[8];   /* "train" or "test" */
    struct image_files *files; /* from dataset_open to dataset_read: where the pixels are */
    int from;
    char *path;
};

/* What is to be made of a source. All-zero: what it is. */
struct dataset_wish {
    struct image_wish image;
    int coarse;   /* of CIFAR-100: the 20 superclasses */
    int hold_out; /* of a folder CLASS/NAME without splits: every so manieth picture of each class is the test split;
                   * 0: such a folder is refused */
};

/* Everything but the pixels, which one dataset_read brings.
 *
 * path: a folder of official .bin files (also its parent), one .bin file of whole records, a .tar.gz (or any tar
 * that libarchive reads) or .zip of those, an ImageFolder folder or archive SPLIT/CLASS/NAME.{png,jpg,jpeg}; or
 * what data/raw.h reads. A single .bin file serves either split. Archive members with absolute paths, "..", links,
 * devices, duplicates or sizes over the limit are refused by name.
 *
 * What is a picture of the set says the same rule in folders and archives (data/member.h): SPLIT is train or test,
 * or where there is no test, val, valid or validation; NAME may have folders of its own; every folder SPLIT/CLASS
 * is a class, with pictures or without; the set that stands nearest to the top is taken, and two beside each other
 * are refused. warning (may be NULL) gets one line where there is something to say (what was left out and how many,
 * classes without pictures, pinned digests that differ), else "".
 *
 * cache: a folder for decoded copies of archives, made where it is missing, or NULL. No result depends on it: a
 * copy that is missing or damaged, or cannot be written, costs time alone. said (may be NULL): what became of it,
 * or "". */
int dataset_open(struct dataset *d, const char *path, const char *split, const struct dataset_wish *wish,
                 const char *cache, struct message *warning, struct message *said,
                 struct message *m) RESQ_USE_RESULT;
/* Brings the pixels of these images (indices NULL: of all); the others' stay undefined. Once. */
int dataset_read(struct dataset *d, const int64_t *indices, int64_t count, struct message *m) RESQ_USE_RESULT;
/* Both, of all images and without a cache. */
int dataset_load(struct dataset *d, const char *path, const char *split, struct message *warning,
                 struct message *m) RESQ_USE_RESULT;
void dataset_free(struct dataset *d);

/* Writes both splits in the official binary layout (data_batch_1..5.bin, test_batch.bin, batches.meta.txt, and
 * dataset.tsv with name, digest and classes, which dataset_load reads back) into the new folder directory, whole or
 * not at all. Of other pictures than 32x32 in colour a record is as long as its picture, and dataset.tsv says the
 * shape; with more than 256 classes a label has two bytes, the lower first. */
int dataset_export(const char *path, const struct dataset_wish *wish, const char *directory,
                   struct message *warning, struct message *m) RESQ_USE_RESULT;
/* Removes what an unfinished dataset_export has written; async-signal-safe, for a signal handler. */
void dataset_export_abandon(void);

/* The held-out tenth: of each class, in index order, every tenth image (the class's 10th, 20th ...). Fixed by data
 * set and index alone. Writes the indices of `part` ("train": the other nine tenths, "held-out", "all") in
 * ascending order into indices[count] and returns how many; for split test only "all" is legal (checked by the
 * caller). */
int64_t dataset_part(const struct dataset *d, const char *part, int64_t *indices);

/* At most `count` images of a part from its `offset`th on, in index order (count 0: all that are left); *selected
 * says how many. *indices is for memory_free. None at all is STATUS_RANGE. Needs no pixels. */
int dataset_select(const struct dataset *d, const char *part, int64_t offset, int64_t count, int64_t **indices,
                   int64_t *selected, struct message *m) RESQ_USE_RESULT;

/* Mean and standard deviation of x/255 for each of the channels over the given images, which have been read, in
 * double. */
void dataset_statistics(const struct dataset *d, const int64_t *indices, int64_t count, double mean[3],
                        double std[3]);
/* Permutes indices in place: Fisher-Yates by random_open(seed, RANDOM_SHUFFLE, epoch, 0). */
void indices_shuffle(int64_t *indices, int64_t count, uint64_t seed, uint32_t epoch);

#endif
