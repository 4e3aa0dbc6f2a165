/* Factors and inverses of LANES small symmetric matrices at once, one in each lane; double precision.
 *
 * Rows with missing values each have a matrix of their own, too small to fill a vector unit. So the matrices of LANES
 * rows are interleaved, element by element; a smaller one is filled up with the identity. Inner products run over
 * four columns at a time, whose sums need not wait for each other. */

/* Row i of a packed lower triangle. */
EM_INLINE VEC *packed_row(VEC *lower, int i) { return lower + (size_t)i * (i + 1) / 2; }

EM_INLINE VEC square_roots(VEC v) {
    for (int l = 0; l < LANES; l++) v[l] = sqrt(v[l]);
    return v;
}

/* log v for positive normal v: of 1 / v where v is small, since the vector's logarithm is for numbers from 1 on. */
EM_INLINE VEC logarithms(VEC v) {
    const IVEC is_small = (IVEC)(v < 0.75); /* above, the log of v itself is exact enough */
    const VEC log_above = log_from_one_f64((VEC)((is_small & (IVEC)(1.0 / v)) | (~is_small & (IVEC)v)));
    return (VEC)((is_small & (IVEC)(-log_above)) | (~is_small & (IVEC)log_above));
}

EM_INLINE int all_positive(VEC v) {
    int positive = 1;
    for (int l = 0; l < LANES; l++) positive &= v[l] > 0 && v[l] <= DBL_MAX;
    return positive;
}

/* sums[i] = rows[i] . other over the elements from..to-1. */
EM_INLINE void four_products(int from, int to, const VEC *const rows[4], const VEC *other, VEC sums[4]) {
    VEC a = {0}, b = {0}, c = {0}, d = {0};
    for (int k = from; k < to; k++) {
        const VEC x = other[k];
        a += rows[0][k] * x;
        b += rows[1][k] * x;
        c += rows[2][k] * x;
        d += rows[3][k] * x;
    }
    sums[0] = a, sums[1] = b, sums[2] = c, sums[3] = d;
}

EM_INLINE VEC one_product(int from, int to, const VEC *row, const VEC *other) {
    VEC a = {0}, b = {0};
    int k = from;
    for (; k + 1 < to; k += 2) {
        a += row[k] * other[k];
        b += row[k + 1] * other[k + 1];
    }
    if (k < to) a += row[k] * other[k];
    return a + b;
}

/* A = L L^T in place, with the reciprocals of L's diagonal on the diagonal; log_det is that of A.
 * 0 if a matrix is not positive definite. */
EM_INLINE int factorise_lanes(int m, VEC *lower, VEC *log_det) {
    VEC product = splat_f64(1.0);
    *log_det = splat_f64(0.0);
    for (int j = 0; j < m; j++) {
        VEC *Lj = packed_row(lower, j);
        const VEC pivot = Lj[j] - one_product(0, j, Lj, Lj);
        if (!all_positive(pivot)) return 0;
        product *= pivot;
        if (j % 8 == 7 || j == m - 1) { /* seldom, so that the logarithms cost nothing, and the product stays in range */
            *log_det += logarithms(product);
            product = splat_f64(1.0);
        }
        const VEC scale = 1.0 / square_roots(pivot);
        Lj[j] = scale;
        int i = j + 1;
        for (; i + 4 <= m; i += 4) {
            VEC sums[4];
            VEC *const rows[4] = {packed_row(lower, i), packed_row(lower, i + 1), packed_row(lower, i + 2),
                                  packed_row(lower, i + 3)};
            four_products(0, j, (const VEC *const *)rows, Lj, sums);
            for (int r = 0; r < 4; r++) rows[r][j] = (rows[r][j] - sums[r]) * scale;
        }
        for (; i < m; i++) {
            VEC *Li = packed_row(lower, i);
            Li[j] = (Li[j] - one_product(0, j, Li, Lj)) * scale;
        }
    }
    return 1;
}

/* x = L^-1 x, for L with reciprocals on its diagonal. */
EM_INLINE void solve_lower(int m, VEC *lower, VEC *x) {
    for (int i = 0; i < m; i++) {
        const VEC *Li = packed_row(lower, i);
        x[i] = (x[i] - one_product(0, i, Li, x)) * Li[i];
    }
}

/* x = L^-T x. */
EM_INLINE void solve_upper(int m, VEC *lower, VEC *x) {
    for (int i = m - 1; i >= 0; i--) {
        const VEC *Li = packed_row(lower, i);
        const VEC xi = x[i] = x[i] * Li[i];
        for (int k = 0; k < i; k++) x[k] -= Li[k] * xi;
    }
}

/* Columns of L^-1 as rows: inverse[j * m + i] = (L^-1)_ij for i >= j; what is left of the first of four is zero. */
EM_INLINE void invert_lower(int m, VEC *lower, VEC *inverse) {
    for (int j = 0; j < m; j += 4) {
        const int n = m - j < 4 ? m - j : 4;
        VEC *rows[4];
        for (int c = 0; c < 4; c++) rows[c] = inverse + (size_t)(j + (c < n ? c : 0)) * m;
        for (int c = 0; c < n; c++)
            for (int i = j; i < j + c; i++) rows[c][i] = splat_f64(0.0);
        for (int i = j; i < m; i++) {
            const VEC *Li = packed_row(lower, i);
            VEC sums[4];
            four_products(j, i, (const VEC *const *)rows, Li, sums);
            for (int c = 0; c < n; c++)
                if (i > j + c) rows[c][i] = -sums[c] * Li[i];
                else if (i == j + c) rows[c][i] = Li[i];
        }
    }
}

/* Diagonal of A^-1 = L^-T L^-1. */
EM_INLINE void inverse_diagonal(int m, const VEC *inverse, VEC *diagonal) {
    for (int i = 0; i < m; i++) {
        const VEC *row = inverse + (size_t)i * m;
        diagonal[i] = one_product(i, m, row, row);
    }
}

/* x = A^-1 h, through `half` = L^-1 h, by columns of L^-1. */
EM_INLINE void solve_by_inverse(int m, const VEC *inverse, const VEC *h, VEC *half, VEC *x) {
    for (int i = 0; i < m; i++) half[i] = splat_f64(0.0);
    for (int j = 0; j < m; j++) {
        const VEC *row = inverse + (size_t)j * m;
        for (int i = j; i < m; i++) half[i] += row[i] * h[j];
    }
    for (int i = 0; i < m; i++) x[i] = one_product(i, m, inverse + (size_t)i * m, half);
}

/* spread[index_i, index_j] += weight * (A^-1)_ij of each lane, i >= j; `index` is (LANES, d), `size` what counts. */
EM_INLINE void add_inverse(int m, int d, const VEC *inverse, const int *index, const int *size, VEC weight,
                           double *spread) {
    for (int i = 0; i < m; i++) {
        const VEC *row = inverse + (size_t)i * m;
        for (int j = 0; j <= i; j += 4) {
            const int n = i + 1 - j < 4 ? i + 1 - j : 4;
            const VEC *rows[4];
            for (int c = 0; c < 4; c++) rows[c] = inverse + (size_t)(j + (c < n ? c : 0)) * m;
            VEC sums[4];
            four_products(i, m, rows, row, sums);
            for (int c = 0; c < n; c++) {
                const VEC weighted = sums[c] * weight;
                for (int l = 0; l < LANES; l++)
                    if (i < size[l]) spread[(size_t)index[l * d + i] * d + index[l * d + j + c]] += weighted[l];
            }
        }
    }
}
