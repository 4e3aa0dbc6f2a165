"""EMImputer: scores and filled tables of data that are read block by block."""

import tracemalloc

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from emkit import EMGaussianMixture, EMImputer

N = 400


def numbers(n=N, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 1)) + 0.5 * rng.standard_normal((n, 3))
    X[rng.random(X.shape) < 0.2] = np.nan
    return X


def frame(n=N, seed=0):
    X = numbers(n, seed)
    level = np.where(X[:, 2] > 0, "high", "low").astype(object)
    level[np.isnan(X[:, 2])] = None
    return pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "level": level})


def parts_of(table, size=90):
    slices = [slice(start, start + size) for start in range(0, len(table), size)]
    return [table.iloc[part] if hasattr(table, "iloc") else table[part] for part in slices]


X, FRAME = numbers(), frame()
WEIGHT = np.random.default_rng(3).uniform(0.2, 2, N)
FITTED = {
    "gaussian": (EMImputer("gaussian").fit(X), X),
    "factor": (EMImputer("factor", n_components=1).fit(X), X),
    "copula": (EMImputer("copula").fit(FRAME), FRAME),
    "mixture": (EMImputer("mixture", n_components=2, random_state=0).fit(FRAME), FRAME),
}


@pytest.fixture(params=FITTED)
def case(request):
    return FITTED[request.param]


class TestOfAFit:
    def test_scores(self, case):
        imputer, table = case
        parts = parts_of(table)
        for blocks in (parts, lambda: iter([*parts, table[:0]])):
            assert_allclose(imputer.score_samples(blocks), imputer.score_samples(table), rtol=1e-9, atol=1e-12)
            assert_allclose(imputer.predict_proba(blocks), imputer.predict_proba(table), rtol=1e-9, atol=1e-12)
            for weight in (None, WEIGHT):
                value = imputer.score(blocks, sample_weight=weight)
                assert value == pytest.approx(imputer.score(table, sample_weight=weight), rel=1e-10)
                expected = np.average(imputer.score_samples(table), weights=weight)
                assert value == pytest.approx(expected, rel=1e-10)

    def test_filled_tables(self, case):
        imputer, table = case
        parts, whole = parts_of(table), imputer.transform(table)
        listed = imputer.transform(parts)
        assert isinstance(listed, list)
        streamed = imputer.transform(lambda: iter(parts))
        for filled in (listed, list(streamed()), list(streamed())):  # it can be read again
            assert [type(part) for part in filled] == [type(part) for part in parts]
            if isinstance(table, pd.DataFrame):
                assert_frame_equal(pd.concat(filled), whole)
            else:
                assert_array_equal(np.concatenate(filled), whole)


def test_criteria():
    imputer, table = FITTED["mixture"]
    for name in ("bic", "aic", "icl"):
        value = getattr(imputer, name)(parts_of(table), sample_weight=WEIGHT)
        assert value == pytest.approx(getattr(imputer, name)(table, sample_weight=WEIGHT), rel=1e-10)


def test_tables_are_filled_when_they_are_reached():
    reached = []

    def blocks():
        for part in parts_of(X):
            reached.append(len(part))
            yield part

    filled = FITTED["gaussian"][0].transform(blocks)
    assert reached == []
    first = next(filled())
    assert reached == [90]
    assert not np.isnan(first).any()


def test_frames_of_polars():
    table = pl.from_pandas(FRAME)
    imputer = EMImputer("copula").fit(table)
    filled = imputer.transform([table[:150], table[150:]])
    assert pl.concat(filled).equals(imputer.transform(table))


def test_drawn_cells_are_the_same_in_each_pass():
    imputer = EMImputer("gaussian", statistic="sample").fit(X)
    filled = imputer.transform(lambda: iter(parts_of(X)))
    one, other = np.concatenate(list(filled())), np.concatenate(list(filled()))
    assert_array_equal(one, other)
    assert (np.concatenate(list(imputer.transform(lambda: iter(parts_of(X)))())) != one).any()


def test_a_source_of_blocks_for_what_comes_next():
    imputer = FITTED["gaussian"][0]
    whole = EMGaussianMixture(1).fit(imputer.transform(X))
    streamed = EMGaussianMixture(1).fit(imputer.transform(lambda: iter(parts_of(X))))
    assert streamed.objective_ == pytest.approx(whole.objective_, rel=1e-8)
    fitted = make_pipeline(imputer, whole)
    assert fitted.score(lambda: iter(parts_of(X))) == pytest.approx(whole.score(imputer.transform(X)), rel=1e-10)


def test_memory_does_not_grow_with_the_number_of_blocks():
    imputer, some = FITTED["gaussian"][0], [numbers(2000, seed) for seed in range(4)]

    def peak(n_blocks):
        def blocks():
            return (some[number % 4].copy() for number in range(n_blocks))

        tracemalloc.start()
        imputer.score(blocks)
        for _ in imputer.transform(blocks)():
            pass
        reached = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return reached

    peak(5)
    assert peak(40) < 1.1 * peak(5)


class TestRefused:
    imputer = FITTED["gaussian"][0]

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda i: i.transform(iter([X])), "X is an iterator .* which can be read only once"),
            (lambda i: i.score(lambda: 3), "must return an iterable"),
            (lambda i: i.score(list), "X yielded no rows"),
            (lambda i: i.score([X, X[:, :2]]), "X has 2 features, but EMImputer is expecting 3"),
            (lambda i: list(i.transform(lambda: [X, X[:, :2]])()), "X has 2 features, but EMImputer is expecting 3"),
            (lambda i: i.score([X], sample_weight=np.ones(N - 1)), "sample_weight has fewer values"),
            (lambda i: i.score([X], sample_weight=np.ones(N + 1)), "sample_weight has 401 values"),
            (lambda i: i.transform([X], cell_prior=(X, X)), "cell_prior must be None where X is read block by block"),
            (
                lambda i: EMImputer().fit(X).set_output(transform="pandas").transform([X]),
                "set_output.* blocks are filled",
            ),
            (lambda i: i.impute([X]), "X must be one table here, not blocks of rows"),
            (lambda i: i.predict_interval([X, X]), "X must be one table here, not blocks of rows; call this for each"),
        ],
    )
    def test_call(self, call, message):
        with pytest.raises(ValueError, match=message):
            call(self.imputer)

    def test_not_fitted(self):
        for call in (EMImputer().score, EMImputer().transform):
            with pytest.raises(NotFittedError):
                call([X])
