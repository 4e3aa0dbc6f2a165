/* EM over a document-term matrix in CSR, in one precision. Include after _real.h.
 *
 * Of each document, the weights of the topics (width,) stay in registers and its rows of the topic matrix (terms,
 * width) in the nearest cache, so that further sweeps over the same document cost little. Rows are padded with zeros
 * to whole vectors. A sweep has three parts, each a loop without a wait for the one before: the mixture probability of
 * each term, its reciprocal times the count, and the expected counts of the topics. */

#define FAR 30 /* times the change before: an extrapolation that went astray */
#define AHEAD 8 /* terms from fetching a row into the cache to its use */
#define TILE 8 /* vectors of topics held in registers at a time */
#define SMALLEST (EM_DOUBLE ? (REAL)1e-150 : (REAL)1e-18) /* below it a weight is 0, so that no product is subnormal */
#define NORMAL (EM_DOUBLE ? (REAL)DBL_MIN : (REAL)FLT_MIN)
#define LARGEST (EM_DOUBLE ? (REAL)1e290 : (REAL)1e30) /* no ratio is above it, so that sums of them are finite */

/* Arrays of the caller need not be aligned to whole vectors (it is faster if they are). */
typedef REAL NAME(em_loose) __attribute__((vector_size(EM_VECTOR_BYTES), may_alias, aligned(sizeof(REAL))));
EM_INLINE VEC NAME(get)(const REAL *p) { return *(const NAME(em_loose) *)p; }
EM_INLINE void NAME(put)(REAL *p, VEC v) { *(NAME(em_loose) *)p = v; }

typedef REAL NAME(em_four) __attribute__((vector_size(4 * sizeof(REAL)), may_alias, aligned(sizeof(REAL))));

/* What is needed of one document. `rows[j]` is the row of its term j; what is counted by term is padded with zeros to
 * whole vectors. */
typedef struct {
    ptrdiff_t n_terms;
    const REAL **rows;
    REAL *counts, *mixture, *ratio;
} NAME(document);
#define DOCUMENT NAME(document)

/* Lane i of the result is the sum of the lanes of the i-th of four vectors (and, with eight lanes, again in the other
 * half). */
EM_INLINE VEC NAME(sums_of_four)(VEC a, VEC b, VEC c, VEC d) {
#if EM_DOUBLE
    const VEC ab = __builtin_shufflevector(a, b, 0, 4, 2, 6) + __builtin_shufflevector(a, b, 1, 5, 3, 7);
    const VEC cd = __builtin_shufflevector(c, d, 0, 4, 2, 6) + __builtin_shufflevector(c, d, 1, 5, 3, 7);
    return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
#else
    const VEC ab = __builtin_shufflevector(a, b, 0, 8, 2, 10, 4, 12, 6, 14) +
                   __builtin_shufflevector(a, b, 1, 9, 3, 11, 5, 13, 7, 15);
    const VEC cd = __builtin_shufflevector(c, d, 0, 8, 2, 10, 4, 12, 6, 14) +
                   __builtin_shufflevector(c, d, 1, 9, 3, 11, 5, 13, 7, 15);
    const VEC half = __builtin_shufflevector(ab, cd, 0, 1, 8, 9, 4, 5, 12, 13) +
                     __builtin_shufflevector(ab, cd, 2, 3, 10, 11, 6, 7, 14, 15);
    return half + __builtin_shufflevector(half, half, 4, 5, 6, 7, 0, 1, 2, 3);
#endif
}

/* mixture_j += sum over a tile of `vectors` vectors of weight_k row_jk, four terms at a time. */
EM_INLINE void NAME(add_mixture_tile)(const DOCUMENT *doc, const REAL *weight, ptrdiff_t offset, const int vectors) {
    VEC w[TILE];
    for (int b = 0; b < vectors; b++) w[b] = NAME(get)(weight + offset + b * LANES);
    for (ptrdiff_t j = 0; j < doc->n_terms; j += 4) {
        VEC s[4];
        for (int i = 0; i < 4; i++) {
            const REAL *row = doc->rows[j + i] + offset;
            s[i] = w[0] * NAME(get)(row);
            for (int b = 1; b < vectors; b++) s[i] += w[b] * NAME(get)(row + b * LANES);
        }
        const VEC sums = NAME(sums_of_four)(s[0], s[1], s[2], s[3]);
        NAME(em_four) *mixture = (NAME(em_four) *)(doc->mixture + j);
        *mixture += __builtin_shufflevector(sums, sums, 0, 1, 2, 3);
    }
}

