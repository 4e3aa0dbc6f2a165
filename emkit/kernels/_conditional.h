/* A Gaussian given the observed part of each row; see conditional_reference.py. Double precision.
 *
 * The rows of a pattern share one matrix, and LANES patterns are worked on at once. On the missing side that matrix is
 * the missing block of the precision K: given the observed part, the missing one has precision K_mm, and its mean lies
 * -K_mm^-1 g away, where g = K (x - mean) with the gaps at the mean. On the observed side it is the observed block of
 * the covariance. The smaller of the two is taken. */

#define LOG_2PI 1.8378770664093453

typedef struct {
    ptrdiff_t n_patterns;
    const ptrdiff_t *starts;       /* (n_patterns + 1): where the rows of each pattern begin */
    const unsigned char *observed; /* (n_patterns, d) */
    const double *weight;          /* (n) */
    const double *pulls;           /* (n, d): K (x - mean), gaps at the mean */
    const double *squares;         /* (n): (x - mean)^T K (x - mean), likewise */
    double *deviations;            /* (n, d): x - mean; gaps are filled in */
} patterned_rows;

typedef struct {
    const double *precision, *covariance; /* (d, d) */
    double log_det;                       /* of the covariance */
} gaussian;

/* LANES patterns: which features are in the matrix (`index`), which are not (`other`). */
typedef struct {
    int d, m, n_other;
    int *index, *other;             /* (LANES, d) */
    int size[LANES], others[LANES];
    ptrdiff_t first[LANES], last[LANES];
    VEC *lower, *inverse, *x, *half;
    VEC weight;
} lane_space;

static void *open_lanes(lane_space *w, int d) {
    const size_t square = (size_t)d * d, packed = (size_t)d * (d + 1) / 2;
    void *memory = NULL;
    if (posix_memalign(&memory, 64, (packed + square + 2 * (size_t)d) * sizeof(VEC) + 2 * LANES * d * sizeof(int)))
        return NULL;
    w->d = d;
    w->lower = memory;
    w->inverse = w->lower + packed;
    w->x = w->inverse + square;
    w->half = w->x + d;
    w->index = (int *)(w->half + d);
    w->other = w->index + LANES * d;
    return memory;
}

EM_INLINE int is_missing_side(int d, const unsigned char *observed) {
    int missing = 0;
    for (int j = 0; j < d; j++) missing += !observed[j];
    return 2 * missing <= d;
}

/* Take the patterns from `p` on that are on the same side; how many. */
EM_INLINE int take_patterns(lane_space *w, const patterned_rows *data, ptrdiff_t p, int missing_side) {
    const int d = w->d;
    int n = 0;
    w->m = w->n_other = 0;
    for (int l = 0; l < LANES; l++) {
        const unsigned char *observed = data->observed + (p + l) * d;
        const int is_used = n == l && p + l < data->n_patterns && is_missing_side(d, observed) == missing_side;
        w->size[l] = w->others[l] = 0;
        w->first[l] = w->last[l] = 0;
        w->weight[l] = 0.0;
        if (!is_used) continue;
        n++;
        for (int j = 0; j < d; j++)
            if (observed[j] != missing_side) w->index[l * d + w->size[l]++] = j;
            else w->other[l * d + w->others[l]++] = j;
        w->first[l] = data->starts[p + l];
        w->last[l] = data->starts[p + l + 1];
        for (ptrdiff_t i = w->first[l]; i < w->last[l]; i++) w->weight[l] += data->weight[i];
        if (w->size[l] > w->m) w->m = w->size[l];
        if (w->others[l] > w->n_other) w->n_other = w->others[l];
    }
    return n;
}

/* The chosen rows and columns of a matrix (d, d), the identity where a lane has fewer. */
EM_INLINE void take_blocks(const lane_space *w, const double *matrix) {
    for (int l = 0; l < LANES; l++) {
        const int *index = w->index + l * w->d;
        for (int i = 0; i < w->m; i++) {
            double *row = (double *)packed_row(w->lower, i) + l;
            for (int j = 0; j <= i; j++)
                row[(size_t)j * LANES] = i < w->size[l] ? matrix[(size_t)index[i] * w->d + index[j]] : i == j;
        }
    }
}

/* Elements of a row of each lane, zero where it has fewer or no row of that number. */
EM_INLINE void take_vectors(const lane_space *w, const double *rows, ptrdiff_t number) {
    for (int l = 0; l < LANES; l++) {
        const int size = w->first[l] + number < w->last[l] ? w->size[l] : 0;
        const double *row = rows + (w->first[l] + number) * w->d;
        for (int i = 0; i < w->m; i++) ((double *)(w->x + i))[l] = i < size ? row[w->index[l * w->d + i]] : 0.0;
    }
}

EM_INLINE ptrdiff_t most_rows(const lane_space *w) {
    ptrdiff_t most = 0;
    for (int l = 0; l < LANES; l++)
        if (w->last[l] - w->first[l] > most) most = w->last[l] - w->first[l];
    return most;
}

