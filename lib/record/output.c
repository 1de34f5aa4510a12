/* output.c: temporary name, fsync, rename. A temporary is `.NAME.PID.RANDOM.part` beside its target and is locked
 * while its writer lives, so that one left by SIGKILL can be told from one in use. */
#include "record/output.h"
#include "record/file.h"
#include "base/memory.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Names to unlink when a signal ends the program: fixed buffers, because a handler may not allocate or lock. */
enum { SLOTS = 32, SLOT_FREE = 0, SLOT_TAKEN = 1, SLOT_READY = 2 };
static char slot_names[SLOTS][PATH_MAX];
static atomic_int slot_states[SLOTS];

static int slot_take(const char *name, struct message *m)
{
    size_t bytes = strlen(name) + 1;
    if (bytes > PATH_MAX)
        return errno = ENAMETOOLONG, message_errno(m, "%s: cannot write", name);
    for (int i = 0; i < SLOTS; i++) {
        int expected = SLOT_FREE;
        if (!atomic_compare_exchange_strong(&slot_states[i], &expected, SLOT_TAKEN))
            continue;
        memcpy(slot_names[i], name, bytes);
        atomic_store(&slot_states[i], SLOT_READY);
        return i;
    }
    return message_set(m, STATUS_UNSUPPORTED, "%s: more than %d outputs open at once", name, (int)SLOTS);
}

static void slot_release(int slot)
{
    if (slot >= 0)
        atomic_store(&slot_states[slot], SLOT_FREE);
}

void atomic_abandon_all(void)
{
    int saved = errno;
    for (int i = 0; i < SLOTS; i++)
        if (atomic_load(&slot_states[i]) == SLOT_READY)
            unlink(slot_names[i]);
    errno = saved;
}

const char *output_name(const struct output *o)
{
    return o->path ? o->path : "stdout";
}

/* Splits the final path: length of the directory part with its slash, and the start of the name. */
static const char *final_base(const char *final, int *directory_length)
{
    const char *slash = strrchr(final, '/');
    *directory_length = slash ? (int)(slash - final) + 1 : 0;
    return slash ? slash + 1 : final;
}

/* A long name is cut, so that what is added still fits a file name. */
enum { BASE_KEPT = 200 };

