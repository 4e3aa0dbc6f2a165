/* Hidden Markov chains; see markov_reference.py for what each kernel computes. Double precision.
 *
 * Rows of states are padded with zeros to `width`, a multiple of the vector length. The recursions are those of Rabiner,
 * with two changes: densities are relative to the largest of their row, so that they do not underflow, and a step is
 * divided by the total of the step before, which is known early, instead of its own, which the next step would wait for.
 *
 * Where the transition matrix has (next to) zeros, a state may become improbable beyond the range of doubles and yet be
 * the one that later rows prove right. Such sequences are reported as unsafe, and computed by the logarithmic kernels. */
#ifndef EMKIT_MARKOV_H
#define EMKIT_MARKOV_H

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "_portable.h"

#define EM_DOUBLE 1
#include "_real.h"
#undef EM_DOUBLE

#define STEPS 8          /* whose outer products are added together */
#define FEW 4            /* vectors of states that fit the registers */
#define SMALLEST 1e-150  /* below it a scaled probability counts as lost; the square of its inverse is finite */
#define LEAST_MOVE 1e-60 /* transitions at least as probable as this forget what underflows before it can matter */

/* Arrays of the caller may lie at any multiple of 8 bytes. */
typedef double anywhere __attribute__((vector_size(EM_VECTOR_BYTES), may_alias, aligned(8)));
EM_INLINE VEC load(const double *p) { return (VEC) * (const anywhere *)p; }
EM_INLINE void store(double *p, VEC v) { *(anywhere *)p = (anywhere)v; }

EM_INLINE double largest_lane(VEC v) {
    double largest = v[0];
    for (int i = 1; i < LANES; i++) largest = v[i] > largest ? v[i] : largest;
    return largest;
}

static inline int width_of(int k) { return (k + LANES - 1) / LANES * LANES; }

static void *aligned_doubles(size_t n) {
    void *memory = NULL;
    return posix_memalign(&memory, 64, (n ? n : 1) * sizeof(double)) ? NULL : memory;
}

/* out = x^T m for x (k) and m (k, LANES v), v <= FEW; partial sums shorten the chain of additions. */
EM_INLINE void propagate_few(const int k, const int v, const double *x, const double *m, VEC *out) {
    const int chains = v <= 2 ? 4 : 2;
    VEC sum[4][FEW];
#pragma GCC unroll 4
    for (int c = 0; c < chains; c++)
#pragma GCC unroll 4
        for (int a = 0; a < v; a++)
            sum[c][a] = c < k ? (VEC)(x[c] * load(m + (c * v + a) * LANES)) : splat_f64(0);
#pragma GCC unroll 16
    for (int i = chains; i < k; i++)
#pragma GCC unroll 4
        for (int a = 0; a < v; a++) sum[i % chains][a] += x[i] * load(m + (i * v + a) * LANES);
#pragma GCC unroll 4
    for (int half = chains / 2; half > 0; half /= 2)
        for (int c = 0; c < half; c++)
            for (int a = 0; a < v; a++) sum[c][a] += sum[c + half][a];
    for (int a = 0; a < v; a++) out[a] = sum[0][a];
}

EM_INLINE void propagate_block(const int n, int k, int v, const double *x, const double *m, VEC *out) {
    VEC sum[8];
    for (int a = 0; a < n; a++) sum[a] = splat_f64(0);
    for (int i = 0; i < k; i++)
        for (int a = 0; a < n; a++) sum[a] += x[i] * load(m + ((size_t)i * v + a) * LANES);
    for (int a = 0; a < n; a++) out[a] = sum[a];
}

EM_INLINE void propagate_many(int k, int v, const double *x, const double *m, VEC *out) {
    for (int a = 0; a < v; a += 8) {
        const double *block = m + (size_t)a * LANES;
        switch (v - a) {
        case 1: propagate_block(1, k, v, x, block, out + a); break;
        case 2: propagate_block(2, k, v, x, block, out + a); break;
        case 3: propagate_block(3, k, v, x, block, out + a); break;
        case 4: propagate_block(4, k, v, x, block, out + a); break;
        case 5: propagate_block(5, k, v, x, block, out + a); break;
        case 6: propagate_block(6, k, v, x, block, out + a); break;
        case 7: propagate_block(7, k, v, x, block, out + a); break;
        default: propagate_block(8, k, v, x, block, out + a);
        }
    }
}

