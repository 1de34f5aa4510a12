/* Integer convolution, exact: x - 128 as s8 in columns (im2col; outside the picture the zero point - 128), times
 * the codes by cublasLt with 32-bit sums, plus bias + (128 - zero point) * sum of the weights, which packing has
 * added up.
 *
 * sum w * (x - zp) = sum w * (x - 128) + (128 - zp) * sum w. No sum leaves 32 bits: |w| <= 127 and |x - 128| <=
 * 128, and plans refuse more than 2^16 products.
 *
 * Images go through in chunks whose columns and sums stay in the second-level cache. */
extern "C" {
#include "base/memory.h"
}
#include "kernel/device/cuda/reduce.h"

/* Rows and columns of the product are filled up, since integer products want multiples of 16. */
enum { PAD = 16, CHUNK_BYTES = 32 << 20, PRODUCTS_MOST = 1 << 16 };

struct u8_plan {
    struct device_plan base;
    struct device_conv conv;
    int images;          /* of a chunk */
    int per, per_padded; /* products an output */
    int k_padded;
    size_t rows, rows_padded; /* output pixels of a chunk */
    size_t sums_at;           /* in the workspace: behind the columns */
    size_t bias_at;           /* in packed: behind the codes */
};

static void plan_release(struct device_plan *p)
{
    memory_free(p);
}

static size_t chunk_rows(const struct device_conv *c, int images)
{
    return (size_t)images * (size_t)c->out_h * (size_t)c->out_w;
}

static void plan_size(struct u8_plan *p, int images)
{
    p->images = images;
    p->rows = chunk_rows(&p->conv, images);
    p->rows_padded = round_up(p->rows, PAD);
    p->sums_at = round_up(p->rows_padded * (size_t)p->per_padded, DEVICE_ALIGNMENT);
    p->base.workspace = p->sums_at + p->rows_padded * (size_t)p->k_padded * sizeof(int32_t);
}

int conv_u8_plan(const struct device_conv *c, unsigned passes, size_t workspace_limit, struct device_plan **made,
                 struct message *m)
{
    if (passes != 1u << DEVICE_FORWARD)
        return message_set(m, STATUS_UNSUPPORTED, "integer convolutions have no backward pass");
    int64_t per = (int64_t)c->kernel * c->kernel * c->c;
    if (per > PRODUCTS_MOST)
        return message_set(m, STATUS_UNSUPPORTED, "%lld products an output, want at most %d", (long long)per,
                           (int)PRODUCTS_MOST);
    struct u8_plan *p = (struct u8_plan *)memory_new(1, sizeof *p, m);
    if (!p)
        return STATUS_NOMEM;
    p->base.free = plan_release;
    p->base.algorithm[DEVICE_FORWARD] = "im2col-s8";
    p->conv = *c;
    p->per = (int)per;
    p->per_padded = (int)round_up((size_t)per, PAD);
    p->k_padded = (int)round_up((size_t)c->k, PAD);
    p->bias_at = (size_t)p->k_padded * (size_t)p->per_padded;
    p->base.packed = p->bias_at + (size_t)p->k_padded * sizeof(int32_t);
    size_t limit = CHUNK_BYTES;
    limit = workspace_limit < limit ? workspace_limit : limit;
    plan_size(p, c->n);
    while (p->images > 1 && p->base.workspace > limit)
        plan_size(p, (p->images + 1) / 2);
    if (p->base.workspace > workspace_limit) {
        size_t needed = p->base.workspace;
        plan_release(&p->base);
        return message_set(m, STATUS_UNSUPPORTED, "an integer convolution needs %zu bytes of workspace, not %zu",
                           needed, workspace_limit);
    }
    *made = &p->base;
    return 0;
}

/* ---- packing: a block an output, those that only fill up included ---- */

