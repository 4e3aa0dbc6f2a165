"""EMMixture of data that are read block by block: as the whole array, in bounded memory, and in batches."""

import tracemalloc
from functools import partial

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from test_hidden_markov_family import Exponential
from test_mixture_families import FAMILY_NAMES, family_argument, forget, two_groups

from emkit import EMGaussianMixture, EMMixture
from emkit.chunks import CHUNK_ROWS, Rows
from emkit.families.base import Options
from emkit.families.table import family_class

N = 25_000
SHORT = {"max_iter": 4, "tol": 0}


def in_blocks(X, size):
    """A function of blocks of so many rows."""
    return lambda: (X[start : start + size] for start in range(0, len(X), size))


def make(name, **options):
    return EMMixture(2, family=family_argument(name), random_state=0, **{"n_init": 1, **options})


@pytest.mark.parametrize("name", FAMILY_NAMES)
class TestEveryFamily:
    def test_the_same_bits_where_blocks_end_with_chunks(self, name):
        X, _ = two_groups(name, N)
        weight = np.random.default_rng(0).uniform(0.5, 2, N)
        whole = make(name, **SHORT).fit(X, sample_weight=weight)
        blocks = make(name, **SHORT).fit(in_blocks(X, CHUNK_ROWS), sample_weight=weight)
        assert blocks.objective_ == whole.objective_
        assert blocks.n_iter_ == whole.n_iter_
        for part, other in zip(parts_of(blocks), parts_of(whole), strict=True):
            assert_array_equal(part, other)
        for method in ("predict", "predict_proba", "transform", "score_samples"):
            assert_array_equal(getattr(whole, method)(in_blocks(X, CHUNK_ROWS)), getattr(whole, method)(X))
        for method in ("score", "bic", "aic", "icl"):
            value = getattr(whole, method)(in_blocks(X, CHUNK_ROWS), sample_weight=weight)
            assert value == getattr(whole, method)(X, sample_weight=weight)

    @pytest.mark.parametrize("size", [37, 150])
    def test_blocks_of_any_size(self, name, size):
        X = forget(two_groups(name, 400)[0])
        blocks = [X[start : start + size] for start in range(0, len(X), size)] + [X[:0]]
        whole, streamed = make(name).fit(X), make(name).fit(blocks)
        assert streamed.objective_ == pytest.approx(
            whole.objective_, abs=2 * 400 * 1e-8
        )  # of which each may lack `tol`
        assert_allclose(streamed.score_samples(blocks), whole.score_samples(X), rtol=1e-4, atol=1e-12)
        assert streamed.bic(blocks) == pytest.approx(whole.bic(X), abs=4 * 400 * 1e-8)
        assert streamed.icl(blocks) == pytest.approx(whole.icl(X), rel=1e-4)

    def test_rows_of_weight_zero(self, name):
        X, _ = two_groups(name, 300)
        weight = np.where(np.arange(300) % 3 == 1, 0.0, 1.5)
        kept = make(name).fit(X[weight > 0], sample_weight=weight[weight > 0])
        blocks = make(name).fit(in_blocks(X, 50), sample_weight=weight)
        assert blocks.objective_ == pytest.approx(kept.objective_, rel=1e-9)
        total = kept.score(X[weight > 0])
        assert kept.score(in_blocks(X, 50), sample_weight=weight) == pytest.approx(total, rel=1e-12)

    def test_batches_come_near_the_maximum_of_all(self, name):
        """Within 1 % of the log-likelihood of a fit of all rows, each seen once."""
        X, _ = two_groups(name, 6_000, seed=3)
        batches = np.array_split(X[np.random.default_rng(1).permutation(len(X))], 20)
        options = {"n_symbols": [None, None, 3, None] if name == "mixed" else 3, "emissionprob_prior": 1.5}
        online = make(name, **(options if name in ("categorical", "mixed") else {}))
        for batch in batches:
            online.partial_fit(batch)
        best = make(name).fit(X)
        assert online.score(X) > best.score(X) - 0.01 * abs(best.score(X))
        assert online.n_iter_ >= len(batches) - 1

    def test_a_batch_in_blocks_is_a_batch(self, name):
        X, _ = two_groups(name, 900)
        options = {"n_symbols": [None, None, 3, None] if name == "mixed" else 3, "emissionprob_prior": 1.5}
        first = [make(name, **(options if name in ("categorical", "mixed") else {})).fit(X[:500]) for _ in range(2)]
        one = first[0].partial_fit(X[500:])
        other = first[1].partial_fit(in_blocks(X[500:], 90))
        assert other.score(X) == pytest.approx(one.score(X), rel=1e-10)
        assert one.objective_ == pytest.approx(other.objective_, rel=1e-10)


