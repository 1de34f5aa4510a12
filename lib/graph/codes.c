#include "graph/codes.h"
#include "base/memory.h"
#include "graph/op.h"
#include <string.h>

int codes_field(int bits)
{
    return bits <= 2 ? 2 : bits <= 4 ? 4 : 8;
}

size_t codes_bytes(size_t count, int bits)
{
    size_t a_byte = 8 / (size_t)codes_field(bits);
    return count / a_byte + (count % a_byte != 0);
}

void codes_pack(const int8_t *codes, size_t count, int bits, uint8_t *packed)
{
    int field = codes_field(bits), a_byte = 8 / field, mask = (1 << field) - 1;
    memset(packed, 0, codes_bytes(count, bits));
    for (size_t i = 0; i < count; i++) {
        int shift = (int)(i % (size_t)a_byte) * field;
        packed[i / (size_t)a_byte] |= (uint8_t)((codes[i] & mask) << shift);
    }
}

/* Of a field at the top of an int: what stands above it goes, its sign fills the rest. */
static int8_t field_at(uint8_t byte, int shift, int field)
{
    int sign = 1 << (field - 1), value = byte >> shift & ((1 << field) - 1);
    return (int8_t)((value ^ sign) - sign);
}

void codes_unpack(const uint8_t *packed, size_t count, int bits, int8_t *codes)
{
    int field = codes_field(bits), a_byte = 8 / field;
    int8_t table[256][4];
    for (int byte = 0; byte < 256; byte++)
        for (int k = 0; k < a_byte; k++)
            table[byte][k] = field_at((uint8_t)byte, k * field, field);
    size_t whole = count / (size_t)a_byte;
    for (size_t i = 0; i < whole; i++)
        memcpy(codes + i * (size_t)a_byte, table[packed[i]], (size_t)a_byte);
    for (size_t i = whole * (size_t)a_byte; i < count; i++)
        codes[i] = table[packed[whole]][i - whole * (size_t)a_byte];
}

/* ---- of a model ---- */

int model_weight_bits(const struct model *model, int node)
{
    const struct tensor *bits = model_tensor(model, node, "weight_bits");
    return bits ? *(const uint8_t *)bits->data : 8;
}

size_t model_weight_count(const struct model *model, int node)
{
    return (size_t)node_weight_count(&model->graph, &model->graph.nodes[node]);
}

const int8_t *model_weight_codes(const struct model *model, int node, size_t *count, int8_t **owned,
                                 struct message *m)
{
    const struct tensor *weight = model_tensor(model, node, "weight");
    int bits = model_weight_bits(model, node);
    *owned = NULL;
    *count = model_weight_count(model, node);
    if (weight->dtype == DTYPE_I8)
        return weight->data;
    *owned = memory_new_raw(*count, 1, m);
    if (*owned)
        codes_unpack(weight->data, *count, bits, *owned);
    return *owned;
}

/* ---- checks ---- */

static int check_range(const struct tensor *weight, size_t count, int bits, struct message *m)
{
    int field = codes_field(bits), a_byte = 8 / field, most = (1 << (bits - 1)) - 1;
    const uint8_t *packed = weight->data;
    for (size_t i = 0; i < count; i++) {
        int code = field_at(packed[i / (size_t)a_byte], (int)(i % (size_t)a_byte) * field, field);
        if (code < -most || code > most)
            return message_set(m, STATUS_RANGE, "%s: code %d at index %zu, want %d..%d", weight->name, code, i,
                               -most, most);
    }
    int used = (int)(count % (size_t)a_byte) * field;
    if (used && packed[weight->count - 1] >> used)
        return message_set(m, STATUS_RANGE, "%s: bits behind the last code are not 0", weight->name);
    return 0;
}

int codes_check(const struct tensor *weight, const struct tensor *bits, int rank, const int64_t *shape,
                struct message *m)
{
    int wide = *(const uint8_t *)bits->data;
    size_t count = 1;
    if (wide < 2 || wide > 4)
        return message_set(m, STATUS_RANGE, "%s: %d, want 2..4", bits->name, wide);
    for (int i = 0; i < rank; i++)
        count *= (size_t)shape[i];
    if (weight->dtype != DTYPE_U8 || weight->rank != 1 || weight->count != codes_bytes(count, wide)) {
        char got[192];
        tensor_describe(weight, got);
        return message_set(m, STATUS_MISMATCH, "%s: got %s, want U8[%zu] for %zu codes of %d bits", weight->name,
                           got, codes_bytes(count, wide), count, wide);
    }
    return check_range(weight, count, wide, m);
}
