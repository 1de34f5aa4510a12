#include "record/checkpoint_file.h"
#include "record/recipe.h"
#include "record/stream.h"
#include <errno.h>
#include <unistd.h>

int checkpoint_save(const char *path, const char *recipe, checkpoint_fill *fill, void *context, struct message *m)
{
    struct record *r = record_new(m);
    if (!r)
        return STATUS_NOMEM;
    int status = record_set(r, "kind", "checkpoint", m);
    if (status >= 0)
        status = record_set(r, "recipe", recipe, m);
    if (status >= 0)
        status = fill(context, r, m);
    if (status >= 0)
        status = record_save(r, path, m);
    record_free(r);
    return status;
}

int checkpoint_load(const char *path, struct record **r, struct message *m)
{
    *r = NULL;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return 0;
    TRY(record_load(r, path, m));
    int status = record_require_kind(*r, "checkpoint", m);
    if (status < 0) {
        record_free(*r);
        *r = NULL;
        return message_prefix(m, status, "%s", path);
    }
    return 1;
}

int checkpoint_is_of(const struct record *checkpoint, const char *recipe, struct message *m)
{
    const char *there = record_get(checkpoint, "recipe");
    if (!there)
        return message_set(m, STATUS_FORMAT, "recipe: missing metadata");
    return recipe_compare(there, recipe, m);
}