def parts_of(mixture):
    names = ("weights_", "means_", "covariances_", "degrees_of_freedom_", "rates_", "emissionprob_")
    found = [getattr(mixture, name) for name in names if hasattr(mixture, name)]
    return [array for part in found for array in (part if isinstance(part, list) else [part])]


@pytest.mark.parametrize("family", ["gaussian", "student"])
class TestNoise:
    def rows(self, n):
        X, _ = two_groups("student", n, seed=2)
        X[:: n // 20] = np.random.default_rng(0).uniform(-60, 60, X[:: n // 20].shape)
        return X

    def test_the_same_bits(self, family):
        X = self.rows(N)
        whole, blocks = (make(family, noise=True, **SHORT).fit(data) for data in (X, in_blocks(X, CHUNK_ROWS)))
        assert blocks.objective_ == whole.objective_
        assert blocks.noise_weight_ == whole.noise_weight_
        assert_array_equal(blocks.noise_range_, whole.noise_range_)
        assert_array_equal(blocks.predict(in_blocks(X, 999)) == -1, whole.predict(X) == -1)

    def test_batches(self, family):
        X = self.rows(6000)
        online = make(family, noise=True, n_init="auto")
        for batch in np.array_split(X[np.random.default_rng(0).permutation(6000)], 12):
            online.partial_fit(batch)
        best = make(family, noise=True, n_init="auto").fit(X)
        assert online.score(X) > best.score(X) - 0.01 * abs(best.score(X))
        assert online.noise_weight_ == pytest.approx(best.noise_weight_, abs=0.01)


class TestKindsOfBlocks:
    def test_frames_float32_and_lists(self):
        X, _ = two_groups("poisson", 500)
        names = ["a", "b", "c"]
        whole = make("poisson").fit(pd.DataFrame(X, columns=names))
        frames = [pd.DataFrame(part, columns=names) for part in np.array_split(X, 3)]
        blocks = make("poisson").fit(frames)
        assert list(blocks.feature_names_in_) == names
        assert blocks.objective_ == pytest.approx(whole.objective_, rel=1e-10)
        assert_array_equal(blocks.predict(frames), whole.predict(frames[0].head(0).pipe(lambda _: pd.concat(frames))))
        small = make("poisson").fit([part.astype(np.float32) for part in np.array_split(X, 3)])
        assert small.objective_ == blocks.objective_
        assert small.rates_.dtype == np.float64

    @pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int8])
    def test_a_memory_map(self, tmp_path, dtype):
        X, _ = two_groups("poisson", N)
        X = X.astype(dtype)
        mapped = np.memmap(tmp_path / "X", dtype=dtype, mode="w+", shape=X.shape)
        mapped[:] = X
        whole, streamed = make("poisson", **SHORT).fit(X), make("poisson", **SHORT).fit(mapped)
        assert streamed.objective_ == whole.objective_
        assert_array_equal(streamed.rates_, whole.rates_)
        assert_array_equal(streamed.predict_proba(mapped), whole.predict_proba(X))

    def test_standard_errors(self):
        X, _ = two_groups("poisson", 600)
        mixture = make("poisson").fit(X)
        one, other = mixture.standard_errors(X), mixture.standard_errors(in_blocks(X, 101))
        assert_allclose(other["rates_"], one["rates_"], rtol=1e-5)