/* expected_k = sum_j ratio_j row_jk over a tile. */
EM_INLINE void NAME(expect_tile)(const DOCUMENT *doc, REAL *expected, ptrdiff_t offset, const int vectors) {
    VEC e[TILE];
    for (int b = 0; b < vectors; b++) e[b] = (VEC){0};
    for (ptrdiff_t j = 0; j < doc->n_terms; j++) {
        const REAL *row = doc->rows[j] + offset;
        for (int b = 0; b < vectors; b++) e[b] += doc->ratio[j] * NAME(get)(row + b * LANES);
    }
    for (int b = 0; b < vectors; b++) NAME(put)(expected + offset + b * LANES, e[b]);
}

/* sums_jk += factor ratio_j weight_k over a tile: what the document adds to the rows of its terms. */
EM_INLINE void NAME(add_sums_tile)(const DOCUMENT *doc, const ptrdiff_t *places, REAL factor, const REAL *weight,
                                   REAL *sums, ptrdiff_t offset, const int vectors) {
    VEC w[TILE];
    for (int b = 0; b < vectors; b++) w[b] = factor * NAME(get)(weight + offset + b * LANES);
    for (ptrdiff_t j = 0; j < doc->n_terms; j++) {
        REAL *row = sums + places[j] + offset;
        if (j + AHEAD < doc->n_terms)
            for (int b = 0; b < vectors; b += 2) __builtin_prefetch(sums + places[j + AHEAD] + offset + b * LANES, 1);
        for (int b = 0; b < vectors; b++) {
            REAL *at = row + b * LANES;
            NAME(put)(at, NAME(get)(at) + doc->ratio[j] * w[b]);
        }
    }
}

/* Calls a function of a tile with the number of vectors as a constant, for all tiles of `width`. */
#define FOR_TILES(width, call)                                             \
    for (ptrdiff_t offset = 0; offset < (width); offset += TILE * LANES) { \
        const ptrdiff_t vectors = ((width)-offset) / LANES;                \
        switch (vectors < TILE ? vectors : TILE) {                         \
        case 1: call(1); break;                                            \
        case 2: call(2); break;                                            \
        case 3: call(3); break;                                            \
        case 4: call(4); break;                                            \
        case 5: call(5); break;                                            \
        case 6: call(6); break;                                            \
        case 7: call(7); break;                                            \
        default: call(8);                                                  \
        }                                                                  \
    }

EM_INLINE void NAME(mix)(const DOCUMENT *doc, int width, const REAL *weight) {
#define CALL(vectors) NAME(add_mixture_tile)(doc, weight, offset, vectors)
    memset(doc->mixture, 0, sizeof(REAL) * (size_t)(doc->n_terms + LANES));
    FOR_TILES(width, CALL)
#undef CALL
}

EM_INLINE void NAME(expect)(const DOCUMENT *doc, int width, REAL *expected) {
#define CALL(vectors) NAME(expect_tile)(doc, expected, offset, vectors)
    FOR_TILES(width, CALL)
#undef CALL
}

EM_INLINE void NAME(add_sums)(const DOCUMENT *doc, const ptrdiff_t *places, REAL factor, int width, const REAL *weight,
                              REAL *sums) {
#define CALL(vectors) NAME(add_sums_tile)(doc, places, factor, weight, sums, offset, vectors)
    FOR_TILES(width, CALL)
#undef CALL
}

/* ratio_j = count_j / mixture_j; a term that no topic of the document has tells nothing, and counts as absent. */
EM_INLINE void NAME(divide)(const DOCUMENT *doc) {
    for (ptrdiff_t j = 0; j < doc->n_terms; j += LANES) {
        const VEC m = NAME(get)(doc->mixture + j), counts = NAME(get)(doc->counts + j);
        const IVEC is_possible = (IVEC)(m >= NORMAL) & (IVEC)(m * LARGEST >= counts);
        NAME(put)(doc->ratio + j, (VEC)(is_possible & (IVEC)(counts / m)));
    }
}

