"""A start of EMHiddenMarkov by labels or responsibilities."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from emkit import EMHiddenMarkov

RNG = np.random.default_rng(0)
STATES = np.repeat([0, 1, 2, 1, 0, 2], 20)
X = RNG.standard_normal((120, 2)) + 5 * STATES[:, None]


def test_labels_are_certain_responsibilities_and_one_start():
    by_labels = EMHiddenMarkov(3, init_params=STATES).fit(X)
    by_shares = EMHiddenMarkov(3, init_params=np.eye(3)[STATES]).fit(X)
    assert by_labels.objective_ == by_shares.objective_
    assert set(by_labels.history_["start"]) == {0}
    assert (by_labels.predict(X) == STATES).mean() > 0.95
    best = EMHiddenMarkov(3, n_init=10, random_state=0).fit(X)
    assert by_labels.objective_ == pytest.approx(best.objective_, abs=1e-4)


def test_rows_are_in_the_order_of_x():
    """Interleaved sequences, and one of weight zero, which is left out."""
    ids = np.repeat(np.arange(3), 40)
    weight = np.repeat([1.0, 0.0, 2.0], 40)
    order = RNG.permutation(120)
    order = order[np.argsort(order % 40, kind="stable")]  # each sequence stays in its own order
    plain = EMHiddenMarkov(3, init_params=STATES, max_iter=0).fit(X, sequence_id=ids, sample_weight=weight)
    mixed = EMHiddenMarkov(3, init_params=STATES[order], max_iter=0)
    mixed.fit(X[order], sequence_id=ids[order], sample_weight=weight[order])
    for name in ("means_", "covariances_", "transmat_", "startprob_"):
        assert_allclose(getattr(plain, name), getattr(mixed, name), rtol=1e-8)
    kept = weight > 0
    alone = EMHiddenMarkov(3, init_params=STATES[kept], max_iter=0)
    alone.fit(X[kept], sequence_id=ids[kept], sample_weight=weight[kept])
    assert_allclose(plain.means_, alone.means_, rtol=1e-8)


def test_means_and_transitions_of_the_parts():
    start = EMHiddenMarkov(3, init_params=STATES, max_iter=0).fit(X)
    for k in range(3):
        assert_allclose(start.means_[k], X[k == STATES].mean(axis=0), atol=0.2)
    stays = np.diag(start.transmat_)
    assert (stays > 0.8).all()


@pytest.mark.parametrize(
    "value", ["kmeans", 3, None, STATES[:-1], STATES + 1, np.full((120, 3), 0.5), np.full((120, 2), 0.5)]
)
def test_refused(value):
    with pytest.raises(ValueError, match="init_params must be"):
        EMHiddenMarkov(3, init_params=value).fit(X)
