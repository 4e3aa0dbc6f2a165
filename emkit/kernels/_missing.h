/* Gaussian mixtures on rows with missing features; see reference.py. Double precision; include after _gaussian.h.
 *
 * Rows come sorted by pattern. What depends on the pattern alone, factors of the observed part of each covariance and
 * the regression of the missing part on it, is computed once for all its rows; these are then taken in tiles, samples
 * innermost, and go through the same assignment and moments as complete rows, with expected values in the gaps. */

#define GAP_TILE 32

typedef struct {
    ptrdiff_t n_patterns;
    const ptrdiff_t *starts;       /* (n_patterns + 1): where the rows of each pattern begin */
    const unsigned char *observed; /* (n_patterns, d) */
    const double *X;               /* (n, d) */
} gappy_rows;

/* k Gaussians conditioned on a pattern, and room for a tile; o observed and m missing features. */
typedef struct {
    int d, k, o, m;
    int *seen, *gaps;
    double *lower, *half, *given;        /* k times (o, o), (o, m), (m, m): L L^T = S_oo, half = L^-1 S_om */
    double *log_norm, *count;            /* (k) */
    double *white, *joint, *x, *weighted; /* k (o, tile), (k, tile), (d, tile), (d, tile) */
    double *weight;                      /* (tile) */
} gap_space;

static void *open_gap_space(gap_space *w, int d, int k) {
    const size_t square = (size_t)k * d * d, tiles = (size_t)GAP_TILE * ((size_t)k * d + k + 2 * d + 1);
    const size_t padding = 16; /* so that the tiles after the squares stay aligned */
    double *memory = NULL;
    if (posix_memalign((void **)&memory, 64, (tiles + 3 * square + 2 * k + d + padding) * sizeof(double))) return NULL;
    w->d = d, w->k = k;
    w->white = memory;
    w->joint = w->white + (size_t)GAP_TILE * k * d;
    w->x = w->joint + (size_t)GAP_TILE * k;
    w->weighted = w->x + (size_t)GAP_TILE * d;
    w->weight = w->weighted + (size_t)GAP_TILE * d;
    w->lower = w->weight + GAP_TILE;
    w->half = w->lower + square;
    w->given = w->half + square;
    w->log_norm = w->given + square;
    w->count = w->log_norm + k;
    w->seen = (int *)(w->count + k);
    w->gaps = w->seen + d;
    return memory;
}

/* 0 if the observed part of a covariance is not positive definite. */
EM_INLINE int condition_on(gap_space *w, const unsigned char *observed, const double *covariances) {
    w->o = w->m = 0;
    for (int j = 0; j < w->d; j++)
        if (observed[j]) w->seen[w->o++] = j;
        else w->gaps[w->m++] = j;
    const int o = w->o, m = w->m;
    for (int c = 0; c < w->k; c++) {
        const double *S = covariances + (size_t)c * w->d * w->d;
        double *L = w->lower + (size_t)c * o * o, *half = w->half + (size_t)c * o * m;
        double *given = w->given + (size_t)c * m * m, log_det = 0.0;
        for (int i = 0; i < o; i++)
            for (int j = 0; j < o; j++) L[i * o + j] = S[w->seen[i] * w->d + w->seen[j]];
        if (!cholesky_in_place(o, L)) return 0;
        for (int i = 0; i < o; i++) {
            for (int a = 0; a < m; a++) half[i * m + a] = S[w->seen[i] * w->d + w->gaps[a]];
            for (int j = 0; j < i; j++)
                for (int a = 0; a < m; a++) half[i * m + a] -= L[i * o + j] * half[j * m + a];
            for (int a = 0; a < m; a++) half[i * m + a] /= L[i * o + i];
            log_det += log(L[i * o + i]);
        }
        for (int a = 0; a < m; a++)
            for (int b = 0; b <= a; b++) {
                double sum = S[w->gaps[a] * w->d + w->gaps[b]];
                for (int i = 0; i < o; i++) sum -= half[i * m + a] * half[i * m + b];
                given[a * m + b] = sum;
            }
        w->log_norm[c] = -0.5 * o * 1.8378770664093453 - log_det; /* log(2 pi) */
        w->count[c] = 0.0;
    }
    return 1;
}

/* white = L^-1 (x - mean) of the observed features of a tile, and the log density plus `constant`. */
EM_INLINE void whiten_seen(const gap_space *w, int c, const double *mean, double constant, double *joint) {
    const int o = w->o;
    const double *L = w->lower + (size_t)c * o * o;
    double *white = w->white + (size_t)c * o * GAP_TILE, square[GAP_TILE] = {0};
    for (int i = 0; i < o; i++) {
        double *z = white + i * GAP_TILE;
        const double *x = w->x + w->seen[i] * GAP_TILE, m = mean[w->seen[i]], scale = 1.0 / L[i * o + i];
        for (int s = 0; s < GAP_TILE; s++) z[s] = x[s] - m;
        for (int j = 0; j < i; j++)
            for (int s = 0; s < GAP_TILE; s++) z[s] -= L[i * o + j] * white[j * GAP_TILE + s];
        for (int s = 0; s < GAP_TILE; s++) {
            z[s] *= scale;
            square[s] += z[s] * z[s];
        }
    }
    for (int s = 0; s < GAP_TILE; s++)
        joint[s] = constant + w->log_norm[c] - 0.5 * (square[s] < 1e300 ? square[s] : 1e300);
}

