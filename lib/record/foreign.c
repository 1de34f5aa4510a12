#include "record/foreign.h"
#include <string.h>

/* Python's part of a conversion; what a checkpoint holds beside the weights cannot be known from here. */
#define TORCH                                                                                                  \
    ": save its state_dict as safetensors, in Python: import torch; from safetensors.torch import save_file; " \
    "state = torch.load('IN', map_location='cpu'); save_file({k: v.clone().contiguous() for k, v in "          \
    "state.items()}, 'OUT.safetensors') (of a checkpoint take state['state_dict'], state['model'] or "         \
    "state['net'], of a whole model state.state_dict())"
#define NUMPY                                                                                                \
    ", in Python: import numpy; from safetensors.numpy import save_file; save_file(dict(numpy.load('IN')), " \
    "'OUT.safetensors')"
#define PICTURES "; pictures, cifar-load -d reads as they are"

static const char torch_zip[] = "is a PyTorch file (.pth, .pt)" TORCH;
static const char numpy_zip[] = "is a numpy archive (.npz): save it as safetensors" NUMPY;
static const char keras_zip[] =
    "is a Keras model (.keras): save its weights as safetensors in PyTorch's layout and names";
static const char any_zip[] = "is a zip archive, not a record: unpack it first" PICTURES;
static const char onnx[] = "is an ONNX model: onnx-import reads it";
static const char any_text[] = "is a text file, not a record";

/* The one table of first bytes; of two that fit, the first. */
static const struct {
    size_t at;
    const char *bytes;
    size_t count;
    enum foreign kind;
} kinds[] = {
    {0, "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20", 10, FOREIGN_TORCH},
    {0, "\x80\x02", 2, FOREIGN_PICKLE},
    {0, "\x80\x03", 2, FOREIGN_PICKLE},
    {0, "\x80\x04", 2, FOREIGN_PICKLE},
    {0, "\x80\x05", 2, FOREIGN_PICKLE},
    {0, "PK\x03\x04", 4, FOREIGN_ZIP},
    {0, "\x93NUMPY", 6, FOREIGN_NUMPY},
    {0, "\x89HDF\r\n", 6, FOREIGN_HDF5},
    {0, "GGUF", 4, FOREIGN_GGUF},
    {4, "TFL3", 4, FOREIGN_TFLITE},
    {0, "PAR1", 4, FOREIGN_PARQUET},
    {0, "ARROW1", 6, FOREIGN_PARQUET},
    {0, "MATLAB 5.0 MAT", 14, FOREIGN_MATLAB},
    {0, "\0\0\x08\x01\0", 5, FOREIGN_IDX},
    {0, "\0\0\x08\x03\0", 5, FOREIGN_IDX},
    {0, "\0\0\x08\x04\0", 5, FOREIGN_IDX},
    {0, "version https://git-lfs", 23, FOREIGN_LFS_POINTER},
    {0, "\x1f\x8b\x08", 3, FOREIGN_GZIP},
    {0, "\xfd\x37zXZ", 6, FOREIGN_XZ},
    {0, "BZh", 3, FOREIGN_BZIP2},
    {0, "\x28\xb5\x2f\xfd", 4, FOREIGN_ZSTD},
    {0, "\x04\x22\x4d\x18", 4, FOREIGN_LZ4},
    {0, "7z\xbc\xaf\x27\x1c", 6, FOREIGN_7Z},
    {0, "Rar!", 4, FOREIGN_RAR},
    {257, "ustar", 5, FOREIGN_TAR},
    {0, "\x89PNG", 4, FOREIGN_PNG},
    {0, "\xff\xd8\xff", 3, FOREIGN_JPEG},
    {0, "<!DOCTYPE", 9, FOREIGN_WEB_PAGE},
    {0, "<!doctype", 9, FOREIGN_WEB_PAGE},
    {0, "<html", 5, FOREIGN_WEB_PAGE},
    {0, "<HTML", 5, FOREIGN_WEB_PAGE},
};

