/* pictures.h: pictures of an ImageFolder gathered one by one, in any order, into files. Internal to data. */
#ifndef RESQ_DATA_PICTURES_H
#define RESQ_DATA_PICTURES_H

#include "data/files.h"

struct pictures; /* opaque */

struct picture_path {
    int split;
    char class_name[256];
    const char *name; /* within the path given */
};

/* 1: path ends in SPLIT/CLASS/NAME with a suffix that we read; 0: something else, to be left alone (hidden files
 * and other splits included); negative: a file in a class folder that is no picture, or a class name that cannot be
 * used. */
int picture_path_parse(const char *path, struct picture_path *out, struct message *m) RESQ_USE_RESULT;

struct pictures *pictures_new(struct message *m) RESQ_USE_RESULT;
void pictures_free(struct pictures *p); /* NULL is fine */
/* Decodes one. */
int pictures_add(struct pictures *p, const struct picture_path *path, const void *bytes, size_t count,
                 struct message *m) RESQ_USE_RESULT;
int64_t pictures_count(const struct pictures *p);
/* Classes are the folders' names, sorted by byte. Within a split, pictures stand in natural order of their names
 * ("2.png" before "10.png"), then of their classes: the order does not depend on how the source lists them. The
 * same name twice in a class is a failure. Moves everything into s. */
int pictures_finish(struct pictures *p, struct image_files *s, struct message *m) RESQ_USE_RESULT;

int natural_compare(const char *a, const char *b); /* digits by value; total: 0 only for equal strings */

#endif