static __global__ void pack_codes(const int8_t *codes, const int32_t *bias, int k, int per, int per_padded,
                                  const struct device_requantize *requantize, int8_t *packed, int32_t *packed_bias)
{
    __shared__ int shared[LAUNCH_THREADS];
    int output = (int)blockIdx.x, sum = 0;
    for (int i = (int)threadIdx.x; i < per_padded; i += LAUNCH_THREADS) {
        int8_t code = output < k && i < per ? codes[(size_t)output * (size_t)per + (size_t)i] : (int8_t)0;
        packed[(size_t)output * (size_t)per_padded + (size_t)i] = code;
        sum += code;
    }
    sum = block_reduce(sum, shared, sum_of());
    if (threadIdx.x == 0)
        packed_bias[output] = output < k ? bias[output] + (128 - requantize->zero_point_x) * sum : 0;
}

int cuda_conv_u8_pack(struct device *d, struct device_plan *base, const int8_t *codes, const int32_t *bias,
                      const struct device_requantize *requantize, void *packed, struct message *m)
{
    const struct u8_plan *p = (const struct u8_plan *)base;
    int k = p->conv.k, per = p->per, per_padded = p->per_padded;
    int32_t *packed_bias = (int32_t *)byte_offset(packed, p->bias_at);
    LAUNCH_BLOCKS(pack_codes, (unsigned)p->k_padded, LAUNCH_THREADS, d->queue[QUEUE_COMPUTE], codes, bias, k, per,
                  per_padded, requantize, (int8_t *)packed, packed_bias);
    return kernel_queued(m, "pack codes");
}

/* ---- columns ---- */

/* columns [rows][per_padded]; a thread V neighbouring ones of a row: of one tap where V > 1, since V divides c. */
template <int V>
__global__ void columns_fill(const uint8_t *x, struct device_conv c, size_t rows, int per, int per_padded,
                             const struct device_requantize *requantize, uint8_t *columns)
{
    const uint8_t outside = (uint8_t)(requantize->zero_point_x ^ 0x80);
    const unsigned across = (unsigned)(per_padded / V), pixels = (unsigned)(c.out_h * c.out_w);
    for (size_t i = GRID_INDEX; i < rows * across; i += GRID_STRIDE) {
        unsigned row = (unsigned)i / across, image = row / pixels;
        int column = (int)((unsigned)i % across) * V, tap = column / c.c, pixel = (int)(row % pixels);
        int iy = pixel / c.out_w * c.stride - c.pad + tap / c.kernel;
        int ix = pixel % c.out_w * c.stride - c.pad + tap % c.kernel;
        pack<uint8_t, V> out;
        if (column >= per) {
            for (int v = 0; v < V; v++)
                out.at[v] = 0;
        } else if (iy < 0 || iy >= c.h || ix < 0 || ix >= c.w) {
            for (int v = 0; v < V; v++)
                out.at[v] = outside;
        } else {
            size_t at = (((size_t)image * (size_t)c.h + (size_t)iy) * (size_t)c.w + (size_t)ix) * (size_t)c.c;
            out = *(const pack<uint8_t, V> *)(x + at + (size_t)(column % c.c));
            for (int v = 0; v < V; v++)
                out.at[v] ^= 0x80; /* the bits of x - 128 */
        }
        *(pack<uint8_t, V> *)(columns + (size_t)row * (size_t)per_padded + (size_t)column) = out;
    }
}

/* ---- from sums to codes ---- */

struct u8_out {
    const int32_t *sums, *bias;
    const float *multiplier;
    const struct device_requantize *requantize;
    const uint8_t *residual;
    uint8_t *y;
    float *before, *logits;
    int k, k_padded;
};

