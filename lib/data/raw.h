/* raw.h: data sets that come as one file of pixels a split: CIFAR-100's binary version, IDX files (of MNIST and its
 * like; plain or gzip) and STL-10's binary version. Internal to data.
 *
 *   train.bin, test.bin, coarse_label_names.txt, fine_label_names.txt      CIFAR-100: records of a coarse label, a
 *                                                                          fine one, and three planes
 *   [NAME-]train-images-idx3-ubyte[.gz], [NAME-]train-labels-idx1-ubyte[.gz]   IDX; `test` or `t10k` for the test
 *                                                                          split, `.` for the `-` before idx
 *   train_X.bin, train_y.bin, test_X.bin, test_y.bin, class_names.txt      STL-10: planes of columns; labels from 1
 *
 * All files of a set stand in one folder. Images and their labels must be as many. */
#ifndef RESQ_DATA_RAW_H
#define RESQ_DATA_RAW_H

#include "data/files.h"

enum raw_form { RAW_CIFAR_100, RAW_IDX, RAW_STL_10, RAW_FORMS };
enum raw_part { RAW_IMAGES, RAW_LABELS, RAW_NAMES, RAW_COARSE_NAMES, RAW_PARTS };

struct raw_name {
    enum raw_form form;
    enum raw_part part;
    int split; /* of images and labels */
    int is_gzip;
    size_t set; /* bytes of the path before the parts of its name that say all this: the same in a set */
};

#define RAW_MAX_BYTES ((int64_t)512 << 20) /* of a file, packed or not */

/* 1 where the path's last component is a file of one of those sets. */
int raw_name_parse(const char *path, struct raw_name *out);

struct raw_files; /* opaque */

struct raw_files *raw_files_new(struct message *m) RESQ_USE_RESULT;
void raw_files_free(struct raw_files *r); /* NULL is fine */
/* Keeps a file's bytes, unpacked where they are packed. What is wrong with them, a second set among it,
 * raw_files_finish says: it matters only where this is the set. */
int raw_files_add(struct raw_files *r, const char *path, const struct raw_name *name, const void *bytes,
                  size_t count, struct message *m) RESQ_USE_RESULT;
int raw_files_any(const struct raw_files *r); /* 1 where images came */
/* Makes the set's records and classes of what came. */
int raw_files_finish(struct raw_files *r, struct image_files *s, struct message *m) RESQ_USE_RESULT;

#endif
