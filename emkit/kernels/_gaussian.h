/* Gaussian mixture kernels for one precision; see reference.py for what each computes.
 *
 * Rows are taken in tiles, transposed so that the samples of a feature lie next to each other: every inner loop runs
 * over samples, in vectors. A tile is used for the E-step and at once for its statistics, so that the data are read
 * once an iteration and no array of samples x components exists. */

#undef TILE_STEP
#undef PANEL
#define TILE_STEP (4 * LANES) /* two cache lines */
#define PANEL 4               /* outputs of the whitening that are computed together */

/* Rows in a tile, so that its features fit the first cache and its responsibilities stay near it. The number of steps
 * is odd: a power of two would put the values of one sample, a tile apart, into the same few cache sets. */
static inline int NAME(tile_rows)(int d, int k) {
    const int first_cache = 32768 / (int)sizeof(REAL), second_cache = 131072 / (int)sizeof(REAL), most_steps = 15;
    const int room = first_cache / d < second_cache / k ? first_cache / d : second_cache / k;
    const int steps = room / TILE_STEP;
    return TILE_STEP * (steps >= most_steps ? most_steps : steps <= 1 ? 1 : (steps - 1) | 1);
}

static inline int NAME(panels)(int d) { return (d + PANEL - 1) / PANEL; }

/* Upper-triangular factors (k, d, d) into panels of PANEL columns: element j, b of panel p is factor[j, PANEL p + b],
 * rows below the diagonal block left out. */
static inline size_t NAME(packed_size)(int d) {
    size_t p = NAME(panels)(d);
    return PANEL * PANEL * p * (p + 1) / 2;
}

static void NAME(pack_upper)(int d, const REAL *factor, REAL *packed) {
    for (int i0 = 0; i0 < d; i0 += PANEL)
        for (int j = 0; j < i0 + PANEL; j++)
            for (int b = 0; b < PANEL; b++)
                *packed++ = (j < d && i0 + b < d && j <= i0 + b) ? factor[(size_t)j * d + i0 + b] : 0;
}

/* Transpose rows [0, n) of X, whose numbers may lie at any byte, into the tile; the rows that fill it up repeat the last
 * one (and get weight 0). */
EM_INLINE void NAME(fill_tile)(int d, int tile, int n, const char *X, ptrdiff_t row_stride, ptrdiff_t column_stride,
                               REAL *x) {
    for (int s = 0; s < tile; s++) {
        const char *row = X + (s < n ? s : n - 1) * row_stride;
        for (int j = 0; j < d; j++) memcpy(x + j * tile + s, row + j * column_stride, sizeof(REAL));
    }
}

EM_INLINE void NAME(subtract_mean)(int d, int tile, const REAL *x, const REAL *mean, REAL *diff) {
    for (int j = 0; j < d; j++)
        for (int s = 0; s < tile; s += LANES)
            NAME(store)(diff + j * tile + s, NAME(load)(x + j * tile + s) - mean[j]);
}

/* One panel of the whitened coordinates, for two vectors of samples. */
EM_INLINE void NAME(whiten_panel)(int outputs, int inputs, int tile, const REAL *diff, const REAL *packed,
                                  VEC y[PANEL][2]) {
    for (int b = 0; b < outputs; b++) y[b][0] = y[b][1] = NAME(splat)(0);
    for (int j = 0; j < inputs; j++) {
        const VEC v0 = NAME(load)(diff + j * tile), v1 = NAME(load)(diff + j * tile + LANES);
        for (int b = 0; b < outputs; b++) {
            y[b][0] += v0 * packed[j * PANEL + b];
            y[b][1] += v1 * packed[j * PANEL + b];
        }
    }
}

