/* The one place that writes weights. */
#include "base/memory.h"
#include "emit/emit_state.h"
#include "graph/codes.h"
#include "kernel/contract/shape.h"
#include "record/digest.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FLOAT_OUTPUTS = 16, ALIGNMENT = 64, DIGEST_BYTES = (DIGEST_HEX - 1) / 2 };

struct order {
    int outputs, kernel, depth, groups; /* depth: channels that an output sums over */
};

static struct order order_of(const struct emit *e, int i)
{
    const struct step *s = &e->steps.at[i];
    return (struct order){s->shape.out, s->shape.kernel, shape_group_inputs(&s->shape), shape_groups(&s->shape)};
}

static size_t row_of(const struct order *o)
{
    return (size_t)o->kernel * (size_t)o->kernel * (size_t)o->depth;
}

/* Of the model's [K][depth][R][R]. */
static size_t index_of(const struct order *o, int k, int c, int r, int t)
{
    return (((size_t)k * (size_t)o->depth + (size_t)c) * (size_t)o->kernel + (size_t)r) * (size_t)o->kernel +
           (size_t)t;
}

/* [K][R][R][depth]. */
static void order_codes(const struct order *o, const int8_t *from, int8_t *to)
{
    for (int k = 0; k < o->outputs; k++)
        for (int r = 0; r < o->kernel; r++)
            for (int t = 0; t < o->kernel; t++)
                for (int c = 0; c < o->depth; c++)
                    *to++ = from[index_of(o, k, c, r, t)];
}

/* [groups][sixteens][R][R][depth][16], zeros where outputs end. */
static size_t floats_of(const struct order *o)
{
    size_t each = (size_t)(o->outputs / o->groups), blocks = (each + FLOAT_OUTPUTS - 1) / FLOAT_OUTPUTS;
    return (size_t)o->groups * blocks * row_of(o) * FLOAT_OUTPUTS;
}

static void order_floats(const struct order *o, const float *from, float *to)
{
    int each = o->outputs / o->groups;
    for (int g = 0; g < o->groups; g++)
        for (int first = 0; first < each; first += FLOAT_OUTPUTS)
            for (int r = 0; r < o->kernel; r++)
                for (int t = 0; t < o->kernel; t++)
                    for (int c = 0; c < o->depth; c++)
                        for (int k = first; k < first + FLOAT_OUTPUTS; k++)
                            *to++ = k < each ? from[index_of(o, g * each + k, c, r, t)] : 0;
}

/* Where all weights come from: s8 codes or floats, in the model's order. */
static const void *model_weights(const struct emit *e, int i, void **owned)
{
    return step_weights(&e->constants[i], e->model, &e->steps.at[i], owned, e->m);
}

/* ---- packed codes ---- */

/* The smallest field that all codes fit in: 2, 4 or 8 bits. */
static int bits_of(const int8_t *codes, size_t count)
{
    int low = 0, high = 0;
    for (size_t i = 0; i < count; i++) {
        low = codes[i] < low ? codes[i] : low;
        high = codes[i] > high ? codes[i] : high;
    }
    return low >= -2 && high <= 1 ? 2 : low >= -8 && high <= 7 ? 4 : 8;
}

size_t weights_room(struct emit *e, int i)
{
    struct order o = order_of(e, i);
    void *owned;
    if (!e->steps.at[i].is_integer)
        return 0;
    const void *from = model_weights(e, i, &owned);
    if (!from) {
        emit_fail(e, STATUS_NOMEM);
        return 0;
    }
    size_t room = bits_of(from, (size_t)o.outputs * row_of(&o)) < 8 ? row_of(&o) : 0;
    memory_free(owned);
    return room;
}

/* ---- where they go ---- */

struct ordered {
    void *data; /* owned */
    size_t count, bytes;
    int bits; /* of an element: 32: floats; 8: signed; 2, 4: packed */
};

static void put_inside(struct emit *e, const char *name, const struct ordered *w)
{
    put(e, &e->tables, "static const %s %s[%zu] = {\n",
        w->bits == 32  ? "float"
        : w->bits == 8 ? "int8_t"
                       : "uint8_t",
        name, w->bits == 32 ? w->count : w->bytes);
    if (w->bits == 32)
        put_floats(e, &e->tables, w->data, w->count);
    else if (w->bits == 8)
        put_signed_bytes(e, &e->tables, w->data, w->count);
    else
        put_bytes(e, &e->tables, w->data, w->bytes);
    put(e, &e->tables, "};\n");
}

static void put_beside(struct emit *e, const struct ordered *w)
{
    static const char zeros[ALIGNMENT];
    struct text *t = &e->out->weights;
    if (e->status >= 0)
        e->status = text_add_bytes(t, w->data, w->bytes, e->m);
    if (e->status >= 0)
        e->status = text_add_bytes(t, zeros, round_up_64(t->length) - t->length, e->m);
}