template <int V> __global__ void codes_make(struct u8_out o, size_t rows)
{
    const struct device_requantize r = *o.requantize;
    const unsigned across = (unsigned)(o.k / V);
    for (size_t i = GRID_INDEX; i < rows * across; i += GRID_STRIDE) {
        unsigned row = (unsigned)i / across;
        int first = (int)((unsigned)i % across) * V;
        size_t at = (size_t)row * (size_t)o.k + (size_t)first;
        pack<int32_t, V> sums =
            *(const pack<int32_t, V> *)(o.sums + (size_t)row * (size_t)o.k_padded + (size_t)first);
        pack<uint8_t, V> other = {}, code;
        pack<float, V> value;
        if (o.residual)
            other = *(const pack<uint8_t, V> *)(o.residual + at);
        for (int v = 0; v < V; v++) {
            int acc = sums.at[v] + o.bias[first + v];
            float multiplier = o.multiplier[first + v];
            if (o.logits)
                o.logits[at + (size_t)v] = (float)acc * multiplier;
            value.at[v] = requantize_value(acc, multiplier, o.residual ? other.at[v] : -1, &r);
            code.at[v] = code_round(value.at[v], r.zero_point_y, r.low, r.high);
        }
        if (o.before)
            *(pack<float, V> *)(o.before + at) = value;
        if (o.y)
            *(pack<uint8_t, V> *)(o.y + at) = code;
    }
}

static void *moved(void *p, size_t bytes)
{
    return p ? byte_offset(p, bytes) : NULL;
}

static int chunk_run(struct device *d, const struct u8_plan *p, const struct device_conv_u8_call *call, int first,
                     int images, void *workspace, struct message *m)
{
    cudaStream_t queue = d->queue[QUEUE_COMPUTE];
    const struct device_conv c = p->conv;
    const struct device_requantize *requantize = call->requantize;
    size_t rows = chunk_rows(&c, images), input = (size_t)c.h * (size_t)c.w * (size_t)c.c;
    size_t at = chunk_rows(&c, first) * (size_t)c.k;
    const uint8_t *x = (const uint8_t *)call->x + (size_t)first * input;
    uint8_t *columns = (uint8_t *)workspace;
    int per = p->per, per_padded = p->per_padded;
    if (c.c % PAD == 0)
        LAUNCH((columns_fill<PAD>), launch_blocks(rows * (size_t)(per_padded / PAD)), LAUNCH_THREADS, queue, x, c,
               rows, per, per_padded, requantize, columns);
    else
        LAUNCH((columns_fill<1>), launch_blocks(rows * (size_t)per_padded), LAUNCH_THREADS, queue, x, c, rows, per,
               per_padded, requantize, columns);
    TRY(kernel_queued(m, "columns"));
    struct product_shape s = {PRODUCT_FORWARD, (int)round_up(rows, PAD), per_padded, p->k_padded, DEVICE_S8,
                              DEVICE_S32};
    void *sums = byte_offset(workspace, p->sums_at);
    TRY(product_run(d, &s, columns, call->packed, sums, m));
    struct u8_out o = {(const int32_t *)sums,
                       (const int32_t *)((const char *)call->packed + p->bias_at),
                       call->multiplier,
                       requantize,
                       (const uint8_t *)moved((void *)call->residual, at),
                       (uint8_t *)moved(call->y, at),
                       (float *)moved(call->before, at * sizeof(float)),
                       (float *)moved(call->logits, at * sizeof(float)),
                       c.k,
                       p->k_padded};
    if (c.k % 4 == 0)
        LAUNCH((codes_make<4>), launch_blocks(rows * (size_t)(c.k / 4)), LAUNCH_THREADS, queue, o, rows);
    else
        LAUNCH((codes_make<1>), launch_blocks(rows * (size_t)c.k), LAUNCH_THREADS, queue, o, rows);
    return kernel_queued(m, "requantize");
}

int cuda_conv_u8(struct device *d, struct device_plan *base, const struct device_conv_u8_call *call,
                 void *workspace, struct message *m)
{
    const struct u8_plan *p = (const struct u8_plan *)base;
    for (int first = 0; first < p->conv.n; first += p->images) {
        int images = p->conv.n - first < p->images ? p->conv.n - first : p->images;
        TRY(chunk_run(d, p, call, first, images, workspace, m));
    }
    return 0;
}
