/* The kernels of incomplete rows, in double precision. */
#ifndef EMKIT_CONDITIONAL_H
#define EMKIT_CONDITIONAL_H

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "_portable.h"

#define EM_DOUBLE 1
#include "_real.h"
#include "_lanes.h"
#include "_conditional.h"
#include "_cells.h"
#undef EM_DOUBLE

#endif
