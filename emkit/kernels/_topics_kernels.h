/* The kernels of topic models, in double and in single precision. */
#ifndef EMKIT_TOPICS_H
#define EMKIT_TOPICS_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "_portable.h"

/* Documents in CSR: the terms of document d are those from starts[d] on. */
typedef struct {
    ptrdiff_t n;
    const ptrdiff_t *starts;
    const int32_t *terms;
} corpus;

#define EM_DOUBLE 1
#include "_real.h"
#include "_topics.h"
#undef EM_DOUBLE

#define EM_DOUBLE 0
#include "_real.h"
#include "_topics.h"
#undef EM_DOUBLE

#endif