EM_INLINE void propagate(const int k, const int v, const double *x, const double *m, VEC *out) {
    if (v <= FEW) propagate_few(k, v, x, m, out);
    else propagate_many(k, v, x, m, out);
}

/* pairs += sum_s left[s] outer right[s]; left (count, k), right (count, LANES v), rows of both LANES v apart. */
EM_INLINE void outer_block(const int rows, const int columns, const int count, int v, const double *left,
                           const double *right, double *pairs) {
    VEC sum[2][4];
    for (int r = 0; r < rows; r++)
        for (int a = 0; a < columns; a++) sum[r][a] = load(pairs + ((size_t)r * v + a) * LANES);
    for (int s = 0; s < count; s++)
        for (int r = 0; r < rows; r++)
            for (int a = 0; a < columns; a++)
                sum[r][a] += left[(size_t)s * v * LANES + r] * load(right + ((size_t)s * v + a) * LANES);
    for (int r = 0; r < rows; r++)
        for (int a = 0; a < columns; a++) store(pairs + ((size_t)r * v + a) * LANES, sum[r][a]);
}

EM_INLINE void outer_columns(const int columns, const int count, int k, int v, const double *left, const double *right,
                             double *pairs) {
    int i = 0;
    for (; i + 1 < k; i += 2)
        outer_block(2, columns, count, v, left + i, right, pairs + (size_t)i * v * LANES);
    if (i < k) outer_block(1, columns, count, v, left + i, right, pairs + (size_t)i * v * LANES);
}

EM_INLINE void add_outer(const int count, const int k, const int v, const double *left, const double *right,
                         double *pairs) {
    for (int a = 0; a < v; a += 4) {
        const double *columns = right + (size_t)a * LANES;
        double *out = pairs + (size_t)a * LANES;
        switch (v - a) {
        case 1: outer_columns(1, count, k, v, left, columns, out); break;
        case 2: outer_columns(2, count, k, v, left, columns, out); break;
        case 3: outer_columns(3, count, k, v, left, columns, out); break;
        default: outer_columns(4, count, k, v, left, columns, out);
        }
    }
}

/* What a call needs of the chain: the transition matrix and its transpose, rows padded to `width`. */
typedef struct {
    int k, width, guarded; /* guarded: some transition is (next to) impossible */
    double *moves, *back;  /* (width, width) each */
} chain;

static int open_chain(chain *c, int k, const double *transmat, double padding) {
    const int width = width_of(k);
    c->k = k, c->width = width, c->guarded = 0;
    c->moves = aligned_doubles(2 * (size_t)width * width);
    if (!c->moves) return -1;
    c->back = c->moves + (size_t)width * width;
    for (size_t i = 0; i < 2 * (size_t)width * width; i++) c->moves[i] = padding;
    for (int i = 0; i < k; i++)
        for (int j = 0; j < k; j++) {
            const double p = transmat[i * k + j];
            c->moves[i * width + j] = c->back[j * width + i] = p;
            if (p < LEAST_MOVE) c->guarded = 1;
        }
    return 0;
}

/* Filtered probabilities times their normaliser, into alpha (n, width); 1 / normaliser into inverse (n). Returns the sum
 * of the normalisers' logs, or NaN if the sequence is unsafe. `inverse` has room for (LANES + width) more. */
EM_INLINE double forward_sequence(const int k, const int v, const chain *c, ptrdiff_t n, const double *density,
                                  const double *entry, double *alpha, double *inverse) {
    VEC predicted[FEW];
    VEC *wide = v <= FEW ? predicted : (VEC *)(((uintptr_t)(inverse + n) + sizeof(VEC) - 1) & ~(sizeof(VEC) - 1));
    IVEC lost = (IVEC)splat_f64(0);
    double log_likelihood = 0.0, product = 1.0, before = 1.0, least = 1.0;
    for (ptrdiff_t t = 0; t < n; t++) {
        const double *b = density + t * v * LANES;
        double *out = alpha + t * v * LANES;
        if (t) propagate(k, v, out - v * LANES, c->moves, wide);
        VEC sum = splat_f64(0);
        for (int a = 0; a < v; a++) {
            const VEC likely = load(b + a * LANES), reach = t ? wide[a] : load(entry + a * LANES);
            const VEC state = reach * (likely * before);
            if (c->guarded) lost |= (IVEC)(state < splat_f64(SMALLEST)) & (IVEC)(reach > 0) & (IVEC)(likely > 0);
            store(out + a * LANES, state);
            sum += state;
        }
        const double total = add_lanes_f64(sum);
        if (!(total >= SMALLEST)) least = 0.0;
        before = inverse[t] = 1.0 / total;
        product *= total;
        if (product < SMALLEST) {
            log_likelihood += log(product);
            product = 1.0;
        }
    }
    for (int i = 0; i < LANES; i++)
        if (lost[i]) least = 0.0;
    return least > 0.0 ? log_likelihood + log(product) : NAN;
}

