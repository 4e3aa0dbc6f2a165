"""EMGaussianMixture beside scikit-learn's GaussianMixture: time per iteration, whole fits, memory, in one run.

    python tests/benchmarks/mixture.py [--only TEXT] [--repeat N] [--json FILE]

Iterations: the same start and number of steps, no acceleration, no regularisation, and the same log-likelihood to 1e-8
relative; the time is that of a fit less that of a fit with one step, divided by the other steps. Fits: scikit-learn's
n_init=20 at its defaults beside ours; and the time to the same final log-likelihood on overlapping clusters. Each fit
runs in a process of its own with one BLAS thread.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from _measure import run_fresh, store
from sklearn.mixture import GaussianMixture

from emkit import EMGaussianMixture

# name, rows, features, components, covariance type, iterations, ratio to reach
ITERATIONS = [
    ("full 1e6 x 8, K=16", 1_000_000, 8, 16, "full", 3, 10),
    ("full 1e4 x 2, K=5", 10_000, 2, 5, "full", 200, 10),
    ("full 1e5 x 3, K=6", 100_000, 3, 6, "full", 30, 10),
    ("full 3e5 x 4, K=8", 300_000, 4, 8, "full", 10, 10),
    ("full 2e5 x 32, K=32", 200_000, 32, 32, "full", 3, 4),
    ("diag 1e6 x 16, K=64", 1_000_000, 16, 64, "diag", 6, 6),
    ("tied 2e5 x 8, K=16", 200_000, 8, 16, "tied", 10, 6),
    ("spherical 2e5 x 8, K=16", 200_000, 8, 16, "spherical", 10, 6),
]


def clusters(n, d, k, spread, seed=0, dtype=np.float64):
    """Rows of k unit normals whose means are `spread` apart, in random order."""
    rng = np.random.default_rng(seed)
    means = spread * rng.standard_normal((k, d))
    X = rng.standard_normal((n, d))
    X += means[rng.integers(k, size=n)]
    return X.astype(dtype, copy=False), means


def same_start(means, covariance_type):
    """Means moved off the truth, equal weights, unit precisions."""
    k, d = means.shape
    start = means + 0.3 * np.random.default_rng(1).standard_normal((k, d))
    precisions = {"full": np.tile(np.eye(d), (k, 1, 1)), "tied": np.eye(d), "diag": np.ones((k, d))}
    return {
        "weights_init": np.full(k, 1 / k),
        "means_init": start,
        "precisions_init": precisions.get(covariance_type, np.ones(k)),
    }


def iterations(who, n, d, k, covariance_type, n_iter, dtype="float64", n_jobs=None):
    X, means = clusters(n, d, k, 2.0, dtype=dtype)
    shared = {
        "covariance_type": covariance_type,
        "reg_covar": 0,
        **same_start(means, covariance_type),
    }
    if who == "emkit":
        estimator = EMGaussianMixture(k, tol=0, accelerate=False, n_jobs=n_jobs, **shared)
    else:
        estimator = GaussianMixture(k, tol=0, **shared)

    def fit():
        one_step = clocks()
        estimator.set_params(max_iter=1).fit(X)
        all_steps = clocks()
        estimator.set_params(max_iter=n_iter + 1).fit(X)
        end = clocks()
        return {
            **_named("short", all_steps - one_step),
            **_named("long", end - all_steps),
            "score": _score(estimator, X),
        }

    return fit


def _named(name, seconds):
    return {f"{name}_wall": float(seconds[0]), f"{name}_cpu": float(seconds[1])}


def per_step(measured, n_iter, clock):
    """The least time of the long fit less that of the short one: a least difference would favour lucky readings."""
    return (measured[f"long_{clock}"] - measured[f"short_{clock}"]) / n_iter


def clocks():
    return np.array([time.perf_counter(), time.process_time()])


def _score(estimator, X):
    """Mean log-likelihood of the first rows: enough to compare two fits, and cheap."""
    return float(np.mean(estimator.score_samples(X[:5_000].astype(np.float64))))


def default_fit(who):
    X, _ = clusters(10_000, 2, 5, 3.0, seed=3)
    estimator = (EMGaussianMixture if who == "emkit" else GaussianMixture)(5, n_init=20, random_state=0)
    estimator.fit(X[:100])  # what is loaded at the first fit is not the subject
    return lambda: {"objective": float(estimator.fit(X).score(X)) * len(X)}


def overlapping(who, target=None):
    """Fit overlapping clusters; `target`: stop as soon as this total log-likelihood is reached (scikit-learn)."""
    X, means = clusters(20_000, 4, 6, 0.8, seed=5)
    start = same_start(means, "full")
    if who == "emkit":
        estimator = EMGaussianMixture(6, tol=1e-6, max_iter=100_000, **start)

        def fit():
            estimator.fit(X)
            return {"objective": estimator.objective_, "n_e_steps": int(estimator.n_e_steps_)}

        return fit
    return lambda: _climb_to(GaussianMixture(6, tol=0, reg_covar=0, max_iter=20_000, **start), X, target)


class _Reached(Exception):
    pass


def _climb_to(estimator, X, target):
    """Run scikit-learn's EM until its own lower bound, which it computes anyway, reaches the target."""
    count = 0
    plain = estimator._compute_lower_bound

    def watched(log_resp, log_prob_norm):
        nonlocal count
        count += 1
        bound = plain(log_resp, log_prob_norm)
        if bound * len(X) >= target:
            raise _Reached
        return bound

    estimator._compute_lower_bound = watched
    try:
        estimator.fit(X)
    except _Reached:
        return {"objective": target, "n_e_steps": count}
    return {"objective": estimator.lower_bound_ * len(X), "n_e_steps": count}


