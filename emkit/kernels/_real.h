/* Scalar type, vector type and exp for one precision. Include with EM_DOUBLE defined to 1 or 0. */

#undef REAL
#undef VEC
#undef IVEC
#undef UVEC
#undef DVEC
#undef NAME
#undef LANES
#undef SQUARE_CAP

#if EM_DOUBLE
#define REAL double
#define NAME(f) EM_PASTE(f, f64)
#define SQUARE_CAP 1e300 /* caps a squared distance, so that no log-density is -inf for a finite row */
typedef int64_t EM_PASTE(em_bits, f64) __attribute__((vector_size(EM_VECTOR_BYTES)));
typedef uint64_t EM_PASTE(em_unsigned, f64) __attribute__((vector_size(EM_VECTOR_BYTES)));
#else
#define REAL float
#define NAME(f) EM_PASTE(f, f32)
#define SQUARE_CAP 1e37f
typedef int32_t EM_PASTE(em_bits, f32) __attribute__((vector_size(EM_VECTOR_BYTES)));
typedef uint32_t EM_PASTE(em_unsigned, f32) __attribute__((vector_size(EM_VECTOR_BYTES)));
#endif

typedef REAL NAME(em_vector) __attribute__((vector_size(EM_VECTOR_BYTES), may_alias));
#define VEC NAME(em_vector)
#define IVEC NAME(em_bits)
#define UVEC NAME(em_unsigned)
#define LANES ((int)(EM_VECTOR_BYTES / sizeof(REAL)))

/* As many doubles as VEC has lanes: what must not lose digits over many rows. */
typedef double NAME(em_doubles) __attribute__((vector_size(EM_VECTOR_BYTES / sizeof(REAL) * sizeof(double))));
#define DVEC NAME(em_doubles)

EM_INLINE VEC NAME(load)(const REAL *p) { return *(const VEC *)p; }
EM_INLINE void NAME(store)(REAL *p, VEC v) { *(VEC *)p = v; }
EM_INLINE VEC NAME(splat)(REAL a) { return (VEC){0} + a; }

/* A comparison and a blend. Loops over the lanes would be one instruction, but are taken apart where they are inlined
 * into unrolled code. For NaN both give b. */
EM_INLINE VEC NAME(smaller)(VEC a, VEC b) {
    const IVEC first = (IVEC)(a < b);
    return (VEC)((first & (IVEC)a) | (~first & (IVEC)b));
}
EM_INLINE VEC NAME(larger)(VEC a, VEC b) {
    const IVEC first = (IVEC)(a > b);
    return (VEC)((first & (IVEC)a) | (~first & (IVEC)b));
}

EM_INLINE REAL NAME(add_lanes)(VEC v) {
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++) v[i] += v[i + half];
    return v[0];
}

/* exp(x) for x <= 0, to 2 ulp; exactly 0 where the result would be subnormal (so also for -inf).
 * x = n ln 2 + r with |r| <= ln 2 / 2, exp(r) = 1 + r + r^2 q(r), 2^n by moving n into the exponent bits. The sum with
 * `shift` rounds to an integer and leaves that integer in the low bits of the mantissa. q interpolates
 * (exp(r) - 1 - r) / r^2 at Chebyshev nodes (relative error of exp 2e-17, 1e-8 in single precision); it is summed in
 * pairs, so that its multiplications need not wait for each other. */
EM_INLINE VEC NAME(exp_nonpositive)(VEC x) {
#if EM_DOUBLE
    const REAL log2e = 1.4426950408889634, ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33;
    const REAL shift = 0x1.8p52, smallest = -708.0;
    const int exponent_bias = 1023, mantissa_bits = 52;
#else
    const REAL log2e = 1.44269504f, ln2_high = 0x1.62e400p-1f, ln2_low = 0x1.7f7d1cp-20f;
    const REAL shift = 0x1.8p23f, smallest = -87.0f;
    const int exponent_bias = 127, mantissa_bits = 23;
#endif
    const IVEC is_normal = (IVEC)(x >= smallest);
    const VEC shifted = x * log2e + shift;
    const VEC n = shifted - shift;
    const VEC r = (x - n * ln2_high) - n * ln2_low, r2 = r * r, r4 = r2 * r2;
#if EM_DOUBLE
    const VEC low = (0x1.0000000000001p-1 + 0x1.5555555555556p-3 * r) +
                    (0x1.5555555553d4fp-5 + 0x1.11111111109adp-7 * r) * r2;
    const VEC middle = (0x1.6c16c17893833p-10 + 0x1.a01a01a7c8d47p-13 * r) +
                       (0x1.a019b8ef67c6cp-16 + 0x1.71de0d9c145d0p-19 * r) * r2;
    const VEC q = low + (middle + (0x1.2891a8c1d838dp-22 + 0x1.af38d53857513p-26 * r) * r4) * r4;
#else
    const VEC q = (0.5f + 0.16666576845993977f * r) + (0.04166655443768594f + 0.008363202971575855f * r) * r2 +
                  0.0013926213466332444f * r4;
#endif
    const IVEC power = ((IVEC)shifted + exponent_bias) << mantissa_bits;
    return (VEC)(is_normal & (IVEC)((1 + (r + q * r2)) * (VEC)power));
}

/* log(x) for 1 <= x < inf, to 1 ulp: x = 2^n m with m in [sqrt(1/2), sqrt(2)), then log m = 2 artanh(f / (2 + f)) with
 * f = m - 1, by the polynomial of FDLIBM's e_log.c (e_logf.c). */
EM_INLINE VEC NAME(log_from_one)(VEC x) {
#if EM_DOUBLE
    const REAL ln2_high = 0x1.62e42fee00000p-1, ln2_low = 0x1.a39ef35793c76p-33, integer = 0x1p52;
    static const REAL c[] = {1.479819860511658591e-01, 1.531383769920937332e-01, 1.818357216161805012e-01,
                             2.222219843214978396e-01, 2.857142874366239149e-01, 3.999999999940941908e-01,
                             6.666666666666735130e-01};
    const int mantissa_bits = 52;
    const int64_t half_root = 0x3fe6a09e667f3bcd;
#else
    const REAL ln2_high = 0x1.62e400p-1f, ln2_low = 0x1.7f7d1cp-20f, integer = 0x1p23f;
    static const REAL c[] = {0.24279078841f, 0.28498786688f, 0.40000972152f, 0.66666662693f};
    const int mantissa_bits = 23;
    const int32_t half_root = 0x3f3504f3;
#endif
    const UVEC above = (UVEC)x - half_root, exponent = above >> mantissa_bits;
    const VEC n = (VEC)(exponent | (UVEC)NAME(splat)(integer)) - integer;
    const VEC f = (VEC)((IVEC)x - (IVEC)(exponent << mantissa_bits)) - 1;
    const VEC half_square = (REAL)0.5 * f * f, t = f / (2 + f), z = t * t;
    VEC p = NAME(splat)(c[0]);
    for (int i = 1; i < (int)(sizeof(c) / sizeof(c[0])); i++) p = p * z + c[i];
    return n * ln2_high - ((half_square - (t * (half_square + p * z) + n * ln2_low)) - f);
}
