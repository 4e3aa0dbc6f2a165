/* Shares of the terms of each row in the sum of their exponentials. For one precision: see _real.h. */

#define SOFTMAX_ROWS 32 /* rows that are turned into columns at a time */

/* One vector of rows, in columns that lie SOFTMAX_ROWS apart; the columns become the shares. */
EM_INLINE VEC NAME(softmax_columns)(int k, REAL *columns) {
    VEC top = NAME(splat)((REAL)-INFINITY);
    for (int c = 0; c < k; c++) top = NAME(larger)(NAME(load)(columns + c * SOFTMAX_ROWS), top);
    const IVEC impossible = (IVEC)(top == (REAL)-INFINITY);
    const VEC one = NAME(splat)(1), nan = NAME(splat)((REAL)NAN), below = NAME(splat)((REAL)-INFINITY);
    top = (VEC)(~impossible & (IVEC)top);
    VEC total = NAME(splat)(0);
    IVEC broken = (IVEC)(total != total);
    for (int c = 0; c < k; c++) {
        const VEC difference = NAME(load)(columns + c * SOFTMAX_ROWS) - top;
        broken |= (IVEC)(difference != difference);
        const VEC term = (VEC)((~impossible & (IVEC)NAME(exp_nonpositive)(difference)) | (impossible & (IVEC)one));
        NAME(store)(columns + c * SOFTMAX_ROWS, term);
        total += term;
    }
    const VEC scale = (VEC)((broken & (IVEC)nan) | (~broken & (IVEC)(1 / total)));
    for (int c = 0; c < k; c++)
        NAME(store)(columns + c * SOFTMAX_ROWS, NAME(load)(columns + c * SOFTMAX_ROWS) * scale);
    const VEC finite = top + NAME(log_from_one)(total);
    const VEC sum = (VEC)((impossible & (IVEC)below) | (~impossible & (IVEC)finite));
    return (VEC)((broken & (IVEC)nan) | (~broken & (IVEC)sum));
}

/* log_total: log sum_c exp(x_c), (n,); share: exp(x_c - log_total), (n, k). A row of -inf has log_total -inf and equal
 * shares; one with NaN or +inf gives NaN. Returns -1 if there is no memory. */
EM_CLONES int NAME(softmax)(ptrdiff_t n, int k, const REAL *x, REAL *log_total, REAL *share) {
    REAL *columns = (REAL *)aligned_alloc(EM_VECTOR_BYTES, (size_t)k * SOFTMAX_ROWS * sizeof(REAL));
    if (columns == NULL) return -1;
    for (ptrdiff_t first = 0; first < n; first += SOFTMAX_ROWS) {
        const int m = n - first < SOFTMAX_ROWS ? (int)(n - first) : SOFTMAX_ROWS;
        const REAL *rows_in = x + first * k;
        REAL *rows_out = share + first * k, logs[SOFTMAX_ROWS] __attribute__((aligned(EM_VECTOR_BYTES)));
        for (int c = 0; c < k; c++) {
            for (int i = 0; i < m; i++) columns[c * SOFTMAX_ROWS + i] = rows_in[(ptrdiff_t)i * k + c];
            for (int i = m; i < SOFTMAX_ROWS; i++) columns[c * SOFTMAX_ROWS + i] = 0;
        }
        for (int i = 0; i < m; i += LANES) NAME(store)(logs + i, NAME(softmax_columns)(k, columns + i));
        for (int c = 0; c < k; c++)
            for (int i = 0; i < m; i++) rows_out[(ptrdiff_t)i * k + c] = columns[c * SOFTMAX_ROWS + i];
        for (int i = 0; i < m; i++) log_total[first + i] = logs[i];
    }
    free(columns);
    return 0;
}
