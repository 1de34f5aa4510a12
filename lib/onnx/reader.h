/* reader.h: an ONNX file's messages, bounded and in memory; the layer's own. */
#ifndef RESQ_ONNX_READER_H
#define RESQ_ONNX_READER_H

#include "base/status.h"
#include "onnx/onnx.pb-c.h"
#include "onnx/types.h"
#include <stddef.h>

struct onnx_file {
    Onnx__ModelProto *model;
    const char *folder; /* where data beside the file lie; borrowed; NULL: nowhere, such data are refused */
    ProtobufCAllocator allocator;
    size_t budget, used;
    int is_spent;        /* the budget refused something */
    struct message lack; /* or the system did, with these words */
};

/* Parses count bytes, which need not outlive the call. Messages take at most twice the bytes and 16 MiB: a file that
 * wants more than its own size explains is STATUS_RANGE; what is no protocol buffer of this kind STATUS_FORMAT. */
int onnx_file_parse(struct onnx_file *f, const void *bytes, size_t count, const char *folder,
                    struct message *m) RESQ_USE_RESULT;
void onnx_file_free(struct onnx_file *f);

/* The bytes of a tensor that stand in a file of their own, `count` of them: into memory of the caller's
 * (memory_free). Only a plain name in the file's own folder is followed. */
int onnx_external_read(const struct onnx_file *f, const Onnx__TensorProto *t, size_t count, void **bytes,
                       struct message *m) RESQ_USE_RESULT;

#endif
