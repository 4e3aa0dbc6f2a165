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

/* sums[a, b] += weight exp(before[a] + moves[a, b] + message[b]) */
EM_INLINE void add_log_outer(const chain *c, double weight, const double *before, const double *message,
                             double *sums) {
    for (int a = 0; a < c->k; a++) {
        if (before[a] == -INFINITY) continue;
        for (int b = 0; b < c->width; b += LANES) {
            const VEC joint = before[a] + load(c->moves + a * c->width + b) + load(message + b);
            double *sum = sums + (size_t)a * c->width + b;
            store(sum, load(sum) + weight * exp_nonpositive_f64(joint));
        }
    }
}

/* From log_alpha of log_filter_f64: log_alpha becomes the responsibilities times weight, pairs (k, k) and first (k) get
 * their sums. -2: no memory. */
EM_CLONES int log_smooth_f64(ptrdiff_t n_sequences, const ptrdiff_t *starts, int k, const double *weight,
                             const double *log_density, const double *log_transmat, const double *log_normaliser,
                             double *log_alpha, double *first, double *pairs) {
    chain c;
    if (open_chain(&c, k, log_transmat, -INFINITY)) return -2;
    const int width = c.width;
    double *log_beta = aligned_doubles((2 + (size_t)width) * width);
    if (!log_beta) {
        free(c.moves);
        return -2;
    }
    double *message = log_beta + width, *sums = message + width;
    memset(sums, 0, (size_t)width * width * sizeof(double));
    for (ptrdiff_t i = 0; i < n_sequences; i++) {
        for (int j = 0; j < width; j++) log_beta[j] = message[j] = j < k ? 0.0 : -INFINITY;
        for (ptrdiff_t t = starts[i + 1] - 1; t >= starts[i]; t--) {
            double *state = log_alpha + t * width;
            double total = 0.0; /* 1 but for rounding, which must not build up over the rows */
            for (int j = 0; j < width; j++) total += state[j] = j < k ? exp(state[j] + log_beta[j]) : 0.0;
            const double drift = log_normaliser[t] + log(total);
            for (int j = 0; j < k; j++) message[j] = log_density[t * k + j] + log_beta[j] - drift;
            for (int j = 0; j < k; j++) state[j] *= weight[i] / total;
            if (t == starts[i]) break;
            add_log_outer(&c, weight[i], state - width, message, sums);
            log_propagate(k, width / LANES, message, c.back, log_beta);
        }
        for (int j = 0; j < k; j++) first[j] += log_alpha[starts[i] * width + j];
    }
    for (int a = 0; a < k; a++)
        for (int b = 0; b < k; b++) pairs[a * k + b] += sums[a * width + b];
    free(log_beta);
    free(c.moves);
    return 0;
}