/* out[s] = constant - 0.5 |diff[:, s]^T factor|^2 */
EM_INLINE void NAME(log_density_tile)(int d, int tile, const REAL *diff, const REAL *packed, REAL constant, REAL *out) {
    for (int s = 0; s < tile; s += 2 * LANES) {
        VEC square0 = NAME(splat)(0), square1 = NAME(splat)(0), y[PANEL][2];
        const REAL *panel = packed;
        for (int i0 = 0; i0 < d; i0 += PANEL) {
            const int inputs = d < i0 + PANEL ? d : i0 + PANEL, outputs = inputs - i0;
            switch (outputs) {
            case 1: NAME(whiten_panel)(1, inputs, tile, diff + s, panel, y); break;
            case 2: NAME(whiten_panel)(2, inputs, tile, diff + s, panel, y); break;
            case 3: NAME(whiten_panel)(3, inputs, tile, diff + s, panel, y); break;
            default: NAME(whiten_panel)(4, inputs, tile, diff + s, panel, y);
            }
            for (int b = 0; b < outputs; b++) {
                square0 += y[b][0] * y[b][0];
                square1 += y[b][1] * y[b][1];
            }
            panel += PANEL * (i0 + PANEL);
        }
        const VEC cap = NAME(splat)((REAL)SQUARE_CAP), half = NAME(splat)((REAL)0.5);
        NAME(store)(out + s, constant - half * NAME(smaller)(square0, cap));
        NAME(store)(out + s + LANES, constant - half * NAME(smaller)(square1, cap));
    }
}

EM_INLINE void NAME(log_density_any)(int d, int tile, const REAL *diff, const REAL *packed, REAL constant, REAL *out) {
    switch (d) { /* small sizes are compiled one by one, so that their loops unroll */
    case 1: NAME(log_density_tile)(1, tile, diff, packed, constant, out); break;
    case 2: NAME(log_density_tile)(2, tile, diff, packed, constant, out); break;
    case 3: NAME(log_density_tile)(3, tile, diff, packed, constant, out); break;
    case 4: NAME(log_density_tile)(4, tile, diff, packed, constant, out); break;
    case 5: NAME(log_density_tile)(5, tile, diff, packed, constant, out); break;
    case 6: NAME(log_density_tile)(6, tile, diff, packed, constant, out); break;
    case 7: NAME(log_density_tile)(7, tile, diff, packed, constant, out); break;
    case 8: NAME(log_density_tile)(8, tile, diff, packed, constant, out); break;
    default: NAME(log_density_tile)(d, tile, diff, packed, constant, out);
    }
}

/* out[s] = constant - 0.5 sum_j ((x[j, s] - mean[j]) scale[j])^2 */
EM_INLINE void NAME(log_density_diag_tile)(int d, int tile, const REAL *x, const REAL *mean, const REAL *scale,
                                           REAL constant, REAL *out) {
    for (int s = 0; s < tile; s += 4 * LANES) {
        VEC square[4] = {{0}, {0}, {0}, {0}};
        for (int j = 0; j < d; j++)
            for (int b = 0; b < 4; b++) {
                const VEC z = (NAME(load)(x + j * tile + s + b * LANES) - mean[j]) * scale[j];
                square[b] += z * z;
            }
        const VEC cap = NAME(splat)((REAL)SQUARE_CAP), half = NAME(splat)((REAL)0.5);
        for (int b = 0; b < 4; b++)
            NAME(store)(out + s + b * LANES, constant - half * NAME(smaller)(square[b], cap));
    }
}

/* log_joint (k, tile) into weighted responsibilities, in place; returns sum of weight * log-sum-exp. */
EM_INLINE double NAME(soft_assign)(int k, int tile, REAL *log_joint, const REAL *weight) {
    DVEC objective = {0};
    for (int s = 0; s < tile; s += LANES) {
        VEC top = NAME(load)(log_joint + s), sum = NAME(splat)(0);
        for (int c = 1; c < k; c++) top = NAME(larger)(top, NAME(load)(log_joint + c * tile + s));
        for (int c = 0; c < k; c++) {
            const VEC e = NAME(exp_nonpositive)(NAME(load)(log_joint + c * tile + s) - top);
            NAME(store)(log_joint + c * tile + s, e);
            sum += e;
        }
        const VEC w = NAME(load)(weight + s), scale = w / sum;
        for (int c = 0; c < k; c++)
            NAME(store)(log_joint + c * tile + s, NAME(load)(log_joint + c * tile + s) * scale);
        const DVEC row = __builtin_convertvector(top, DVEC) + __builtin_convertvector(NAME(log_from_one)(sum), DVEC);
        objective += __builtin_convertvector(w, DVEC) * row;
    }
    double total = 0.0;
    for (int i = 0; i < LANES; i++) total += objective[i];
    return total;
}

