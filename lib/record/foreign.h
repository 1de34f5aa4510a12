/* foreign.h: what a file of another form is, by its first bytes: for the message. Each layer has its own words for it:
 * record's are here, data's in data/unread.h. */
#ifndef RESQ_RECORD_FOREIGN_H
#define RESQ_RECORD_FOREIGN_H

#include <stddef.h>

enum foreign {
    FOREIGN_NONE,  /* none that is known */
    FOREIGN_TORCH, /* of before PyTorch 1.6 */
    FOREIGN_PICKLE,
    FOREIGN_ZIP, /* PyTorch's, numpy's .npz and Keras' .keras are zip archives too */
    FOREIGN_NUMPY,
    FOREIGN_HDF5,
    FOREIGN_GGUF,
    FOREIGN_TFLITE,
    FOREIGN_PARQUET, /* or Arrow */
    FOREIGN_MATLAB,
    FOREIGN_IDX,
    FOREIGN_LFS_POINTER,
    FOREIGN_GZIP,
    FOREIGN_XZ,
    FOREIGN_BZIP2,
    FOREIGN_ZSTD,
    FOREIGN_LZ4,
    FOREIGN_7Z,
    FOREIGN_RAR,
    FOREIGN_TAR,
    FOREIGN_PNG,
    FOREIGN_JPEG,
    FOREIGN_WEB_PAGE,
    FOREIGN_COUNT
};

enum { FOREIGN_BYTES = 512 }; /* as many of a file's first bytes tell all that is known here */

enum foreign foreign_of(const void *bytes, size_t count);

/* "is a PyTorch checkpoint (.pth, .pt): convert it in Python: ..", a static text without its subject, from a file's
 * first bytes; NULL where they are of no known kind, or begin a safetensors file. */
const char *foreign_describe(const unsigned char *bytes, size_t count);

#endif