@pytest.mark.parametrize("name", ["student", "mixed"])
def test_memory_does_not_grow_with_the_number_of_blocks(name):
    some = [two_groups(name, 2_000, seed)[0] for seed in range(5)]

    def peak(n_blocks):
        def blocks():
            return (some[number % 5].copy() for number in range(n_blocks))

        mixture = make(name, max_iter=3, tol=0)
        tracemalloc.start()
        mixture.fit(blocks)
        mixture.score(blocks)
        mixture.icl(blocks)
        mixture.partial_fit(blocks)
        reached = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return reached

    peak(10)  # what is made once in a process
    assert peak(60) < 1.1 * peak(10)


class TestOnline:
    def test_statistics_of_t_are_moved(self):
        """A Student's statistics about other locations are those that its E-step would have summed there."""
        X, _ = two_groups("student", 200)
        X = forget(X)
        family = family_class("student").for_data(2, Options(), X)
        rows, resp = Rows(X, np.ones(200)), np.random.default_rng(0).dirichlet([1, 1], 200)
        params = family.start(rows, resp)
        moments = family.moments(params, rows, resp)
        shifted = params._replace(
            gaussian=params.gaussian._replace(means=params.gaussian.means + [[3.0, -2], [0.5, 1]])
        )
        moved = family.recentre(moments, params, shifted)
        assert_allclose(moved.counts, moments.counts)
        one, other = family.m_step(moments, params), family.m_step(moved, shifted)
        assert_allclose(other.gaussian.means, one.gaussian.means, rtol=1e-12)
        assert_allclose(other.gaussian.covariances, one.gaussian.covariances, rtol=1e-9)
        assert_allclose(other.degrees_of_freedom, one.degrees_of_freedom)
        back = family.recentre(moved, shifted, params)
        assert_allclose(back.sums, moments.sums, atol=1e-9)
        assert_allclose(np.tril(back.scatter), np.tril(moments.scatter), atol=1e-9)

    def test_as_the_gaussian_mixture(self):
        """The same steps as EMGaussianMixture where floors do not matter."""
        X, _ = two_groups("gaussian", 2000)
        one, other = make("gaussian"), EMGaussianMixture(2, random_state=0, n_init=1)
        for batch in np.array_split(X, 5):
            one.partial_fit(batch)
            other.partial_fit(batch)
        assert_allclose(one.means_, other.means_, rtol=1e-5)
        assert_allclose(one.covariances_, other.covariances_, rtol=1e-5, atol=1e-8)
        assert one.n_iter_ - other.n_iter_ == 0

    def test_the_prior_does_not_weigh_more_than_it_should(self):
        """The same rows again: those of all symbols twice, and the prior once."""
        X, _ = two_groups("categorical", 500)
        mixture = EMMixture(1, family="categorical", emissionprob_prior=20.0).fit(X)
        before = [table.copy() for table in mixture.emissionprob_]
        mixture.partial_fit(X)
        for now, then in zip(mixture.emissionprob_, before, strict=True):
            counts = then * (500 + 19 * then.shape[1]) - 19
            expected = (2 * counts + 19) / (1000 + 19 * then.shape[1])
            assert_allclose(now, expected, rtol=1e-9)

    def test_what_is_fixed_stays(self):
        X, _ = two_groups("poisson", 600)
        mixture = make("poisson").fit(X[:300]).set_params(fixed=("rates",))
        rates, weights = mixture.rates_, mixture.weights_
        mixture.partial_fit(X[300:])
        assert_array_equal(mixture.rates_, rates)
        assert (mixture.weights_ != weights).any()

    def test_another_mixture_is_refused(self):
        X, _ = two_groups("poisson", 300)
        mixture = make("poisson").fit(X)
        for change in ({"n_components": 3}, {"family": "gaussian"}):
            with pytest.raises(ValueError, match="partial_fit continues a fit with n_components=2, 3 features"):
                make("poisson").fit(X).set_params(**change).partial_fit(X)
        with pytest.raises(ValueError, match="X has 2 features, but EMMixture is expecting 3"):
            mixture.partial_fit(X[:, :2])

    def test_an_unknown_value_leaves_it_as_it_was(self):
        X, _ = two_groups("categorical", 300)
        mixture = make("categorical").fit(X)
        before = mixture.weights_
        with pytest.raises(ValueError, match=r"X\[1, 2\] is 2, but its column has the 2 symbols 0 to 1"):
            mixture.partial_fit(np.array([[0.0, 0, 0, 0], [0, 0, 2, 0]]))
        assert mixture.weights_ is before

    def test_a_family_of_the_users_own(self):
        X = np.random.default_rng(0).exponential([[1.0], [9.0]], (2, 500)).reshape(-1, 1)
        mixture = EMMixture(2, family=Exponential, random_state=0).fit(X)
        best = mixture.score(X)
        for batch in np.array_split(np.random.default_rng(0).permutation(X), 5):
            mixture.partial_fit(batch)
        assert mixture.score(X) == pytest.approx(best, rel=1e-2)