/* Responsibilities times `weight` over the densities; what the transitions get, to be multiplied by their probability,
 * is added to pairs (k, width). `tail` (width) is the message of the rows that follow, or NULL; `head` (width), unless it
 * is NULL, becomes the message to rows before; `recent` is room for (STEPS + 2, width). */
EM_INLINE void backward_sequence(const int k, const int v, const chain *c, ptrdiff_t n, double weight,
                                 double *density, const double *alpha, const double *inverse, const double *tail,
                                  double *head, double *recent, double *pairs) {
    VEC few[FEW];
    VEC *beta = v <= FEW ? few : (VEC *)(recent + (STEPS + 1) * v * LANES);
    double *message = recent + STEPS * v * LANES; /* densities times beta, from a row to the one before */
    int waiting = 0;
    for (int a = 0; a < v; a++) beta[a] = splat_f64(inverse[n - 1]);
    if (tail) {
        for (int a = 0; a < v; a++) {
            const VEC u = load(tail + a * LANES) * inverse[n - 1];
            store(message + a * LANES, u);
            store(recent + a * LANES, u * weight);
        }
        propagate(k, v, message, c->back, beta);
        add_outer(1, k, v, alpha + (n - 1) * v * LANES, recent, pairs);
    }
    for (ptrdiff_t t = n - 1; t >= 0; t--) {
        double *b = density + t * v * LANES;
        const double *state = alpha + t * v * LANES;
        const double before = t ? inverse[t - 1] : 1.0;
        double *slot = recent + (STEPS - 1 - waiting) * v * LANES; /* filled backwards, so that time runs forwards */
        for (int a = 0; a < v; a++) {
            const VEC filtered = load(state + a * LANES);
            VEC given = beta[a];
            if (c->guarded) given = (VEC)((IVEC)given & (IVEC)(filtered > 0)); /* may be infinite where nothing gets */
            const VEC u = load(b + a * LANES) * before * given;
            store(b + a * LANES, filtered * given * weight);
            store(message + a * LANES, u);
            store(slot + a * LANES, u * weight);
        }
        if (!t) break;
        propagate(k, v, message, c->back, beta);
        if (++waiting == STEPS) {
            add_outer(STEPS, k, v, alpha + (t - 1) * v * LANES, recent, pairs);
            waiting = 0;
        }
    }
    if (waiting) add_outer(waiting, k, v, alpha, recent + (STEPS - waiting) * v * LANES, pairs);
    if (head) memcpy(head, message, (size_t)v * LANES * sizeof(double));
}

/* Calls f with the number of states, rounded up, and of vectors as constants where they are small, so that its loops
 * unroll. What the rounding adds has probability zero. */
#define WITH_STATES(k, f, ...)                                            \
    switch (k) {                                                          \
    case 1: case 2: f(2, 1, __VA_ARGS__); break;                          \
    case 3: f(3, 1, __VA_ARGS__); break;                                  \
    case 4: f(4, 1, __VA_ARGS__); break;                                  \
    case 5: case 6: f(6, 2, __VA_ARGS__); break;                          \
    case 7: case 8: f(8, 2, __VA_ARGS__); break;                          \
    case 9: case 10: case 11: case 12: f(12, 3, __VA_ARGS__); break;      \
    case 13: case 14: case 15: case 16: f(16, 4, __VA_ARGS__); break;     \
    default: f(k, (k + LANES - 1) / LANES, __VA_ARGS__);                  \
    }

