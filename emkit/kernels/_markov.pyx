# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
# cython: freethreading_compatible=True
"""Thin wrappers over the C kernels of hidden Markov chains: they hand over pointers and release the GIL.

They trust their input but for shapes; `markov_reference.py` says what each computes.
"""

from libc.stddef cimport ptrdiff_t

cdef extern from "_markov.h" nogil:
    ctypedef struct many_sequences:
        ptrdiff_t n
        const ptrdiff_t *starts
        const double *log_scale
        const double *entry

    int width_of(int k)
    int forward_backward_f64(many_sequences s, int k, const double *transmat, const double *weight,
                             double *density, double *log_likelihood, unsigned char *unsafe, double *first,
                             double *pairs)
    int forward_f64(ptrdiff_t n, int k, const double *transmat, const double *density, const double *entry,
                    double *alpha, double *inverse, double *log_likelihood)
    int backward_f64(ptrdiff_t n, int k, const double *transmat, double weight, const double *tail, double *density,
                     const double *alpha, const double *inverse, double *head, double *pairs)
    int filter_f64(many_sequences s, int k, const double *transmat, const double *density, double *filtered,
                   double *normaliser, unsigned char *unsafe)
    void scale_rows_f64(ptrdiff_t n, int k, const double *log_density, double *density, double *log_scale)
    ptrdiff_t log_filter_f64(ptrdiff_t n_sequences, const ptrdiff_t *starts, int k, const double *log_density,
                             const double *log_entry, const double *log_transmat, double *log_alpha,
                             double *log_normaliser)
    int log_smooth_f64(ptrdiff_t n_sequences, const ptrdiff_t *starts, int k, const double *weight,
                       const double *log_density, const double *log_transmat, const double *log_normaliser,
                       double *log_alpha, double *first, double *pairs)
    int viterbi_f64(ptrdiff_t n_sequences, const ptrdiff_t *starts, int k, const double *log_density,
                    const double *log_entry, const double *log_transmat, ptrdiff_t *path, double *log_probability)
    int viterbi_forward_f64(ptrdiff_t n, int k, const double *log_density, const double *log_transmat, double *value)
    int viterbi_k_best_f64(ptrdiff_t n, int k, int n_best, const double *log_density, const double *log_entry,
                           const double *log_transmat, ptrdiff_t *path, double *log_probability)
    void sample_paths_f64(ptrdiff_t n, int k, ptrdiff_t n_paths, const double *filtered, ptrdiff_t stride,
                          const double *transmat, const double *uniform, double *room, ptrdiff_t *path)


cdef inline int check_shapes(bint agree) except -1:
    if not agree:
        raise ValueError("the shapes of the arguments of a kernel do not agree")
    return 0


cdef inline int check_starts(const ptrdiff_t[::1] starts, ptrdiff_t n_rows) except -1:
    cdef ptrdiff_t i
    check_shapes(starts.shape[0] >= 1 and starts[0] == 0 and starts[starts.shape[0] - 1] == n_rows)
    for i in range(starts.shape[0] - 1):
        check_shapes(starts[i] < starts[i + 1])
    return 0


cdef inline int check_memory(ptrdiff_t status) except -1:
    if status == -2:
        raise MemoryError("no memory for the work space of a kernel")
    return 0


def padded_width(int k):
    return width_of(k)


def scale_rows(const double[:, ::1] log_density, double[:, ::1] density, double[::1] log_scale):
    cdef int k = log_density.shape[1]
    cdef ptrdiff_t n = log_density.shape[0]
    check_shapes(density.shape[0] == n == log_scale.shape[0] and density.shape[1] == width_of(k))
    if n == 0:
        return
    with nogil:
        scale_rows_f64(n, k, &log_density[0, 0], &density[0, 0], &log_scale[0])


