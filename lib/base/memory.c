#include "base/memory.h"
#include "base/locale.h"
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGNMENT = 64, HUGE_PAGE = 2 * 1024 * 1024 };

int (*memory_test_hook)(size_t bytes);

int size_multiply(size_t a, size_t b, size_t *product)
{
    return __builtin_mul_overflow(a, b, product) ? -1 : 0;
}

static void *memory_fail(size_t count, size_t size, struct message *m)
{
    size_t bytes;
    if (size_multiply(count, size, &bytes))
        message_set(m, STATUS_NOMEM, "memory exhausted: %zu x %zu bytes", count, size);
    else
        message_set(m, STATUS_NOMEM, "memory exhausted: %zu bytes", bytes);
    return NULL;
}

/* Large blocks in huge pages, where the system has them: training walks over hundreds of megabytes, and would
 * otherwise wait for page tables. */
static void *allocate(size_t bytes)
{
    if (bytes < HUGE_PAGE)
        return aligned_alloc(ALIGNMENT, bytes);
    void *p = NULL;
    bytes = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE; /* the last one, too */
    if (posix_memalign(&p, HUGE_PAGE, bytes) != 0) /* not aligned_alloc, which may want a multiple of it */
        return NULL;
#ifdef MADV_HUGEPAGE
    (void)madvise(p, bytes, MADV_HUGEPAGE); /* a wish */
#endif
    return p;
}

void *memory_new_raw(size_t count, size_t size, struct message *m)
{
    size_t bytes;
    if (size_multiply(count, size, &bytes) || bytes > SIZE_MAX / 2)
        return memory_fail(count, size, m);
    size_t rounded = bytes ? (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT : ALIGNMENT;
    void *p = NULL;
    if (!memory_test_hook || !memory_test_hook(bytes))
        p = allocate(rounded);
    return p ? p : memory_fail(count, size, m);
}

void *memory_new(size_t count, size_t size, struct message *m)
{
    void *p = memory_new_raw(count, size, m);
    size_t bytes = count * size; /* did not overflow, or p is NULL */
    if (p)
        memset(p, 0, bytes > 0 ? bytes : 1);
    return p;
}

void *memory_resize(void *old, size_t old_bytes, size_t count, size_t size, struct message *m)
{
    void *p = memory_new_raw(count, size, m);
    if (!p)
        return NULL;
    size_t bytes = count * size;
    if (old && old_bytes)
        memcpy(p, old, old_bytes < bytes ? old_bytes : bytes);
    free(old);
    return p;
}

void memory_free(void *p)
{
    free(p);
}

char *memory_strdup(const char *s, struct message *m)
{
    size_t bytes = strlen(s) + 1;
    char *copy = memory_new_raw(bytes, 1, m);
    if (copy)
        memcpy(copy, s, bytes);
    return copy;
}

char *memory_vprintf(struct message *m, const char *format, va_list arguments)
{
    va_list again;
    va_copy(again, arguments);
    locale_t before = uselocale(locale_c());
    int length = vsnprintf(NULL, 0, format, arguments);
    char *s = NULL;
    if (length < 0)
        message_set(m, STATUS_RANGE, "text cannot be formatted");
    else
        s = memory_new_raw((size_t)length + 1, 1, m);
    if (s)
        vsnprintf(s, (size_t)length + 1, format, again);
    uselocale(before);
    va_end(again);
    return s;
}

char *memory_printf(struct message *m, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *s = memory_vprintf(m, format, arguments);
    va_end(arguments);
    return s;
}

int arena_open(struct arena *a, size_t capacity, struct message *m)
{
    *a = (struct arena){0};
    if (capacity > SIZE_MAX / 4)
        return message_set(m, STATUS_NOMEM, "memory exhausted: %zu bytes", capacity);
    capacity = (capacity + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    a->base = memory_new_raw(capacity, 1, m);
    if (!a->base)
        return STATUS_NOMEM;
    a->capacity = capacity;
    return STATUS_OK;
}

void *arena_take(struct arena *a, size_t bytes, struct message *m)
{
    size_t left = a->capacity - a->used;
    if (bytes > left) { /* left is a multiple of 64, so rounding up cannot pass it either */
        message_set(m, STATUS_RANGE, "arena of %zu bytes is full: %zu asked, %zu left", a->capacity, bytes, left);
        return NULL;
    }
    void *p = a->base + a->used;
    a->used += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return p;
}

void arena_reset(struct arena *a)
{
    a->used = 0;
}

void arena_close(struct arena *a)
{
    memory_free(a->base);
    *a = (struct arena){0};
}
