/* class_table.h: the classes that pictures are of, found by name. Internal to data. */
#ifndef RESQ_DATA_CLASS_TABLE_H
#define RESQ_DATA_CLASS_TABLE_H

#include "data/survey.h"

struct class_entry {
    char *name;
    int root;         /* whose class it is, as survey_add counts them */
    unsigned folders; /* bit i: seen in folder_names[i] */
    int rank;         /* among those of the set; -1: not one of them */
};

/* All-zero is empty. */
struct class_table {
    struct class_entry *at; /* [count], in the order they came */
    int count, capacity;
    int *slots; /* [slot_count], open addressing: index + 1, or 0 */
    int slot_count, of_root[SURVEY_MAX_ROOTS];
};

/* The class's place in `at`, where it is put if it is new. More than DATASET_MAX_CLASSES of a root are STATUS_RANGE.
 */
int class_table_find(struct class_table *t, int root, const char *name, struct message *m) RESQ_USE_RESULT;
void class_table_free(struct class_table *t);

#endif
