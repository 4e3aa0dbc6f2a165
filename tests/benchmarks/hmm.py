"""EMHiddenMarkov beside hmmlearn, both its kernels: Baum-Welch steps, decoding and scoring, in one run.

    python tests/benchmarks/hmm.py [--only TEXT] [--repeat N] [--json FILE]

Steps: the same start and number of steps, no acceleration, no priors, and the same log-likelihood; the time is that
of a fit with eleven steps less that of a fit with one, over ten. Then one call each of decode, score and predict_proba
with those parameters. Times are processor times, the least of some fits in some processes, one BLAS thread each.
"""

from __future__ import annotations

import argparse

import numpy as np
from _measure import cpu_timed, run_fresh, store
from hmmlearn import hmm

from emkit import EMHiddenMarkov

STEPS = 10
CALLS = ("decode", "score", "predict_proba")
# name, emission, states, columns or symbols, lengths (n, least, most), ratios to reach (log, scaling)
WORKS = [
    ("one of 200,000, K=8, d=4 diag", "diag", 8, 4, (1, 200_000, 200_000), (20, 5)),
    ("5,000 of 20-60, K=6, d=4 full", "full", 6, 4, (5_000, 20, 60), (60, 40)),
    ("2,000 of 100, K=16, 64 symbols", "categorical", 16, 64, (2_000, 100, 100), (60, 8)),
    ("one of 50,000, K=64, d=8 diag", "diag", 64, 8, (1, 50_000, 50_000), (100, 15)),
    ("200 of 500, K=4, Poisson", "poisson", 4, 1, (200, 500, 500), (20, 10)),
]


def simulated(emission, k, d, lengths):
    """Sequences from a chain that tends to stay, and a start off the truth."""
    rng = np.random.default_rng(0)
    n, least, most = lengths
    length = rng.integers(least, most + 1, size=n)
    transmat = 0.7 * np.eye(k) + 0.3 * rng.dirichlet(np.ones(k), size=k)
    uniform, total = rng.random(length.sum()), length.sum()
    steps, states = np.cumsum(transmat, axis=1), np.empty(total, dtype=np.intp)
    first = set(np.concatenate([[0], np.cumsum(length)[:-1]]).tolist())
    for t in range(total):
        states[t] = int(uniform[t] * k) if t in first else min(np.searchsorted(steps[states[t - 1]], uniform[t]), k - 1)
    start = {"startprob": np.full(k, 1 / k), "transmat": 0.5 * np.eye(k) + 0.5 / k}
    if emission == "categorical":
        table = rng.dirichlet(np.full(d, 0.3), size=k)
        X = (np.cumsum(table, axis=1)[states] < rng.random((total, 1))).sum(axis=1, keepdims=True)
        X = np.minimum(X, d - 1)
        start["emissionprob"] = 0.7 * table + 0.3 / d
    elif emission == "poisson":
        rates = 3.0 * np.arange(1, k + 1)[:, None]
        X = rng.poisson(rates[states])
        start["rates"] = rates * 1.1
    else:
        means = 2.0 * rng.standard_normal((k, d))
        X = means[states] + rng.standard_normal((total, d))
        start["means"] = means + 0.3 * rng.standard_normal((k, d))
        start["covariances"] = np.ones((k, d)) if emission == "diag" else np.tile(np.eye(d), (k, 1, 1))
    return X, length, start


def emkit_model(emission, start):
    kind = emission if emission in ("categorical", "poisson") else "gaussian"
    shape = {"covariance_type": emission} if kind == "gaussian" else {}
    inits = {f"{name}_init": value for name, value in start.items()}
    return EMHiddenMarkov(
        len(start["startprob"]), emission=kind, reg_covar=0, tol=0, accelerate=False, **shape, **inits
    )


def hmmlearn_model(emission, start, implementation, n_iter):
    k = len(start["startprob"])
    shared = {"n_iter": n_iter, "tol": -np.inf, "init_params": "", "implementation": implementation}
    if emission == "categorical":
        model = hmm.CategoricalHMM(k, **shared)
        model.emissionprob_ = start["emissionprob"]
        model.n_features = start["emissionprob"].shape[1]
    elif emission == "poisson":
        model = hmm.PoissonHMM(k, **shared)
        model.lambdas_ = start["rates"]
    else:
        model = hmm.GaussianHMM(k, covariance_type=emission, covars_prior=0.0, min_covar=0.0, **shared)
        model.means_, model.covars_ = start["means"], start["covariances"]
    model.startprob_, model.transmat_ = start["startprob"], start["transmat"]
    return model


