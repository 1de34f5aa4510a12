/* The elementwise operations in plain C: the definition. */
#define SET(operation) elementwise_##operation##_ref
#include "kernel/ref/elementwise.inc"
