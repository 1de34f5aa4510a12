#include "record/json.h"
#include "base/memory.h"
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>

static _Thread_local int exhausted;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void *json_new(size_t bytes)
{
    void *p = memory_test_hook && memory_test_hook(bytes) ? NULL : malloc(bytes);
    exhausted |= !p;
    return p;
}

/* malloc and free as before, only watched: what jansson allocated earlier can still be freed. */
static void allocators_set(void)
{
    json_set_alloc_funcs(json_new, free);
}

void json_watch(void)
{
    pthread_once(&once, allocators_set);
    exhausted = 0;
}

int json_exhausted(void)
{
    return exhausted;
}
