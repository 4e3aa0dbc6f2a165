/* Rows of a latent Gaussian of which some coordinates are known exactly, some to lie in an interval (a cell), and some
 * not at all; see conditional_reference.py. Double precision; include after _conditional.h.
 *
 * Expectation propagation: each cell is stood in for by a Gaussian factor exp(-tau z^2 / 2 + nu z), chosen such that
 * the marginal with the factor has the mean and variance of the marginal with the cell. All factors of a row are
 * updated at once, LANES rows side by side, from where they were at the last call. */

typedef struct {
    ptrdiff_t n;
    const unsigned char *exact;       /* (n, d): 1 where a coordinate is known exactly */
    const double *weight;             /* (n) */
    const double *pulls, *squares;    /* as in patterned_rows */
    const double *lower, *upper;      /* (n, d): cells; NaN where tau and nu are given and stay */
    double *tau, *nu;                 /* (n, d) */
    double *deviations;               /* (n, d): zero on input where not exact; conditional means on output */
} rows_of_cells;

typedef struct {
    lane_space lanes;
    VEC *tau, *nu, *lower, *upper, *pull, *mean, *variance, *new_tau, *new_nu, *mass, *log_scale;
} cell_space;

static void *open_cells(cell_space *s, int d) {
    void *memory = open_lanes(&s->lanes, d);
    VEC *rows = NULL;
    if (!memory) return NULL;
    if (posix_memalign((void **)&rows, 64, 11 * (size_t)d * sizeof(VEC))) {
        free(memory);
        return NULL;
    }
    VEC **parts[] = {&s->tau, &s->nu, &s->lower, &s->upper, &s->pull,
                     &s->mean, &s->variance, &s->new_tau, &s->new_nu, &s->mass, &s->log_scale};
    for (int i = 0; i < 11; i++) *parts[i] = rows + (size_t)i * d;
    return memory;
}

/* Least variance of a marginal in a cell, and least precision of the marginal without the cell's factor, relative to
 * what they were before. The first must be above the second, or factors of narrow cells grow without end. */
#define NARROWEST 2e-8
#define LEAST_CAVITY 1e-8

EM_INLINE VEC blend(IVEC first, VEC a, VEC b) { return (VEC)((first & (IVEC)a) | (~first & (IVEC)b)); }

/* exp(x^2) erfc(x) for x >= 0, to 4 ulp: a polynomial for (1 + 2x) times it in t = (x - 3.75) / (x + 3.75), the Chebyshev
 * series of Shepherd and Laframboise (1981, Math. Comp. 36, 249-253) in powers of t; coefficients computed with 50
 * digits. Row k holds those of t^4k to t^(4k+3), so that four sums need not wait for each other. */
EM_INLINE VEC scaled_erfc(VEC x) {
    static const double c[7][4] = {
        {0x1.3ccda0b5d5dc2p+0, -0x1.1f367683f89a7p-3, 0x1.d5f2948159d5cp-9, 0x1.510169d0967fep-4},
        {-0x1.bda9309a288f3p-4, 0x1.7a14188a99bbdp-4, -0x1.e0d0fa6dfff48p-5, 0x1.d0b0037dca912p-6},
        {-0x1.3f603c33d3651p-7, 0x1.cc3a0e231627ep-10, 0x1.33fb248b98a1fp-12, -0x1.303f9da131ea2p-12},
        {0x1.b14442355be43p-15, 0x1.778a2b8f2e752p-16, -0x1.800839304a96cp-17, -0x1.0525b6d7eefd4p-20},
        {0x1.d6afb6f3f188ep-20, -0x1.f479469e8aafcp-25, -0x1.18678c18ad7acp-22, 0x1.a14b81d0a6467p-26},
        {0x1.5ff0ac2a5982fp-25, -0x1.2da11a81e0e15p-28, -0x1.c1ceb688aadedp-28, 0x1.2c02a9487e3bcp-31},
        {0x1.efff7805d80a7p-31, -0x1.4a219c71bb4d2p-35, -0x1.42cb7ae4cd5a0p-34, 0.0}};
    const VEC t = (x - 3.75) / (x + 3.75), t2 = t * t, t4 = t2 * t2;
    VEC p = splat_f64(c[6][0]), q = splat_f64(c[6][1]), r = splat_f64(c[6][2]), s = splat_f64(c[6][3]);
    for (int k = 5; k >= 0; k--) {
        p = p * t4 + c[k][0];
        q = q * t4 + c[k][1];
        r = r * t4 + c[k][2];
        s = s * t4 + c[k][3];
    }
    return ((p + q * t) + (r + s * t) * t2) / (1.0 + x + x);
}