/* As soft_assign, with all of a row's weight on its most probable component (the first of equals). */
EM_INLINE double NAME(hard_assign)(int k, int tile, REAL *log_joint, const REAL *weight) {
    double objective = 0.0;
    for (int s = 0; s < tile; s++) {
        int best = 0;
        for (int c = 1; c < k; c++)
            if (log_joint[c * tile + s] > log_joint[best * tile + s]) best = c;
        const REAL w = weight[s];
        if (w != 0) objective += (double)w * (double)log_joint[best * tile + s];
        for (int c = 0; c < k; c++) log_joint[c * tile + s] = c == best ? w : 0;
    }
    return objective;
}

EM_INLINE int NAME(is_empty)(int tile, const REAL *resp) {
    IVEC any = (IVEC)NAME(splat)(0);
    for (int s = 0; s < tile; s += LANES) any |= (IVEC)NAME(load)(resp + s);
    for (int i = 0; i < LANES; i++)
        if (any[i]) return 0;
    return 1;
}

/* Count, first and second moments of diff under resp, lower triangle, all accumulators in registers: for d <= 4. */
EM_INLINE void NAME(moments_small)(int d, int tile, const REAL *diff, const REAL *resp, double *count, double *sums,
                                   double *scatter) {
    VEC n = {0}, first[4] = {{0}, {0}, {0}, {0}}, second[10];
    for (int p = 0; p < d * (d + 1) / 2; p++) second[p] = NAME(splat)(0);
    for (int s = 0; s < tile; s += LANES) {
        const VEC r = NAME(load)(resp + s);
        VEC x[4], rx[4];
        n += r;
        for (int j = 0; j < d; j++) {
            x[j] = NAME(load)(diff + j * tile + s);
            rx[j] = r * x[j];
            first[j] += rx[j];
        }
        for (int i = 0; i < d; i++)
            for (int j = 0; j <= i; j++) second[i * (i + 1) / 2 + j] += rx[i] * x[j];
    }
    *count += NAME(add_lanes)(n);
    for (int i = 0; i < d; i++) {
        sums[i] += NAME(add_lanes)(first[i]);
        for (int j = 0; j <= i; j++) scatter[i * d + j] += NAME(add_lanes)(second[i * (i + 1) / 2 + j]);
    }
}

/* One block of the scatter matrix: rows i0.., columns j0... */
EM_INLINE void NAME(scatter_block)(int rows, int columns, int d, int tile, const REAL *weighted, const REAL *diff,
                                   int i0, int j0, double *scatter) {
    VEC sum[2][4];
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) sum[i][j] = NAME(splat)(0);
    for (int s = 0; s < tile; s += LANES) {
        VEC right[4];
        for (int j = 0; j < columns; j++) right[j] = NAME(load)(diff + (j0 + j) * tile + s);
        for (int i = 0; i < rows; i++) {
            const VEC left = NAME(load)(weighted + (i0 + i) * tile + s);
            for (int j = 0; j < columns; j++) sum[i][j] += left * right[j];
        }
    }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++)
            if (j0 + j <= i0 + i) scatter[(i0 + i) * d + j0 + j] += NAME(add_lanes)(sum[i][j]);
}

/* The same for any d, in blocks of 2 x 4; `weighted` is room for d * tile values. */
EM_INLINE void NAME(moments_large)(int d, int tile, const REAL *diff, const REAL *resp, REAL *weighted, double *count,
                                   double *sums, double *scatter) {
    VEC n = {0};
    for (int s = 0; s < tile; s += LANES) n += NAME(load)(resp + s);
    *count += NAME(add_lanes)(n);
    for (int j = 0; j < d; j++) {
        VEC first = {0};
        for (int s = 0; s < tile; s += LANES) {
            const VEC rx = NAME(load)(resp + s) * NAME(load)(diff + j * tile + s);
            NAME(store)(weighted + j * tile + s, rx);
            first += rx;
        }
        sums[j] += NAME(add_lanes)(first);
    }
    for (int i0 = 0; i0 < d; i0 += 2) {
        const int two = i0 + 1 < d, last = two ? i0 + 1 : i0;
        for (int j0 = 0; j0 <= last; j0 += 4) {
            if (two && j0 + 3 < d)
                NAME(scatter_block)(2, 4, d, tile, weighted, diff, i0, j0, scatter);
            else if (two && j0 + 1 < d)
                for (int j = j0; j <= last; j += 2) NAME(scatter_block)(2, 2, d, tile, weighted, diff, i0, j, scatter);
            else
                for (int j = j0; j <= last && j < j0 + 4; j++)
                    NAME(scatter_block)(1, 1, d, tile, weighted, diff, last, j, scatter);
        }
    }
}