/* sum_j count_j log mixture_j; -inf if a term has probability 0. */
EM_INLINE double NAME(log_mixture)(const DOCUMENT *doc) {
    DVEC total = {0};
    int is_possible = 1;
    for (ptrdiff_t j = 0; j < doc->n_terms; j += LANES) {
        const VEC m = NAME(get)(doc->mixture + j), counts = NAME(get)(doc->counts + j);
        const IVEC is_padding = (IVEC)(counts == 0), is_positive = (IVEC)(m >= NORMAL), is_told = is_positive & ~is_padding;
        const VEC safe = (VEC)((is_told & (IVEC)m) | (~is_told & (IVEC)NAME(splat)(1)));
        const VEC inverse = NAME(larger)(1 / safe, NAME(splat)(1));
        total += __builtin_convertvector(counts * NAME(log_from_one)(inverse), DVEC);
        for (int i = 0; i < LANES; i++) is_possible &= is_padding[i] != 0 || is_positive[i] != 0;
    }
    double sum = 0;
    for (int i = 0; i < LANES; i++) sum += total[i];
    return is_possible ? 0 - sum : -INFINITY; /* not -0 */
}

/* digamma(x) for x >= 0, -inf at 0: from x to x + 10 by psi(x) = psi(x + 1) - 1 / x, two steps to a division, and there
 * by the asymptotic series (NIST Handbook of Mathematical Functions, 5.11.2). */
EM_INLINE VEC NAME(digamma)(VEC x) {
    VEC below = {0};
    for (int i = 0; i < 10; i += 2) below += (2 * x + (REAL)(2 * i + 1)) / ((x + (REAL)i) * (x + (REAL)(i + 1)));
    const VEC y = x + 10, inverse = 1 / y, z = inverse * inverse;
    static const REAL c[] = {(REAL)(1.0 / 12),   (REAL)(-691.0 / 32760), (REAL)(1.0 / 132), (REAL)(-1.0 / 240),
                             (REAL)(1.0 / 252), (REAL)(-1.0 / 120),     (REAL)(1.0 / 12)};
    VEC series = NAME(splat)(c[0]);
    for (int i = 1; i < 7; i++) series = series * z + c[i];
    return NAME(log_from_one)(y) - (REAL)0.5 * inverse - z * series - below;
}

/* Weights of the topics from the pseudo-counts of a document: their shares, or exp E[log theta] under the Dirichlet
 * distribution with these parameters (as if `digamma`). */
EM_INLINE void NAME(weigh)(int width, const REAL *pseudo, const int digamma, REAL *weight) {
    VEC total = {0};
    for (int k = 0; k < width; k += LANES) total += NAME(get)(pseudo + k);
    REAL sum = NAME(add_lanes)(total);
    if (!(sum > 0)) {
        memset(weight, 0, sizeof(REAL) * (size_t)width);
        return;
    }
    if (digamma) {
        const VEC of_sum = NAME(splat)(NAME(digamma)(NAME(splat)(sum))[0]);
        for (int k = 0; k < width; k += LANES) {
            const VEC log_weight = NAME(digamma)(NAME(get)(pseudo + k)) - of_sum;
            NAME(put)(weight + k, NAME(exp_nonpositive)(NAME(smaller)(log_weight, (VEC){0})));
        }
        return;
    }
    for (int k = 0; k < width; k += LANES) {
        const VEC share = NAME(get)(pseudo + k) / sum;
        NAME(put)(weight + k, (VEC)((IVEC)(share > SMALLEST) & (IVEC)share));
    }
}

/* pseudo_k = prior_k + weight_k expected_k; the sum of the absolute changes. */
EM_INLINE REAL NAME(renew)(int width, const REAL *prior, const REAL *weight, const REAL *expected, REAL *pseudo) {
    VEC change = {0};
    for (int k = 0; k < width; k += LANES) {
        const VEC before = NAME(get)(pseudo + k);
        const VEC after = NAME(get)(prior + k) + NAME(get)(weight + k) * NAME(get)(expected + k);
        change += NAME(larger)(after - before, before - after);
        NAME(put)(pseudo + k, after);
    }
    return NAME(add_lanes)(change);
}

/* Points the document at its terms; returns how many terms, rounded up to whole vectors, have room there. */
EM_INLINE void NAME(open_document)(DOCUMENT *doc, const corpus *data, ptrdiff_t d, const REAL *counts, int width,
                                   const REAL *topics, ptrdiff_t *places) {
    const ptrdiff_t start = data->starts[d], m = data->starts[d + 1] - start;
    doc->n_terms = m;
    for (ptrdiff_t j = 0; j < m; j++) {
        places[j] = (ptrdiff_t)data->terms[start + j] * width;
        doc->rows[j] = topics + places[j];
        doc->counts[j] = counts[start + j];
    }
    for (ptrdiff_t j = m; j < m + LANES; j++) {
        doc->rows[j] = topics;
        doc->counts[j] = 0;
    }
}