/* What each is to who wants a record. */
static const char *const words[FOREIGN_COUNT] = {
    [FOREIGN_TORCH] = "is a PyTorch file of the time before 1.6 (.pth, .pt)" TORCH,
    [FOREIGN_PICKLE] = "is a Python pickle" TORCH,
    [FOREIGN_NUMPY] = "is a numpy array (.npy): put the arrays under their names into a safetensors file" NUMPY,
    [FOREIGN_HDF5] = "is an HDF5 file (Keras .h5): save its weights as safetensors in PyTorch's layout and names; "
                     "kernels [h,w,in,out] become [out,in,h,w]",
    [FOREIGN_GGUF] =
        "is a GGUF file, of another program's quantized weights: take the float weights it was made from",
    [FOREIGN_TFLITE] = "is a TensorFlow Lite model: take the float weights it was made from",
    [FOREIGN_PARQUET] = "is a Parquet or Arrow file, not a record",
    [FOREIGN_MATLAB] = "is a Matlab file, not a record",
    [FOREIGN_IDX] = "is an IDX file (of MNIST and its like), not a record",
    [FOREIGN_LFS_POINTER] = "is a git-lfs pointer, not the file itself: run git lfs pull",
    [FOREIGN_GZIP] = "is compressed by gzip, not a record: unpack it first (gunzip)" PICTURES,
    [FOREIGN_XZ] = "is compressed by xz, not a record: unpack it first (unxz)" PICTURES,
    [FOREIGN_BZIP2] = "is compressed by bzip2, not a record: unpack it first (bunzip2)" PICTURES,
    [FOREIGN_ZSTD] = "is compressed by zstd, not a record: unpack it first (unzstd)" PICTURES,
    [FOREIGN_LZ4] = "is compressed by lz4, not a record: unpack it first (unlz4)",
    [FOREIGN_7Z] = "is a 7z archive, not a record: unpack it first" PICTURES,
    [FOREIGN_RAR] = "is a rar archive, not a record: unpack it first",
    [FOREIGN_TAR] = "is a tar archive, not a record: unpack it first" PICTURES,
    [FOREIGN_PNG] = "is a picture (PNG), not a record" PICTURES,
    [FOREIGN_JPEG] = "is a picture (JPEG), not a record" PICTURES,
    [FOREIGN_WEB_PAGE] = "is a web page, not a record: the download gave a page in its place",
};

static int begins(const unsigned char *bytes, size_t count, size_t at, const char *with, size_t length)
{
    return at <= count && length <= count - at && memcmp(bytes + at, with, length) == 0;
}

static int holds(const unsigned char *bytes, size_t count, const char *text)
{
    size_t length = strlen(text);
    for (size_t i = 0; i + length <= count; i++)
        if (memcmp(bytes + i, text, length) == 0)
            return 1;
    return 0;
}

/* By the name of its first member, which the local header has from byte 30 on. */
static const char *zip_describe(const unsigned char *bytes, size_t count)
{
    enum { NAME = 30, NAME_LENGTH = 26 };
    size_t length = count >= NAME ? bytes[NAME_LENGTH] | (size_t)bytes[NAME_LENGTH + 1] << 8 : 0;
    length = count < NAME ? 0 : length < count - NAME ? length : count - NAME;
    const unsigned char *name = bytes + (length ? NAME : 0);
    static const char *const torch[] = {"data.pkl", "/version", "/byteorder", "/data/",
                                        "/.data",   "/code/",   "/.format"};
    for (size_t i = 0; i < sizeof torch / sizeof torch[0]; i++)
        if (holds(name, length, torch[i]))
            return torch_zip;
    if (holds(name, length, ".npy"))
        return numpy_zip;
    return begins(name, length, 0, "metadata.json", 13) || holds(name, length, ".weights.h5") ? keras_zip : any_zip;
}

/* A protocol buffer whose first field is ir_version, and the second producer_name, producer_version or graph. */
static int is_onnx(const unsigned char *bytes, size_t count)
{
    return count > 4 && bytes[0] == 0x08 && bytes[1] >= 3 && bytes[1] < 64 &&
           (bytes[2] == 0x12 || bytes[2] == 0x1a || bytes[2] == 0x3a || bytes[2] == 0x42);
}

/* No control characters, and no byte that UTF-8 never has. */
static int is_text(const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] == 127 || bytes[i] >= 0xf8 || (bytes[i] < 32 && !memchr("\t\n\r", bytes[i], 3)))
            return 0;
    return count > 0;
}

enum foreign foreign_of(const void *bytes, size_t count)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (begins(bytes, count, kinds[i].at, kinds[i].bytes, kinds[i].count))
            return kinds[i].kind;
    return FOREIGN_NONE;
}

const char *foreign_describe(const unsigned char *bytes, size_t count)
{
    enum { LENGTH = 8 };
    if (count < LENGTH || (count > LENGTH && bytes[LENGTH] == '{' && bytes[LENGTH - 1] == 0))
        return NULL;
    const enum foreign kind = foreign_of(bytes, count);
    if (kind == FOREIGN_ZIP)
        return zip_describe(bytes, count);
    if (kind != FOREIGN_NONE)
        return words[kind];
    if (is_onnx(bytes, count))
        return onnx;
    return is_text(bytes, count) ? any_text : NULL;
}