EM_INLINE void NAME(moments_any)(int d, int tile, const REAL *diff, const REAL *resp, REAL *weighted, double *count,
                                 double *sums, double *scatter) {
    switch (d) {
    case 1: NAME(moments_small)(1, tile, diff, resp, count, sums, scatter); break;
    case 2: NAME(moments_small)(2, tile, diff, resp, count, sums, scatter); break;
    case 3: NAME(moments_small)(3, tile, diff, resp, count, sums, scatter); break;
    case 4: NAME(moments_small)(4, tile, diff, resp, count, sums, scatter); break;
    case 8: NAME(moments_large)(8, tile, diff, resp, weighted, count, sums, scatter); break;
    default: NAME(moments_large)(d, tile, diff, resp, weighted, count, sums, scatter);
    }
}

/* Count, first moments and squares per feature. */
EM_INLINE void NAME(moments_diag_tile)(int d, int tile, const REAL *x, const REAL *mean, const REAL *resp, double *count,
                                  double *sums, double *squares) {
    VEC n = {0};
    for (int s = 0; s < tile; s += LANES) n += NAME(load)(resp + s);
    *count += NAME(add_lanes)(n);
    for (int j = 0; j < d; j++) {
        VEC first[4] = {{0}, {0}, {0}, {0}}, second[4] = {{0}, {0}, {0}, {0}};
        for (int s = 0; s < tile; s += 4 * LANES)
            for (int b = 0; b < 4; b++) {
                const VEC diff = NAME(load)(x + j * tile + s + b * LANES) - mean[j];
                const VEC rx = NAME(load)(resp + s + b * LANES) * diff;
                first[b] += rx;
                second[b] += rx * diff;
            }
        sums[j] += NAME(add_lanes)((first[0] + first[1]) + (first[2] + first[3]));
        squares[j] += NAME(add_lanes)((second[0] + second[1]) + (second[2] + second[3]));
    }
}

/* Work space of one call, from one allocation; the pieces are aligned to vectors. */
typedef struct {
    int d, k, tile;
    REAL *x, *diff, *weighted, *joint, *weight, *packed;
} NAME(workspace);

static void *NAME(open_workspace)(NAME(workspace) * w, int d, int k, size_t factors) {
    const int tile = NAME(tile_rows)(d, k);
    const size_t block = (size_t)d * tile, packed = factors * NAME(packed_size)(d);
    REAL *memory = NULL;
    w->d = d, w->k = k, w->tile = tile;
    if (posix_memalign((void **)&memory, 64, (3 * block + (size_t)(k + 1) * tile + packed + 16) * sizeof(REAL)))
        return NULL;
    w->x = memory;
    w->diff = w->x + block;
    w->weighted = w->diff + block;
    w->joint = w->weighted + block;
    w->weight = w->joint + (size_t)k * tile;
    w->packed = w->weight + tile;
    return memory;
}

EM_INLINE void NAME(fill_weights)(int tile, int n, const REAL *weight, REAL *out) {
    for (int s = 0; s < tile; s++) out[s] = s < n ? weight[s] : 0;
}

/* Transpose the first n columns of log_joint (k, tile) into out (n, k), four components at a time. */
EM_INLINE void NAME(write_tile)(int k, int tile, int n, const REAL *log_joint, REAL *out) {
    int c = 0;
    for (; c + 3 < k; c += 4) {
        const REAL *joint = log_joint + c * tile;
        for (int s = 0; s < n; s++) {
            REAL *row = out + (size_t)s * k + c;
            row[0] = joint[s], row[1] = joint[tile + s], row[2] = joint[2 * tile + s], row[3] = joint[3 * tile + s];
        }
    }
    for (; c < k; c++)
        for (int s = 0; s < n; s++) out[(size_t)s * k + c] = log_joint[c * tile + s];
}