def steps(who, emission, k, d, lengths):
    X, length, start = simulated(emission, k, d, lengths)
    if who == "emkit":
        X = X.astype(np.float64)

    def fitted(n_steps):
        if who == "emkit":
            return emkit_model(emission, start).set_params(max_iter=n_steps).fit(X, lengths=length)
        return hmmlearn_model(emission, start, who, n_steps).fit(X, length)

    def call(model, name):
        return getattr(model, name)(X, lengths=length)

    fitted(1)  # what is loaded at the first fit is not the subject
    n_fits = 1 if who == "log" else 3

    def run():
        short = min(cpu_timed(fitted, 1)[0] for _ in range(n_fits))
        times = [cpu_timed(fitted, STEPS + 1) for _ in range(n_fits)]
        model = times[-1][1]
        calls = {name: min(cpu_timed(call, model, name)[0] for _ in range(n_fits)) for name in CALLS}
        score = model.score(X, lengths=length) * (len(X) if who == "emkit" else 1)
        return {
            "short_cpu": short,
            "long_cpu": min(seconds for seconds, _ in times),
            **{f"{name}_cpu": seconds for name, seconds in calls.items()},
            "log_likelihood": float(score),
        }

    return run


def compare(only, repeat):
    for name, emission, k, d, lengths, goals in WORKS:
        if only not in name:
            continue
        work = {"emission": emission, "k": k, "d": d, "lengths": lengths}
        ours, scaling = (run_fresh("hmm:steps", repeat, who=who, **work) for who in ("emkit", "scaling"))
        log = run_fresh("hmm:steps", 1, who="log", **work)
        per_step = [(run["long_cpu"] - run["short_cpu"]) / STEPS for run in (ours, log, scaling)]
        peer = {call: min(log[f"{call}_cpu"], scaling[f"{call}_cpu"]) for call in CALLS}
        yield {
            "work": name,
            "step_ms": [1e3 * seconds for seconds in per_step],
            "step_ratio": [per_step[1] / per_step[0], per_step[2] / per_step[0]],
            "goal": goals,
            "call_ms": {call: (1e3 * ours[f"{call}_cpu"], 1e3 * peer[call]) for call in CALLS},
            "call_ratio": {call: peer[call] / ours[f"{call}_cpu"] for call in CALLS},
            "difference": abs(ours["log_likelihood"] / scaling["log_likelihood"] - 1),
            "mb": (ours["memory"], scaling["memory"]),
        }


def show(row):
    ours, log, scaling = row["step_ms"]
    calls = "  ".join(
        f"{call} {row['call_ms'][call][0]:7.1f} / {row['call_ms'][call][1]:7.1f} = {row['call_ratio'][call]:4.1f}x"
        for call in CALLS
    )
    print(
        f"{row['work']:32} {ours:8.2f} {log:8.1f} {scaling:8.1f}  {row['step_ratio'][0]:5.1f} ({row['goal'][0]})"
        f"  {row['step_ratio'][1]:5.1f} ({row['goal'][1]})  {calls}  {row['difference']:.0e}"
        f"  {row['mb'][0]:.0f}/{row['mb'][1]:.0f} MB",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="rows whose name contains this text")
    parser.add_argument("--repeat", type=int, default=3, help="processes for each measurement; the fastest counts")
    parser.add_argument("--json", help="write the rows to this file")
    options = parser.parse_args()
    heads = ("emkit", "log", "scaling", "ratio to log, scaling (goals); one call each, ms: emkit / hmmlearn's faster")
    print("{:32} {:>8} {:>8} {:>8}  {}".format("ms per step", *heads))
    rows = []
    for row in compare(options.only, options.repeat):
        show(row)
        rows.append(row)
    store(options.json, {"rows": rows}, "hmmlearn")


if __name__ == "__main__":
    main()
