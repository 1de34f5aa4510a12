#include "data/unread.h"
#include "data/files.h"
#include "record/foreign.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <zlib.h>

#define AS_PICTURES "; save its pictures as SPLIT/CLASS/NAME.png"
#define CIFAR_10_BINARY "; take the binary version, cifar-10-binary.tar.gz"
#define PYTHON_VERSION "CIFAR-10's Python version is not read" CIFAR_10_BINARY
#define MATLAB_VERSION "CIFAR-10's Matlab version is not read" CIFAR_10_BINARY
#define CIFAR_100 "CIFAR-100's Python version is not read; take the binary version, cifar-100-binary.tar.gz"
#define STL_10 "name the folder that they stand in with their labels"
#define IDX \
    "one IDX file; name the folder or archive that holds images and labels, as train-images-idx3-ubyte and so on"
#define NUMPY "NumPy's .npy and .npz are not read" AS_PICTURES
#define PARQUET "Parquet and Arrow files are not read" AS_PICTURES
#define TFRECORD "TFRecord files are not read" AS_PICTURES
#define MATLAB "Matlab files are not read" AS_PICTURES
#define HDF5 "HDF5 files are not read" AS_PICTURES
#define PICKLE "Python's pickles are not read" AS_PICTURES
#define PACKED "packed in a way that is not read; pack it as .tar.gz, .tar.xz or .zip"
#define LFS_POINTER "a Git LFS pointer, not the data itself; fetch it with 'git lfs pull'"
#define WEB_PAGE "a web page, not data; the download failed"
#define ONE_PICTURE "one picture; name the folder or archive that holds SPLIT/CLASS/NAME.png"

static const char pickle[] = PICKLE, matlab[] = MATLAB;

struct form {
    const char *key, *what;
};

/* Whole names; those with a slash are a folder and a name. */
static const struct form names[] = {
    {"data_batch_1", PYTHON_VERSION},      {"data_batch_2", PYTHON_VERSION},
    {"data_batch_3", PYTHON_VERSION},      {"data_batch_4", PYTHON_VERSION},
    {"data_batch_5", PYTHON_VERSION},      {"test_batch", PYTHON_VERSION},
    {"batches.meta", PYTHON_VERSION},      {"data_batch_1.mat", MATLAB_VERSION},
    {"test_batch.mat", MATLAB_VERSION},    {"batches.meta.mat", MATLAB_VERSION},
    {"cifar-100-python/train", CIFAR_100}, {"cifar-100-python/test", CIFAR_100},
};

static const struct form endings[] = {
    {".npy", NUMPY},
    {".npz", NUMPY},
    {".parquet", PARQUET},
    {".arrow", PARQUET},
    {".feather", PARQUET},
    {".tfrecord", TFRECORD},
    {".tfrecords", TFRECORD},
    {".mat", MATLAB},
    {".h5", HDF5},
    {".hdf5", HDF5},
    {".pkl", PICKLE},
    {".pickle", PICKLE},
    {".bin.gz", "a packed .bin file; unpack it"},
};

/* By the first bytes; NULL: read, or only known by them where it stands in another's place (misplaced_content). */
static const char *const contents[FOREIGN_COUNT] = {
    [FOREIGN_TORCH] = pickle,      [FOREIGN_PICKLE] = pickle,
    [FOREIGN_NUMPY] = NUMPY,       [FOREIGN_HDF5] = HDF5,
    [FOREIGN_PARQUET] = PARQUET,   [FOREIGN_MATLAB] = matlab,
    [FOREIGN_IDX] = IDX,           [FOREIGN_LFS_POINTER] = LFS_POINTER,
    [FOREIGN_ZSTD] = PACKED,       [FOREIGN_LZ4] = PACKED,
    [FOREIGN_7Z] = PACKED,         [FOREIGN_RAR] = PACKED,
    [FOREIGN_WEB_PAGE] = WEB_PAGE,
};

#define COUNT(list) (sizeof(list) / sizeof(list)[0])

/* 1 where path is name, or ends in it after a slash. */
static int path_ends_in(const char *path, const char *name)
{
    size_t length = strlen(path), want = strlen(name);
    return length >= want && strcmp(path + length - want, name) == 0 &&
           (length == want || path[length - want - 1] == '/');
}

const char *unread_name(const char *path)
{
    for (size_t i = 0; i < COUNT(names); i++)
        if (path_ends_in(path, names[i].key))
            return names[i].what;
    size_t length = strlen(path);
    for (size_t i = 0; i < COUNT(endings); i++) {
        size_t want = strlen(endings[i].key);
        if (length > want && strcasecmp(path + length - want, endings[i].key) == 0)
            return endings[i].what;
    }
    return NULL;
}

const char *unread_content(const void *bytes, size_t count)
{
    return contents[foreign_of(bytes, count)];
}

/* What a picture, a record of ours or an archive is when it is not what was asked for. */
static const char *misplaced_content(const unsigned char *b, size_t count, int is_bin)
{
    const enum foreign kind = foreign_of(b, count);
    if (kind == FOREIGN_PNG || kind == FOREIGN_JPEG)
        return ONE_PICTURE;
    if (count > 9 && b[8] == '{' && b[3] == 0 && b[7] == 0)
        return "a record, which the other programs read; name images";
    if (is_bin && (kind == FOREIGN_ZIP || kind == FOREIGN_GZIP))
        return "an archive whose name ends in .bin; rename it";
    return NULL;
}

static const char *size_explain(int64_t size, int is_bin)
{
    if (!is_bin && size % CIFAR_RECORD_BYTES == 0)
        return "no archive, but of the size of CIFAR-10's records; let its name end in .bin";
    if (is_bin && size % (CIFAR_RECORD_BYTES + 1) == 0) /* two labels a record */
        return "a whole number of CIFAR-100's records, though; name the folder that it stands in with its names of "
               "classes";
    if (is_bin && size % (96 * 96 * 3) == 0)
        return "a whole number of STL-10's pictures, though; " STL_10;
    return NULL;
}

/* The first bytes as they are, and as gunzip would give them. */
static void head_read(const char *path, unsigned char raw[512], size_t *raw_count, unsigned char plain[512],
                      size_t *plain_count)
{
    *raw_count = *plain_count = 0;
    FILE *f = fopen(path, "rbe");
    if (f) {
        *raw_count = fread(raw, 1, 512, f);
        fclose(f);
    }
    gzFile g = gzopen(path, "rbe");
    if (g) {
        int n = gzread(g, plain, 512);
        *plain_count = n > 0 ? (size_t)n : 0;
        gzclose_r(g);
    }
}

void unread_explain(const char *path, struct message *m)
{
    unsigned char raw[512], plain[512];
    size_t raw_count, plain_count, length = strlen(path);
    struct stat st;
    int is_bin = length > 4 && strcmp(path + length - 4, ".bin") == 0;
    head_read(path, raw, &raw_count, plain, &plain_count);
    const char *what = unread_content(raw, raw_count), *named = unread_name(path);
    if (!what)
        what = unread_content(plain, plain_count);
    if (named && (!what || what == pickle || what == matlab)) /* which names tell more of */
        what = named;
    if (!what)
        what = misplaced_content(raw, raw_count, is_bin);
    if (what) {
        message_set(m, STATUS_FORMAT, "%s: %s", path, what);
        return;
    }
    what = stat(path, &st) == 0 ? size_explain(st.st_size, is_bin) : NULL;
    if (what)
        message_set(m, STATUS_FORMAT, "%s (%s)", m->text, what);
}