/* `shared`: one factor serves every component (tied covariance). */
EM_CLONES int NAME(log_density_full)(rows data, int d, int k, const REAL *means, const REAL *factors,
                                     int shared, const REAL *constants, REAL *out) {
    NAME(workspace) w;
    void *memory = NAME(open_workspace)(&w, d, k, shared ? 1 : k);
    if (!memory) return -1;
    const size_t packed = shared ? 0 : NAME(packed_size)(d);
    for (int c = 0; c < (shared ? 1 : k); c++) NAME(pack_upper)(d, factors + (size_t)c * d * d, w.packed + c * packed);
    for (ptrdiff_t start = 0; start < data.n; start += w.tile) {
        const int n = data.n - start < w.tile ? (int)(data.n - start) : w.tile;
        NAME(fill_tile)(d, w.tile, n, data.X + start * data.row_stride, data.row_stride, data.column_stride, w.x);
        for (int c = 0; c < k; c++) {
            NAME(subtract_mean)(d, w.tile, w.x, means + (size_t)c * d, w.diff);
            NAME(log_density_any)(d, w.tile, w.diff, w.packed + c * packed, constants[c], w.joint + c * w.tile);
        }
        NAME(write_tile)(k, w.tile, n, w.joint, out + start * k);
    }
    free(memory);
    return 0;
}

EM_CLONES int NAME(log_density_diag)(rows data, int d, int k, const REAL *means, const REAL *scales,
                                     const REAL *constants, REAL *out) {
    NAME(workspace) w;
    void *memory = NAME(open_workspace)(&w, d, k, 0);
    if (!memory) return -1;
    for (ptrdiff_t start = 0; start < data.n; start += w.tile) {
        const int n = data.n - start < w.tile ? (int)(data.n - start) : w.tile;
        NAME(fill_tile)(d, w.tile, n, data.X + start * data.row_stride, data.row_stride, data.column_stride, w.x);
        for (int c = 0; c < k; c++)
            NAME(log_density_diag_tile)(d, w.tile, w.x, means + (size_t)c * d, scales + (size_t)c * d, constants[c],
                                        w.joint + c * w.tile);
        NAME(write_tile)(k, w.tile, n, w.joint, out + start * k);
    }
    free(memory);
    return 0;
}

/* `shared`: one factor and one scatter matrix for all components (tied covariance). */
EM_CLONES int NAME(em_step_full)(rows data, const REAL *weight, int d, int k, const REAL *means,
                                 const REAL *factors, int shared, const REAL *constants, int hard,
                                 double *objective, double *counts, double *sums, double *scatters) {
    NAME(workspace) w;
    void *memory = NAME(open_workspace)(&w, d, k, shared ? 1 : k);
    if (!memory) return -1;
    const size_t packed = shared ? 0 : NAME(packed_size)(d), scatter_step = shared ? 0 : (size_t)d * d;
    for (int c = 0; c < (shared ? 1 : k); c++) NAME(pack_upper)(d, factors + (size_t)c * d * d, w.packed + c * packed);
    for (ptrdiff_t start = 0; start < data.n; start += w.tile) {
        const int n = data.n - start < w.tile ? (int)(data.n - start) : w.tile;
        NAME(fill_tile)(d, w.tile, n, data.X + start * data.row_stride, data.row_stride, data.column_stride, w.x);
        NAME(fill_weights)(w.tile, n, weight + start, w.weight);
        for (int c = 0; c < k; c++) {
            NAME(subtract_mean)(d, w.tile, w.x, means + (size_t)c * d, w.diff);
            NAME(log_density_any)(d, w.tile, w.diff, w.packed + c * packed, constants[c], w.joint + c * w.tile);
        }
        *objective += hard ? NAME(hard_assign)(k, w.tile, w.joint, w.weight)
                           : NAME(soft_assign)(k, w.tile, w.joint, w.weight);
        for (int c = 0; c < k; c++) {
            const REAL *resp = w.joint + c * w.tile;
            if (NAME(is_empty)(w.tile, resp)) continue;
            NAME(subtract_mean)(d, w.tile, w.x, means + (size_t)c * d, w.diff);
            NAME(moments_any)(d, w.tile, w.diff, resp, w.weighted, counts + c, sums + (size_t)c * d,
                              scatters + c * scatter_step);
        }
    }
    free(memory);
    return 0;
}