def compare_iterations(only, repeat):
    for name, n, d, k, covariance_type, n_iter, target in ITERATIONS:
        if only not in name:
            continue
        work = {"n": n, "d": d, "k": k, "covariance_type": covariance_type, "n_iter": n_iter}
        theirs = run_fresh("mixture:iterations", repeat, who="scikit-learn", **work)
        ours = run_fresh("mixture:iterations", repeat, who="emkit", **work)
        single = run_fresh("mixture:iterations", repeat, who="emkit", dtype="float32", **work)
        wall, cpu = ([per_step(who, n_iter, clock) for who in (ours, theirs)] for clock in ("wall", "cpu"))
        yield {
            "work": name,
            "unit": "ms per iteration",
            "ours": 1e3 * wall[0],
            "theirs": 1e3 * wall[1],
            "ratio": wall[1] / wall[0],
            "ratio_cpu": cpu[1] / cpu[0],
            "cpu": [1e3 * seconds for seconds in cpu],
            "target": target,
            "quality": f"log-likelihood differs by {abs(ours['score'] / theirs['score'] - 1):.0e}",
            "ours_mb": ours["memory"],
            "theirs_mb": theirs["memory"],
            "float32": wall[0] / per_step(single, n_iter, "wall"),
        }


def compare_fits(only, repeat):
    name = "default fit 1e4 x 2, K=5, n_init=20"
    if only in name:
        theirs = run_fresh("mixture:default_fit", repeat, who="scikit-learn")
        ours = run_fresh("mixture:default_fit", repeat, who="emkit")
        difference = ours["objective"] - theirs["objective"]
        yield _fit_row(name, ours, theirs, 10, f"ours higher by {difference:.2g} in log-likelihood")
    name = "overlapping 2e4 x 4, K=6, tol=1e-6"
    if only in name:
        ours = run_fresh("mixture:overlapping", repeat, who="emkit")
        theirs = run_fresh("mixture:overlapping", 1, who="scikit-learn", target=ours["objective"])
        fewer = theirs["n_e_steps"] / ours["n_e_steps"]
        quality = (
            f"{ours['n_e_steps']} E-steps against {theirs['n_e_steps']}, {fewer:.1f}x fewer, to {ours['objective']:.4f}"
        )
        yield _fit_row(name, ours, theirs, 20, quality)


def _fit_row(name, ours, theirs, target, quality):
    return {
        "work": name,
        "unit": "ms per fit",
        "ours": 1e3 * ours["wall"],
        "theirs": 1e3 * theirs["wall"],
        "ratio": theirs["wall"] / ours["wall"],
        "ratio_cpu": theirs["cpu"] / ours["cpu"],
        "cpu": [1e3 * ours["cpu"], 1e3 * theirs["cpu"]],
        "target": target,
        "quality": quality,
        "ours_mb": ours["memory"],
        "theirs_mb": theirs["memory"],
        "float32": float("nan"),
    }


def show(row):
    print(
        f"{row['work']:36} {row['ours']:9.2f} {row['theirs']:9.1f} {row['ratio']:6.1f} {row['ratio_cpu']:6.1f} "
        f"{row['target']:4d} {row['ours_mb']:6.0f} {row['theirs_mb']:6.0f} {row['float32']:6.2f}  {row['quality']}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="rows whose name contains this text")
    parser.add_argument("--repeat", type=int, default=3, help="processes for each measurement; the fastest counts")
    parser.add_argument("--json", help="write the rows to this file")
    options = parser.parse_args()
    heads = ("ours ms", "theirs", "ratio", "cpu", "goal", "MB", "MB", "f32")
    print("{:36} {:>9} {:>9} {:>6} {:>6} {:>4} {:>6} {:>6} {:>6}  quality".format("work", *heads))
    rows = []
    for compare in (compare_iterations, compare_fits):
        for row in compare(options.only, options.repeat):
            show(row)
            rows.append(row)
    store(options.json, {"rows": rows})


if __name__ == "__main__":
    main()
