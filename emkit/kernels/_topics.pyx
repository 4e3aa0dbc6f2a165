# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""Thin wrappers over the C kernels of topic models: they hand over pointers and release the GIL.

They trust their input but for shapes; `topics_reference.py` says what each computes.
"""

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int32_t

ctypedef fused real:
    double
    float

cdef extern from "_topics_kernels.h" nogil:
    ctypedef struct corpus:
        ptrdiff_t n
        const ptrdiff_t *starts
        const int32_t *terms

    int topic_sweeps_f64(corpus data, const double *counts, const double *weight, int width, int k,
                         const double *topics, const double *prior, int digamma, int n_sweeps, double tol,
                         double *pseudo, double *sums, double *used, double *log_likelihood)
    int topic_sweeps_f32(corpus data, const float *counts, const float *weight, int width, int k,
                         const float *topics, const float *prior, int digamma, int n_sweeps, double tol,
                         float *pseudo, float *sums, float *used, double *log_likelihood)
    int topic_log_likelihood_f64(corpus data, const double *counts, int width, const double *topics,
                                 const double *weights, double *log_likelihood)
    int topic_log_likelihood_f32(corpus data, const float *counts, int width, const float *topics,
                                 const float *weights, double *log_likelihood)
    int topic_sweep_collapsed_f64(corpus data, const double *counts, const double *weight, int width,
                                  const double *topics, const double *totals, const double *prior, double own,
                                  double *resp, double *sums, double *log_likelihood)
    int topic_sweep_collapsed_f32(corpus data, const float *counts, const float *weight, int width,
                                  const float *topics, const float *totals, const float *prior, double own,
                                  float *resp, float *sums, double *log_likelihood)
    void expected_counts_f64(ptrdiff_t n_terms, int k, int width, const double *topics, const double *sums,
                             double *counts)
    void expected_counts_f32(ptrdiff_t n_terms, int k, int width, const float *topics, const float *sums,
                             double *counts)
    void topic_shares_f64(ptrdiff_t n_terms, int k, int width, const double *pseudo, const double *inverse_totals,
                          double *topics)
    void topic_shares_f32(ptrdiff_t n_terms, int k, int width, const double *pseudo, const double *inverse_totals,
                          float *topics)
    double sum_of_logs_f64(ptrdiff_t n, const double *x)


cdef inline int check_shapes(bint agree) except -1:
    if not agree:
        raise ValueError("the shapes of the arguments of a kernel do not agree")
    return 0


cdef inline int check_width(int width, int k, const real *kind) except -1:
    """Rows are whole vectors of 32 bytes."""
    check_shapes(width % (32 // sizeof(real)) == 0 and 1 <= k <= width)
    return 0


cdef inline int check_memory(int status) except -1:
    if status != 0:
        raise MemoryError("no memory for the work space of a kernel")
    return 0


cdef int open_corpus(corpus *data, const ptrdiff_t[::1] starts, const int32_t[::1] terms, ptrdiff_t n_counts,
                     ptrdiff_t n_terms) except -1:
    cdef ptrdiff_t i
    data.n = starts.shape[0] - 1
    check_shapes(data.n >= 0 and starts[0] == 0 and starts[data.n] == terms.shape[0] == n_counts)
    for i in range(data.n):
        check_shapes(starts[i] <= starts[i + 1])
    for i in range(terms.shape[0]):
        check_shapes(0 <= terms[i] < n_terms)
    data.starts = &starts[0]
    data.terms = &terms[0] if terms.shape[0] else NULL
    return 0


def topic_sweeps(const ptrdiff_t[::1] starts, const int32_t[::1] terms, const real[::1] counts,
                 const real[::1] weight, const real[:, ::1] topics, const real[::1] prior, int n_topics, bint digamma,
                 int n_sweeps, double tol, real[:, ::1] pseudo, real[:, ::1] sums, real[:, ::1] used,
                 double[::1] log_likelihood):
    cdef int width = topics.shape[1], status
    cdef corpus data
    cdef bint learns = sums is not None
    open_corpus(&data, starts, terms, counts.shape[0], topics.shape[0])
    check_width(width, n_topics, &topics[0, 0])
    check_shapes(prior.shape[0] == width == pseudo.shape[1] and pseudo.shape[0] == data.n and n_sweeps >= 1)
    if learns:
        check_shapes(sums.shape[0] == topics.shape[0] and sums.shape[1] == width == used.shape[1]
                     and used.shape[0] == data.n == log_likelihood.shape[0] == weight.shape[0])
    if data.n == 0:
        return
    with nogil:
        if real is double:
            status = topic_sweeps_f64(data, data_of(counts), &weight[0] if learns else NULL, width, n_topics,
                                      &topics[0, 0], &prior[0], digamma, n_sweeps, tol, &pseudo[0, 0],
                                      &sums[0, 0] if learns else NULL, &used[0, 0] if learns else NULL,
                                      &log_likelihood[0] if learns else NULL)
        else:
            status = topic_sweeps_f32(data, data_of(counts), &weight[0] if learns else NULL, width, n_topics,
                                      &topics[0, 0], &prior[0], digamma, n_sweeps, tol, &pseudo[0, 0],
                                      &sums[0, 0] if learns else NULL, &used[0, 0] if learns else NULL,
                                      &log_likelihood[0] if learns else NULL)
    check_memory(status)


cdef inline const real *data_of(const real[::1] values) noexcept nogil:
    return &values[0] if values.shape[0] else NULL


def topic_log_likelihood(const ptrdiff_t[::1] starts, const int32_t[::1] terms, const real[::1] counts,
                         const real[:, ::1] topics, const real[:, ::1] weights, double[::1] log_likelihood):
    cdef int width = topics.shape[1], status
    cdef corpus data
    open_corpus(&data, starts, terms, counts.shape[0], topics.shape[0])
    check_width(width, width, &topics[0, 0])
    check_shapes(weights.shape[1] == width and weights.shape[0] == data.n == log_likelihood.shape[0])
    if data.n == 0:
        return
    with nogil:
        if real is double:
            status = topic_log_likelihood_f64(data, data_of(counts), width, &topics[0, 0], &weights[0, 0],
                                              &log_likelihood[0])
        else:
            status = topic_log_likelihood_f32(data, data_of(counts), width, &topics[0, 0], &weights[0, 0],
                                              &log_likelihood[0])
    check_memory(status)


def topic_sweep_collapsed(const ptrdiff_t[::1] starts, const int32_t[::1] terms, const real[::1] counts,
                          const real[::1] weight, const real[:, ::1] topics, const real[::1] totals,
                          const real[::1] prior, bint own, real[:, ::1] resp, real[:, ::1] sums,
                          double[::1] log_likelihood):
    cdef int width = topics.shape[1], status
    cdef corpus data
    cdef bint learns = sums is not None, weighted = weight is not None
    open_corpus(&data, starts, terms, counts.shape[0], topics.shape[0])
    check_width(width, width, &topics[0, 0])
    check_shapes(prior.shape[0] == width == totals.shape[0] == resp.shape[1] and resp.shape[0] == terms.shape[0]
                 and log_likelihood.shape[0] == data.n)
    check_shapes(not weighted or weight.shape[0] == data.n)
    if learns:
        check_shapes(sums.shape[0] == topics.shape[0] and sums.shape[1] == width and weighted)
    if data.n == 0:
        return
    with nogil:
        if real is double:
            status = topic_sweep_collapsed_f64(data, data_of(counts), &weight[0] if weighted else NULL, width,
                                               &topics[0, 0], &totals[0], &prior[0], own, &resp[0, 0],
                                               &sums[0, 0] if learns else NULL, &log_likelihood[0])
        else:
            status = topic_sweep_collapsed_f32(data, data_of(counts), &weight[0] if weighted else NULL, width,
                                               &topics[0, 0], &totals[0], &prior[0], own, &resp[0, 0],
                                               &sums[0, 0] if learns else NULL, &log_likelihood[0])
    check_memory(status)


def expected_counts(const real[:, ::1] topics, const real[:, ::1] sums, double[:, ::1] counts):
    cdef int width = topics.shape[1], k = counts.shape[1]
    cdef ptrdiff_t n_terms = topics.shape[0]
    check_shapes(sums.shape[0] == n_terms == counts.shape[0] and sums.shape[1] == width and k <= width
                 and n_terms >= 1)
    with nogil:
        if real is double:
            expected_counts_f64(n_terms, k, width, &topics[0, 0], &sums[0, 0], &counts[0, 0])
        else:
            expected_counts_f32(n_terms, k, width, &topics[0, 0], &sums[0, 0], &counts[0, 0])


def topic_shares(const double[:, ::1] pseudo, const double[::1] inverse_totals, real[:, ::1] topics):
    cdef int width = topics.shape[1], k = pseudo.shape[1]
    cdef ptrdiff_t n_terms = topics.shape[0]
    check_shapes(pseudo.shape[0] == n_terms and k <= width and inverse_totals.shape[0] == k and n_terms >= 1)
    with nogil:
        if real is double:
            topic_shares_f64(n_terms, k, width, &pseudo[0, 0], &inverse_totals[0], &topics[0, 0])
        else:
            topic_shares_f32(n_terms, k, width, &pseudo[0, 0], &inverse_totals[0], &topics[0, 0])


def sum_of_logs(const double[:, ::1] values):
    cdef ptrdiff_t n = values.shape[0] * values.shape[1]
    cdef double total
    if n == 0:
        return 0.0
    with nogil:
        total = sum_of_logs_f64(n, &values[0, 0])
    return total
