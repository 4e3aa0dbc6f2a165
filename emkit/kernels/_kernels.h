/* The compiled core: every kernel in double and in single precision. */
#ifndef EMKIT_KERNELS_H
#define EMKIT_KERNELS_H

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "_portable.h"

/* Rows of a matrix and where they lie in memory; strides in bytes. */
typedef struct {
    ptrdiff_t n, row_stride, column_stride;
    const char *X;
} rows;

#include "_factor.h"

#define EM_DOUBLE 1
#include "_real.h"
#include "_gaussian.h"
#include "_missing.h"
#include "_softmax.h"
#undef EM_DOUBLE

#define EM_DOUBLE 0
#include "_real.h"
#include "_gaussian.h"
#include "_softmax.h"
#undef EM_DOUBLE

#endif
