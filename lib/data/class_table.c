#include "data/class_table.h"
#include "base/memory.h"
#include <string.h>

enum { FIRST_CAPACITY = 256, SLOTS_A_CLASS = 4 };

void class_table_free(struct class_table *t)
{
    for (int i = 0; i < t->count; i++)
        memory_free(t->at[i].name);
    memory_free(t->at);
    memory_free(t->slots);
    *t = (struct class_table){0};
}

/* Fowler-Noll-Vo 1a. */
static uint32_t hash(int root, const char *name)
{
    uint32_t h = 2166136261u ^ (uint32_t)root;
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 16777619u;
    return h;
}

/* Where the class is in slots, or where it would be put. */
static int slot_of(const struct class_table *t, int root, const char *name)
{
    uint32_t mask = (uint32_t)t->slot_count - 1, at = hash(root, name) & mask;
    for (; t->slots[at]; at = (at + 1) & mask) {
        const struct class_entry *c = &t->at[t->slots[at] - 1];
        if (c->root == root && strcmp(c->name, name) == 0)
            break;
    }
    return (int)at;
}

static int grow(struct class_table *t, struct message *m)
{
    size_t bytes = (size_t)t->count * sizeof *t->at;
    int capacity = t->capacity ? 2 * t->capacity : FIRST_CAPACITY, slot_count = SLOTS_A_CLASS * capacity;
    int *slots = memory_new((size_t)slot_count, sizeof *slots, m);
    void *grown = slots ? memory_resize(t->at, bytes, (size_t)capacity, sizeof *t->at, m) : NULL;
    if (!grown) {
        memory_free(slots);
        return STATUS_NOMEM;
    }
    memory_free(t->slots);
    t->at = grown;
    t->capacity = capacity;
    t->slots = slots;
    t->slot_count = slot_count;
    for (int i = 0; i < t->count; i++)
        slots[slot_of(t, t->at[i].root, t->at[i].name)] = i + 1;
    return 0;
}

int class_table_find(struct class_table *t, int root, const char *name, struct message *m)
{
    if (t->count == t->capacity)
        TRY(grow(t, m));
    int slot = slot_of(t, root, name);
    if (t->slots[slot])
        return t->slots[slot] - 1;
    if (t->of_root[root] == DATASET_MAX_CLASSES)
        return message_set(m, STATUS_RANGE, "more than %d classes", DATASET_MAX_CLASSES);
    char *copy = memory_strdup(name, m);
    if (!copy)
        return STATUS_NOMEM;
    t->at[t->count] = (struct class_entry){.name = copy, .root = root};
    t->slots[slot] = ++t->count;
    t->of_root[root]++;
    return t->count - 1;
}