class TestRefused:
    X = two_groups("poisson", 60)[0]

    def test_rows_are_named_as_the_user_counts_them(self):
        bad = self.X.copy()
        bad[47, 1] = 0.5
        mixture = make("poisson").fit(self.X)
        weight = np.where(np.arange(60) % 2 == 0, 0.0, 1.0)
        for call in (make("poisson").fit, mixture.partial_fit, mixture.score):
            for given in (None, weight):
                with pytest.raises(ValueError, match=r"X\[47, 1\] is 0.5, but counts must be the integers"):
                    call(in_blocks(bad, 7), sample_weight=given)
        with pytest.raises(ValueError, match=r"X\[47, 1\] is 0.5"):
            mixture.predict(in_blocks(bad, 7))
        with pytest.raises(ValueError, match=r"Negative values in data: X\[47, 1\] is -0.5"):
            make("poisson").fit(in_blocks(np.where(bad == 0.5, -0.5, bad), 7))

    def test_symbols(self):
        X = two_groups("mixed", 60)[0]
        X[31, 2] = 7
        mixture = EMMixture(2, family=family_argument("mixed"), n_symbols=[None, None, 3, None])
        with pytest.raises(ValueError, match=r"X\[31, 2\] is 7, but its column has the 3 symbols 0 to 2"):
            mixture.fit(in_blocks(X, 10))

    @pytest.mark.parametrize(
        ("data", "options", "message"),
        [
            (in_blocks(X, 9), {"labels": np.zeros(60, int)}, "labels must be None where X is read block by block"),
            (in_blocks(X, 9), {"sample_weight": np.ones(59)}, "sample_weight has 59 values"),
            (in_blocks(X, 9), {"sample_weight": np.ones(61)}, "sample_weight has 61 values"),
            ([X[:9], X[9:, :2]], {}, "X has 2 features, but EMMixture is expecting 3"),
            (list, {}, "yields no block of rows"),
            (lambda: 3, {}, "must return an iterable"),
            (iter([X[:30], X[30:]]), {}, r"X is an iterator \(list_iterator\), which can be read only once"),
            (in_blocks(np.full((20, 2), np.nan), 5), {}, r"no observed value in column\(s\) \[0, 1\]"),
        ],
    )
    def test_fit(self, data, options, message):
        mixture = make("poisson")
        with pytest.raises(ValueError, match=message):
            mixture.fit(data, **options)
        with pytest.raises(NotFittedError):
            mixture.predict(self.X)

    def test_other_rows_at_a_later_call(self):
        sizes = iter([9, 9, 9, 5, 4, 3, 2, 1])
        with pytest.raises(ValueError, match="it must be the same rows"):
            make("poisson").fit(lambda: [self.X[: next(sizes)]])

    @pytest.mark.parametrize("estimator", [make("poisson"), EMGaussianMixture(2)])
    def test_a_start_for_each_row(self, estimator):
        estimator = estimator.set_params(init_params=np.arange(60) % 2)
        with pytest.raises(ValueError, match=r"init_params must be one of .* where X is read block by block"):
            estimator.fit(in_blocks(self.X, 9))

    def test_a_family_that_must_see_all_rows(self):
        fit = partial(EMMixture(2, family=Exponential).fit)
        with pytest.raises(ValueError, match="Exponential has no method for_chunks, so it takes no blocks"):
            fit(in_blocks(self.X + 0.5, 9))
