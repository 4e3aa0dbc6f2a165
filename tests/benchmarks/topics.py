"""EMTopicModel beside scikit-learn, gensim, tomotopy and lda: held-out perplexity against processor time, in one run.

    python tests/benchmarks/topics.py [--corpora NAME_OR_NPZ ...] [--seeds N] [--only TABLE ...] [--json FILE]

Corpora: "synthetic" (20,000 documents of about 100 tokens, 10,000 terms, 50 sparse topics), "reuters" (395 documents of
`lda.datasets`), or any document-term table that SciPy has saved. Perplexity is that of the second halves of held-out
documents given the first, by one function for the topics of all, with the best of a few priors for each. One thread,
processor time, medians over the seeds. Tables: curves, methods, floor, transform, threads, kernel, memory.
"""

from __future__ import annotations

import argparse
from functools import partial
from statistics import median

from _measure import run_fresh, store
from _topics import SCHEDULES

METHODS = ("map", "plsa", "vb", "cvb0")
GOALS = {"sklearn-batch": 30, "sklearn-online": 30, "tomotopy": 15}


def curves(corpora, seeds, libraries):
    """For each library, points of median time and quality; then how much sooner emkit has each peer's perplexity."""
    rows = []
    for corpus in corpora:
        by_library = {}
        for library in libraries:
            runs = [run_fresh("_topics:curve", library=library, corpus=corpus, seed=seed) for seed in range(seeds)]
            points = [
                {key: median(point[key] for point in same) for key in same[0]}
                for same in zip(*(run["points"] for run in runs), strict=True)
            ]
            by_library[library] = points
            for point in points:
                print(
                    f"{corpus:12} {library:15} {point['seconds']:8.2f} s  perplexity {point['perplexity']:7.1f}"
                    f"  npmi {point['npmi']:6.3f}",
                    flush=True,
                )
        for library, points in by_library.items():
            if library != "emkit" and "emkit" in by_library:
                rows += [sooner(corpus, library, point, by_library["emkit"]) for point in points]
        rows += [{"corpus": corpus, "curves": by_library}]
    return rows


def sooner(corpus, library, point, ours):
    """The first of our points that is as good as a peer's, and the ratio of times."""
    equal = next((own for own in ours if own["perplexity"] <= point["perplexity"]), None)
    ratio = point["seconds"] / equal["seconds"] if equal else float("nan")
    goal = f" (goal {GOALS[library]})" if library in GOALS else ""
    print(
        f"{corpus:12} {library:15} {point['perplexity']:7.1f} after {point['seconds']:7.2f} s; emkit"
        + (f" {equal['perplexity']:7.1f} after {equal['seconds']:5.2f} s, {ratio:.1f}x{goal}" if equal else " never"),
        flush=True,
    )
    return {"corpus": corpus, "library": library, "point": point, "emkit": equal, "ratio": ratio}


def methods(corpora, seeds):
    rows = []
    for corpus in corpora:
        for method in METHODS:
            runs = [run_fresh("_topics:methods", corpus=corpus, method=method, seed=seed) for seed in range(seeds)]
            keys = ("seconds", "own", "perplexity", "npmi", "n_iter")
            rows.append({"corpus": corpus, "method": method, **{key: median(run[key] for run in runs) for key in keys}})
            print(
                "{corpus:12} {method:5} {seconds:7.2f} s  own perplexity {own:7.1f}  best prior {perplexity:7.1f}"
                "  npmi {npmi:6.3f}  {n_iter} steps".format(**rows[-1]),
                flush=True,
            )
    return rows


def floor(corpora, seeds):
    rows = []
    for method in METHODS:
        run = run_fresh("_topics:floor", method=method)
        rows.append({"method": method, **run})
        print(f"from the true topics ({run['truth']:.0f}), {method:5}: {run['perplexity']:.0f}", flush=True)
    return rows


def transform(corpora, seeds):
    rows = []
    for corpus in corpora:
        ours, peer = (run_fresh("_topics:transform", 3, who=who, corpus=corpus) for who in ("emkit", "sklearn"))
        rows.append({"corpus": corpus, "ours": ours["cpu"], "peer": peer["cpu"], "ratio": peer["cpu"] / ours["cpu"]})
        print(
            "{corpus:12} transform {ours:.4f} s, scikit-learn {peer:.3f} s: {ratio:.1f}x (goal 20)".format(**rows[-1])
        )
    return rows


def threads(corpora, seeds):
    rows = []
    for name, n_init, max_iter in (("default", "auto", 20), ("one start, 100 steps", 1, 100)):
        one, two = (run_fresh("_topics:threads", 3, n_jobs=n, n_init=n_init, max_iter=max_iter) for n in (1, 2))
        same = one["objective"] == two["objective"]
        rows.append({"fit": name, "one": one["wall"], "two": two["wall"], "same_bits": same})
        ratio = one["wall"] / two["wall"]
        print(f"{name:22} one thread {one['wall']:.2f} s, two {two['wall']:.2f} s: {ratio:.2f}x (goal 1.7), {same=}")
    return rows


def kernel(corpora, seeds):
    run = run_fresh("_topics:kernel")
    print(
        "ns for a non-zero and topic: E-step {e_step:.3f}, sweep of a fresh document {sweep_of_fresh_document:.3f}, "
        "further sweep {further_sweep:.3f} (seen as the limit: 0.17 to 0.35)".format(**run)
    )
    return run


def memory(corpora, seeds):
    run = run_fresh("_topics:streaming")
    print("streaming: {memory:.0f} MB beyond the counts, one topic matrix is {topic_mb:.1f} MB".format(**run))
    return run


TABLES = {table.__name__: table for table in (curves, methods, floor, transform, threads, kernel, memory)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", nargs="+", default=["synthetic", "reuters"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=tuple(TABLES), default=tuple(TABLES))
    parser.add_argument("--libraries", nargs="+", choices=tuple(SCHEDULES), default=tuple(SCHEDULES), help="of curves")
    parser.add_argument("--json", help="write the tables to this file")
    options = parser.parse_args()
    tables = {**TABLES, "curves": partial(curves, libraries=options.libraries)}
    results = {name: tables[name](options.corpora, options.seeds) for name in options.only}
    store(options.json, results, "tomotopy", "gensim", "lda")


if __name__ == "__main__":
    main()