def forward_backward(double[:, ::1] density, const double[::1] log_scale, const ptrdiff_t[::1] starts,
                     const double[::1] weight, const double[::1] entry, const double[:, ::1] transmat,
                     double[::1] log_likelihood, unsigned char[::1] unsafe, double[::1] first, double[:, ::1] pairs):
    cdef int k = transmat.shape[0], status
    cdef many_sequences s
    check_starts(starts, density.shape[0])
    s.n = starts.shape[0] - 1
    check_shapes(transmat.shape[1] == k == first.shape[0] == pairs.shape[0] == pairs.shape[1]
                 and density.shape[1] == width_of(k) == entry.shape[0] and log_scale.shape[0] == density.shape[0]
                 and weight.shape[0] == s.n == log_likelihood.shape[0] == unsafe.shape[0])
    if s.n == 0:
        return
    s.starts, s.log_scale, s.entry = &starts[0], &log_scale[0], &entry[0]
    with nogil:
        status = forward_backward_f64(s, k, &transmat[0, 0], &weight[0], &density[0, 0], &log_likelihood[0],
                                      &unsafe[0], &first[0], &pairs[0, 0])
    check_memory(2 * status)


def forward(const double[:, ::1] density, const double[::1] entry, const double[:, ::1] transmat,
            double[:, ::1] alpha, double[::1] inverse):
    cdef int k = transmat.shape[0], width = width_of(k), status
    cdef ptrdiff_t n = density.shape[0]
    cdef double log_likelihood = 0.0
    check_shapes(transmat.shape[1] == k and density.shape[1] == width == entry.shape[0] == alpha.shape[1] and n >= 1
                 and alpha.shape[0] == n and inverse.shape[0] >= n + 4 + width)
    with nogil:
        status = forward_f64(n, k, &transmat[0, 0], &density[0, 0], &entry[0], &alpha[0, 0], &inverse[0],
                             &log_likelihood)
    check_memory(2 * status)
    return log_likelihood


def backward(double[:, ::1] density, const double[:, ::1] alpha, const double[::1] inverse, double weight,
             const double[:, ::1] transmat, tail, double[::1] head, double[:, ::1] pairs):
    cdef int k = transmat.shape[0], width = width_of(k), status
    cdef ptrdiff_t n = density.shape[0]
    cdef const double[::1] message
    cdef const double *after = NULL
    check_shapes(transmat.shape[1] == k == pairs.shape[0] == pairs.shape[1]
                 and density.shape[1] == width == head.shape[0] == alpha.shape[1] and n >= 1
                 and alpha.shape[0] == n and inverse.shape[0] >= n)
    if tail is not None:
        message = tail
        check_shapes(message.shape[0] == width)
        after = &message[0]
    with nogil:
        status = backward_f64(n, k, &transmat[0, 0], weight, after, &density[0, 0], &alpha[0, 0], &inverse[0],
                              &head[0], &pairs[0, 0])
    check_memory(2 * status)


def filter_rows(const double[:, ::1] density, const ptrdiff_t[::1] starts, const double[::1] entry,
                const double[:, ::1] transmat, double[:, ::1] filtered, double[::1] normaliser,
                unsigned char[::1] unsafe):
    cdef int k = transmat.shape[0], status
    cdef many_sequences s
    check_starts(starts, density.shape[0])
    s.n = starts.shape[0] - 1
    check_shapes(transmat.shape[1] == k and density.shape[1] == width_of(k) == entry.shape[0]
                 == filtered.shape[1] and filtered.shape[0] == density.shape[0]
                 and normaliser.shape[0] == density.shape[0] and unsafe.shape[0] == s.n)
    if s.n == 0:
        return
    s.starts, s.log_scale, s.entry = &starts[0], NULL, &entry[0]
    with nogil:
        status = filter_f64(s, k, &transmat[0, 0], &density[0, 0], &filtered[0, 0], &normaliser[0],
                            &unsafe[0])
    check_memory(2 * status)


def log_filter(const double[:, ::1] log_density, const ptrdiff_t[::1] starts, const double[::1] log_entry,
               const double[:, ::1] log_transmat, double[:, ::1] log_alpha, double[::1] log_normaliser):
    cdef int k = log_transmat.shape[0]
    cdef ptrdiff_t n = starts.shape[0] - 1, impossible
    check_starts(starts, log_density.shape[0])
    check_shapes(log_transmat.shape[1] == k == log_density.shape[1]
                 and log_entry.shape[0] == width_of(k) == log_alpha.shape[1]
                 and log_alpha.shape[0] == log_density.shape[0] == log_normaliser.shape[0])
    if n == 0:
        return -1
    with nogil:
        impossible = log_filter_f64(n, &starts[0], k, &log_density[0, 0], &log_entry[0], &log_transmat[0, 0],
                                    &log_alpha[0, 0], &log_normaliser[0])
    check_memory(impossible)
    return impossible


