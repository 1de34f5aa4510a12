/* member.h: what a path in a folder or an archive is to a data set. The one rule of both readers. Internal to data.
 */
#ifndef RESQ_DATA_MEMBER_H
#define RESQ_DATA_MEMBER_H

#include "base/status.h"
#include <stddef.h>

enum member_kind {
    MEMBER_OTHER,  /* no part of a data set */
    MEMBER_HIDDEN, /* a hidden file, or one of those that systems leave behind: Thumbs.db, desktop.ini, @eaDir .. */
    MEMBER_FILE,   /* ROOT/data_batch_N.bin, ROOT/test_batch.bin .. */
    MEMBER_NOTE,   /* ROOT/batches.meta.txt, ROOT/dataset.tsv */
    MEMBER_RAW,    /* a file of pixels, labels or names that raw.h reads */
    MEMBER_CLASS,  /* the folder ROOT/SPLIT/CLASS */
    MEMBER_PICTURE, /* ROOT/SPLIT/CLASS/NAME, where NAME may have folders of its own, as with torchvision */
    MEMBER_STRAY    /* named like a picture, but in no SPLIT/CLASS */
};

/* Names of a split's folder. The last three stand for `test` where there is none. */
enum { FOLDER_TRAIN, FOLDER_TEST, FOLDER_VAL, FOLDER_VALID, FOLDER_VALIDATION, FOLDER_COUNT };
extern const char *const folder_names[FOLDER_COUNT];

struct member_path {
    enum member_kind kind;
    size_t root;          /* bytes of the path that are ROOT, without its slash; 0: the set stands at the top */
    int split, index;     /* of a FILE: as file_name_parse; of a NOTE: index */
    int folder;           /* of a CLASS or PICTURE: which of folder_names its SPLIT is */
    char class_name[256]; /* of a CLASS or PICTURE */
    const char *name;     /* of a PICTURE: what follows the class, within the path given */
    int is_read;          /* of a PICTURE: 0 where its format is one that is not read */
};

/* Takes "." and empty components out of a path, in place. */
void member_tidy(char *path);
/* path: tidy and relative to what was named. SPLIT is the last component that can be one: what stands before it is
 * ROOT. Negative: a class name that cannot be used (too long, a control character, not UTF-8). */
int member_parse(const char *path, int is_folder, struct member_path *out, struct message *m) RESQ_USE_RESULT;

/* The same for a set without splits, ROOT/CLASS/NAME: CLASS is the folder that a picture stands in, and all are in
 * folder_names[FOLDER_TRAIN]. Pictures in a SPLIT stay what they are. */
int member_parse_unsplit(const char *path, int is_folder, struct member_path *out,
                         struct message *m) RESQ_USE_RESULT;

#endif
