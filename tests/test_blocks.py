"""What is read block by block: a function, a list of tables; a generator is refused."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn.datasets import load_iris

from emkit import EMGaussianMixture, EMMixtureOfExpertsRegressor, EMTopicModel
from emkit.blocks import blocks_of, iterate

IRIS = load_iris(as_frame=True).data
X = IRIS.to_numpy()
ENDS = (0, 40, 41, 150)
ONCE = "X is an iterator .*, which can be read only once; pass a function that returns a new iterator"


def pieces(table):
    return [table[start:stop] for start, stop in pairwise(ENDS)]


class TestWhichAreBlocks:
    @pytest.mark.parametrize("table", [X, IRIS, csr_array(X), X.tolist(), [X[0], X[1]], [], None, 3, "ab"])
    def test_a_table_is_none(self, table):
        assert blocks_of(table) is None

    @pytest.mark.parametrize("kind", [list, tuple])
    @pytest.mark.parametrize("table", [X, IRIS, csr_array(X)])
    def test_tables_in_a_list(self, kind, table):
        blocks = blocks_of(kind(pieces(table)))
        for _ in range(2):
            assert [block.shape for block in iterate(blocks)] == [(40, 4), (1, 4), (109, 4)]

    def test_pairs_where_they_are_asked_for(self):
        pairs = [(piece, piece[:, 0]) for piece in pieces(X)]
        assert blocks_of(pairs) is None
        assert list(iterate(blocks_of(pairs, pairs=True))) == pairs

    @pytest.mark.parametrize("pairs", [False, True])
    def test_iterators_are_refused(self, pairs):
        for once in (iter([X]), (piece for piece in pieces(X))):
            with pytest.raises(ValueError, match=ONCE):
                blocks_of(once, pairs=pairs)


class TestFunctions:
    def test_a_type_error_is_named(self):
        with pytest.raises(ValueError, match=r"iterable of blocks of rows, but raised TypeError: .*'path'"):
            EMGaussianMixture(3).fit(lambda path: path)

    @pytest.mark.parametrize("table", [X, IRIS, csr_array(X)])
    def test_one_table_is_not_an_iterable_of_them(self, table):
        required = r"an iterable of blocks of rows \(tables of two dimensions\)"
        with pytest.raises(ValueError, match=rf"{required}, but returned one {type(table).__name__} of shape \(150, 4"):
            EMGaussianMixture(3).fit(lambda: table)

    def test_what_is_no_iterable(self):
        with pytest.raises(ValueError, match="iterable of blocks of rows, but returned None"):
            EMGaussianMixture(3).fit(lambda: None)


class TestFits:
    """A list of blocks gives the bits of the whole, since chunks of both are the same."""

    def test_mixture(self):
        whole = EMGaussianMixture(3, random_state=0).fit(X)
        blocks = EMGaussianMixture(3, random_state=0).fit(pieces(X))
        np.testing.assert_allclose(blocks.means_, whole.means_, rtol=1e-6)
        assert_array_equal(blocks.predict(pieces(X)), whole.predict(X))

    def test_frames_have_names(self):
        mixture = EMGaussianMixture(2, random_state=0).fit(pieces(IRIS))
        assert_array_equal(mixture.feature_names_in_, IRIS.columns)
        with pytest.raises(ValueError, match="feature names should match"):
            mixture.predict([IRIS.set_axis(list("abcd"), axis=1)])

    def test_topics(self):
        counts = csr_array(np.round(10 * X))
        topics = EMTopicModel(2, random_state=0).fit(pieces(counts))
        assert topics.transform(pieces(counts)).shape == (150, 2)

    def test_experts(self):
        pairs = [(piece[:, :2], piece[:, 2]) for piece in pieces(X)]
        blocks = EMMixtureOfExpertsRegressor(2, random_state=0).fit(pairs)
        by_function = EMMixtureOfExpertsRegressor(2, random_state=0).fit(lambda: iter(pairs))
        assert_array_equal(blocks.coef_, by_function.coef_)

    @pytest.mark.parametrize("estimator", [EMGaussianMixture(2), EMTopicModel(2), EMMixtureOfExpertsRegressor(2)])
    def test_generators(self, estimator):
        with pytest.raises(ValueError, match=ONCE):
            estimator.fit(piece for piece in pieces(X))
        assert not hasattr(estimator, "n_features_in_")