EM_CLONES int NAME(em_step_diag)(rows data, const REAL *weight, int d, int k, const REAL *means,
                                 const REAL *scales, const REAL *constants, int hard, double *objective,
                                 double *counts, double *sums, double *squares) {
    NAME(workspace) w;
    void *memory = NAME(open_workspace)(&w, d, k, 0);
    if (!memory) return -1;
    for (ptrdiff_t start = 0; start < data.n; start += w.tile) {
        const int n = data.n - start < w.tile ? (int)(data.n - start) : w.tile;
        NAME(fill_tile)(d, w.tile, n, data.X + start * data.row_stride, data.row_stride, data.column_stride, w.x);
        NAME(fill_weights)(w.tile, n, weight + start, w.weight);
        for (int c = 0; c < k; c++)
            NAME(log_density_diag_tile)(d, w.tile, w.x, means + (size_t)c * d, scales + (size_t)c * d, constants[c],
                                        w.joint + c * w.tile);
        *objective += hard ? NAME(hard_assign)(k, w.tile, w.joint, w.weight)
                           : NAME(soft_assign)(k, w.tile, w.joint, w.weight);
        for (int c = 0; c < k; c++) {
            const REAL *resp = w.joint + c * w.tile;
            if (NAME(is_empty)(w.tile, resp)) continue;
            NAME(moments_diag_tile)(d, w.tile, w.x, means + (size_t)c * d, resp, counts + c, sums + (size_t)c * d,
                               squares + (size_t)c * d);
        }
    }
    free(memory);
    return 0;
}

/* Rows [0, n) of resp (n, k) into the tile, four components at a time; zero in the rows that fill it up. */
EM_INLINE void NAME(fill_responsibilities)(int k, int tile, int n, const REAL *resp, ptrdiff_t stride, REAL *out) {
    int c = 0;
    for (; c + 3 < k; c += 4)
        for (int s = 0; s < n; s++) {
            const REAL *row = resp + s * stride + c;
            REAL *place = out + c * tile + s;
            place[0] = row[0], place[tile] = row[1], place[2 * tile] = row[2], place[3 * tile] = row[3];
        }
    for (; c < k; c++)
        for (int s = 0; s < n; s++) out[c * tile + s] = resp[s * stride + c];
    for (c = 0; c < k; c++)
        for (int s = n; s < tile; s++) out[c * tile + s] = 0;
}

/* Moments under given responsibilities; `stride` of their rows in numbers. `shared`: one scatter for all components. */
EM_CLONES int NAME(moments_full)(rows data, const REAL *resp, ptrdiff_t stride, int d, int k, const REAL *means,
                                 int shared, double *counts, double *sums, double *scatters) {
    NAME(workspace) w;
    void *memory = NAME(open_workspace)(&w, d, k, 0);
    if (!memory) return -1;
    for (ptrdiff_t start = 0; start < data.n; start += w.tile) {
        const int n = data.n - start < w.tile ? (int)(data.n - start) : w.tile;
        NAME(fill_tile)(d, w.tile, n, data.X + start * data.row_stride, data.row_stride, data.column_stride, w.x);
        NAME(fill_responsibilities)(k, w.tile, n, resp + start * stride, stride, w.joint);
        for (int c = 0; c < k; c++) {
            const REAL *share = w.joint + c * w.tile;
            if (NAME(is_empty)(w.tile, share)) continue;
            NAME(subtract_mean)(d, w.tile, w.x, means + (size_t)c * d, w.diff);
            NAME(moments_any)(d, w.tile, w.diff, share, w.weighted, counts + c, sums + (size_t)c * d,
                              scatters + (shared ? 0 : (size_t)c * d * d));
        }
    }
    free(memory);
    return 0;
}

EM_CLONES int NAME(moments_diag)(rows data, const REAL *resp, ptrdiff_t stride, int d, int k, const REAL *means,
                                 double *counts, double *sums, double *squares) {
    NAME(workspace) w;
    void *memory = NAME(open_workspace)(&w, d, k, 0);
    if (!memory) return -1;
    for (ptrdiff_t start = 0; start < data.n; start += w.tile) {
        const int n = data.n - start < w.tile ? (int)(data.n - start) : w.tile;
        NAME(fill_tile)(d, w.tile, n, data.X + start * data.row_stride, data.row_stride, data.column_stride, w.x);
        NAME(fill_responsibilities)(k, w.tile, n, resp + start * stride, stride, w.joint);
        for (int c = 0; c < k; c++) {
            const REAL *share = w.joint + c * w.tile;
            if (NAME(is_empty)(w.tile, share)) continue;
            NAME(moments_diag_tile)(d, w.tile, w.x, means + (size_t)c * d, share, counts + c, sums + (size_t)c * d,
                                    squares + (size_t)c * d);
        }
    }
    free(memory);
    return 0;
}
