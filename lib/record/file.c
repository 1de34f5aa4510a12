#include "record/file.h"
#include "record/output.h"
#include "base/memory.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where a descriptor was made non-blocking (by a parent sharing it), waiting replaces spinning. */
static int fd_retry(int fd, short events)
{
    if (errno == EINTR)
        return 1;
    if (errno != EAGAIN && errno != EWOULDBLOCK)
        return 0;
    struct pollfd p = {.fd = fd, .events = events};
    return poll(&p, 1, -1) >= 0 || errno == EINTR;
}

long fd_read_full(int fd, void *bytes, size_t count)
{
    unsigned char *to = bytes;
    size_t done = 0;
    while (done < count) {
        ssize_t n = read(fd, to + done, count - done);
        if (n == 0)
            break;
        if (n > 0)
            done += (size_t)n;
        else if (!fd_retry(fd, POLLIN))
            return -1;
    }
    return (long)done;
}

int fd_write_full(int fd, const void *bytes, size_t count)
{
    const unsigned char *from = bytes;
    while (count > 0) {
        ssize_t n = write(fd, from, count);
        if (n >= 0) {
            from += n;
            count -= (size_t)n;
        } else if (!fd_retry(fd, POLLOUT)) {
            return -1;
        }
    }
    return 0;
}

int path_is_standard(const char *path)
{
    return !path || strcmp(path, "-") == 0;
}

int input_open(const char *path, int *fd, struct message *m)
{
    if (path_is_standard(path)) {
        *fd = STDIN_FILENO;
        return STATUS_OK;
    }
    do
        *fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    while (*fd < 0 && errno == EINTR);
    return *fd < 0 ? message_errno(m, "%s: cannot open", path) : STATUS_OK;
}

static int file_read_fd(int fd, const char *name, size_t limit, struct text *t, struct message *m)
{
    enum { PIECE = 1 << 16 };
    char *piece = memory_new_raw(PIECE, 1, m);
    if (!piece)
        return STATUS_NOMEM;
    int status = text_add_bytes(t, "", 0, m); /* an empty file gives an empty string, not NULL */
    while (status == STATUS_OK) {
        long n = fd_read_full(fd, piece, PIECE);
        if (n <= 0) {
            status = n < 0 ? message_errno(m, "%s: read error", name) : STATUS_OK;
            break;
        }
        if ((size_t)n > limit || t->length > limit - (size_t)n)
            status = message_set(m, STATUS_RANGE, "%s: longer than the limit of %zu bytes", name, limit);
        else
            status = text_add_bytes(t, piece, (size_t)n, m);
    }
    memory_free(piece);
    return status;
}

int file_read(const char *path, size_t limit, struct text *t, struct message *m)
{
    int fd;
    TRY(input_open(path, &fd, m));
    int status = file_read_fd(fd, path_is_standard(path) ? "stdin" : path, limit, t, m);
    if (fd != STDIN_FILENO)
        close(fd);
    return status;
}

/* The directory part of path, "." where it has none. */
static char *path_directory(const char *path, struct message *m)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return memory_strdup(".", m);
    int length = slash == path ? 1 : (int)(slash - path);
    return memory_printf(m, "%.*s", length, path);
}

int output_check(const char *path, struct message *m)
{
    struct stat s;
    if (path_is_standard(path))
        return STATUS_OK;
    size_t length = strlen(path);
    if (length == 0)
        return message_set(m, STATUS_IO, "output file name is empty");
    int exists = stat(path, &s) == 0;
    if ((exists && S_ISDIR(s.st_mode)) || path[length - 1] == '/')
        return errno = EISDIR, message_errno(m, "%s: cannot write", path);
    if (exists && !S_ISREG(s.st_mode))
        return access(path, W_OK) ? message_errno(m, "%s: cannot write", path) : STATUS_OK;
    char *directory = path_directory(path, m);
    if (!directory)
        return STATUS_NOMEM;
    int status = STATUS_OK;
    if (stat(directory, &s))
        status = message_errno(m, "%s: cannot write: %s", path, directory);
    else if (!S_ISDIR(s.st_mode))
        status = (errno = ENOTDIR, message_errno(m, "%s: cannot write: %s", path, directory));
    else if (access(directory, W_OK | X_OK))
        status = message_errno(m, "%s: cannot write: %s", path, directory);
    memory_free(directory);
    return status;
}

int output_differs(const char *input, const char *output, struct message *m)
{
    struct stat a, b;
    if (path_is_standard(input) || path_is_standard(output))
        return STATUS_OK;
    if (stat(input, &a) || stat(output, &b) || !S_ISREG(a.st_mode))
        return STATUS_OK;
    if (a.st_dev != b.st_dev || a.st_ino != b.st_ino)
        return STATUS_OK;
    return message_set(m, STATUS_MISMATCH, "%s: output is the same file as input %s", output, input);
}
