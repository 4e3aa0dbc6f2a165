/* The kernels of topic models, in double and in single precision. */
#ifndef EMKIT_TOPICS_H
#define EMKIT_TOPICS_H

#include <float.h>
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

/* Sum of log x; all positive and normal. */
EM_CLONES
static double sum_of_logs_f64(ptrdiff_t n, const double *x) {
    VEC total = {0};
    ptrdiff_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const VEC v = get_f64(x + i);
        const IVEC is_small = (IVEC)(v < 0.75); /* above, the log of x itself is exact enough */
        const VEC log_above = log_from_one_f64((VEC)((is_small & (IVEC)(1 / v)) | (~is_small & (IVEC)v)));
        total += (VEC)((is_small & (IVEC)(-log_above)) | (~is_small & (IVEC)log_above));
    }
    double sum = add_lanes_f64(total);
    for (; i < n; i++) sum += log(x[i]);
    return sum;
}
#undef EM_DOUBLE

#define EM_DOUBLE 0
#include "_real.h"
#include "_topics.h"
#undef EM_DOUBLE

#endif
