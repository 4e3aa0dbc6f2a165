/* Paths of states: the most probable one, the k most probable ones, and draws. */

/* best[a] = max_i x[i] + m[i, a], for x (k) and m (k, LANES v) */
EM_INLINE void most_few(const int k, const int v, const double *x, const double *m, VEC *best) {
    VEC two[2][FEW];
    for (int a = 0; a < v; a++) two[0][a] = two[1][a] = x[0] + load(m + a * LANES);
#pragma GCC unroll 16
    for (int i = 1; i < k; i++)
        for (int a = 0; a < v; a++)
            two[i % 2][a] = larger_f64(two[i % 2][a], x[i] + load(m + (i * v + a) * LANES));
    for (int a = 0; a < v; a++) best[a] = larger_f64(two[0][a], two[1][a]);
}

EM_INLINE void most_many(int k, int v, const double *x, const double *m, VEC *best) {
    int a = 0;
    for (; a + 4 <= v; a += 4) {
        VEC top[4];
        for (int e = 0; e < 4; e++) top[e] = splat_f64(-INFINITY);
        for (int i = 0; i < k; i++)
            for (int e = 0; e < 4; e++)
                top[e] = larger_f64(top[e], x[i] + load(m + ((size_t)i * v + a + e) * LANES));
        for (int e = 0; e < 4; e++) best[a + e] = top[e];
    }
    for (; a < v; a++) {
        best[a] = splat_f64(-INFINITY);
        for (int i = 0; i < k; i++) best[a] = larger_f64(best[a], x[i] + load(m + ((size_t)i * v + a) * LANES));
    }
}

/* The first i with the largest x[i] + m[i], among LANES v. */
EM_INLINE int first_of_most(const int v, const double *x, const double *m) {
    VEC sum[FEW], top = load(x) + load(m);
    sum[0] = top;
    for (int a = 1; a < v; a++) {
        const VEC here = load(x + a * LANES) + load(m + a * LANES);
        if (v <= FEW) sum[a] = here;
        top = larger_f64(top, here);
    }
    const double largest = largest_lane(top);
    for (int a = 0; a < v; a++) {
        const VEC here = v <= FEW ? sum[a] : (VEC)(load(x + a * LANES) + load(m + a * LANES));
        for (int i = 0; i < LANES; i++)
            if (here[i] == largest) return a * LANES + i;
    }
    return 0; /* none among NaN */
}

/* The first of equals at each step back. `left` rows (>= n) lie from here to the end of the array. */
EM_INLINE double best_path(const int k, const int v, ptrdiff_t n, ptrdiff_t left, const double *log_density,
                           const double *log_entry, const chain *c, double *value, ptrdiff_t *path) {
    VEC few[FEW];
    VEC *best = v <= FEW ? few : (VEC *)(value + n * v * LANES);
    for (int a = 0; a < v; a++) best[a] = load(log_entry + a * LANES);
    for (ptrdiff_t t = 0; t < n; t++) {
        double *out = value + t * v * LANES;
        if (t && v <= FEW) most_few(k, v, out - v * LANES, c->moves, best);
        else if (t) most_many(k, v, out - v * LANES, c->moves, best);
        for (int a = 0; a < v; a++)
            store(out + a * LANES, best[a] + padded(log_density + t * c->k, c->k, a, (left - t) * c->k < v * LANES));
    }
    const double *last = value + (n - 1) * v * LANES;
    int state = 0;
    for (int j = 1; j < c->k; j++)
        if (last[j] > last[state]) state = j;
    path[n - 1] = state;
    for (ptrdiff_t t = n - 2; t >= 0; t--)
        path[t] = state = first_of_most(v, value + t * v * LANES, c->back + (size_t)state * v * LANES);
    return last[path[n - 1]];
}

EM_INLINE void best_paths(const int k, const int v, ptrdiff_t n_sequences, const ptrdiff_t *starts,
                          const double *log_density, const double *log_entry, const chain *c, double *value,
                          ptrdiff_t *path, double *log_probability) {
    for (ptrdiff_t i = 0; i < n_sequences; i++)
        log_probability[i] = best_path(k, v, starts[i + 1] - starts[i], starts[n_sequences] - starts[i],
                                       log_density + starts[i] * c->k, log_entry, c, value, path + starts[i]);
}

/* -2: no memory */
EM_CLONES int viterbi_f64(ptrdiff_t n_sequences, const ptrdiff_t *starts, int k, const double *log_density,
                          const double *log_entry, const double *log_transmat, ptrdiff_t *path,
                          double *log_probability) {
    chain c;
    if (open_chain(&c, k, log_transmat, -INFINITY)) return -2;
    const many_sequences s = {n_sequences, starts, NULL, NULL};
    double *value = aligned_doubles((longest_of(&s) + 1) * (size_t)c.width);
    if (!value) {
        free(c.moves);
        return -2;
    }
    WITH_STATES(k, best_paths, n_sequences, starts, log_density, log_entry, &c, value, path, log_probability)
    free(value);
    free(c.moves);
    return 0;
}

