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

static const struct {
    size_t at;
    const char *bytes;
    size_t count;
    const char *is;
} kinds[] = {
    {0, "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20", 10, "is a PyTorch file of the time before 1.6 (.pth, .pt)" TORCH},
    {0, "\x93NUMPY", 6, "is a numpy array (.npy): put the arrays under their names into a safetensors file" NUMPY},
    {0, "\x89HDF\r\n\x1a\n", 8,
     "is an HDF5 file (Keras .h5): save its weights as safetensors in PyTorch's layout and names; kernels "
     "[h,w,in,out] "
     "become [out,in,h,w]"},
    {0, "GGUF", 4,
     "is a GGUF file, of another program's quantized weights: take the float weights it was made from"},
    {4, "TFL3", 4, "is a TensorFlow Lite model: take the float weights it was made from"},
    {0, "version https://git-lfs", 23, "is a git-lfs pointer, not the file itself: run git lfs pull"},
    {0, "\x1f\x8b\x08", 3, "is compressed by gzip, not a record: unpack it first (gunzip)" PICTURES},
    {0,
     "\xfd"
     "7zXZ",
     6, "is compressed by xz, not a record: unpack it first (unxz)" PICTURES},
    {0, "BZh", 3, "is compressed by bzip2, not a record: unpack it first (bunzip2)" PICTURES},
    {0, "\x28\xb5\x2f\xfd", 4, "is compressed by zstd, not a record: unpack it first (unzstd)" PICTURES},
    {0, "7z\xbc\xaf\x27\x1c", 6, "is a 7z archive, not a record: unpack it first" PICTURES},
    {257, "ustar", 5, "is a tar archive, not a record: unpack it first" PICTURES},
    {0, "\x89PNG", 4, "is a picture (PNG), not a record" PICTURES},
    {0, "\xff\xd8\xff", 3, "is a picture (JPEG), not a record" PICTURES},
    {0, "<!DOCTYPE", 9, "is a web page, not a record: the download gave a page in its place"},
    {0, "<html", 5, "is a web page, not a record: the download gave a page in its place"},
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

const char *foreign_describe(const unsigned char *bytes, size_t count)
{
    enum { LENGTH = 8 };
    if (count < LENGTH || (count > LENGTH && bytes[LENGTH] == '{' && bytes[LENGTH - 1] == 0))
        return NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (begins(bytes, count, kinds[i].at, kinds[i].bytes, kinds[i].count))
            return kinds[i].is;
    if (begins(bytes, count, 0, "PK\x03\x04", 4))
        return zip_describe(bytes, count);
    if (count > 2 && bytes[0] == 0x80 && bytes[1] >= 2 && bytes[1] <= 5)
        return "is a Python pickle" TORCH;
    if (is_onnx(bytes, count))
        return onnx;
    return is_text(bytes, count) ? any_text : NULL;
}
