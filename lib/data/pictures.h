/* pictures.h: pictures of an ImageFolder gathered one by one, in any order, into files. Internal to data. */
#ifndef RESQ_DATA_PICTURES_H
#define RESQ_DATA_PICTURES_H

#include "data/files.h"
#include "data/survey.h"

struct pictures; /* opaque */

/* wish: what the pictures are to become, the caller's. Without a size they must all be of that of the first one;
 * without channels they are grey where all are. */
struct pictures *pictures_new(const struct dataset_wish *wish, struct message *m) RESQ_USE_RESULT;
void pictures_free(struct pictures *p); /* NULL is fine */
/* Decodes one; root: as survey_add counts them. */
int pictures_add(struct pictures *p, int root, const struct member_path *path, const void *bytes, size_t count,
                 struct message *m) RESQ_USE_RESULT;
/* Notes a class's folder, so that it is a class even without pictures. */
int pictures_add_class(struct pictures *p, int root, const struct member_path *path,
                       struct message *m) RESQ_USE_RESULT;
/* Of what the survey chose; the rest is dropped. Classes are the folders' names, sorted by byte. Within a split,
 * pictures stand in natural order of their names ("2.png" before "10.png"), then of their classes: the order does
 * not depend on how the source lists them. The same name twice in a class is a failure. Moves everything into s. */
int pictures_finish(struct pictures *p, const struct survey *survey, struct image_files *s,
                    struct message *m) RESQ_USE_RESULT;

int natural_compare(const char *a, const char *b); /* digits by value; total: 0 only for equal strings */

#endif
