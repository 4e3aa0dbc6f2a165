"""EMMixtureOfExpertsRegressor beside scikit-learn's parts and R's flexmix: time an iteration, whole fits, memory.

    python tests/benchmarks/experts.py [--only TEXT] [--repeat N] [--json FILE]

Iterations: EM written with scikit-learn (K weighted LinearRegression, and LogisticRegression on rows repeated for each
expert with the responsibilities as weights, warm-started) from the same labels, for the same number of steps; the time
is that of a fit less that of a fit with one step, divided by the other steps. Whole fits: from defaults until
convergence; rows by the function that yields blocks, so that no more than a chunk need be in memory. flexmix runs if
there is an Rscript with flexmix, on one start of its own; its seconds are the processor time that R reports.
Each fit runs in a process of its own with one BLAS thread.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from _measure import run_fresh, store
from scipy.optimize import linear_sum_assignment
from scipy.special import logsumexp
from sklearn.linear_model import LinearRegression, LogisticRegression

from emkit import EMMixtureOfExpertsRegressor

GATE_ALPHA = 0.1
BLOCK = 10_000

# name, rows, inputs, experts, steps, ratio to reach
ITERATIONS = [
    ("1e5 x 10, K=4", 100_000, 10, 4, 10, 10),
    ("1e4 x 5, K=3", 10_000, 5, 3, 30, 10),
    ("2e4 x 50, K=4", 20_000, 50, 4, 10, 10),
]
# name, rows, inputs, experts, seconds to stay below
FITS = [
    ("1e4 x 10, K=4", 10_000, 10, 4, None),
    ("1e5 x 10, K=4", 100_000, 10, 4, 3.0),
    ("1e6 x 10, K=4", 1_000_000, 10, 4, None),
]


class Simulated:
    """Gated linear experts: inputs, responses, the labels of the rows and the truth; blocks are drawn when needed."""

    def __init__(self, n, d, k, seed=0):
        rng = np.random.default_rng(seed)
        self.n, self.d, self.seed = n, d, seed
        self.gate, self.coef = rng.normal(size=(d, k)), rng.normal(size=(k, d))

    def block(self, number, size):
        rng = np.random.default_rng((self.seed, number))
        X = rng.normal(size=(size, self.d))
        eta = X @ self.gate
        shares = np.exp(eta - logsumexp(eta, axis=1, keepdims=True))
        labels = (rng.random((size, 1)) > shares.cumsum(axis=1)).sum(axis=1)
        y = (X * self.coef[labels]).sum(axis=1) + 0.5 * rng.normal(size=size)
        return X, y, labels

    def blocks(self):
        return (self.block(number, min(BLOCK, self.n - start)) for number, start in enumerate(range(0, self.n, BLOCK)))

    def table(self):
        return [np.concatenate(part) for part in zip(*self.blocks(), strict=True)]


def clocks():
    return np.array([time.perf_counter(), time.process_time()])


def iterations(who, n, d, k, n_iter):
    X, y, labels = Simulated(n, d, k).table()
    first = 0.8 * np.eye(k)[labels] + 0.2 / k

    def run(steps):
        if who == "emkit":
            model = EMMixtureOfExpertsRegressor(
                k, alpha=0, gate_alpha=GATE_ALPHA, tol=0, max_iter=steps, accelerate=False, init_params=first
            )
            return float(model.fit(X, y).score_samples(X, y).mean())
        return scikit_learn_steps(X, y, first, steps)

    run(1)  # what is loaded at the first fit is not the subject

    def fit():
        start = clocks()
        run(1)
        middle = clocks()
        score = run(n_iter + 1)
        end = clocks()
        short, long = middle - start, end - middle
        return {
            "short_wall": short[0],
            "short_cpu": short[1],
            "long_wall": long[0],
            "long_cpu": long[1],
            "score": score,
        }

    return fit


def scikit_learn_steps(X, y, resp, n_steps):
    """EM with scikit-learn's estimators as M-steps; mean log-likelihood of the rows at the end."""
    n, k = resp.shape
    repeated, labels = np.tile(X, (k, 1)), np.repeat(np.arange(k), n)
    experts = [LinearRegression() for _ in range(k)]
    gate = LogisticRegression(C=1 / GATE_ALPHA, warm_start=True)
    for _ in range(n_steps):
        fitted = [expert.fit(X, y, sample_weight=resp[:, j]) for j, expert in enumerate(experts)]
        left = y[:, None] - np.column_stack([expert.predict(X) for expert in fitted])
        variances = (resp * left**2).sum(axis=0) / resp.sum(axis=0)
        gate.fit(repeated, labels, sample_weight=resp.T.ravel())
        joint = gate.predict_log_proba(X) - 0.5 * (np.log(2 * np.pi * variances) + left**2 / variances)
        total = logsumexp(joint, axis=1)
        resp = np.exp(joint - total[:, None])
    return float(total.mean())


def whole_fit(n, d, k, streamed):
    data = Simulated(n, d, k)
    model = EMMixtureOfExpertsRegressor(k, random_state=0)
    model.fit(*data.block(0, 500)[:2])  # what is loaded at the first fit is not the subject
    first = (lambda: ((X, y) for X, y, _ in data.blocks()), None) if streamed else data.table()[:2]

    def fit():
        model.fit(*first)
        nearest = linear_sum_assignment(((model.coef_[:, None] - data.coef) ** 2).sum(axis=2))
        error = np.abs(model.coef_[nearest[0]] - data.coef[nearest[1]]).max()
        return {"objective": model.objective_ / n, "n_iter": int(model.n_iter_), "error": float(error)}

    return fit