typedef struct {
    ptrdiff_t n;              /* sequences */
    const ptrdiff_t *starts;  /* (n + 1) */
    const double *log_scale;  /* (rows): logs of what the densities were divided by */
    const double *entry;      /* (width): probabilities of the states at the first row of each sequence */
} many_sequences;

static ptrdiff_t longest_of(const many_sequences *s) {
    ptrdiff_t longest = 1;
    for (ptrdiff_t i = 0; i < s->n; i++)
        if (s->starts[i + 1] - s->starts[i] > longest) longest = s->starts[i + 1] - s->starts[i];
    return longest;
}

static double sum_of(const double *x, ptrdiff_t n) {
    double sum = 0.0;
    for (ptrdiff_t t = 0; t < n; t++) sum += x[t];
    return sum;
}

EM_INLINE void smooth_all(const int k, const int v, const many_sequences *s, const chain *c,
                          const double *weight, double *density, double *alpha, double *inverse, double *recent,
                          double *log_likelihood, unsigned char *unsafe, double *first, double *pairs) {
    for (ptrdiff_t i = 0; i < s->n; i++) {
        const ptrdiff_t start = s->starts[i], n = s->starts[i + 1] - start;
        double *b = density + start * v * LANES;
        const double scaled = forward_sequence(k, v, c, n, b, s->entry, alpha, inverse);
        unsafe[i] = scaled != scaled;
        if (unsafe[i]) continue;
        log_likelihood[i] = scaled + sum_of(s->log_scale + start, n);
        backward_sequence(k, v, c, n, weight[i], b, alpha, inverse, NULL, NULL, recent, pairs);
        for (int j = 0; j < c->k; j++) first[j] += b[j];
    }
}

/* densities (rows, width) become responsibilities; -1: no memory. */
EM_CLONES int forward_backward_f64(many_sequences s, int k, const double *transmat, const double *weight,
                                   double *density, double *log_likelihood, unsigned char *unsafe, double *first,
                                   double *pairs) {
    chain c;
    if (open_chain(&c, k, transmat, 0.0)) return -1;
    const ptrdiff_t longest = longest_of(&s);
    const size_t width = c.width, rows = (longest + LANES - 1) / LANES * LANES;
    double *alpha = aligned_doubles(longest * width + rows + width * (STEPS + 4) + width * width);
    if (!alpha) {
        free(c.moves);
        return -1;
    }
    double *inverse = alpha + longest * width, *recent = inverse + rows + 2 * width;
    double *sums = recent + (STEPS + 2) * width;
    memset(sums, 0, width * width * sizeof(double));
    WITH_STATES(k, smooth_all, &s, &c, weight, density, alpha, inverse, recent, log_likelihood, unsafe, first,
                sums)
    for (int i = 0; i < k; i++)
        for (int j = 0; j < k; j++) pairs[i * k + j] += sums[i * width + j] * transmat[i * k + j];
    free(alpha);
    free(c.moves);
    return 0;
}

EM_INLINE void forward_rows(const int k, const int v, ptrdiff_t n, const chain *c,
                            const double *density, const double *entry, double *alpha, double *inverse,
                            double *log_likelihood) {
    *log_likelihood = forward_sequence(k, v, c, n, density, entry, alpha, inverse);
}

/* One sequence, or a block of one, forwards: see forward_sequence; inverse has room for (n rounded up + width). */
EM_CLONES int forward_f64(ptrdiff_t n, int k, const double *transmat, const double *density, const double *entry,
                          double *alpha, double *inverse, double *log_likelihood) {
    chain c;
    if (open_chain(&c, k, transmat, 0.0)) return -1;
    WITH_STATES(k, forward_rows, n, &c, density, entry, alpha, inverse, log_likelihood)
    free(c.moves);
    return 0;
}

EM_INLINE void backward_rows(const int k, const int v, ptrdiff_t n, const chain *c, double weight,
                             const double *tail, double *density, const double *alpha, const double *inverse,
                             double *head, double *recent, double *pairs) {
    backward_sequence(k, v, c, n, weight, density, alpha, inverse, tail, head, recent, pairs);
}

