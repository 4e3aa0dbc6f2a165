/* One portable build that still uses the vector units of the processor it runs on.
 *
 * GCC compiles each function marked EM_CLONES three times and picks one when the library is loaded. Elsewhere the
 * plain version is built. Contraction to fused multiply-add is off (see pyproject.toml), so that every clone gives
 * the same bits. */
#ifndef EMKIT_PORTABLE_H
#define EMKIT_PORTABLE_H

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12 && \
    !defined(__SANITIZE_ADDRESS__)
#define EM_CLONES __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define EM_CLONES
#endif

#define EM_INLINE static inline __attribute__((always_inline))

/* 32 bytes: one AVX2 register, two of SSE2 or NEON. */
#define EM_VECTOR_BYTES 32

#define EM_PASTE2(a, b) a##_##b
#define EM_PASTE(a, b) EM_PASTE2(a, b)

#endif