/* Mean and variance of a standard Gaussian on (low, high), and its mass there, exp(*log_scale) times the result. */
EM_INLINE VEC truncated(VEC low, VEC high, VEC *mean, VEC *variance, VEC *log_scale) {
    const double density = 0.3989422804014327, root_half = 0.7071067811865476; /* 1 / sqrt(2 pi) */
    const IVEC flipped = (IVEC)(low + high < 0.0); /* so that the larger part lies above zero */
    const VEC a = smaller_f64(larger_f64(blend(flipped, -high, low), splat_f64(-1e5)), splat_f64(1e4));
    const VEC b = smaller_f64(larger_f64(blend(flipped, -low, high), splat_f64(-1e4)), splat_f64(1e5));
    const IVEC one_sided = (IVEC)(a > 0.0);
    const VEC size_a = larger_f64(a, -a), size_b = larger_f64(b, splat_f64(0.0));
    const VEC at_a = exp_nonpositive_f64(blend(one_sided, splat_f64(0.0), -0.5 * a * a));
    const VEC at_b = exp_nonpositive_f64(blend(one_sided, 0.5 * (a - b) * (a + b), -0.5 * b * b));
    const VEC beyond_a = 0.5 * scaled_erfc(size_a * root_half) * at_a;
    const VEC beyond_b = 0.5 * scaled_erfc(size_b * root_half) * at_b;
    const VEC mass = larger_f64(blend(one_sided, beyond_a - beyond_b, 1.0 - beyond_a - beyond_b), splat_f64(1e-300));
    const VEC first = density * at_a / mass, last = density * at_b / mass;
    const VEC m = first - last;
    *variance = smaller_f64(larger_f64(1.0 + a * first - b * last - m * m, splat_f64(NARROWEST)), splat_f64(1.0));
    *mean = blend(flipped, -m, m);
    *log_scale = blend(one_sided, -0.5 * a * a, splat_f64(0.0));
    return mass;
}

EM_INLINE int take_rows(cell_space *s, const rows_of_cells *data, const double *mean, ptrdiff_t first) {
    lane_space *w = &s->lanes;
    const int d = w->d;
    w->m = 0;
    for (int l = 0; l < LANES; l++) {
        w->size[l] = 0;
        w->first[l] = first + l;
        w->weight[l] = first + l < data->n ? data->weight[first + l] : 0.0;
        if (first + l >= data->n) continue;
        for (int j = 0; j < d; j++)
            if (!data->exact[(first + l) * d + j]) w->index[l * d + w->size[l]++] = j;
        if (w->size[l] > w->m) w->m = w->size[l];
    }
    for (int l = 0; l < LANES; l++)
        for (int i = 0; i < w->m; i++) {
            const int is_used = i < w->size[l], j = is_used ? w->index[l * d + i] : 0;
            const ptrdiff_t at = is_used ? (first + l) * d + j : 0;
            const double shift = mean[j];
            ((double *)(s->pull + i))[l] = is_used ? data->pulls[at] : 0.0;
            ((double *)(s->tau + i))[l] = is_used ? data->tau[at] : 0.0;
            ((double *)(s->nu + i))[l] = is_used ? data->nu[at] - data->tau[at] * shift : 0.0;
            ((double *)(s->lower + i))[l] = is_used ? data->lower[at] - shift : NAN;
            ((double *)(s->upper + i))[l] = is_used ? data->upper[at] - shift : NAN;
        }
    return w->m;
}

/* Posterior under the present factors: mean, variance, and log determinant of the precision. 0 if not definite. */
EM_INLINE int combine(cell_space *s, const double *precision, VEC *log_det) {
    lane_space *w = &s->lanes;
    const int m = w->m;
    take_blocks(w, precision);
    for (int i = 0; i < m; i++) packed_row(w->lower, i)[i] += s->tau[i];
    if (!factorise_lanes(m, w->lower, log_det)) return 0;
    invert_lower(m, w->lower, w->inverse);
    for (int i = 0; i < m; i++) w->x[i] = s->nu[i] - s->pull[i];
    solve_by_inverse(m, w->inverse, w->x, w->half, s->mean);
    inverse_diagonal(m, w->inverse, s->variance);
    return 1;
}

/* What a coordinate's marginal would be without its factor. */
typedef struct {
    VEC precision, variance, mean;
} cavity;

EM_INLINE cavity without_factor(const cell_space *s, int i) {
    const VEC inverse = 1.0 / s->variance[i];
    cavity c;
    c.precision = larger_f64(inverse - s->tau[i], LEAST_CAVITY * inverse);
    c.variance = 1.0 / c.precision;
    c.mean = (s->mean[i] * inverse - s->nu[i]) * c.variance;
    return c;
}

EM_INLINE VEC absolute(VEC v) { return larger_f64(v, -v); }

/* New factors, so that marginals with them have the moments of marginals with the cells: Minka (2001), "Expectation
 * propagation for approximate Bayesian inference", section 3.2. Returns the largest change in units of the marginals.
 * Of the cells' masses given the cavities only what `log_of_cells` needs is kept. */
