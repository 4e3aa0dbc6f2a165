"""EMMixture of categorical columns beside StepMix: one EM step, and a whole fit from ten starts.

    python tests/benchmarks/latent_class.py [--repeat N] [--json FILE]

A step is the time of a fit with 21 steps from one start less that of a fit with one, over 20, without acceleration. A
whole fit goes to the end: emkit with its defaults, StepMix with n_init=10 until the mean log-likelihood changes by less
than 1e-8. Times are processor times, the least of some processes, one BLAS thread each.
"""

from __future__ import annotations

import argparse

import numpy as np
from _measure import cpu_timed, run_fresh, store
from sklearn.preprocessing import OrdinalEncoder
from stepmix.stepmix import StepMix

from emkit import EMMixture
from emkit.datasets import load_acs12

STEPS = 20
WORKS = [("acs12, 2,000 x 6 with gaps, K=4", "survey", 4), ("simulated, 20,000 x 12 of 4 symbols, K=5", "simulated", 5)]


def survey():
    people = load_acs12().frame[["employment", "citizen", "lang", "married", "edu", "disability"]]
    return OrdinalEncoder().fit_transform(people)


def simulated(n=20_000, d=12, symbols=4, k=5):
    rng = np.random.default_rng(0)
    steps = np.cumsum(rng.dirichlet(np.ones(symbols), size=(k, d)), axis=2)[rng.integers(k, size=n)]
    return (steps[:, :, :-1] < rng.random((n, d, 1))).sum(axis=2).astype(np.float64)


def fitted(who, X, k, n_steps=None):
    """`n_steps` from one start, or the whole fit."""
    if who == "emkit":
        short = {"n_init": 1, "init_params": "random", "max_iter": n_steps, "tol": 0, "accelerate": False}
        return EMMixture(k, family="categorical", random_state=0, **(short if n_steps else {})).fit(X)
    steps = {"n_init": 1, "max_iter": n_steps, "abs_tol": 0} if n_steps else {"n_init": 10, "max_iter": 10_000}
    kind = "categorical_nan" if np.isnan(X).any() else "categorical"
    options = {"abs_tol": 1e-8, "rel_tol": 0, "random_state": 0, "progress_bar": 0, **steps}
    return StepMix(k, measurement=kind, **options).fit(X)


def work(who, data, k):
    X = globals()[data]()
    fitted(who, X, k, 1)  # what is loaded at the first fit is not the subject

    def run():
        short, long = (min(cpu_timed(fitted, who, X, k, n)[0] for _ in range(3)) for n in (1, STEPS + 1))
        whole, model = cpu_timed(fitted, who, X, k)
        return {"short_cpu": short, "long_cpu": long, "whole_cpu": whole, "log_likelihood": model.score(X) * len(X)}

    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=3, help="processes for each measurement; the fastest counts")
    parser.add_argument("--json", help="write the rows to this file")
    options = parser.parse_args()
    rows = []
    for name, data, k in WORKS:
        row = {"work": name}
        for who in ("emkit", "StepMix"):
            run = run_fresh("latent_class:work", options.repeat, who=who, data=data, k=k)
            step = (run["long_cpu"] - run["short_cpu"]) / STEPS
            row[who] = {"step": step, "whole": run["whole_cpu"], "log_likelihood": run["log_likelihood"]}
            print(f"{name:42} {who:8} {1e3 * step:6.2f} ms a step, {run['whole_cpu']:6.2f} s", end="")
            print(f", log-likelihood {run['log_likelihood']:.3f}", flush=True)
        rows.append(row)
    store(options.json, {"rows": rows}, "stepmix")


if __name__ == "__main__":
    main()
