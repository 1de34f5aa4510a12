#include "record/json.h"
#include "base/memory.h"
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* What jansson allocates while it parses hangs in a ring, so that it can be released without its help. A block of
 * none is its own. */
struct block {
    struct block *next, *before;
    max_align_t content[];
};

static _Thread_local int exhausted;
static _Thread_local struct block *ring; /* while parsing, else NULL */
static _Thread_local jmp_buf out_of_memory;

static void block_leave(struct block *b)
{
    b->before->next = b->next;
    b->next->before = b->before;
    b->next = b->before = b;
}

static void *json_new(size_t bytes)
{
    struct block *b = NULL;
    if (bytes <= SIZE_MAX / 2 && !(memory_test_hook && memory_test_hook(bytes)))
        b = malloc(sizeof *b + bytes);
    if (!b) {
        exhausted = 1;
        if (ring)
            longjmp(out_of_memory, 1); /* the parser has nothing but memory to let go of */
        return NULL;
    }
    b->next = b->before = b;
    if (ring) {
        b->next = ring;
        b->before = ring->before;
        b->before->next = b->next->before = b;
    }
    return b->content;
}

static void json_release(void *p)
{
    if (!p)
        return;
    struct block *b = (struct block *)(void *)((char *)p - offsetof(struct block, content));
    block_leave(b);
    free(b);
}

void json_text_free(char *text)
{
    json_release(text);
}

/* Before main, so that nothing is released by other means than it was allocated by. */
__attribute__((constructor)) static void allocators_set(void)
{
    json_set_alloc_funcs(json_new, json_release);
}

json_t *json_parse(const char *text, size_t length, size_t flags, json_error_t *error)
{
    struct block all;
    all.next = all.before = &all;
    exhausted = 0;
    if (setjmp(out_of_memory)) {
        ring = NULL;
        while (all.next != &all)
            json_release(all.next->content);
        return NULL;
    }
    ring = &all;
    json_t *root = json_loadb(text, length, flags, error);
    ring = NULL;
    while (all.next != &all) /* what is left is the document */
        block_leave(all.next);
    return root;
}

void json_watch(void)
{
    exhausted = 0;
}

int json_exhausted(void)
{
    return exhausted;
}
