/* number.h: 16-bit floats as devices read and write them. All arithmetic is in float; a value is rounded once, when it
 * is stored. */
#ifndef RESQ_KERNEL_CONTRACT_NUMBER_H
#define RESQ_KERNEL_CONTRACT_NUMBER_H

#include "base/half.h"
#include "kernel/contract/arithmetic.h"

#endif
