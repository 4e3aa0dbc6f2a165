"""EMImputer beside scikit-learn's imputers, the published EM copula and forests: time and quality in one run.

    python tests/benchmarks/impute.py [--repeat N] [--seeds N] [--only TABLE ...] [--json FILE]

Tables: speed (processor time of fit_transform on one BLAS thread, best of some processes), real (error and accuracy on
real mixed tables with holes that depend on other columns), curved (where forests win), threads. gcimpute is a row of
its own where it can be imported, which takes NumPy 1.
"""

from __future__ import annotations

import argparse
import importlib
from statistics import mean

from _measure import run_fresh, store

SIMULATED = {  # rows, columns, share missing, patterns (0: each row its own), goal
    "20,000 x 20, 20 %": (20_000, 20, 0.2, 0, 10),
    "2,000 x 100, 30 %": (2_000, 100, 0.3, 0, 40),
    "50,000 x 20, 8 patterns": (50_000, 20, 0.2, 8, 10),
}


def speed(repeat):
    rows = []
    for work, (n, d, share, n_patterns, goal) in SIMULATED.items():
        size = {"n": n, "d": d, "share": share, "n_patterns": n_patterns}
        best = run_fresh("_impute:best_simulated", **size)["error"]
        runs = {
            library: run_fresh("_impute:fill_simulated", repeat, library=library, **size)
            for library in ("emkit", "IterativeImputer")
        }
        rows.append(row(work, runs, goal, {library: run["error"] / best for library, run in runs.items()}))
    runs = {
        library: run_fresh("_impute:fill_survey", repeat, library=library)
        for library in ("emkit", "IterativeImputer", "IterativeImputer, to the end")
    }
    for peer in ("IterativeImputer", "IterativeImputer, to the end"):
        pair = {"emkit": runs["emkit"], peer: runs[peer]}
        rows.append(row("gss_abortion 64,814 rows", pair, 1, {name: run["error"] for name, run in pair.items()}))
    libraries = ["IterativeImputer", "gcimpute"] if can_import("gcimpute") else ["IterativeImputer"]
    runs = {library: run_fresh("_impute:fill_mixed", repeat, library=library) for library in ("emkit", *libraries)}
    for peer in libraries:
        pair = {"emkit": runs["emkit"], peer: runs[peer]}
        rows.append(row("mixed 2,500 x 18", pair, 5 if peer == "gcimpute" else None, {}))
        print(
            f"{'':26} error, accuracy: "
            + "; ".join(f"{k} {v['error']:.4f} {v['accuracy']:.4f}" for k, v in pair.items())
        )
    return rows


def can_import(name):
    try:
        importlib.import_module(name)
    except Exception:  # gcimpute fails in several ways on NumPy 2
        return False
    return True


def row(work, runs, goal, quality):
    (_, ours), (peer, theirs) = runs.items()
    found = {"work": work, "peer": peer, "ours": ours, "theirs": theirs, "ratio": theirs["cpu"] / ours["cpu"]}
    print(
        f"{work:26} emkit {ours['cpu']:7.3f} s  {peer} {theirs['cpu']:7.3f} s  {found['ratio']:6.1f}x (goal {goal})  "
        + "  ".join(f"{name} {value:.4f}" for name, value in quality.items())
        + f"  steps {ours.get('n_iter')}",
        flush=True,
    )
    return {**found, "quality": quality}


def real(seeds):
    rows = []
    for table in ("penguins", "wage1", "acs12", "bfi"):
        for library in ("emkit", "IterativeImputer", "KNNImputer", "mode"):
            runs = [run_fresh("_impute:fill_table", library=library, name=table, seed=seed) for seed in range(seeds)]
            found = {key: mean(run[key] for run in runs) for key in ("error", "accuracy", "cpu")}
            rows.append({"table": table, "library": library, **found})
            print(
                f"{table:10} {library:18} error {found['error']:.3f} sd  accuracy {found['accuracy']:.3f}"
                f"  {found['cpu']:.2f} s",
                flush=True,
            )
    return rows


def curved():
    rows = []
    for library in ("emkit", "emkit, mixture", "IterativeImputer", "KNNImputer", "forests"):
        run = run_fresh("_impute:fill_curved", library=library)
        rows.append({"library": library, **run})
        print(f"curved     {library:18} error {run['error']:.3f} sd  {run['cpu']:.2f} s", flush=True)
    return rows


def threads(repeat):
    rows = []
    for work, (n, d, share, n_patterns, _) in SIMULATED.items():
        size = {"library": "emkit", "n": n, "d": d, "share": share, "n_patterns": n_patterns}
        one, two = (run_fresh("_impute:fill_simulated", repeat, n_jobs=n_jobs, **size)["wall"] for n_jobs in (1, 2))
        rows.append({"work": work, "one": one, "two": two})
        print(f"{work:26} one thread {one:.3f} s  two {two:.3f} s  {one / two:.2f}x", flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=("speed", "real", "curved", "threads"))
    parser.add_argument("--json")
    options = parser.parse_args()
    tables = {
        "speed": lambda: speed(options.repeat),
        "real": lambda: real(options.seeds),
        "curved": curved,
        "threads": lambda: threads(options.repeat),
    }
    results = {name: tables[name]() for name in options.only or tables}
    store(options.json, results, *(["gcimpute"] if can_import("gcimpute") else []))


if __name__ == "__main__":
    main()
