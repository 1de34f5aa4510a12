/* A data set from whatever holds it: a folder, an archive or its decoded copy, one file. */
#include "data/copy.h"
#include "data/files.h"
#include "data/unread.h"
#include <string.h>
#include <sys/stat.h>

static int lone_file_open(struct image_files *s, const char *path, struct message *m)
{
    s->single = 1;
    int status = files_map(s, SPLIT_TRAIN, 0, path, m);
    if (status >= 0) {
        status = files_whole(s, m);
        if (status < 0)
            message_prefix(m, status, "%s", path);
    }
    if (status < 0 && status != STATUS_IO && m)
        unread_explain(path, m);
    return status;
}

static int archive_open(struct image_files *s, const char *path, const char *cache, struct message *said,
                        struct message *m)
{
    if (cache) {
        TRY(digest_file(path, s->source, m));
        if (copy_open(s, cache, said))
            return 0;
    }
    int status = files_from_archive(s, path, m);
    if (status < 0 && m) {
        unread_explain(path, m);
        archive_explain(path, m);
    }
    return status;
}

/* Says what `path` is, opens it, and checks all that does not depend on names. */
static int source_open(struct image_files *s, const char *path, const char *cache, struct message *said,
                       struct message *m)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return message_errno(m, "%s: cannot open", path);
    if (S_ISDIR(st.st_mode))
        return files_from_folder(s, path, m);
    if (!S_ISREG(st.st_mode))
        return message_set(m, STATUS_FORMAT, "%s: neither a folder nor a regular file", path);
    if (st.st_size == 0)
        return message_set(m, STATUS_TRUNCATED, "%s: empty input", path);
    size_t length = strlen(path);
    if (length > 4 && strcmp(path + length - 4, ".bin") == 0)
        return lone_file_open(s, path, m);
    return archive_open(s, path, cache, said, m);
}

static int files_complete(const struct image_files *s, const char *path, struct message *m)
{
    if (s->count[SPLIT_TRAIN] + s->count[SPLIT_TEST] == 0)
        return message_set(m, STATUS_FORMAT, "%s: %s", path, s->instead ? s->instead : "holds no images");
    for (int split = 0; split < SPLIT_COUNT; split++)
        for (int i = 0; i < s->count[split]; i++)
            if (s->files[split][i].size == 0) {
                char name[32];
                file_name(split, i, name);
                return message_set(m, STATUS_FORMAT, "%s: %s is missing", path, name);
            }
    return 0;
}

int files_open(struct image_files *s, const char *path, const struct dataset_wish *wish, const char *cache,
               struct message *warning, struct message *said, struct message *m)
{
    *s = (struct image_files){.shape = IMAGE_CIFAR, .label_bytes = 1};
    if (wish)
        s->wish = *wish;
    int status;
    TRY_GOTO(source_open(s, path, cache, said, m), fail);
    TRY_GOTO(files_complete(s, path, m), fail);
    status = files_classes(s, m);
    if (status < 0) {
        message_prefix(m, status, "%s", path);
        goto fail;
    }
    TRY_GOTO(files_verify(s, path, m), fail);
    status = files_convert(s, m);
    if (status < 0) {
        message_prefix(m, status, "%s", path);
        goto fail;
    }
    TRY_GOTO(files_identify(s, path, warning, m), fail);
    if (s->source[0] && !s->copy)
        copy_write(s, cache, said);
    return 0;
fail:
    files_free(s);
    return status;
}

int files_fetch(struct image_files *s, int split, int64_t first, int64_t count, struct message *m)
{
    return s->copy ? copy_fetch(s, split, first, count, m) : 0;
}

void files_free(struct image_files *s)
{
    copy_close(s->copy);
    files_clear(s);
}