/* Codes as closely as they fit. */
static int pack(struct ordered *w, struct message *m)
{
    w->bits = bits_of(w->data, w->count);
    w->bytes = codes_bytes(w->count, w->bits);
    if (w->bits == 8)
        return 0;
    void *packed = memory_new(w->bytes, 1, m);
    if (packed)
        codes_pack(w->data, w->count, w->bits, packed);
    memory_free(w->data);
    w->data = packed;
    return packed ? 0 : STATUS_NOMEM;
}

static int order_weights(const struct emit *e, int i, struct ordered *w)
{
    struct order o = order_of(e, i);
    const struct step *s = &e->steps.at[i];
    void *owned;
    const void *from = model_weights(e, i, &owned);
    *w = (struct ordered){.count = s->is_integer ? (size_t)o.outputs * row_of(&o) : floats_of(&o),
                          .bits = s->is_integer ? 8 : 32};
    w->bytes = w->count * (size_t)w->bits / 8;
    w->data = from ? memory_new(w->bytes, 1, e->m) : NULL;
    if (w->data && s->is_integer)
        order_codes(&o, from, w->data);
    else if (w->data)
        order_floats(&o, from, w->data);
    memory_free(owned);
    if (!w->data)
        return STATUS_NOMEM;
    if (!s->is_integer)
        return 0;
    return pack(w, e->m);
}

int put_weights(struct emit *e, int i, char pointer[POINTER_SIZE])
{
    struct ordered w;
    emit_fail(e, order_weights(e, i, &w));
    if (e->status < 0)
        return w.bits;
    if (e->options->weights) {
        snprintf(pointer, POINTER_SIZE, "%s%s_weights + %zu%s",
                 w.bits == 32 ? "(const float *)(const void *)(" : "", e->options->name, e->out->weights.length,
                 w.bits == 32 ? ")" : "");
        put_beside(e, &w);
    } else {
        constant_name(e, i, "_weights", pointer);
        put_inside(e, pointer, &w);
    }
    memory_free(w.data);
    return w.bits;
}

/* ---- taking them in ---- */

/* What was written, closed by its own SHA-256: a file that belongs to another source is told by its end. */
static size_t seal(struct emit *e, char hex[DIGEST_HEX])
{
    struct text *t = &e->out->weights;
    size_t bytes = t->length;
    digest_bytes(t->data, bytes, hex);
    for (int i = 0; i < DIGEST_BYTES; i++) {
        const char pair[] = {hex[2 * i], hex[2 * i + 1], 0};
        unsigned char byte = (unsigned char)strtoul(pair, NULL, 16);
        if (e->status >= 0)
            e->status = text_add_bytes(t, &byte, 1, e->m);
    }
    return bytes;
}

/* ELF, and an assembler that knows .incbin; else the bytes are linked in under the same name. */
static void put_incbin(struct emit *e, struct text *t, const char *upper)
{
    const char *name = e->options->name;
    put(e, t, "#ifndef %s_WEIGHTS_LINKED\n#ifndef %s_WEIGHTS\n#define %s_WEIGHTS ", upper, upper, upper);
    put_string(e, t, e->options->weights);
    put(e, t,
        "\n#endif\n"
        "__asm__(\".section .rodata\\n\"\n"
        "        \".balign 64\\n\"\n"
        "        \".globl %s_weights\\n\"\n"
        "        \"%s_weights:\\n\"\n"
        "        \".incbin \\\"\" %s_WEIGHTS \"\\\", 0, %zu\\n\"\n"
        "        \".previous\\n\");\n"
        "#endif\n",
        name, name, upper, e->out->weights.length);
}

void put_weights_beside(struct emit *e, struct text *t)
{
    char hex[DIGEST_HEX], upper[EMIT_NAME_MAX + 1];
    size_t bytes = seal(e, hex);
    name_upper(e->options->name, upper);
    put(e, t,
        "/* The weights are in a file of their own, which must lie where the compiler is called, or be named:\n"
        " * -D%s_WEIGHTS='\"PATH\"'. To link them in as an object: -D%s_WEIGHTS_LINKED. It ends in its own "
        "SHA-256. */\n"
        "#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__\n"
        "#error \"the weights are little-endian\"\n#endif\n",
        upper, upper);
    put_incbin(e, t, upper);
    put(e, t, "extern const unsigned char %s_weights[%zu];\nstatic const uint8_t weights_digest[%d] = {",
        e->options->name, bytes + DIGEST_BYTES, DIGEST_BYTES);
    for (int i = 0; i < DIGEST_BYTES; i++)
        put(e, t, "%s0x%.2s", i == 0 ? "" : i % 16 == 0 ? ",\n    " : ", ", hex + 2 * i);
    put(e, t, "};\n\n");
}

void put_weights_check(struct emit *e, struct text *t)
{
    put(e, t, "    if (memcmp(%s_weights + %zu, weights_digest, sizeof weights_digest) != 0)\n        return -1;\n",
        e->options->name, e->out->weights.length - DIGEST_BYTES);
}
