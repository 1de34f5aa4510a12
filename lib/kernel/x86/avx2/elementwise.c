/* The definitions of ref/elementwise.inc, vectorised by the compiler with this folder's flags. */
#define SET(operation) elementwise_##operation##_avx2
#include "kernel/ref/elementwise.inc"
