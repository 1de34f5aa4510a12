/* inject.c: preloaded into a program, makes its N-th call of one kind fail, as a full disk or memory would.
 *
 *   FAULT_CALL    the kind: a name of `kinds` below
 *   FAULT_AT      N, from 1: that call fails; 0: none does, they are only counted
 *   FAULT_LASTS   1: those behind it fail too
 *   FAULT_REPORT  a file of at least 32 bytes: four u64, how many calls were made, how many of them failed, and
 * how many of those were libarchive's, and how many fontconfig's
 *
 * What runs before main does not count, nor do the programs that it starts. stdio's own reads and writes do not
 * pass through here. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum kind { MEMORY, WRITE, READ, SYNC, RENAME, OPEN, CLOSE, THREAD, MAP, KINDS, NONE = -1 };

static const struct {
    const char *name;
    int reason;
} kinds[KINDS] = {{"memory", ENOMEM}, {"write", ENOSPC}, {"read", EIO},      {"fsync", EIO}, {"rename", ENOSPC},
                  {"open", EMFILE},   {"close", EIO},    {"thread", EAGAIN}, {"map", ENOMEM}};

struct report {
    _Atomic uint64_t calls, failed, of_archive, of_fonts;
};

static struct report own, *report = &own;
static enum kind chosen = NONE; /* until main */
static uint64_t at;
static int lasts;

static int is_of(const void *caller, const char *library)
{
    Dl_info where;
    return dladdr(caller, &where) && where.dli_fname && strstr(where.dli_fname, library);
}

/* fontconfig calls nothing of ours: whatever fails beneath it, its expat's and the C library's strdup too, is its
 * own. */
static int is_for_fonts(void)
{
    void *frames[32];
    int count = backtrace(frames, 32);
    for (int i = 0; i < count; i++)
        if (is_of(frames[i], "/libfontconfig.so"))
            return 1;
    return 0;
}

#define fails(kind) fails_for(kind, __builtin_return_address(0))

static int fails_for(enum kind kind, const void *caller)
{
    if (kind != chosen)
        return 0;
    uint64_t n = atomic_fetch_add(&report->calls, 1) + 1;
    if (at == 0 || (lasts ? n < at : n != at))
        return 0;
    atomic_fetch_add(&report->failed, 1);
    if (is_of(caller, "/libarchive.so"))
        atomic_fetch_add(&report->of_archive, 1);
    if (is_for_fonts())
        atomic_fetch_add(&report->of_fonts, 1);
    errno = kinds[kind].reason;
    return 1;
}

/* ---- memory: the C library's own names, since dlsym itself allocates ---- */

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

void *malloc(size_t bytes)
{
    return fails(MEMORY) ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t size)
{
    return fails(MEMORY) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t bytes)
{
    return fails(MEMORY) ? NULL : __libc_realloc(old, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return fails(MEMORY) ? NULL : __libc_memalign(alignment, bytes);
}

int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    if (fails(MEMORY))
        return ENOMEM;
    *out = __libc_memalign(alignment, bytes);
    return *out ? 0 : ENOMEM;
}

/* ---- files ---- */

ssize_t write(int fd, const void *bytes, size_t count)
{
    return fails(WRITE) ? -1 : syscall(SYS_write, fd, bytes, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset)
{
    return fails(WRITE) ? -1 : syscall(SYS_pwrite64, fd, bytes, count, offset);
}

ssize_t read(int fd, void *bytes, size_t count)
{
    return fails(READ) ? -1 : syscall(SYS_read, fd, bytes, count);
}

ssize_t pread(int fd, void *bytes, size_t count, off_t offset)
{
    return fails(READ) ? -1 : syscall(SYS_pread64, fd, bytes, count, offset);
}

int fsync(int fd)
{
    return fails(SYNC) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return fails(SYNC) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int rename(const char *from, const char *to)
{
    return fails(RENAME) ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int close(int fd)
{
    int status = (int)syscall(SYS_close, fd); /* a close that failed has closed */
    return fails(CLOSE) ? -1 : status;
}

static int open_any(int folder, const char *path, int flags, va_list arguments)
{
    int mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(arguments, int) : 0;
    return fails(OPEN) ? -1 : (int)syscall(SYS_openat, folder, path, flags, mode);
}

#define OPEN_LIKE(name, parameters, folder)                    \
    int name parameters                                        \
    {                                                          \
        va_list arguments;                                     \
        va_start(arguments, flags);                            \
        int status = open_any(folder, path, flags, arguments); \
        va_end(arguments);                                     \
        return status;                                         \
    }
OPEN_LIKE(open, (const char *path, int flags, ...), AT_FDCWD)
OPEN_LIKE(open64, (const char *path, int flags, ...), AT_FDCWD)
OPEN_LIKE(openat, (int folder, const char *path, int flags, ...), folder)
OPEN_LIKE(openat64, (int folder, const char *path, int flags, ...), folder)

/* ---- those that are not one system call ---- */

static FILE *(*next_fopen)(const char *path, const char *mode);
static FILE *(*next_tmpfile)(void);
static DIR *(*next_opendir)(const char *path);
static int (*next_pthread_create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
static void *(*next_mmap)(void *, size_t, int, int, int, off_t);

/* A pointer to a function in ISO C's terms. */
static void find(const char *name, void *function)
{
    void *p = dlsym(RTLD_NEXT, name);
    memcpy(function, &p, sizeof p);
}

FILE *fopen(const char *path, const char *mode)
{
    if (!next_fopen)
        find("fopen", &next_fopen);
    return fails(OPEN) ? NULL : next_fopen(path, mode);
}

FILE *fopen64(const char *path, const char *mode)
{
    return fopen(path, mode);
}

FILE *tmpfile(void)
{
    if (!next_tmpfile)
        find("tmpfile", &next_tmpfile);
    return fails(OPEN) ? NULL : next_tmpfile();
}

DIR *opendir(const char *path)
{
    if (!next_opendir)
        find("opendir", &next_opendir);
    return fails(OPEN) ? NULL : next_opendir(path);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
    if (!next_pthread_create)
        find("pthread_create", &next_pthread_create);
    return fails(THREAD) ? EAGAIN : next_pthread_create(thread, attributes, start, argument);
}

void *mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    if (!next_mmap)
        find("mmap", &next_mmap);
    return fails(MAP) ? MAP_FAILED : next_mmap(address, bytes, protection, flags, fd, offset);
}

/* ---- start ---- */

static void report_open(const char *path)
{
    int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR, 0) : -1;
    if (fd < 0)
        return;
    void *p = (void *)syscall(SYS_mmap, NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (p != MAP_FAILED)
        report = p;
}

__attribute__((constructor)) static void start(void)
{
    const char *call = getenv("FAULT_CALL"), *when = getenv("FAULT_AT");
    find("fopen", &next_fopen);
    find("tmpfile", &next_tmpfile);
    find("opendir", &next_opendir);
    find("pthread_create", &next_pthread_create);
    find("mmap", &next_mmap);
    is_for_fonts(); /* backtrace's first call allocates */
    report_open(getenv("FAULT_REPORT"));
    at = when ? strtoull(when, NULL, 10) : 0;
    lasts = getenv("FAULT_LASTS") != NULL;
    unsetenv("LD_PRELOAD");
    for (int k = 0; call && k < KINDS; k++)
        if (strcmp(call, kinds[k].name) == 0)
            chosen = (enum kind)k;
}