/* And backwards, from what forward_f64 gave; densities become responsibilities. */
EM_CLONES int backward_f64(ptrdiff_t n, int k, const double *transmat, double weight, const double *tail,
                           double *density, const double *alpha, const double *inverse, double *head, double *pairs) {
    chain c;
    if (open_chain(&c, k, transmat, 0.0)) return -1;
    const size_t width = c.width;
    double *recent = aligned_doubles(width * (STEPS + 2) + width * width);
    if (!recent) {
        free(c.moves);
        return -1;
    }
    double *sums = recent + (STEPS + 2) * width;
    memset(sums, 0, width * width * sizeof(double));
    WITH_STATES(k, backward_rows, n, &c, weight, tail, density, alpha, inverse, head, recent, sums)
    for (int i = 0; i < k; i++)
        for (int j = 0; j < k; j++) pairs[i * k + j] += sums[i * width + j] * transmat[i * k + j];
    free(recent);
    free(c.moves);
    return 0;
}

EM_INLINE void filter_all(const int k, const int v, const many_sequences *s, const chain *c,
                          const double *density, double *filtered, double *normaliser, double *room,
                          unsigned char *unsafe) {
    for (ptrdiff_t i = 0; i < s->n; i++) {
        const ptrdiff_t start = s->starts[i], n = s->starts[i + 1] - start;
        double *out = filtered + start * v * LANES;
        const double scaled = forward_sequence(k, v, c, n, density + start * v * LANES, s->entry, out, room);
        unsafe[i] = scaled != scaled;
        for (ptrdiff_t t = 0; t < n && !unsafe[i]; t++) {
            normaliser[start + t] = 1.0 / room[t];
            for (int a = 0; a < v; a++) store(out + (t * v + a) * LANES, load(out + (t * v + a) * LANES) * room[t]);
        }
    }
}

/* Probabilities given the rows so far into filtered (rows, width), which may be the densities; normaliser (rows) is that
 * of each step. */
EM_CLONES int filter_f64(many_sequences s, int k, const double *transmat, const double *density, double *filtered,
                         double *normaliser, unsigned char *unsafe) {
    chain c;
    if (open_chain(&c, k, transmat, 0.0)) return -1;
    const ptrdiff_t longest = longest_of(&s);
    double *room = aligned_doubles(longest + LANES + c.width);
    if (!room) {
        free(c.moves);
        return -1;
    }
    WITH_STATES(k, filter_all, &s, &c, density, filtered, normaliser, room, unsafe)
    free(room);
    free(c.moves);
    return 0;
}

/* One row of log densities (k), padded with -inf. Unless it is near the end of the array, what lies behind it is read. */
EM_INLINE VEC padded(const double *row, int k, int a, int at_end) {
    const int left = k - a * LANES;
    VEC x = splat_f64(-INFINITY);
    if (left >= LANES) return load(row + a * LANES);
    if (!at_end) x = load(row + a * LANES);
    for (int i = 0; i < LANES; i++) x[i] = i >= left ? -INFINITY : at_end ? row[a * LANES + i] : x[i];
    return x;
}

EM_INLINE double scale_row(const int v, int k, const double *row, int at_end, double *out) {
    VEC top = padded(row, k, 0, at_end);
    for (int a = 1; a < v; a++) top = larger_f64(top, padded(row, k, a, at_end));
    const double largest = largest_lane(top);
    for (int a = 0; a < v; a++) {
        const VEC x = padded(row, k, a, at_end);
        const IVEC possible = (IVEC)(x > splat_f64(-INFINITY));
        const VEC scaled = larger_f64(exp_nonpositive_f64(x - largest), splat_f64(1e-300));
        store(out + a * LANES, (VEC)((IVEC)scaled & possible));
    }
    return largest;
}

EM_INLINE void scale_many(const int states, const int v, ptrdiff_t n, int k, const double *log_density,
                          double *density, double *log_scale) {
    (void)states;
    for (ptrdiff_t t = 0; t < n; t++)
        log_scale[t] = scale_row(v, k, log_density + t * k, (n - t) * k < v * LANES, density + t * v * LANES);
}

/* density (n, width) = exp(log_density (n, k) - log_scale), log_scale (n) the largest of each row; 1e-300 stands for what
 * is smaller but not zero. A row of nothing but -inf becomes zeros, and its log_scale -inf. */
EM_CLONES void scale_rows_f64(ptrdiff_t n, int k, const double *log_density, double *density, double *log_scale) {
    WITH_STATES(k, scale_many, n, k, log_density, density, log_scale)
}

#include "_markov_log.h"
#include "_markov_paths.h"

#endif
