/* Cholesky factors of small covariance matrices, one after the other; see reference.py. Double precision only. */

/* lower L of z = L L^T, in place in the lower triangle; 0 if z is not positive definite by more than rounding. */
static int cholesky_in_place(int d, double *z) {
    for (int j = 0; j < d; j++) {
        double pivot = z[j * d + j];
        const double smallest = 8 * DBL_EPSILON * pivot;
        for (int i = 0; i < j; i++) pivot -= z[j * d + i] * z[j * d + i];
        if (!(pivot > smallest) || !(pivot <= DBL_MAX)) return 0;
        z[j * d + j] = sqrt(pivot);
        for (int r = j + 1; r < d; r++) {
            double sum = z[r * d + j];
            for (int i = 0; i < j; i++) sum -= z[r * d + i] * z[j * d + i];
            z[r * d + j] = sum / z[j * d + j];
        }
    }
    return 1;
}

/* factor = L^-T, upper triangular: column j of L^-1 is row j of the factor; what is below is set to 0. */
static void inverse_transposed(int d, const double *lower, double *factor) {
    for (int j = 0; j < d; j++) {
        double *row = factor + (size_t)j * d;
        for (int r = 0; r < j; r++) row[r] = 0.0;
        row[j] = 1.0 / lower[j * d + j];
        for (int r = j + 1; r < d; r++) {
            double sum = 0.0;
            for (int i = j; i < r; i++) sum -= lower[r * d + i] * row[i];
            row[r] = sum / lower[r * d + r];
        }
    }
}

/* Index of the first matrix that is not positive definite, or -1. */
static ptrdiff_t factorise_f64(ptrdiff_t k, int d, double *covariances, const double *scale, double *lowers,
                               double *factors, double *log_dets, double *traces) {
    for (ptrdiff_t c = 0; c < k; c++) {
        const size_t at = (size_t)c * d * d;
        double *covariance = covariances + at, *lower = lowers + at, *factor = factors + at;
        for (int i = 0; i < d; i++)
            for (int j = 0; j < d; j++) {
                if (j > i) covariance[i * d + j] = covariance[j * d + i];
                lower[i * d + j] = j <= i ? covariance[i * d + j] / (scale[i] * scale[j]) : 0.0;
            }
        if (!cholesky_in_place(d, lower)) return c;
        inverse_transposed(d, lower, factor);
        log_dets[c] = traces[c] = 0.0;
        for (int i = 0; i < d; i++) {
            for (int j = i; j < d; j++) {
                traces[c] += factor[i * d + j] * factor[i * d + j];
                factor[i * d + j] /= scale[i];
            }
            log_dets[c] += log(factor[i * d + i]);
        }
    }
    return -1;
}