/* Whether `name` is `.BASE.PID.RANDOM.part` with a PID that no longer runs. */
static int temporary_is_stale(const char *name, const char *base)
{
    size_t kept = strnlen(base, BASE_KEPT);
    if (name[0] != '.' || strncmp(name + 1, base, kept) || name[1 + kept] != '.')
        return 0;
    char *end;
    const char *digits = name + 2 + kept;
    if (*digits < '1' || *digits > '9')
        return 0;
    errno = 0;
    long pid = strtol(digits, &end, 10);
    if (errno || pid > INT_MAX || *end != '.' || strspn(end + 1, "0123456789abcdef") != 16)
        return 0;
    if (strcmp(end + 17, ".part"))
        return 0;
    return kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

/* Removes what killed processes left of the same target. Another machine or container may own a pid that is unknown
 * here, so the lock that a living writer holds is asked as well. Failing leaves a hidden file, which does not
 * matter. */
static void stale_remove(const char *final)
{
    int length;
    const char *base = final_base(final, &length);
    char directory[PATH_MAX];
    if (length >= PATH_MAX)
        return;
    memcpy(directory, length ? final : ".", length ? (size_t)length : 1);
    directory[length ? length : 1] = '\0';
    DIR *d = opendir(directory);
    if (!d)
        return;
    for (struct dirent *e; (e = readdir(d));) {
        if (!temporary_is_stale(e->d_name, base))
            continue;
        int fd = openat(dirfd(d), e->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
            continue;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            unlinkat(dirfd(d), e->d_name, 0);
        close(fd);
    }
    closedir(d);
}

static int temporary_create(struct output *o, struct message *m)
{
    int length;
    const char *base = final_base(o->final, &length);
    for (int attempt = 0; attempt < 100; attempt++) {
        uint64_t random;
        if (getrandom(&random, sizeof random, 0) != sizeof random)
            return message_errno(m, "%s: cannot write", o->path);
        memory_free(o->temporary);
        o->temporary = memory_printf(m, "%.*s.%.*s.%ld.%016llx.part", length, o->final, (int)BASE_KEPT, base,
                                     (long)getpid(), (unsigned long long)random);
        if (!o->temporary)
            return STATUS_NOMEM;
        int slot = slot_take(o->temporary, m); /* first, so that no signal falls between file and entry */
        if (slot < 0)
            return slot;
        o->fd = open(o->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (o->fd >= 0) {
            o->slot = slot;
            (void)flock(o->fd, LOCK_EX | LOCK_NB); /* a file system without locks only loses the clean-up's care */
            return STATUS_OK;
        }
        slot_release(slot);
        if (errno != EEXIST && errno != EINTR)
            break;
    }
    return message_errno(m, "%s: cannot write", o->path);
}

/* Devices and FIFOs are written in place: a rename would replace them. */
static int output_open_direct(struct output *o, struct message *m)
{
    do
        o->fd = open(o->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    while (o->fd < 0 && errno == EINTR);
    return o->fd < 0 ? message_errno(m, "%s: cannot write", o->path) : STATUS_OK;
}

static int output_open_path(struct output *o, const char *path, struct message *m)
{
    TRY(output_check(path, m));
    struct stat s;
    int exists = stat(path, &s) == 0;
    o->path = memory_strdup(path, m);
    if (!o->path)
        return STATUS_NOMEM;
    if (exists && !S_ISREG(s.st_mode))
        return output_open_direct(o, m);
    char resolved[PATH_MAX];
    o->final = memory_strdup(exists && realpath(path, resolved) ? resolved : path, m);
    if (!o->final)
        return STATUS_NOMEM;
    stale_remove(o->final);
    return temporary_create(o, m);
}

int output_open(struct output *o, const char *path, struct message *m)
{
    *o = (struct output){.fd = -1, .slot = -1};
    if (path_is_standard(path)) {
        o->fd = STDOUT_FILENO;
        return STATUS_OK;
    }
    int status = output_open_path(o, path, m);
    if (status < 0)
        output_abandon(o);
    return status;
}

/* So that the new name survives a power cut too; not every file system can, and the data is whole either way. */
static void directory_sync(const char *final)
{
    int length;
    char directory[PATH_MAX];
    final_base(final, &length);
    if (length >= PATH_MAX)
        return;
    memcpy(directory, length ? final : ".", length ? (size_t)length : 1);
    directory[length ? length : 1] = '\0';
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

static void output_release(struct output *o)
{
    slot_release(o->slot);
    memory_free(o->path);
    memory_free(o->final);
    memory_free(o->temporary);
    *o = (struct output){.fd = -1, .slot = -1};
}

/* Standard output is not ours to close, but a copy's close reports what the file system held back. */
static int standard_commit(struct message *m)
{
    int copy = dup(STDOUT_FILENO);
    if (copy < 0 || close(copy))
        return message_errno(m, "stdout: write error");
    return STATUS_OK;
}

int output_commit(struct output *o, struct message *m)
{
    if (o->fd < 0)
        return STATUS_OK;
    if (!o->path) {
        int status = standard_commit(m);
        output_release(o);
        return status;
    }
    int status = STATUS_OK;
    if (o->temporary && fsync(o->fd))
        status = message_errno(m, "%s: write error", o->path);
    int fd = o->fd;
    o->fd = -1;
    if (close(fd) && status == STATUS_OK && errno != EINTR)
        status = message_errno(m, "%s: write error", o->path);
    if (status == STATUS_OK && o->temporary) {
        if (rename(o->temporary, o->final))
            status = message_errno(m, "%s: cannot rename", o->path);
        else
            directory_sync(o->final);
    }
    if (status < 0 && o->temporary)
        unlink(o->temporary);
    output_release(o);
    return status;
}

void output_abandon(struct output *o)
{
    if (o->fd >= 0 && o->path) {
        close(o->fd);
        if (o->temporary)
            unlink(o->temporary);
    }
    output_release(o);
}
