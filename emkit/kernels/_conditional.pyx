# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""Thin wrappers over the C kernels of incomplete rows: they check shapes, hand over pointers and release the GIL.

They trust their input otherwise (no NaN but in bounds of cells); `conditional_reference.py` says what each computes.
"""

from libc.stddef cimport ptrdiff_t

cdef extern from "_conditional_kernels.h" nogil:
    ctypedef struct gaussian:
        const double *precision
        const double *covariance
        double log_det

    ctypedef struct patterned_rows:
        ptrdiff_t n_patterns
        const ptrdiff_t *starts
        const unsigned char *observed
        const double *weight
        const double *pulls
        const double *squares
        double *deviations

    ctypedef struct rows_of_cells:
        ptrdiff_t n
        const unsigned char *exact
        const double *weight
        const double *pulls
        const double *squares
        const double *lower
        const double *upper
        double *tau
        double *nu
        double *deviations

    int complete_rows_f64(patterned_rows data, gaussian g, int d, double *log_density, double *variances,
                          double *spread)
    int complete_cells_f64(rows_of_cells data, gaussian g, const double *mean, int d, int n_sweeps, double tol,
                           double *log_density, double *variances, double *spread)


cdef inline int check_shapes(bint fit) except -1:
    if not fit:
        raise ValueError("arrays do not fit together")
    return 0


cdef inline int check_status(int status) except -1:
    if status == -1:
        raise MemoryError("no memory for the work space of a kernel")
    if status == -2:
        raise FloatingPointError("a conditional covariance is not positive definite")
    return 0


def complete_rows(const ptrdiff_t[::1] starts, const unsigned char[:, ::1] observed, const double[::1] weight,
                  const double[:, ::1] pulls, const double[::1] squares, const double[:, ::1] precision,
                  const double[:, ::1] covariance, double log_det, double[:, ::1] deviations,
                  double[::1] log_density, double[:, ::1] variances, double[:, ::1] spread):
    cdef ptrdiff_t n = deviations.shape[0], n_patterns = observed.shape[0], p
    cdef int d = deviations.shape[1], status
    cdef patterned_rows data
    cdef gaussian g
    check_shapes(n_patterns + 1 == starts.shape[0] and observed.shape[1] == d and starts[0] == 0
                 and starts[n_patterns] == n)
    for p in range(n_patterns):
        check_shapes(starts[p] <= starts[p + 1])
    check_shapes(weight.shape[0] == n == pulls.shape[0] == squares.shape[0] == log_density.shape[0]
                 and pulls.shape[1] == d == precision.shape[0] == precision.shape[1] == covariance.shape[0]
                 == covariance.shape[1])
    check_shapes(variances is None or (variances.shape[0] == n and variances.shape[1] == d))
    check_shapes(spread is None or (spread.shape[0] == d and spread.shape[1] == d))
    if d == 0:
        log_density[:] = 0.0
    if n == 0 or d == 0:
        return
    data.n_patterns, data.starts, data.observed = n_patterns, &starts[0], &observed[0, 0]
    data.weight, data.pulls, data.squares, data.deviations = &weight[0], &pulls[0, 0], &squares[0], &deviations[0, 0]
    g.precision, g.covariance, g.log_det = &precision[0, 0], &covariance[0, 0], log_det
    with nogil:
        status = complete_rows_f64(data, g, d, &log_density[0], NULL if variances is None else &variances[0, 0],
                                   NULL if spread is None else &spread[0, 0])
    check_status(status)


def complete_cells(const unsigned char[:, ::1] exact, const double[::1] weight, const double[:, ::1] pulls,
                   const double[::1] squares, const double[:, ::1] precision, double log_det,
                   const double[::1] mean, const double[:, ::1] lower, const double[:, ::1] upper, int n_sweeps,
                   double tol, double[:, ::1] tau, double[:, ::1] nu, double[:, ::1] deviations,
                   double[::1] log_density, double[:, ::1] variances, double[:, ::1] spread):
    cdef ptrdiff_t n = deviations.shape[0]
    cdef int d = deviations.shape[1], status
    cdef rows_of_cells data
    cdef gaussian g
    check_shapes(exact.shape[0] == n == weight.shape[0] == pulls.shape[0] == squares.shape[0] == lower.shape[0]
                 == upper.shape[0] == tau.shape[0] == nu.shape[0] == log_density.shape[0])
    check_shapes(exact.shape[1] == d == pulls.shape[1] == precision.shape[0] == precision.shape[1] == mean.shape[0]
                 == lower.shape[1] == upper.shape[1] == tau.shape[1] == nu.shape[1] and n_sweeps >= 1)
    check_shapes(variances is None or (variances.shape[0] == n and variances.shape[1] == d))
    check_shapes(spread is None or (spread.shape[0] == d and spread.shape[1] == d))
    if d == 0:
        log_density[:] = 0.0
    if n == 0 or d == 0:
        return 0
    data.n, data.exact, data.weight, data.pulls, data.squares = n, &exact[0, 0], &weight[0], &pulls[0, 0], &squares[0]
    data.lower, data.upper, data.tau, data.nu = &lower[0, 0], &upper[0, 0], &tau[0, 0], &nu[0, 0]
    data.deviations = &deviations[0, 0]
    g.precision, g.covariance, g.log_det = &precision[0, 0], NULL, log_det
    with nogil:
        status = complete_cells_f64(data, g, &mean[0], d, n_sweeps, tol, &log_density[0],
                                    NULL if variances is None else &variances[0, 0],
                                    NULL if spread is None else &spread[0, 0])
    check_status(status)
    return status
