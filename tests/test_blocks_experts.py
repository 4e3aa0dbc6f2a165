"""Mixtures of experts of data that are read block by block: as the whole table, in bounded memory."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import accuracy_score, r2_score

from emkit import EMMixtureOfExpertsClassifier, EMMixtureOfExpertsRegressor

N = 500
SIZES = (70, 1, 0, 229, 200)


def table(n=N, seed=0):
    """Inputs, numbers and classes of two experts."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 2))
    first = rng.random(n) < 1 / (1 + np.exp(-3 * X[:, 1]))
    y = np.where(first, 1 + 2 * X[:, 0], -1 - X[:, 0]) + 0.3 * rng.standard_normal(n)
    return X, y, np.where(y > 0.5, "high", "low")


X, Y, CLASSES = table()
WEIGHT = np.random.default_rng(1).uniform(0.2, 2, N)
ENDS = np.cumsum(SIZES)[:-1]
FITS = {
    "regressor": (lambda: EMMixtureOfExpertsRegressor(2, random_state=0, n_init=1), Y),
    "several": (
        lambda: EMMixtureOfExpertsRegressor(2, random_state=0, n_init=1),
        np.column_stack([Y, 2 - Y + np.sin(np.arange(N))]),
    ),
    "gaussian gate": (lambda: EMMixtureOfExpertsRegressor(2, gate="gaussian", random_state=0, n_init=1), Y),
    "poisson": (
        lambda: EMMixtureOfExpertsRegressor(2, expert="poisson", random_state=0, n_init=1),
        np.abs(np.rint(Y)),
    ),
    "classifier": (lambda: EMMixtureOfExpertsClassifier(2, random_state=0, n_init=1), CLASSES),
}


def tables_of(rows):
    return np.split(rows, ENDS)


def pairs_of(rows, y):
    return list(zip(tables_of(rows), np.split(y, ENDS), strict=True))


@pytest.fixture(params=FITS)
def fitted(request):
    make, y = FITS[request.param]
    return make().fit(X, y), y


class TestOfAFit:
    def test_predictions(self, fitted):
        model, y = fitted
        names = ["predict", "predict_expert_proba"]
        names += ["predict_proba"] if hasattr(model, "predict_proba") else ["predict_quantile", "predict_interval"]
        for name in names:
            method = getattr(model, name)
            expected = method(X)
            for blocks in (tables_of(X), lambda: iter(tables_of(X))):
                assert_same(method(blocks), expected)
        assert_allclose(model.predict_expert_proba(pairs_of(X, y)), model.predict_expert_proba(X, y), rtol=1e-10)
        assert_array_equal(model.predict(pairs_of(X, y)), model.predict(tables_of(X)))
        assert_same(model.experts_[1].predict(tables_of(X)), model.experts_[1].predict(X))

    def test_scores(self, fitted):
        model, y = fitted
        blocks = pairs_of(X, y)
        assert_allclose(model.score_samples(blocks), model.score_samples(X, y), rtol=1e-9, atol=1e-12)
        assert_allclose(model.score_samples(tables_of(X)), model.score_samples(X), rtol=1e-9, atol=1e-12)
        for weight in (None, WEIGHT):
            for name in ("score", "bic", "aic", "icl"):
                method = getattr(model, name)
                value, expected = method(lambda: blocks, sample_weight=weight), method(X, y, sample_weight=weight)
                assert value == pytest.approx(expected, rel=1e-10)

    def test_scores_are_those_of_scikit_learn(self, fitted):
        model, y = fitted
        score = accuracy_score if y is CLASSES else r2_score
        expected = score(y, model.predict(X), sample_weight=WEIGHT)
        assert model.score(pairs_of(X, y), sample_weight=WEIGHT) == pytest.approx(expected, rel=1e-12)
        assert model.score(X, y, sample_weight=WEIGHT) == pytest.approx(expected, rel=1e-12)

    def test_criteria_are_of_the_sum(self, fitted):
        model, y = fitted
        total = WEIGHT @ model.score_samples(X, y)
        expected = model.n_parameters_ * np.log(WEIGHT.sum()) - 2 * total
        assert model.bic(pairs_of(X, y), sample_weight=WEIGHT) == pytest.approx(expected, rel=1e-12)


def assert_same(values, expected):
    if np.asarray(expected).dtype.kind == "U":
        assert_array_equal(values, expected)
    else:
        assert_allclose(values, expected, rtol=1e-9)


