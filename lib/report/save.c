#include "report/save.h"
#include "record/file.h"

int bytes_save(const void *bytes, size_t count, const char *path, struct message *m)
{
    struct atomic_file file;
    TRY(atomic_open(&file, path, m));
    fwrite(bytes, 1, count, file.stream); /* a failure stays with the stream: the commit reports it */
    return atomic_commit(&file, m);
}
