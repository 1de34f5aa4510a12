/* survey.h: what stands in a source, path by path, which of it is the data set, and what is left out. Internal to
 * data. */
#ifndef RESQ_DATA_SURVEY_H
#define RESQ_DATA_SURVEY_H

#include "data/files.h"
#include "data/member.h"

enum { SURVEY_MAX_ROOTS = 64, SURVEY_MAX_FOUND = 8, SURVEY_NAME = 64 };

struct survey_root {
    char *path;
    int64_t pictures[FOLDER_COUNT];
};

struct survey_tally {
    int64_t count;
    char example[128]; /* the first by byte, whichever came first */
};

/* All-zero is empty. */
struct survey {
    struct survey_root roots[SURVEY_MAX_ROOTS]; /* of sets of pictures */
    int root_count;
    char *file_root; /* of .bin files; NULL: none came */
    struct survey_tally others, hidden, strays;
    const char *foreign;                       /* what else this looks like, or NULL */
    char found[SURVEY_MAX_FOUND][SURVEY_NAME]; /* folders that stand where a split's would, sorted */
    int found_count;
    /* once survey_choose has passed: */
    int root;                 /* whose pictures are the set, or -1 */
    int folders[SPLIT_COUNT]; /* of folder_names: where a split's pictures are; -1: nowhere */
};

/* Counts one path. Returns the index of its root for a CLASS or PICTURE, else 0. A second root of .bin files and
 * more than SURVEY_MAX_ROOTS of pictures are failures. */
int survey_add(struct survey *s, const char *path, const struct member_path *p, struct message *m) RESQ_USE_RESULT;
/* The set is the .bin files, or the pictures of the root with the fewest components. Two of those, pictures beside
 * .bin files, and two stand-ins for `test` are failures. */
int survey_choose(struct survey *s, struct message *m) RESQ_USE_RESULT;
/* 1 where neither pictures nor .bin files of CIFAR-10 are the set: what raw.h reads may be. After survey_choose. */
int survey_leaves_raw(const struct survey *s);
/* Leaves in files what a person is to know: what was left out of a set of pictures or taken for another, in one
 * line; which folders there are; and, where there is no set, what was found instead. */
int survey_tell(const struct survey *s, struct image_files *files, struct message *m) RESQ_USE_RESULT;
void survey_free(struct survey *s);

#endif
