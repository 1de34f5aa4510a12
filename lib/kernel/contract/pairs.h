/* pairs.h: products of bytes summed in 16 bits, and how many of them have room there.
 *
 * vpmaddubsw multiplies two neighbouring codes (u8) by two weights (s8) and adds the products, saturating in 16
 * bits. n such pairs, of codes up to high_x and weights up to w in size, sum to at most 2 * n * high_x * w in size:
 * exactly while that is below 2^15. */
#ifndef RESQ_KERNEL_CONTRACT_PAIRS_H
#define RESQ_KERNEL_CONTRACT_PAIRS_H

#include <stddef.h>
#include <stdint.h>

/* Pairs that must have room for the set's conv_u8_pairs to take an output: with fewer its sums would leave for 32
 * bits so often that 16-bit products are as fast. Weights of 4 bits have room for 9 with codes of 8 bits, those of 6
 * bits for 8 with codes of 6. */
enum { PAIRS_ROOM = 4, PAIRS_SUM = 32767 };

/* The pairs that have room whichever these are, of `count` weights: at most PAIRS_SUM; 0 where one alone may not. */
static inline int pairs_room(const int8_t *weight, size_t count, int high_x)
{
    int most = 0;
    for (size_t i = 0; i < count; i++) {
        int size = weight[i] < 0 ? -weight[i] : weight[i];
        most = size > most ? size : most;
    }
    int pair = 2 * high_x * most;
    return pair > 0 ? PAIRS_SUM / pair : PAIRS_SUM;
}

#endif
