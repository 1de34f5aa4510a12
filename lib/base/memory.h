/* memory.h: checked allocation and the arena.
 * Every pointer is aligned to 64 bytes, so that it may hold tensors read by vector instructions. */
#ifndef RESQ_BASE_MEMORY_H
#define RESQ_BASE_MEMORY_H

#include "base/status.h"
#include <stddef.h>

/* count * size zeroed bytes (at least one), or NULL with "memory exhausted: N bytes" in m, overflow included. */
void *memory_new(size_t count, size_t size, struct message *m) RESQ_USE_RESULT;
/* The same, contents undefined. */
void *memory_new_raw(size_t count, size_t size, struct message *m) RESQ_USE_RESULT;
/* Grows or shrinks to count * size, keeping min(old_bytes, new bytes); on failure NULL and the old block stays. */
void *memory_resize(void *old, size_t old_bytes, size_t count, size_t size, struct message *m) RESQ_USE_RESULT;
void memory_free(void *p); /* NULL is fine */
char *memory_strdup(const char *s, struct message *m) RESQ_USE_RESULT;
/* printf into a new string. */
char *memory_printf(struct message *m, const char *format, ...) RESQ_PRINTF(2, 3) RESQ_USE_RESULT;
char *memory_vprintf(struct message *m, const char *format, va_list arguments) RESQ_PRINTF(2, 0) RESQ_USE_RESULT;

/* For tests of failing allocations: where set, called before each; non-zero makes it fail. NULL in programs. */
extern int (*memory_test_hook)(size_t bytes);

/* a * b in *product; 0, or -1 on overflow. */
int size_multiply(size_t a, size_t b, size_t *product);

/* One block, handed out front to back, released at once. */
struct arena {
    unsigned char *base;
    size_t used, capacity;
};

int arena_open(struct arena *a, size_t capacity, struct message *m) RESQ_USE_RESULT;
/* bytes rounded up to 64; NULL with a message where the arena is full (a planning bug, not bad input). */
void *arena_take(struct arena *a, size_t bytes, struct message *m) RESQ_USE_RESULT;
void arena_reset(struct arena *a); /* everything taken is given back; memory stays */
void arena_close(struct arena *a);

#endif
