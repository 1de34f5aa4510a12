/* Data sets of one file a split - IDX, CIFAR-100, STL-10 -, and a set of ours of any shape, packed as a tar, read at a
 * size, of channels and in a manner that the bytes choose. The first bytes are the set, the size, the channels and the
 * way to fit; then, for each file: which of the set's names it has, how it is packed and filled up, and two bytes of
 * how long it is; its bytes; and so on. */
#include "fuzz_dataset.h"
#include <archive.h>
#include <archive_entry.h>
#include <zlib.h>

enum { SETS = 4, NAMES = 8, FILES = 8, FILE_MOST = 1 << 17, ARCHIVE_MOST = 1 << 21, HEAD = 4, FILE_HEAD = 4 };

static const char *const names[SETS][NAMES] = {
    {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte",
     "x-train-images.idx3-ubyte", "x-train-labels.idx1-ubyte", "test-images-idx3-ubyte", "notes.txt"},
    {"train.bin", "test.bin", "fine_label_names.txt", "coarse_label_names.txt", "a/train.bin", "a/test.bin",
     "meta.txt", "train.bin.gz"},
    {"train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin", "class_names.txt", "fold_indices.txt",
     "a/train_X.bin", "a/class_names.txt"},
    {"data_batch_1.bin", "data_batch_2.bin", "test_batch.bin", "test_batch_2.bin", "dataset.tsv",
     "batches.meta.txt", "a/dataset.tsv", "a/data_batch_1.bin"},
};
/* What records are filled up to, so that they need not be found by chance. */
static const size_t records[4] = {1, 3074, 27648, 193};

static size_t file_fill(uint8_t *out, const uint8_t *bytes, size_t count, uint8_t how)
{
    size_t record = records[how % 4], whole = count == 0 ? 0 : (count + record - 1) / record * record;
    memcpy(out, bytes, count);
    for (size_t i = count; i < whole; i++)
        out[i] = (uint8_t)(i % 251);
    return whole;
}

static size_t file_pack(uint8_t *out, size_t most, uint8_t *bytes, size_t count)
{
    z_stream z = {.next_in = bytes, .avail_in = (uInt)count, .next_out = out, .avail_out = (uInt)most};
    require(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    require(deflate(&z, Z_FINISH) == Z_STREAM_END);
    deflateEnd(&z);
    return z.total_out;
}

static void member_write(struct archive *a, const char *name, const void *bytes, size_t count)
{
    struct archive_entry *e = archive_entry_new();
    require(e != NULL);
    archive_entry_set_pathname(e, name);
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_size(e, (la_int64_t)count);
    require(archive_write_header(a, e) == ARCHIVE_OK);
    require(archive_write_data(a, bytes, count) == (la_ssize_t)count);
    archive_entry_free(e);
}

/* Takes one file off the bytes. */
static void file_take(struct archive *a, int set, const uint8_t **bytes, const uint8_t *end)
{
    static uint8_t filled[FILE_MOST + 27648], packed[FILE_MOST + 65536];
    const uint8_t *head = *bytes;
    char name[64];
    size_t left = (size_t)(end - head) - FILE_HEAD, length = (size_t)(head[2] << 8 | head[3]);
    length = length < left ? length : left;
    *bytes += FILE_HEAD + length;
    size_t count = file_fill(filled, head + FILE_HEAD, length, head[1]);
    int is_gzip = head[1] & 4;
    snprintf(name, sizeof name, "%s%s", names[set][head[0] % NAMES], is_gzip ? ".gz" : "");
    if (!is_gzip) {
        member_write(a, name, filled, count);
        return;
    }
    size_t bytes_packed = file_pack(packed, sizeof packed, filled, count);
    member_write(a, name, packed, bytes_packed - (head[1] & 8 && bytes_packed > 9 ? 9 : 0)); /* some are cut */
}

static size_t archive_make(uint8_t *out, int set, const uint8_t *bytes, const uint8_t *end)
{
    size_t used = 0;
    struct archive *a = archive_write_new();
    require(a != NULL);
    archive_write_set_format_ustar(a);
    require(archive_write_open_memory(a, out, ARCHIVE_MOST, &used) == ARCHIVE_OK);
    for (int i = 0; i < FILES && end - bytes > FILE_HEAD; i++)
        file_take(a, set, &bytes, end);
    archive_write_close(a);
    archive_write_free(a);
    return used;
}

static struct dataset_wish wish_of(const uint8_t head[HEAD])
{
    static const int sizes[4] = {0, 8, 32, 61};
    return (struct dataset_wish){.image = {.height = sizes[head[1] % 4],
                                           .width = sizes[head[1] % 4] ? sizes[1 + head[1] / 4 % 3] : 0,
                                           .channels = (int[]){0, 1, 3}[head[2] % 3],
                                           .fit = (enum image_fit)(head[3] % 3),
                                           .filter = (enum image_filter)(head[3] / 3 % 3)},
                                 .coarse = head[2] & 64 ? 1 : 0,
                                 .hold_out = head[2] & 128 ? 3 : 0};
}

/* What was asked for is what comes. */
static void set_read(const char *path, const char *split, const struct dataset_wish *wish)
{
    struct message m = {{0}}, warning = {{0}};
    struct dataset d;
    int status = dataset_open(&d, path, split, wish, NULL, &warning, NULL, &m);
    require_reason(status, &m);
    if (status < 0)
        return;
    status = dataset_read(&d, NULL, d.count, &m);
    require_reason(status, &m);
    const struct image_wish *w = &wish->image;
    require(d.count > 0 && image_shape_check(d.shape, &m) >= 0);
    require(w->height == 0 || (d.shape.height == w->height && d.shape.width == w->width));
    require(w->channels == 0 || d.shape.channels == w->channels);
    uint64_t sum = 0, pixels = (uint64_t)d.count * image_shape_bytes(d.shape); /* every one is read */
    for (uint64_t i = 0; status >= 0 && i < pixels; i++)
        sum += d.images[i];
    require(sum <= pixels * 255);
    for (int64_t i = 0; i < d.count; i++)
        require(d.labels[i] < d.class_count);
    dataset_free(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    static uint8_t archive[ARCHIVE_MOST];
    char path[64];
    if (count < HEAD)
        return 0;
    const struct dataset_wish wish = wish_of(bytes);
    size_t used = archive_make(archive, bytes[0] % SETS, bytes + HEAD, bytes + count);
    fuzz_file(path, "fuzz-raw", ".tar", archive, used);
    set_read(path, "train", &wish);
    set_read(path, "test", &wish);
    unlink(path);
    return 0;
}