def one_start(n, d, k):
    """A fit from one start, as flexmix does."""
    X, y, _ = Simulated(n, d, k).table()
    model = EMMixtureOfExpertsRegressor(k, alpha=0, gate_alpha=0, n_init=1, random_state=0)
    model.fit(X[:500], y[:500])
    return lambda: {"objective": model.fit(X, y).objective_}


R_SCRIPT = """
suppressMessages(library(flexmix)); set.seed(1)
d <- read.csv(commandArgs(TRUE)[1])
f <- as.formula(paste("y ~", paste(setdiff(names(d), "y"), collapse = "+")))
g <- as.formula(paste("~", paste(setdiff(names(d), "y"), collapse = "+")))
k <- as.integer(commandArgs(TRUE)[2])
t <- system.time(m <- flexmix(f, data = d, k = k, concomitant = FLXPmultinom(g)))
cat(t[["user.self"]] + t[["sys.self"]], logLik(m), m@k, as.character(packageVersion("flexmix")), "\\n")
"""


def flexmix_fit(n, d, k):
    """Seconds, log-likelihood and experts left of one run of flexmix, and its version; None if it is not there."""
    if shutil.which("Rscript") is None:
        return None
    X, y, _ = Simulated(n, d, k).table()
    with tempfile.TemporaryDirectory() as folder:
        data, script = Path(folder) / "data.csv", Path(folder) / "fit.R"
        header = ",".join(["y", *(f"x{j}" for j in range(d))])
        np.savetxt(data, np.column_stack([y, X]), delimiter=",", header=header, comments="", fmt="%.17g")
        script.write_text(R_SCRIPT)
        done = subprocess.run(["Rscript", str(script), str(data), str(k)], capture_output=True, text=True)
    if done.returncode != 0:
        return None
    seconds, log_likelihood, left, version = done.stdout.split()
    return float(seconds), float(log_likelihood), int(left), version


def compare_iterations(only, repeat):
    for name, n, d, k, n_iter, target in ITERATIONS:
        if only in f"iteration {name}":
            work = {"n": n, "d": d, "k": k, "n_iter": n_iter}
            ours = run_fresh("experts:iterations", repeat, who="emkit", **work)
            theirs = run_fresh("experts:iterations", repeat, who="scikit-learn", **work)
            wall, cpu = (
                [(who[f"long_{clock}"] - who[f"short_{clock}"]) / n_iter for who in (ours, theirs)]
                for clock in ("wall", "cpu")
            )
            quality = f"mean log-likelihood {ours['score']:.6f} / {theirs['score']:.6f}"
            yield _row(f"iteration {name}", wall, cpu, target, quality, ours, theirs)


def compare_fits(only, repeat):
    for name, n, d, k, limit in FITS:
        for streamed in (False, True):
            label = f"fit {name}{', blocks' if streamed else ''}"
            if only in label:
                ours = run_fresh("experts:whole_fit", repeat, n=n, d=d, k=k, streamed=streamed)
                quality = (
                    f"mean objective {ours['objective']:.6f}, {ours['n_iter']} steps, worst coefficient off by "
                    f"{ours['error']:.4f}" + (f"; limit {limit:g} s" if limit else "")
                )
                yield _row(label, (ours["wall"], np.nan), (ours["cpu"], np.nan), None, quality, ours, None)
    label = "fit 1e4 x 5, K=4, one start, flexmix"
    if only in label:
        work = {"n": 10_000, "d": 5, "k": 4}
        ours, theirs = run_fresh("experts:one_start", repeat, **work), flexmix_fit(**work)
        if theirs is None:
            print(f"{label}: no Rscript with flexmix here", flush=True)
            return
        seconds, log_likelihood, left, version = theirs
        quality = f"log-likelihood {ours['objective']:.4f} / {log_likelihood:.4f} ({left} experts left)"
        found = _row(label, (ours["wall"], seconds), (ours["cpu"], seconds), None, quality, ours, None)
        yield found | {"flexmix": version}


def _row(work, wall, cpu, target, quality, ours, theirs):
    return {
        "work": work,
        "ours": wall[0],
        "theirs": wall[1],
        "ratio": wall[1] / wall[0],
        "ratio_cpu": cpu[1] / cpu[0],
        "ours_cpu": cpu[0],
        "theirs_cpu": cpu[1],
        "target": target,
        "quality": quality,
        "ours_mb": ours["memory"],
        "theirs_mb": np.nan if theirs is None else theirs["memory"],
    }


def show(row):
    target = "" if row["target"] is None else row["target"]
    print(
        f"{row['work']:38} {row['ours']:9.4f} {row['theirs']:9.4f} {row['ratio']:7.1f} {row['ratio_cpu']:7.1f} "
        f"{target!s:>6} {row['ours_mb']:7.0f} {row['theirs_mb']:7.0f}  {row['quality']}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="rows whose name contains this text")
    parser.add_argument("--repeat", type=int, default=3, help="processes for each measurement; the fastest counts")
    parser.add_argument("--json", help="write the rows to this file")
    options = parser.parse_args()
    print(f"{'seconds':38} {'emkit':>9} {'other':>9} {'ratio':>7} {'cpu':>7} {'goal':>6} {'MB':>7} {'MB':>7}  quality")
    rows = []
    for compare in (compare_iterations, compare_fits):
        for row in compare(options.only, options.repeat):
            show(row)
            rows.append(row)
    store(options.json, {"rows": rows})


if __name__ == "__main__":
    main()