def test_responses_that_do_not_vary():
    """As r2_score says: 1 if all is exact, else 0."""
    model = FITS["regressor"][0]().fit(X, Y)
    same = np.full(N, 3.0)
    assert model.score(pairs_of(X, same)) == r2_score(same, model.predict(X)) == 0
    model = EMMixtureOfExpertsRegressor(1).fit(X, Y)
    once = model.predict(X[:1])
    assert model.score([(X[:1], once)] * 3) == 1


def test_frames():
    frame = pd.DataFrame(X, columns=["a", "b"])
    make = FITS["regressor"][0]
    model = make().fit(frame, pd.Series(Y))
    blocks = [(frame[start : start + 90], pd.Series(Y[start : start + 90])) for start in range(0, N, 90)]
    assert_allclose(model.predict([rows for rows, _ in blocks]), model.predict(frame), rtol=1e-12)
    assert model.score(blocks) == pytest.approx(model.score(frame, Y), rel=1e-12)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict([rows.rename(columns={"a": "c"}) for rows, _ in blocks])


def test_rows_of_weight_zero():
    model = FITS["regressor"][0]().fit(X, Y)
    weight = np.where(np.arange(N) < 300, 0.0, WEIGHT)
    expected = model.score(X[300:], Y[300:], sample_weight=weight[300:])
    assert model.score(pairs_of(X, Y), sample_weight=weight) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("kind", ["regressor", "classifier"])
def test_memory_does_not_grow_with_the_number_of_blocks(kind):
    make, _ = FITS[kind]
    some = [table(2000, seed) for seed in range(3)]
    response = 1 if kind == "regressor" else 2

    def peak(n_blocks):
        def blocks():
            return ((some[i % 3][0].copy(), some[i % 3][response].copy()) for i in range(n_blocks))

        model = make().set_params(max_iter=3, tol=0)
        tracemalloc.start()
        model.fit(blocks)
        model.score(blocks)
        model.icl(blocks)
        reached = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return reached

    peak(10)
    assert peak(60) < 1.3 * peak(10)  # all rows would make it four times as much


class TestRefused:
    model = EMMixtureOfExpertsRegressor(2, random_state=0, n_init=1).fit(X, Y)

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda m: m.predict(iter([X])), "X is an iterator .* which can be read only once"),
            (lambda m: m.predict(lambda: 3), "must return an iterable"),
            (lambda m: m.predict(list), "X yielded no rows|2D"),
            (lambda m: m.predict(list), "X yielded no rows"),
            (lambda m: m.predict([X, X[:, :1]]), "X has 1 features, but"),
            (lambda m: m.predict(pairs_of(X, Y[:, None] * [1, 2])), r"y has 2 column\(s\), but had 1 in fit"),
            (lambda m: m.predict([X], offset=np.zeros(N)), "X is read block by block, so y .* offset and exposure"),
            (lambda m: m.score([X], Y), "X is read block by block, so y .* must be None"),
            (lambda m: m.score([X]), "requires y to be passed"),
            (lambda m: m.score(X), "requires y to be passed"),
            (lambda m: m.score(pairs_of(X, np.where(Y > 1, np.nan, Y))), "y contains NaN"),
            (lambda m: m.score(pairs_of(X, Y), sample_weight=WEIGHT[1:]), "sample_weight has fewer values"),
            (lambda m: m.bic(pairs_of(X, Y), sample_weight=np.ones(N + 1)), "sample_weight has 501 values"),
            (lambda m: m.bic([(X, Y[1:])]), "inconsistent numbers of samples"),
            (lambda m: m.standard_errors(pairs_of(X, Y)), "X must be an array or a frame here, not blocks"),
        ],
    )
    def test_call(self, call, message):
        with pytest.raises(ValueError, match=message):
            call(self.model)

    def test_criteria_need_responses(self):
        with pytest.raises(ValueError, match="requires y to be passed"):
            self.model.bic(tables_of(X))

    def test_other_rows_at_a_later_call(self):
        sizes = iter([90, 90, 80, 70, 60, 50, 40, 30])

        def blocks():
            n = next(sizes)
            return [(X[:n], Y[:n])]

        with pytest.raises(ValueError, match="it must be the same rows"):
            FITS["regressor"][0]().fit(blocks)
