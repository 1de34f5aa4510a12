/* codes.h: integer weights of few bits, packed as a model's file holds them (lib/FORMATS.md): two's complement in
 * fields of 2, 4 or 8 bits, the first code in a byte's low bits, without gaps between rows. */
#ifndef RESQ_GRAPH_CODES_H
#define RESQ_GRAPH_CODES_H

#include "graph/model.h"
#include <stddef.h>
#include <stdint.h>

/* The field of a code of so many bits, 2..8: 2, 4 (of 3, too) or 8 (of 5 to 7, too). */
int codes_field(int bits);
/* Bytes that count codes take; the last one's unused bits are 0. */
size_t codes_bytes(size_t count, int bits);
/* Codes in -(2^(bits-1) - 1) .. 2^(bits-1) - 1, as the file has them and as arithmetic wants them. */
void codes_pack(const int8_t *codes, size_t count, int bits, uint8_t *packed);
void codes_unpack(const uint8_t *packed, size_t count, int bits, int8_t *codes);

/* Bits of a code of integer layer `node`: its tensor `X.weight_bits`, or 8 where it has none. */
int model_weight_bits(const struct model *model, int node);
/* Its weights, packed or not. */
size_t model_weight_count(const struct model *model, int node);
/* The codes of integer layer `node` of a verified model, s8 in PyTorch's order, *count of them: the tensor's own, or,
 * where they are packed, expanded into *owned, which is the caller's to free (memory_free; NULL otherwise). NULL where
 * memory is out. */
const int8_t *model_weight_codes(const struct model *model, int node, size_t *count, int8_t **owned,
                                 struct message *m) RESQ_USE_RESULT;

/* 0 where tensors `X.weight` [..] and `X.weight_bits` are packed codes of as many elements as the shape has, in range
 * and with unused bits 0; else a status that names the tensor. */
int codes_check(const struct tensor *weight, const struct tensor *bits, int rank, const int64_t *shape,
                struct message *m) RESQ_USE_RESULT;

#endif
