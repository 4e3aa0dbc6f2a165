/* Scalar type, vector type and exp for one precision. Include with EM_DOUBLE defined to 1 or 0. */

#undef REAL
#undef VEC
#undef IVEC
#undef NAME
#undef LANES
#undef SQUARE_CAP

#if EM_DOUBLE
#define REAL double
#define NAME(f) EM_PASTE(f, f64)
#define SQUARE_CAP 1e300 /* caps a squared distance, so that no log-density is -inf for a finite row */
typedef int64_t EM_PASTE(em_bits, f64) __attribute__((vector_size(EM_VECTOR_BYTES)));
#else
#define REAL float
#define NAME(f) EM_PASTE(f, f32)
#define SQUARE_CAP 1e37f
typedef int32_t EM_PASTE(em_bits, f32) __attribute__((vector_size(EM_VECTOR_BYTES)));
#endif

typedef REAL NAME(em_vector) __attribute__((vector_size(EM_VECTOR_BYTES), may_alias));
#define VEC NAME(em_vector)
#define IVEC NAME(em_bits)
#define LANES ((int)(EM_VECTOR_BYTES / sizeof(REAL)))

EM_INLINE VEC NAME(load)(const REAL *p) { return *(const VEC *)p; }
EM_INLINE void NAME(store)(REAL *p, VEC v) { *(VEC *)p = v; }
EM_INLINE VEC NAME(splat)(REAL a) { return (VEC){0} + a; }
EM_INLINE VEC NAME(select)(IVEC mask, VEC a, VEC b) { return (VEC)((mask & (IVEC)a) | (~mask & (IVEC)b)); }
EM_INLINE VEC NAME(smaller)(VEC a, VEC b) { return NAME(select)((IVEC)(a < b), a, b); }
EM_INLINE VEC NAME(larger)(VEC a, VEC b) { return NAME(select)((IVEC)(a > b), a, b); }

EM_INLINE REAL NAME(add_lanes)(VEC v) {
    REAL sum = 0;
    for (int i = 0; i < LANES; i++) sum += v[i];
    return sum;
}

/* exp(x) for x <= 0, to 2 ulp; exactly 0 where the result would be subnormal (so also for -inf).
 * x = n ln 2 + r with |r| <= ln 2 / 2, exp(r) by its Taylor polynomial, 2^n by moving n into the exponent bits. The
 * sum with `shift` rounds to an integer and leaves that integer in the low bits of the mantissa. */
EM_INLINE VEC NAME(exp_nonpositive)(VEC x) {
#if EM_DOUBLE
    const REAL log2e = 1.4426950408889634, ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33;
    const REAL shift = 0x1.8p52, smallest = -708.0;
    static const REAL c[] = {1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880,
                             1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1.0, 1.0};
    const int exponent_bias = 1023, mantissa_bits = 52;
#else
    const REAL log2e = 1.44269504f, ln2_high = 0x1.62e400p-1f, ln2_low = 0x1.7f7d1cp-20f;
    const REAL shift = 0x1.8p23f, smallest = -87.0f;
    static const REAL c[] = {1.0f / 5040, 1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f};
    const int exponent_bias = 127, mantissa_bits = 23;
#endif
    const IVEC is_normal = (IVEC)(x >= smallest);
    const VEC shifted = x * log2e + shift;
    const VEC n = shifted - shift;
    const VEC r = (x - n * ln2_high) - n * ln2_low;
    VEC p = NAME(splat)(c[0]);
    for (int i = 1; i < (int)(sizeof(c) / sizeof(c[0])); i++) p = p * r + c[i];
    const IVEC power = ((IVEC)shifted + exponent_bias) << mantissa_bits;
    return (VEC)(is_normal & (IVEC)(p * (VEC)power));
}
