/* raw_files.h: what raw.c gathers and raw_records.c makes records of. Private to those two. */
#ifndef RESQ_DATA_RAW_FILES_H
#define RESQ_DATA_RAW_FILES_H

#include "data/raw.h"

struct raw_files {
    enum raw_form form;
    char *set;
    int status; /* of the first file that could not be taken, with its reason: it matters where this is the set */
    struct message reason;
    struct text parts[SPLIT_COUNT][RAW_PARTS]; /* names stand with the train split */
};

#endif