/* One update of the pseudo-counts at fixed topics; the sum of the absolute changes. */
EM_INLINE REAL NAME(sweep)(const DOCUMENT *doc, int width, const REAL *prior, const int digamma, REAL *weight,
                           REAL *expected, REAL *pseudo) {
    NAME(weigh)(width, pseudo, digamma, weight);
    NAME(mix)(doc, width, weight);
    NAME(divide)(doc);
    NAME(expect)(doc, width, expected);
    return NAME(renew)(width, prior, weight, expected, pseudo);
}

/* `n_sweeps` updates at most, until their mean change is at most `tol`. The last also adds to `sums` and gives the
 * log-likelihood, both at the pseudo-counts before its update, which are left in `used`. */
EM_INLINE double NAME(learn_document)(const DOCUMENT *doc, const ptrdiff_t *places, REAL weight_of_document, int width,
                                      int k, const REAL *prior, const int digamma, int n_sweeps, REAL tol,
                                      REAL *weight, REAL *expected, REAL *pseudo, REAL *sums, REAL *used) {
    REAL change = INFINITY;
    for (int sweep = 1; sweep < n_sweeps && change > tol * k; sweep++)
        change = NAME(sweep)(doc, width, prior, digamma, weight, expected, pseudo);
    memcpy(used, pseudo, sizeof(REAL) * (size_t)width);
    NAME(sweep)(doc, width, prior, digamma, weight, expected, pseudo);
    NAME(add_sums)(doc, places, weight_of_document, width, weight, sums);
    return NAME(log_mixture)(doc);
}

/* x <- x0 - 2 a r + a^2 v, where x0, x0 + r, x are successive pseudo-counts, v = x - x0 - 2 r and a = -|r| / |v|: the
 * squared extrapolation of Varadhan and Roland (2008, Scand. J. Stat. 35, 335-353, scheme S3). Not further down than to
 * a tenth of x, so that no topic is lost. */
EM_INLINE void NAME(extrapolate)(int width, const REAL *first, const REAL *step, REAL *pseudo) {
    VEC r_square = {0}, v_square = {0};
    for (int k = 0; k < width; k += LANES) {
        const VEC r = NAME(get)(step + k), v = NAME(get)(pseudo + k) - NAME(get)(first + k) - 2 * r;
        r_square += r * r;
        v_square += v * v;
    }
    const REAL squares = NAME(add_lanes)(v_square);
    if (!(squares > 0)) return;
    const REAL reach = (REAL)sqrt((double)(NAME(add_lanes)(r_square) / squares)); /* -a */
    if (reach <= 1) return;
    for (int k = 0; k < width; k += LANES) {
        const VEC x0 = NAME(get)(first + k), r = NAME(get)(step + k), x = NAME(get)(pseudo + k);
        const VEC further = x0 + 2 * reach * r + reach * reach * (x - x0 - 2 * r);
        NAME(put)(pseudo + k, NAME(larger)(further, (REAL)0.1 * x));
    }
}

/* The same updates without sums, extrapolated after every second one. At fixed topics there is one maximum (but for
 * `digamma`, where nothing is extrapolated), so that it matters little which way leads there; an extrapolation that makes the next change much larger is taken back, and is
 * the last. `room` holds three times `width` numbers. */
EM_INLINE void NAME(fold_in_document)(const DOCUMENT *doc, int width, int k, const REAL *prior, const int digamma,
                                      int n_sweeps, REAL tol, REAL *weight, REAL *expected, REAL *room, REAL *pseudo) {
    REAL *first = room, *step = room + width, *last = room + 2 * width, before = INFINITY;
    const size_t size = sizeof(REAL) * (size_t)width;
    int extrapolates = !digamma; /* else there may be several maxima, and the way matters */
    for (int sweep = 0; sweep < n_sweeps; sweep++) {
        const int is_second = sweep % 2;
        if (!is_second) memcpy(first, pseudo, size);
        const REAL change = NAME(sweep)(doc, width, prior, digamma, weight, expected, pseudo);
        if (change <= tol * k) return;
        if (!is_second && extrapolates && change > FAR * before) {
            memcpy(pseudo, last, size);
            extrapolates = 0;
        } else if (!is_second) {
            for (int i = 0; i < width; i += LANES)
                NAME(put)(step + i, NAME(get)(pseudo + i) - NAME(get)(first + i));
        } else if (extrapolates && sweep + 1 < n_sweeps) {
            memcpy(last, pseudo, size);
            before = change;
            NAME(extrapolate)(width, first, step, pseudo);
        }
    }
}