EM_INLINE void best_values(const int k, const int v, ptrdiff_t n, const double *log_density, const chain *c,
                           double *room, double *value) {
    VEC few[FEW];
    VEC *best = v <= FEW ? few : (VEC *)room;
    for (int a = 0; a < v; a++) best[a] = load(value + a * LANES);
    for (ptrdiff_t t = 0; t < n; t++) {
        if (t && v <= FEW) most_few(k, v, value, c->moves, best);
        else if (t) most_many(k, v, value, c->moves, best);
        for (int a = 0; a < v; a++)
            store(value + a * LANES, best[a] + padded(log_density + t * c->k, c->k, a, (n - t) * c->k < v * LANES));
    }
}

/* The way forward of Viterbi over a block of one sequence: `value` (width), at its first row without the density, becomes
 * that of its last row with it. -2: no memory. */
EM_CLONES int viterbi_forward_f64(ptrdiff_t n, int k, const double *log_density, const double *log_transmat,
                                  double *value) {
    chain c;
    if (open_chain(&c, k, log_transmat, -INFINITY)) return -2;
    double *room = aligned_doubles(c.width);
    if (!room) {
        free(c.moves);
        return -2;
    }
    WITH_STATES(k, best_values, n, log_density, &c, room, value)
    free(room);
    free(c.moves);
    return 0;
}

/* The largest of value[i, head[i]] + added[i], where value (k, n_best) has falling rows, and its cell, or -1; its row's
 * head moves on. `added` may be NULL. The first of equals. */
EM_INLINE double merge(int k, int n_best, const double *value, const double *added, int stride, int *head,
                       int32_t *cell) {
    double largest = -INFINITY;
    int best = -1;
    for (int i = 0; i < k; i++) {
        if (head[i] == n_best) continue;
        const double candidate = value[(ptrdiff_t)i * n_best + head[i]] + (added ? added[(ptrdiff_t)i * stride] : 0.0);
        if (candidate > largest) largest = candidate, best = i;
    }
    *cell = best < 0 ? -1 : (int32_t)(best * n_best + head[best]++);
    return largest;
}

/* The `n_best` most probable paths of one sequence (list Viterbi): at each step and state the best prefixes, in falling
 * order. log_probability (n_best), -inf where there are fewer paths; path (n_best, n). -2: no memory. */
EM_CLONES int viterbi_k_best_f64(ptrdiff_t n, int k, int n_best, const double *log_density, const double *log_entry,
                                 const double *log_transmat, ptrdiff_t *path, double *log_probability) {
    const ptrdiff_t cells = (ptrdiff_t)k * n_best;
    double *value = aligned_doubles(2 * (size_t)cells);
    int32_t *origin = malloc((size_t)n * cells * sizeof(int32_t)); /* cell of the step before; -1 for none */
    int *head = malloc((size_t)k * sizeof(int));
    if (!value || !origin || !head) {
        free(value);
        free(origin);
        free(head);
        return -2;
    }
    double *now = value, *next = value + cells;
    for (ptrdiff_t e = 0; e < cells; e++) {
        now[e] = e % n_best ? -INFINITY : log_entry[e / n_best] + log_density[e / n_best];
        origin[e] = -1;
    }
    for (ptrdiff_t t = 1; t < n; t++) {
        int32_t *from = origin + t * cells;
        for (int j = 0; j < k; j++) {
            double *list = next + (ptrdiff_t)j * n_best;
            int32_t *cell = from + (ptrdiff_t)j * n_best;
            for (int i = 0; i < k; i++) head[i] = 0;
            for (int r = 0; r < n_best; r++) list[r] = merge(k, n_best, now, log_transmat + j, k, head, cell + r);
            for (int r = 0; r < n_best; r++) list[r] += log_density[t * k + j];
        }
        double *swap = now;
        now = next, next = swap;
    }
    for (int i = 0; i < k; i++) head[i] = 0;
    for (int r = 0; r < n_best; r++) {
        int32_t last;
        log_probability[r] = merge(k, n_best, now, NULL, 0, head, &last);
        for (ptrdiff_t t = n - 1, e = last; t >= 0; t--) {
            path[(size_t)r * n + t] = last >= 0 ? e / n_best : -1;
            e = last >= 0 && origin[t * cells + e] >= 0 ? origin[t * cells + e] : 0;
        }
    }
    free(head);
    free(value);
    free(origin);
    return 0;
}

/* Draws from the posterior of one sequence, from filtered probabilities (n, stride) and uniform numbers (n_paths, n):
 * backwards, each state given the one after it. */
EM_CLONES void sample_paths_f64(ptrdiff_t n, int k, ptrdiff_t n_paths, const double *filtered, ptrdiff_t stride,
                                const double *transmat, const double *uniform, double *room, ptrdiff_t *path) {
    for (ptrdiff_t p = 0; p < n_paths; p++)
        for (ptrdiff_t t = n - 1; t >= 0; t--) {
            const ptrdiff_t after = t + 1 < n ? path[p * n + t + 1] : -1;
            double total = 0.0;
            for (int j = 0; j < k; j++)
                room[j] = total += filtered[t * stride + j] * (after < 0 ? 1.0 : transmat[j * k + after]);
            const double place = uniform[p * n + t] * total;
            int state = 0;
            while (state < k - 1 && !(room[state] > place)) state++;
            while (state > 0 && !(room[state] > room[state - 1])) state--; /* a state of probability zero at the end */
            path[p * n + t] = state;
        }
}