/* Fill the gaps through K_mm, and put the log density of what is observed into `log_density` (n). */
EM_INLINE int missing_side(lane_space *w, const patterned_rows *data, const gaussian *g, double *log_density,
                           double *variances, double *spread) {
    VEC log_det;
    take_blocks(w, g->precision);
    if (!factorise_lanes(w->m, w->lower, &log_det)) return 0;
    for (ptrdiff_t r = 0, most = most_rows(w); r < most; r++) {
        take_vectors(w, data->pulls, r);
        solve_lower(w->m, w->lower, w->x);
        const VEC gain = one_product(0, w->m, w->x, w->x);
        solve_upper(w->m, w->lower, w->x);
        for (int l = 0; l < LANES; l++) {
            const ptrdiff_t i = w->first[l] + r;
            if (i >= w->last[l]) continue;
            const double constant = (w->d - w->size[l]) * LOG_2PI + g->log_det + log_det[l];
            log_density[i] = -0.5 * (constant + data->squares[i] - gain[l]);
            for (int j = 0; j < w->size[l]; j++)
                data->deviations[i * w->d + w->index[l * w->d + j]] = -((double *)(w->x + j))[l];
        }
    }
    if (!spread && !variances) return 1;
    invert_lower(w->m, w->lower, w->inverse);
    if (spread) add_inverse(w->m, w->d, w->inverse, w->index, w->size, w->weight, spread);
    if (!variances) return 1;
    inverse_diagonal(w->m, w->inverse, w->x);
    for (int l = 0; l < LANES; l++)
        for (ptrdiff_t i = w->first[l]; i < w->last[l]; i++)
            for (int j = 0; j < w->size[l]; j++)
                variances[i * w->d + w->index[l * w->d + j]] = ((double *)(w->x + j))[l];
    return 1;
}

/* The same through S_oo: rows of `inverse` hold L^-1 S_o,a of the missing features a. */
EM_INLINE int observed_side(lane_space *w, const patterned_rows *data, const gaussian *g, double *log_density,
                            double *variances, double *spread) {
    const int d = w->d, m = w->m;
    VEC log_det;
    take_blocks(w, g->covariance);
    if (!factorise_lanes(m, w->lower, &log_det)) return 0;
    for (int a = 0; a < w->n_other; a++) {
        VEC *column = w->inverse + (size_t)a * m;
        for (int l = 0; l < LANES; l++)
            for (int i = 0; i < m; i++) {
                const int is_used = i < w->size[l] && a < w->others[l];
                ((double *)(column + i))[l] =
                    is_used ? g->covariance[(size_t)w->index[l * d + i] * d + w->other[l * d + a]] : 0.0;
            }
        solve_lower(m, w->lower, column);
    }
    for (ptrdiff_t r = 0, most = most_rows(w); r < most; r++) {
        take_vectors(w, data->deviations, r);
        solve_lower(m, w->lower, w->x);
        const VEC square = one_product(0, m, w->x, w->x);
        for (int l = 0; l < LANES; l++)
            if (w->first[l] + r < w->last[l])
                log_density[w->first[l] + r] = -0.5 * (w->size[l] * LOG_2PI + log_det[l] + square[l]);
        for (int a = 0; a < w->n_other; a++) {
            const VEC mean = one_product(0, m, w->inverse + (size_t)a * m, w->x);
            for (int l = 0; l < LANES; l++)
                if (w->first[l] + r < w->last[l] && a < w->others[l])
                    data->deviations[(w->first[l] + r) * d + w->other[l * d + a]] = mean[l];
        }
    }
    for (int a = 0; a < w->n_other && (spread || variances); a++)
        for (int b = spread ? 0 : a; b <= a; b++) {
            const VEC explained = one_product(0, m, w->inverse + (size_t)a * m, w->inverse + (size_t)b * m);
            for (int l = 0; l < LANES; l++) {
                if (a >= w->others[l]) continue;
                const int i = w->other[l * d + a], j = w->other[l * d + b];
                const double left = g->covariance[(size_t)i * d + j] - explained[l];
                if (spread) spread[(size_t)i * d + j] += w->weight[l] * left;
                if (variances && a == b)
                    for (ptrdiff_t row = w->first[l]; row < w->last[l]; row++) variances[row * d + i] = left;
            }
        }
    return 1;
}

/* -1: no memory; -2: a matrix is not positive definite. `variances` (n, d) and `spread` (d, d) may be NULL. */
EM_CLONES int complete_rows_f64(patterned_rows data, gaussian g, int d, double *log_density, double *variances,
                                double *spread) {
    lane_space w;
    void *memory = open_lanes(&w, d);
    int status = memory ? 0 : -1;
    for (ptrdiff_t p = 0; p < data.n_patterns && status == 0;) {
        const int missing = is_missing_side(d, data.observed + p * d);
        p += take_patterns(&w, &data, p, missing);
        const int done = missing ? missing_side(&w, &data, &g, log_density, variances, spread)
                                 : observed_side(&w, &data, &g, log_density, variances, spread);
        if (!done) status = -2;
    }
    free(memory);
    return status;
}
