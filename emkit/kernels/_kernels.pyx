# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""Thin wrappers over the C kernels: they hand over pointers and release the GIL.

They trust their input (shapes, dtypes, no NaN); `reference.py` says what each computes.
"""

from libc.stddef cimport ptrdiff_t

ctypedef fused real:
    double
    float

cdef extern from "_kernels.h" nogil:
    ctypedef struct rows:
        ptrdiff_t n
        ptrdiff_t row_stride
        ptrdiff_t column_stride
        const char *X

    int softmax_f64(ptrdiff_t n, int k, const double *x, double *log_total, double *share)
    int softmax_f32(ptrdiff_t n, int k, const float *x, float *log_total, float *share)

    ptrdiff_t factorise_f64(ptrdiff_t k, int d, double *covariances, const double *scale, double *lowers,
                            double *factors, double *log_dets, double *traces)

    ctypedef struct gappy_rows:
        ptrdiff_t n_patterns
        const ptrdiff_t *starts
        const unsigned char *observed
        const double *X

    int gappy_rows_f64(gappy_rows data, const double *weight, const double *resp, int d, int k, const double *means,
                       const double *covariances, const double *constants, int hard, double *out, double *objective,
                       double *counts, double *sums, double *scatters)

    int log_density_full_f64(rows data, int d, int k, const double *means, const double *factors, int shared,
                             const double *constants, double *out)
    int log_density_full_f32(rows data, int d, int k, const float *means, const float *factors, int shared,
                             const float *constants, float *out)
    int log_density_diag_f64(rows data, int d, int k, const double *means, const double *scales,
                             const double *constants, double *out)
    int log_density_diag_f32(rows data, int d, int k, const float *means, const float *scales,
                             const float *constants, float *out)
    int em_step_full_f64(rows data, const double *weight, int d, int k, const double *means, const double *factors,
                         int shared, const double *constants, int hard, double *objective, double *counts,
                         double *sums, double *scatters)
    int em_step_full_f32(rows data, const float *weight, int d, int k, const float *means, const float *factors,
                         int shared, const float *constants, int hard, double *objective, double *counts,
                         double *sums, double *scatters)
    int em_step_diag_f64(rows data, const double *weight, int d, int k, const double *means, const double *scales,
                         const double *constants, int hard, double *objective, double *counts, double *sums,
                         double *squares)
    int em_step_diag_f32(rows data, const float *weight, int d, int k, const float *means, const float *scales,
                         const float *constants, int hard, double *objective, double *counts, double *sums,
                         double *squares)
    int moments_full_f64(rows data, const double *resp, ptrdiff_t stride, int d, int k, const double *means, int shared,
                         double *counts, double *sums, double *scatters)
    int moments_full_f32(rows data, const float *resp, ptrdiff_t stride, int d, int k, const float *means, int shared,
                         double *counts, double *sums, double *scatters)
    int moments_diag_f64(rows data, const double *resp, ptrdiff_t stride, int d, int k, const double *means,
                         double *counts, double *sums, double *squares)
    int moments_diag_f32(rows data, const float *resp, ptrdiff_t stride, int d, int k, const float *means,
                         double *counts, double *sums, double *squares)


cdef inline rows rows_of(const real[:, :] X) noexcept nogil:
    cdef rows data
    data.n = X.shape[0]
    data.row_stride = X.strides[0]
    data.column_stride = X.strides[1]
    data.X = <const char *> &X[0, 0]
    return data


cdef inline int check_shapes(bint agree) except -1:
    if not agree:
        raise ValueError("the shapes of the arguments of a kernel do not agree")
    return 0


cdef inline int check_status(int status) except -1:
    if status == -1:
        raise MemoryError("no memory for the work space of a kernel")
    if status == -2:
        raise ValueError("a covariance is not positive definite")
    return 0


def log_density_full(const real[:, :] X, const real[:, ::1] means, const real[:, :, ::1] factors,
                     const real[::1] constants, real[:, ::1] out):
    cdef int d = X.shape[1], k = means.shape[0], shared = factors.shape[0] == 1, status
    cdef rows data
    check_shapes(means.shape[1] == d == factors.shape[1] == factors.shape[2] and constants.shape[0] == k
                 and (shared or factors.shape[0] == k)
                 and out.shape[0] == X.shape[0] and out.shape[1] == k)
    if X.shape[0] == 0:
        return
    data = rows_of(X)
    with nogil:
        if real is double:
            status = log_density_full_f64(data, d, k, &means[0, 0], &factors[0, 0, 0], shared, &constants[0],
                                          &out[0, 0])
        else:
            status = log_density_full_f32(data, d, k, &means[0, 0], &factors[0, 0, 0], shared, &constants[0],
                                          &out[0, 0])
    check_status(status)


def log_density_diag(const real[:, :] X, const real[:, ::1] means, const real[:, ::1] scales,
                     const real[::1] constants, real[:, ::1] out):
    cdef int d = X.shape[1], k = means.shape[0], status
    cdef rows data
    check_shapes(means.shape[1] == d == scales.shape[1] and scales.shape[0] == k == constants.shape[0]
                 and out.shape[0] == X.shape[0] and out.shape[1] == k)
    if X.shape[0] == 0:
        return
    data = rows_of(X)
    with nogil:
        if real is double:
            status = log_density_diag_f64(data, d, k, &means[0, 0], &scales[0, 0], &constants[0], &out[0, 0])
        else:
            status = log_density_diag_f32(data, d, k, &means[0, 0], &scales[0, 0], &constants[0], &out[0, 0])
    check_status(status)


def em_step_full(const real[:, :] X, const real[::1] weight, const real[:, ::1] means,
                 const real[:, :, ::1] factors, const real[::1] constants, bint hard,
                 double[::1] counts, double[:, ::1] sums, double[:, :, ::1] scatters):
    cdef int d = X.shape[1], k = means.shape[0], shared = factors.shape[0] == 1, status
    cdef double objective = 0.0
    cdef rows data
    check_shapes(means.shape[1] == d == factors.shape[1] == factors.shape[2] and constants.shape[0] == k
                 and (shared or factors.shape[0] == k) and weight.shape[0] == X.shape[0] and counts.shape[0] == k
                 and sums.shape[0] == k and sums.shape[1] == d and scatters.shape[0] == factors.shape[0]
                 and scatters.shape[1] == d == scatters.shape[2])
    if X.shape[0] == 0:
        return 0.0
    data = rows_of(X)
    with nogil:
        if real is double:
            status = em_step_full_f64(data, &weight[0], d, k, &means[0, 0], &factors[0, 0, 0], shared,
                                      &constants[0], hard, &objective, &counts[0], &sums[0, 0], &scatters[0, 0, 0])
        else:
            status = em_step_full_f32(data, &weight[0], d, k, &means[0, 0], &factors[0, 0, 0], shared,
                                      &constants[0], hard, &objective, &counts[0], &sums[0, 0], &scatters[0, 0, 0])
    check_status(status)
    return objective


def em_step_diag(const real[:, :] X, const real[::1] weight, const real[:, ::1] means,
                 const real[:, ::1] scales, const real[::1] constants, bint hard,
                 double[::1] counts, double[:, ::1] sums, double[:, ::1] squares):
    cdef int d = X.shape[1], k = means.shape[0], status
    cdef double objective = 0.0
    cdef rows data
    check_shapes(means.shape[1] == d == scales.shape[1] and scales.shape[0] == k == constants.shape[0]
                 and weight.shape[0] == X.shape[0] and counts.shape[0] == k == sums.shape[0] == squares.shape[0]
                 and sums.shape[1] == d == squares.shape[1])
    if X.shape[0] == 0:
        return 0.0
    data = rows_of(X)
    with nogil:
        if real is double:
            status = em_step_diag_f64(data, &weight[0], d, k, &means[0, 0], &scales[0, 0], &constants[0], hard,
                                      &objective, &counts[0], &sums[0, 0], &squares[0, 0])
        else:
            status = em_step_diag_f32(data, &weight[0], d, k, &means[0, 0], &scales[0, 0], &constants[0], hard,
                                      &objective, &counts[0], &sums[0, 0], &squares[0, 0])
    check_status(status)
    return objective


def moments_full(const real[:, :] X, const real[:, :] resp, const real[:, ::1] means, double[::1] counts,
                 double[:, ::1] sums, double[:, :, ::1] scatters):
    cdef int d = X.shape[1], k = means.shape[0], shared = scatters.shape[0] == 1, status
    cdef ptrdiff_t stride = resp.strides[0] // <ptrdiff_t> sizeof(real)
    cdef rows data
    check_shapes(means.shape[1] == d == sums.shape[1] == scatters.shape[1] == scatters.shape[2]
                 and counts.shape[0] == k == sums.shape[0] and (shared or scatters.shape[0] == k)
                 and resp.shape[0] == X.shape[0] and resp.shape[1] == k and resp.strides[1] == sizeof(real))
    if X.shape[0] == 0:
        return
    data = rows_of(X)
    with nogil:
        if real is double:
            status = moments_full_f64(data, &resp[0, 0], stride, d, k, &means[0, 0], shared, &counts[0], &sums[0, 0],
                                      &scatters[0, 0, 0])
        else:
            status = moments_full_f32(data, &resp[0, 0], stride, d, k, &means[0, 0], shared, &counts[0], &sums[0, 0],
                                      &scatters[0, 0, 0])
    check_status(status)


def moments_diag(const real[:, :] X, const real[:, :] resp, const real[:, ::1] means, double[::1] counts,
                 double[:, ::1] sums, double[:, ::1] squares):
    cdef int d = X.shape[1], k = means.shape[0], status
    cdef ptrdiff_t stride = resp.strides[0] // <ptrdiff_t> sizeof(real)
    cdef rows data
    check_shapes(means.shape[1] == d == sums.shape[1] == squares.shape[1]
                 and counts.shape[0] == k == sums.shape[0] == squares.shape[0]
                 and resp.shape[0] == X.shape[0] and resp.shape[1] == k and resp.strides[1] == sizeof(real))
    if X.shape[0] == 0:
        return
    data = rows_of(X)
    with nogil:
        if real is double:
            status = moments_diag_f64(data, &resp[0, 0], stride, d, k, &means[0, 0], &counts[0], &sums[0, 0],
                                      &squares[0, 0])
        else:
            status = moments_diag_f32(data, &resp[0, 0], stride, d, k, &means[0, 0], &counts[0], &sums[0, 0],
                                      &squares[0, 0])
    check_status(status)


def factorise(double[:, :, ::1] covariances, const double[::1] scale, double[:, :, ::1] lowers,
              double[:, :, ::1] factors, double[::1] log_dets, double[::1] traces):
    cdef ptrdiff_t k = covariances.shape[0], failed
    cdef int d = covariances.shape[1]
    check_shapes(covariances.shape[2] == d == scale.shape[0] == lowers.shape[1] == lowers.shape[2] == factors.shape[1]
                 == factors.shape[2]
                 and lowers.shape[0] == k == factors.shape[0] == log_dets.shape[0] == traces.shape[0])
    with nogil:
        failed = factorise_f64(k, d, &covariances[0, 0, 0], &scale[0], &lowers[0, 0, 0], &factors[0, 0, 0],
                               &log_dets[0], &traces[0])
    return failed


cdef inline gappy_rows gappy_rows_of(const double[:, ::1] X, const ptrdiff_t[::1] starts,
                                     const unsigned char[:, ::1] observed) noexcept nogil:
    cdef gappy_rows data
    data.n_patterns = observed.shape[0]
    data.starts = &starts[0]
    data.observed = &observed[0, 0]
    data.X = &X[0, 0]
    return data


def log_density_missing(const double[:, ::1] X, const ptrdiff_t[::1] starts, const unsigned char[:, ::1] observed,
                        const double[:, ::1] means, const double[:, :, ::1] covariances,
                        const double[::1] constants, double[:, ::1] out):
    cdef int d = X.shape[1], k = means.shape[0], status
    check_shapes(observed.shape[1] == d == means.shape[1] == covariances.shape[1] == covariances.shape[2]
                 and starts.shape[0] == observed.shape[0] + 1 and covariances.shape[0] == k == constants.shape[0]
                 and out.shape[0] == X.shape[0] and out.shape[1] == k)
    if X.shape[0] == 0:
        return
    with nogil:
        status = gappy_rows_f64(gappy_rows_of(X, starts, observed), NULL, NULL, d, k, &means[0, 0],
                                &covariances[0, 0, 0], &constants[0], 0, &out[0, 0], NULL, NULL, NULL, NULL)
    check_status(status)


def em_step_missing(const double[:, ::1] X, const ptrdiff_t[::1] starts, const unsigned char[:, ::1] observed,
                    const double[::1] weight, const double[:, ::1] means, const double[:, :, ::1] covariances,
                    const double[::1] constants, bint hard, double[::1] counts, double[:, ::1] sums,
                    double[:, :, ::1] scatters):
    cdef int d = X.shape[1], k = means.shape[0], status
    cdef double objective = 0.0
    check_shapes(observed.shape[1] == d == means.shape[1] == covariances.shape[1] == covariances.shape[2]
                 and starts.shape[0] == observed.shape[0] + 1 and covariances.shape[0] == k == constants.shape[0]
                 and weight.shape[0] == X.shape[0] and counts.shape[0] == k == sums.shape[0]
                 and sums.shape[1] == d == scatters.shape[1] == scatters.shape[2] and scatters.shape[0] == k)
    if X.shape[0] == 0:
        return 0.0
    with nogil:
        status = gappy_rows_f64(gappy_rows_of(X, starts, observed), &weight[0], NULL, d, k, &means[0, 0],
                                &covariances[0, 0, 0], &constants[0], hard, NULL, &objective, &counts[0],
                                &sums[0, 0], &scatters[0, 0, 0])
    check_status(status)
    return objective


def moments_missing(const double[:, ::1] X, const ptrdiff_t[::1] starts, const unsigned char[:, ::1] observed,
                    const double[:, ::1] resp, const double[:, ::1] means, const double[:, :, ::1] covariances,
                    double[::1] counts, double[:, ::1] sums, double[:, :, ::1] scatters):
    cdef int d = X.shape[1], k = means.shape[0], status
    check_shapes(observed.shape[1] == d == means.shape[1] == covariances.shape[1] == covariances.shape[2]
                 and starts.shape[0] == observed.shape[0] + 1 and covariances.shape[0] == k
                 and resp.shape[0] == X.shape[0] and resp.shape[1] == k and counts.shape[0] == k == sums.shape[0]
                 and sums.shape[1] == d == scatters.shape[1] == scatters.shape[2] and scatters.shape[0] == k)
    if X.shape[0] == 0:
        return
    with nogil:
        status = gappy_rows_f64(gappy_rows_of(X, starts, observed), NULL, &resp[0, 0], d, k, &means[0, 0],
                                &covariances[0, 0, 0], &means[0, 0], 0, NULL, NULL, &counts[0], &sums[0, 0],
                                &scatters[0, 0, 0])
    check_status(status)


def softmax(const real[:, ::1] x, real[::1] log_total, real[:, ::1] share):
    cdef int k = x.shape[1], status
    check_shapes(log_total.shape[0] == x.shape[0] == share.shape[0] and share.shape[1] == k)
    if x.shape[0] == 0 or k == 0:
        return
    with nogil:
        if real is double:
            status = softmax_f64(x.shape[0], k, &x[0, 0], &log_total[0], &share[0, 0])
        else:
            status = softmax_f32(x.shape[0], k, &x[0, 0], &log_total[0], &share[0, 0])
    check_status(status)
