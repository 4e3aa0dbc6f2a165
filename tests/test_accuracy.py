"""Parameters are recovered and intervals cover, by simulation; the cases: `accuracy`."""

from itertools import pairwise

import pytest
from accuracy import CASES, DOCUMENTS, INTERVALS, covered, distance, measure

pytestmark = pytest.mark.slow

NEAR = 0.03  # coverage of intervals whose errors are first-order, at these sizes
REPEATS = 100


OTHER_MAXIMA = pytest.mark.xfail(
    reason="one fit in a hundred ends at a lower maximum, far from the truth", strict=False
)
TITLES = [pytest.param(t, marks=OTHER_MAXIMA if t == "EMMixtureOfExpertsClassifier" else ()) for t in CASES]


@pytest.mark.parametrize("title", TITLES)
def test_parameters(title):
    """Of 100 data sets; the standard error of a coverage is 2.2 % at most, that of a bias a tenth of the spread."""
    for name, figures in measure(CASES[title], REPEATS).items():
        assert 0.95 - 3 * 0.022 < figures.coverage <= 1, (name, figures)
        assert figures.bias < 0.5, (name, figures)
        assert 0.8 < figures.ratio < 1.25, (name, figures)


@pytest.mark.parametrize("kind", INTERVALS)
def test_intervals(kind):
    least = 0.95 - NEAR
    most = 1 if "Poisson" in kind else 0.95 + NEAR  # intervals of counts hold a whole number of them
    assert least < covered(kind, 20) < most


@pytest.mark.parametrize("method", ["vb", "cvb0"])
def test_topics(method):
    """With each four times as many documents they come nearer, by a half if all error were of the sample."""
    distances = [distance(method, n, 5) for n in DOCUMENTS]
    assert distances[0] < 0.06
    for before, after in pairwise(distances):
        assert after < 0.75 * before