typedef struct {
    DOCUMENT doc;
    ptrdiff_t *places;
    REAL *weight, *expected, *steps, *room;
} NAME(workspace);

static int NAME(open_workspace)(NAME(workspace) * work, const corpus *data, int width) {
    ptrdiff_t longest = 0;
    for (ptrdiff_t d = 0; d < data->n; d++) {
        const ptrdiff_t m = data->starts[d + 1] - data->starts[d];
        longest = m > longest ? m : longest;
    }
    const size_t terms = (size_t)longest + LANES;
    work->room = malloc(sizeof(REAL) * (3 * terms + 5 * (size_t)width));
    work->places = malloc(sizeof(ptrdiff_t) * terms);
    work->doc.rows = malloc(sizeof(REAL *) * terms);
    if (!work->room || !work->places || !work->doc.rows) return -1;
    work->doc.counts = work->room;
    work->doc.mixture = work->room + terms;
    work->doc.ratio = work->room + 2 * terms;
    work->weight = work->room + 3 * terms;
    work->expected = work->weight + width;
    work->steps = work->expected + width;
    return 0;
}

static void NAME(close_workspace)(NAME(workspace) * work) {
    free(work->room);
    free(work->places);
    free((void *)work->doc.rows);
}

EM_CLONES
static int NAME(topic_sweeps)(corpus data, const REAL *counts, const REAL *weight, int width, int k,
                              const REAL *topics, const REAL *prior, int digamma, int n_sweeps, double tol,
                              REAL *pseudo, REAL *sums, REAL *used, double *log_likelihood) {
    NAME(workspace) work = {0};
    const int status = NAME(open_workspace)(&work, &data, width);
    for (ptrdiff_t d = 0; !status && d < data.n; d++) {
        NAME(open_document)(&work.doc, &data, d, counts, width, topics, work.places);
        REAL *own = pseudo + d * width;
#define LEARN(digamma)                                                                                            \
    NAME(learn_document)(&work.doc, work.places, weight[d], width, k, prior, digamma, n_sweeps, (REAL)tol, work.weight, \
                         work.expected, own, sums, used + d * width)
#define FOLD_IN(digamma)                                                                                             \
    NAME(fold_in_document)(&work.doc, width, k, prior, digamma, n_sweeps, (REAL)tol, work.weight, work.expected, work.steps, \
                           own)
        if (sums)
            log_likelihood[d] = digamma ? LEARN(1) : LEARN(0);
        else if (digamma)
            FOLD_IN(1);
        else
            FOLD_IN(0);
#undef LEARN
#undef FOLD_IN
    }
    NAME(close_workspace)(&work);
    return status;
}

/* Of each document, sum_j count_j log sum_k weight_k row_jk. */
EM_CLONES
static int NAME(topic_log_likelihood)(corpus data, const REAL *counts, int width, const REAL *topics,
                                      const REAL *weights, double *log_likelihood) {
    NAME(workspace) work = {0};
    const int status = NAME(open_workspace)(&work, &data, width);
    for (ptrdiff_t d = 0; !status && d < data.n; d++) {
        NAME(open_document)(&work.doc, &data, d, counts, width, topics, work.places);
        NAME(mix)(&work.doc, width, weights + d * width);
        log_likelihood[d] = NAME(log_mixture)(&work.doc);
    }
    NAME(close_workspace)(&work);
    return status;
}

/* One update of collapsed variational inference, order zero: the responsibilities of each term of a document from all
 * counts but those of one token of the term itself. `resp` (entries, width) holds those of the pass before, whose sum
 * over the document is in `expected`; `own` is 1 where the topics' counts hold the token too, else 0. */
