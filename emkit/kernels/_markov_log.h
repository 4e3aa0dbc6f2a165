/* The same recursions in logarithms: slower, but nothing underflows. */

/* out[j] = log sum_i exp(x[i] + m[i, j]) for x (k) and m (k, LANES v); -inf where all terms are. */
EM_INLINE void log_propagate(int k, int v, const double *x, const double *m, double *out) {
    for (int a = 0; a < v; a++) {
        VEC top = splat_f64(-DBL_MAX), sum = splat_f64(0);
        for (int i = 0; i < k; i++) top = larger_f64(top, x[i] + load(m + ((size_t)i * v + a) * LANES));
        for (int i = 0; i < k; i++)
            sum += exp_nonpositive_f64(x[i] + load(m + ((size_t)i * v + a) * LANES) - top);
        const IVEC possible = (IVEC)(top > splat_f64(-DBL_MAX));
        const VEC result = top + log_from_one_f64(larger_f64(sum, splat_f64(1)));
        store(out + a * LANES,
                  (VEC)(((IVEC)result & possible) | ((IVEC)splat_f64(-INFINITY) & ~possible)));
    }
}

static double log_total(int k, const double *x) {
    double top = -INFINITY, sum = 0.0;
    for (int j = 0; j < k; j++) top = x[j] > top ? x[j] : top;
    if (top == -INFINITY) return top;
    for (int j = 0; j < k; j++) sum += exp(x[j] - top);
    return top + log(sum);
}

/* log p(state, rows so far) into log_alpha (n, width), each row less its log total, which goes to log_normaliser (n).
 * Returns the first row that is impossible, or n. */
EM_INLINE ptrdiff_t log_forward_sequence(const chain *c, ptrdiff_t n, const double *log_density, ptrdiff_t stride,
                                         const double *log_entry, double *log_alpha, double *log_normaliser) {
    const int v = c->width / LANES;
    for (ptrdiff_t t = 0; t < n; t++) {
        double *out = log_alpha + t * c->width;
        if (t) log_propagate(c->k, v, out - c->width, c->moves, out);
        else memcpy(out, log_entry, c->width * sizeof(double));
        for (int j = 0; j < c->k; j++) out[j] += log_density[t * stride + j];
        const double total = log_total(c->k, out);
        log_normaliser[t] = total;
        if (!(total > -INFINITY)) return t;
        for (int j = 0; j < c->k; j++) out[j] -= total;
    }
    return n;
}

/* Filtered log-probabilities of sequences, log_alpha (rows, width). Returns the first impossible row, or -1; -2: no
 * memory. */
EM_CLONES ptrdiff_t log_filter_f64(ptrdiff_t n_sequences, const ptrdiff_t *starts, int k, const double *log_density,
                                   const double *log_entry, const double *log_transmat, double *log_alpha,
                                   double *log_normaliser) {
    chain c;
    if (open_chain(&c, k, log_transmat, -INFINITY)) return -2;
    ptrdiff_t impossible = -1;
    for (ptrdiff_t i = 0; i < n_sequences && impossible < 0; i++) {
        const ptrdiff_t start = starts[i], n = starts[i + 1] - start;
        const ptrdiff_t reached = log_forward_sequence(&c, n, log_density + start * k, k, log_entry,
                                                       log_alpha + start * c.width, log_normaliser + start);
        if (reached < n) impossible = start + reached;
    }
    free(c.moves);
    return impossible;
}

/* From log_alpha of log_filter_f64: log_alpha becomes the responsibilities times weight, pairs (k, k) and first (k) get
 * their sums. -2: no memory. */
EM_CLONES int log_smooth_f64(ptrdiff_t n_sequences, const ptrdiff_t *starts, int k, const double *weight,
                             const double *log_density, const double *log_transmat, const double *log_normaliser,
                             double *log_alpha, double *first, double *pairs) {
    chain c;
    if (open_chain(&c, k, log_transmat, -INFINITY)) return -2;
    const int width = c.width;
    double *log_beta = aligned_doubles(2 * (size_t)width);
    if (!log_beta) {
        free(c.moves);
        return -2;
    }
    double *message = log_beta + width;
    for (ptrdiff_t i = 0; i < n_sequences; i++) {
        for (int j = 0; j < width; j++) log_beta[j] = message[j] = j < k ? 0.0 : -INFINITY;
        for (ptrdiff_t t = starts[i + 1] - 1; t >= starts[i]; t--) {
            double *state = log_alpha + t * width;
            for (int j = 0; j < k; j++) message[j] = log_density[t * k + j] + log_beta[j] - log_normaliser[t];
            for (int j = 0; j < width; j++) state[j] = j < k ? weight[i] * exp(state[j] + log_beta[j]) : 0.0;
            if (t == starts[i]) {
                for (int j = 0; j < k; j++) first[j] += state[j];
                break;
            }
            const double *before = state - width;
            for (int a = 0; a < k; a++)
                for (int b = 0; b < k; b++)
                    pairs[a * k + b] += weight[i] * exp(before[a] + log_transmat[a * k + b] + message[b]);
            log_propagate(k, width / LANES, message, c.back, log_beta);
        }
    }
    free(log_beta);
    free(c.moves);
    return 0;
}