/* Differences of a tile from the mean, into `diff` (d, tile); missing features by regression on the observed ones. */
EM_INLINE void expected_differences(const gap_space *w, int c, const double *mean, double *diff) {
    const int o = w->o, m = w->m;
    const double *half = w->half + (size_t)c * o * m, *white = w->white + (size_t)c * o * GAP_TILE;
    for (int i = 0; i < o; i++)
        for (int s = 0, j = w->seen[i]; s < GAP_TILE; s++) diff[j * GAP_TILE + s] = w->x[j * GAP_TILE + s] - mean[j];
    for (int a = 0; a < m; a++) {
        double *out = diff + w->gaps[a] * GAP_TILE;
        for (int s = 0; s < GAP_TILE; s++) out[s] = 0.0;
        for (int i = 0; i < o; i++)
            for (int s = 0; s < GAP_TILE; s++) out[s] += half[i * m + a] * white[i * GAP_TILE + s];
    }
}

/* Statistics of a tile whose weighted responsibilities are in `joint`; `diff` is room for (d, tile). */
EM_INLINE void add_gappy_moments(gap_space *w, const double *means, double *diff, double *counts, double *sums,
                                 double *scatters) {
    for (int c = 0; c < w->k; c++) {
        const double *resp = w->joint + c * GAP_TILE;
        if (is_empty_f64(GAP_TILE, resp)) continue;
        for (int s = 0; s < GAP_TILE; s++) w->count[c] += resp[s];
        expected_differences(w, c, means + (size_t)c * w->d, diff);
        moments_any_f64(w->d, GAP_TILE, diff, resp, w->weighted, counts + c, sums + (size_t)c * w->d,
                        scatters + (size_t)c * w->d * w->d);
    }
}

EM_INLINE void fill_gappy_tile(gap_space *w, int n, const double *X) {
    for (int s = 0; s < GAP_TILE; s++) {
        const double *row = X + (size_t)(s < n ? s : n - 1) * w->d;
        for (int i = 0; i < w->o; i++) w->x[w->seen[i] * GAP_TILE + s] = row[w->seen[i]];
    }
}

/* Covariance of the missing features given the observed ones, once for the weight of the pattern's rows. */
EM_INLINE void add_spread(const gap_space *w, double *scatters) {
    for (int c = 0; c < w->k; c++)
        for (int a = 0; a < w->m; a++)
            for (int b = 0; b <= a; b++)
                scatters[((size_t)c * w->d + w->gaps[a]) * w->d + w->gaps[b]] +=
                    w->count[c] * w->given[((size_t)c * w->m + a) * w->m + b];
}

/* One of three jobs: log joint densities into `out` (n, k); or, where that is NULL, statistics under the model's own
 * responsibilities, or under given ones `resp` (n, k), which include the weights. -1: no memory; -2: singular. */
EM_CLONES int gappy_rows_f64(gappy_rows data, const double *weight, const double *resp, int d, int k,
                             const double *means, const double *covariances, const double *constants, int hard,
                             double *out, double *objective, double *counts, double *sums, double *scatters) {
    gap_space w;
    void *memory = open_gap_space(&w, d, k);
    double *diff = NULL;
    int status = 0;
    if (!memory || posix_memalign((void **)&diff, 64, (size_t)GAP_TILE * d * sizeof(double))) status = -1;
    for (ptrdiff_t p = 0; p < data.n_patterns && status == 0; p++) {
        if (!condition_on(&w, data.observed + p * d, covariances)) status = -2;
        for (ptrdiff_t row = data.starts[p]; row < data.starts[p + 1] && status == 0; row += GAP_TILE) {
            const int n = data.starts[p + 1] - row < GAP_TILE ? (int)(data.starts[p + 1] - row) : GAP_TILE;
            fill_gappy_tile(&w, n, data.X + row * d);
            for (int c = 0; c < k; c++)
                whiten_seen(&w, c, means + (size_t)c * d, constants[c], w.joint + c * GAP_TILE);
            if (out) {
                for (int s = 0; s < n; s++)
                    for (int c = 0; c < k; c++) out[(row + s) * k + c] = w.joint[c * GAP_TILE + s];
                continue;
            }
            if (resp) {
                for (int c = 0; c < k; c++)
                    for (int s = 0; s < GAP_TILE; s++)
                        w.joint[c * GAP_TILE + s] = s < n ? resp[(row + s) * k + c] : 0.0;
            } else {
                fill_weights_f64(GAP_TILE, n, weight + row, w.weight);
                *objective += hard ? hard_assign_f64(k, GAP_TILE, w.joint, w.weight)
                                   : soft_assign_f64(k, GAP_TILE, w.joint, w.weight);
            }
            add_gappy_moments(&w, means, diff, counts, sums, scatters);
        }
        if (!out && status == 0) add_spread(&w, scatters);
    }
    free(diff);
    free(memory);
    return status;
}