EM_INLINE double NAME(collapsed_document)(const DOCUMENT *doc, const ptrdiff_t *places, REAL weight_of_document,
                                          int width, const REAL *totals, const REAL *prior, REAL own, REAL *expected,
                                          REAL *resp, REAL *sums) {
    memset(expected, 0, sizeof(REAL) * (size_t)width);
    for (ptrdiff_t j = 0; j < doc->n_terms; j++)
        for (int k = 0; k < width; k += LANES)
            NAME(put)(expected + k, NAME(get)(expected + k) + doc->counts[j] * NAME(get)(resp + j * width + k));
    double log_likelihood = 0;
    for (ptrdiff_t j = 0; j < doc->n_terms; j++) {
        REAL *r = resp + j * width;
        /* a token is left out; all there is where counts or weights make that less */
        const REAL n = doc->counts[j], weighted = weight_of_document * n;
        const REAL own_here = n < 1 ? n : 1, own_there = own * (weighted < 1 ? weighted : 1);
        VEC sum = {0}, others = {0};
        for (int k = 0; k < width; k += LANES) {
            const VEC before = NAME(get)(r + k), zero = {0};
            const VEC topic = NAME(larger)(NAME(get)(doc->rows[j] + k) - own_there * before, zero);
            const VEC document = NAME(larger)(NAME(get)(expected + k) - own_here * before, zero) + NAME(get)(prior + k);
            const VEC total = NAME(get)(totals + k) - own_there * before;
            others += document;
            const VEC after = (VEC)((IVEC)(total > 0) & (IVEC)(document * topic / total));
            sum += after;
            NAME(put)(r + k, after);
        }
        const REAL mixture = NAME(add_lanes)(sum), inverse = mixture >= NORMAL ? 1 / mixture : 0;
        if (doc->counts[j] > 0)
            log_likelihood += inverse > 0 ? doc->counts[j] * log((double)mixture / (double)NAME(add_lanes)(others))
                                          : -INFINITY;
        for (int k = 0; k < width; k += LANES) NAME(put)(r + k, NAME(get)(r + k) * inverse);
        if (sums) {
            const REAL w = weight_of_document * doc->counts[j];
            for (int k = 0; k < width; k += LANES) {
                REAL *at = sums + places[j] + k;
                NAME(put)(at, NAME(get)(at) + w * NAME(get)(r + k));
            }
        }
    }
    return log_likelihood;
}

EM_CLONES
static int NAME(topic_sweep_collapsed)(corpus data, const REAL *counts, const REAL *weight, int width,
                                       const REAL *topics, const REAL *totals, const REAL *prior, double own,
                                       REAL *resp, REAL *sums, double *log_likelihood) {
    NAME(workspace) work = {0};
    const int status = NAME(open_workspace)(&work, &data, width);
    for (ptrdiff_t d = 0; !status && d < data.n; d++) {
        NAME(open_document)(&work.doc, &data, d, counts, width, topics, work.places);
        log_likelihood[d] =
            NAME(collapsed_document)(&work.doc, work.places, weight ? weight[d] : 1, width, totals, prior, (REAL)own,
                                     work.expected, resp + data.starts[d] * width, sums);
    }
    NAME(close_workspace)(&work);
    return status;
}

/* What the M-step needs of a pass: topics * sums in double precision. */
EM_CLONES
static void NAME(expected_counts)(ptrdiff_t n_terms, int k, int width, const REAL *topics, const REAL *sums,
                                  double *counts) {
    for (ptrdiff_t v = 0; v < n_terms; v++) {
        const REAL *t = topics + v * width, *s = sums + v * width;
        double *c = counts + v * k;
        for (int i = 0; i < k; i++) c[i] = (double)t[i] * (double)s[i];
    }
}

/* Each topic's shares of its pseudo-counts, in rows padded with zeros. */
EM_CLONES
static void NAME(topic_shares)(ptrdiff_t n_terms, int k, int width, const double *pseudo, const double *inverse_totals,
                               REAL *topics) {
    for (ptrdiff_t v = 0; v < n_terms; v++) {
        const double *p = pseudo + v * k;
        REAL *t = topics + v * width;
        for (int i = 0; i < k; i++) {
            const REAL share = (REAL)(p[i] * inverse_totals[i]);
            t[i] = share > SMALLEST ? share : 0;
        }
    }
}

#undef TILE
#undef AHEAD
#undef FAR
#undef SMALLEST
#undef NORMAL
#undef LARGEST
#undef DOCUMENT
#undef FOR_TILES