def log_smooth(const double[:, ::1] log_density, const ptrdiff_t[::1] starts, const double[::1] weight,
               const double[:, ::1] log_transmat, const double[::1] log_normaliser, double[:, ::1] log_alpha,
               double[::1] first, double[:, ::1] pairs):
    cdef int k = log_transmat.shape[0], status
    cdef ptrdiff_t n = starts.shape[0] - 1
    check_starts(starts, log_density.shape[0])
    check_shapes(log_transmat.shape[1] == k == log_density.shape[1] == first.shape[0] == pairs.shape[0]
                 == pairs.shape[1] and log_alpha.shape[1] == width_of(k) and weight.shape[0] == n
                 and log_alpha.shape[0] == log_density.shape[0] == log_normaliser.shape[0])
    if n == 0:
        return
    with nogil:
        status = log_smooth_f64(n, &starts[0], k, &weight[0], &log_density[0, 0], &log_transmat[0, 0],
                                &log_normaliser[0], &log_alpha[0, 0], &first[0], &pairs[0, 0])
    check_memory(status)


def viterbi(const double[:, ::1] log_density, const ptrdiff_t[::1] starts, const double[::1] log_entry,
            const double[:, ::1] log_transmat, ptrdiff_t[::1] path, double[::1] log_probability):
    cdef int k = log_transmat.shape[0], status
    cdef ptrdiff_t n = starts.shape[0] - 1
    check_starts(starts, log_density.shape[0])
    check_shapes(log_transmat.shape[1] == k == log_density.shape[1] and log_entry.shape[0] == width_of(k)
                 and path.shape[0] == log_density.shape[0] and log_probability.shape[0] == n)
    if n == 0:
        return
    with nogil:
        status = viterbi_f64(n, &starts[0], k, &log_density[0, 0], &log_entry[0], &log_transmat[0, 0], &path[0],
                             &log_probability[0])
    check_memory(status)


def viterbi_forward(const double[:, ::1] log_density, const double[:, ::1] log_transmat, double[::1] value):
    cdef int k = log_transmat.shape[0], status
    cdef ptrdiff_t n = log_density.shape[0]
    check_shapes(log_transmat.shape[1] == k == log_density.shape[1] and value.shape[0] == width_of(k))
    if n == 0:
        return
    with nogil:
        status = viterbi_forward_f64(n, k, &log_density[0, 0], &log_transmat[0, 0], &value[0])
    check_memory(status)


def viterbi_k_best(const double[:, ::1] log_density, const double[::1] log_entry, const double[:, ::1] log_transmat,
                   ptrdiff_t[:, ::1] path, double[::1] log_probability):
    cdef int k = log_transmat.shape[0], n_best = path.shape[0], status
    cdef ptrdiff_t n = log_density.shape[0]
    check_shapes(log_transmat.shape[1] == k == log_density.shape[1] and log_entry.shape[0] >= k
                 and path.shape[1] == n and n >= 1 and n_best >= 1 and log_probability.shape[0] == n_best)
    with nogil:
        status = viterbi_k_best_f64(n, k, n_best, &log_density[0, 0], &log_entry[0], &log_transmat[0, 0], &path[0, 0],
                                    &log_probability[0])
    check_memory(status)


def sample_paths(const double[:, ::1] filtered, const double[:, ::1] transmat, const double[:, ::1] uniform,
                 double[::1] room, ptrdiff_t[:, ::1] path):
    cdef int k = transmat.shape[0]
    cdef ptrdiff_t n = filtered.shape[0], n_paths = path.shape[0]
    check_shapes(transmat.shape[1] == k == room.shape[0] and filtered.shape[1] >= k and path.shape[1] == n
                 and uniform.shape[0] == n_paths and uniform.shape[1] == n and n >= 1)
    if n_paths == 0:
        return
    with nogil:
        sample_paths_f64(n, k, n_paths, &filtered[0, 0], filtered.shape[1], &transmat[0, 0], &uniform[0, 0], &room[0],
                         &path[0, 0])
