"""ComponentSearch beside GridSearchCV over scikit-learn's GaussianMixture: time, and how often K is found.

    python tests/benchmarks/selection.py [--part speed|types|accuracy] [--sets N] [--rows N ...] [--repeat N]
                                         [--json FILE]

Speed: the whole path K = 1..10, five shuffled folds, 1e4 x 4, criterion "heldout", beside GridSearchCV with n_init=5;
both choices are scored on 1e5 new rows. Types: the fourteen covariance types x K = 1..9 by BIC on iris and on breast
cancer. Accuracy: simulated mixtures of four components in two to four dimensions with moderate overlap; the share of
data sets in which each criterion finds four. Each piece of work runs in a process of its own with one BLAS thread.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from _measure import run_fresh, store
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, KFold

from emkit import ComponentSearch, EMGaussianMixture

TRUE_K = 4
TABLES = {"iris": load_iris, "breast cancer": load_breast_cancer}
GOALS = {"iris": 2.0, "breast cancer": 120.0}
TYPES = ["EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV", "VVV"]


def mixture(n, d, seed):
    """Rows of four Gaussians of unequal weights and shapes, whose nearest means are 3 to 5 apart."""
    rng = np.random.default_rng(seed)
    means = rng.standard_normal((1, d))
    while len(means) < TRUE_K:
        direction = rng.standard_normal(d)
        proposal = means[rng.integers(len(means))] + rng.uniform(3, 5) * direction / np.linalg.norm(direction)
        if np.linalg.norm(means - proposal, axis=1).min() > 3:
            means = np.vstack([means, proposal])
    shapes = rng.uniform(0.6, 1.2, (TRUE_K, d))
    weights = rng.dirichlet(np.full(TRUE_K, 10.0))

    def draw(n):
        labels = rng.choice(TRUE_K, size=n, p=weights)
        return means[labels] + shapes[labels] * rng.standard_normal((n, d))

    return draw(n), draw


def theirs(X, n_init=5, folds=None, sizes=range(1, 11)):
    folds = KFold(5, shuffle=True, random_state=0) if folds is None else folds
    estimator = GaussianMixture(n_init=n_init, random_state=0)
    return GridSearchCV(estimator, {"n_components": sizes}, cv=folds).fit(X)


def whole_path(who, seed=0):
    X, draw = mixture(10_000, 4, seed)
    new = draw(100_000)
    (EMGaussianMixture if who == "emkit" else GaussianMixture)(2).fit(X[:100])  # loads what the first fit loads

    def fit():
        if who == "emkit":
            found = ComponentSearch(EMGaussianMixture(), criterion="heldout", random_state=0).fit(X)
        else:
            found = theirs(X)
        return {"k": int(found.best_params_["n_components"]), "score": float(found.score(new))}

    return fit


def all_types(table):
    X = TABLES[table]().data
    EMGaussianMixture(2).fit(X[:50])
    search = ComponentSearch(
        EMGaussianMixture(),
        n_components=range(1, 10),
        other_params={"covariance_type": TYPES},
        random_state=0,
    )

    def fit():
        search.fit(X)
        return {"best": repr(search.best_params_), "bic": search.best_score_}

    return fit


def one_accuracy(n, seed):
    """What each way chooses for one data set, and for how long it computes."""
    X, _ = mixture(n, 2 + seed % 3, seed)
    sizes = range(1, 9)

    def choose():
        chosen = {}
        began = time.process_time()
        found = ComponentSearch(EMGaussianMixture(), n_components=sizes, criterion="heldout", random_state=0).fit(X)
        chosen["ours_cpu"] = time.process_time() - began
        table = found.results_
        sound = (table["degenerate"] == "") & (table["failed"] == "")
        for name in ("bic", "icl"):
            chosen[f"ours: {name}"] = int(table["n_components"][np.where(sound, table[name], np.inf).argmin()])
        chosen["ours: heldout"] = int(found.best_params_["n_components"])
        best = found.best_index_
        near = sound & (table["heldout_mean"] >= table["heldout_mean"][best] - table["heldout_se"][best])
        chosen["ours: heldout, one SE"] = int(table["n_components"][near].min())
        began = time.process_time()
        chosen["GridSearchCV(GaussianMixture)"] = int(theirs(X, sizes=sizes).best_params_["n_components"])
        chosen["theirs_cpu"] = time.process_time() - began
        by_bic = [GaussianMixture(k, n_init=5, random_state=0).fit(X).bic(X) for k in sizes]
        chosen["GaussianMixture, BIC"] = int(np.argmin(by_bic)) + 1
        return chosen

    return choose


def speed(options):
    ours, peer = (run_fresh("selection:whole_path", options.repeat, who=who) for who in ("emkit", "scikit-learn"))
    row = {
        "work": "K=1..10, 5 folds, 1e4 x 4",
        "ours": ours["wall"],
        "theirs": peer["wall"],
        "ratio": peer["wall"] / ours["wall"],
        "ratio_cpu": peer["cpu"] / ours["cpu"],
        "cpu": [ours["cpu"], peer["cpu"]],
        "scores": (ours["score"], peer["score"]),
        "quality": f"K={ours['k']}, {ours['score']:.5f} per new row against K={peer['k']}, {peer['score']:.5f}",
    }
    print(f"{row['work']}: {row['ours']:.2f} s against {row['theirs']:.2f} s, {row['ratio']:.1f}x "
          f"({row['ratio_cpu']:.1f}x processor time; goal 10x); {row['quality']}")  # fmt: skip
    return [row]


def types(options):
    rows = []
    for table, goal in GOALS.items():
        row = {"work": f"14 types x K=1..9 on {table}", "goal": goal}
        row |= run_fresh("selection:all_types", options.repeat, table=table)
        rows.append(row)
        print(f"{row['work']}: {row['wall']:.2f} s wall, {row['cpu']:.2f} s processor time "
              f"(goal {goal:g} s); {row['best']}, BIC {row['bic']:.1f}")  # fmt: skip
    return rows


def accuracy(options):
    rows = []
    for n in options.rows:
        found = [run_fresh("selection:one_accuracy", n=n, seed=seed) for seed in range(options.sets)]
        ways = [name for name in found[0] if ": " in name or "Mixture" in name]
        print(f"n = {n}, {options.sets} data sets; share with K = {TRUE_K}, fewer, more")
        for way in ways:
            k = np.array([one[way] for one in found])
            shares = [float(np.mean(part)) for part in (k == TRUE_K, k < TRUE_K, k > TRUE_K)]
            rows.append({"n": n, "way": way, "right": shares[0], "fewer": shares[1], "more": shares[2]})
            print(f"  {way:30} {shares[0]:5.2f} {shares[1]:5.2f} {shares[2]:5.2f}", flush=True)
        cpu = {who: float(np.mean([one[f"{who}_cpu"] for one in found])) for who in ("ours", "theirs")}
        print(f"  processor time of a search: {cpu['ours']:.2f} s against {cpu['theirs']:.2f} s")
        rows.append({"n": n, "way": "seconds", **cpu})
    return rows


PARTS = {"speed": speed, "types": types, "accuracy": accuracy}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=PARTS, action="append", help="which part; all without it")
    parser.add_argument("--sets", type=int, default=50, help="data sets of the accuracy table")
    parser.add_argument("--rows", type=int, nargs="+", default=[80, 300, 2_000], help="their numbers of rows")
    parser.add_argument("--repeat", type=int, default=3, help="processes for each time; the fastest counts")
    parser.add_argument("--json", help="write the rows to this file")
    options = parser.parse_args()
    rows = {part: PARTS[part](options) for part in (options.part or PARTS)}
    store(options.json, rows)


if __name__ == "__main__":
    main()