EM_INLINE double update(cell_space *s) {
    VEC largest = {0};
    for (int i = 0; i < s->lanes.m; i++) {
        const IVEC is_given = (IVEC)(s->lower[i] != s->lower[i]);
        const cavity c = without_factor(s, i);
        const VEC sd = square_roots(c.variance);
        VEC shift, narrowed;
        const VEC low = blend(is_given, splat_f64(0.0), (s->lower[i] - c.mean) / sd);
        const VEC high = blend(is_given, splat_f64(1.0), (s->upper[i] - c.mean) / sd);
        s->mass[i] = truncated(low, high, &shift, &narrowed, s->log_scale + i);
        const VEC tau = (1.0 / narrowed - 1.0) * c.precision, nu = c.mean * tau + shift / (sd * narrowed);
        s->new_tau[i] = blend(is_given, s->tau[i], tau);
        s->new_nu[i] = blend(is_given, s->nu[i], nu);
        const VEC moved = absolute(s->new_tau[i] - s->tau[i]) * s->variance[i];
        const VEC drift = s->new_nu[i] - s->nu[i];
        largest = larger_f64(largest, larger_f64(moved, absolute(drift) * square_roots(s->variance[i])));
    }
    double change = 0.0;
    for (int l = 0; l < LANES; l++)
        if (largest[l] > change) change = largest[l];
    return change;
}

/* What factors and cells contribute to the log-likelihood: Rasmussen and Williams (2006), equation (3.65). */
EM_INLINE VEC log_of_factors(const cell_space *s) {
    VEC total = {0};
    for (int i = 0; i < s->lanes.m; i++) {
        const IVEC is_given = (IVEC)(s->lower[i] != s->lower[i]);
        const VEC tau = s->tau[i], nu = s->nu[i], positive = larger_f64(tau, splat_f64(1e-300));
        const cavity c = without_factor(s, i);
        const VEC joint = nu + c.mean * c.precision, ratio = blend(is_given, positive, 1.0 + tau * c.variance);
        const VEC half_log = 0.5 * logarithms(ratio);
        const VEC of_cell = logarithms(s->mass[i]) + s->log_scale[i] + half_log -
                            0.5 * (joint * joint / (tau + c.precision) - c.mean * c.mean * c.precision);
        const VEC of_given = blend((IVEC)(tau > 0.0), half_log - 0.5 * (LOG_2PI + nu * nu / positive), splat_f64(0.0));
        total += blend(is_given, of_given, of_cell);
    }
    return total;
}

EM_INLINE void move_factors(cell_space *s, double step) {
    for (int i = 0; i < s->lanes.m; i++) {
        s->tau[i] += step * (s->new_tau[i] - s->tau[i]);
        s->nu[i] += step * (s->new_nu[i] - s->nu[i]);
    }
}

EM_INLINE void put_rows(cell_space *s, const rows_of_cells *data, const double *mean, ptrdiff_t first,
                        double *variances) {
    const lane_space *w = &s->lanes;
    for (int l = 0; l < LANES; l++)
        for (int i = 0; i < w->size[l]; i++) {
            const int j = w->index[l * w->d + i];
            const ptrdiff_t at = (first + l) * w->d + j;
            const double tau = ((double *)(s->new_tau + i))[l];
            data->deviations[at] = ((double *)(s->mean + i))[l];
            data->tau[at] = tau;
            data->nu[at] = ((double *)(s->new_nu + i))[l] + tau * mean[j];
            if (variances) variances[at] = ((double *)(s->variance + i))[l];
        }
}

/* At most `n_sweeps` updates of each row's factors, until none moves by more than `tol`. Returns the largest number
 * of sweeps that a row took; -1: no memory; -2: a matrix is not positive definite. */
EM_CLONES int complete_cells_f64(rows_of_cells data, gaussian g, const double *mean, int d, int n_sweeps, double tol,
                                 double *log_density, double *variances, double *spread) {
    cell_space s;
    void *memory = open_cells(&s, d);
    int status = memory ? 0 : -1;
    for (ptrdiff_t first = 0; first < data.n && status >= 0; first += LANES) {
        VEC log_det = {0};
        double step = 1.0, before = HUGE_VAL;
        int done = take_rows(&s, &data, mean, first) == 0, sweep = 0;
        while (!done) {
            if (!combine(&s, g.precision, &log_det)) {
                status = -2;
                break;
            }
            const double change = update(&s);
            done = change <= tol || ++sweep >= n_sweeps;
            if (done) break;
            if (change > before) step = step > 0.3 ? 0.5 * step : step;
            before = change;
            move_factors(&s, step);
        }
        if (status < 0) break;
        if (sweep > status) status = sweep;
        const VEC log_z = log_of_factors(&s);
        VEC gain = {0};
        for (int i = 0; i < s.lanes.m; i++) gain += (s.nu[i] - s.pull[i]) * s.mean[i];
        for (int l = 0; l < LANES && first + l < data.n; l++) {
            const double constant = (d - s.lanes.size[l]) * LOG_2PI + g.log_det + log_det[l];
            log_density[first + l] = -0.5 * (constant + data.squares[first + l] - gain[l]) + log_z[l];
        }
        if (spread)
            add_inverse(s.lanes.m, d, s.lanes.inverse, s.lanes.index, s.lanes.size, s.lanes.weight, spread);
        put_rows(&s, &data, mean, first, variances);
    }
    if (memory) free(s.tau);
    free(memory);
    return status;
}
