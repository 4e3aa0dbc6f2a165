"""Each table against published facts about it."""

import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import poisson

from emkit.datasets import (
    load_acs12,
    load_docstrings,
    load_earthquakes,
    load_ethanol,
    load_heights,
    load_motorcycle,
    load_old_faithful,
    load_tones,
)

LOADERS = [
    (load_heights, (14, 1), ["height"]),
    (load_old_faithful, (272, 2), ["eruptions", "waiting"]),
    (load_earthquakes, (107, 2), ["year", "count"]),
    (load_ethanol, (88, 3), ["NOx", "C", "E"]),
    (load_motorcycle, (133, 2), ["times", "accel"]),
    (load_tones, (150, 2), ["stretchratio", "tuned"]),
]


@pytest.mark.parametrize("load", [load_acs12, lambda: load_heights(as_frame=True)])
def test_pandas_is_missing(load, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"needs pandas, which cannot be imported; pip install pandas installs it"):
        load()


@pytest.mark.parametrize(("load", "shape", "feature_names"), LOADERS)
def test_bunch(load, shape, feature_names):
    bunch = load()
    assert isinstance(bunch.data, np.ndarray)
    assert bunch.data.shape == shape
    assert bunch.data.dtype == np.float64
    assert np.isfinite(bunch.data).all()
    assert bunch.feature_names == feature_names
    assert bunch.frame is None
    assert "Origin:" in bunch.DESCR
    assert "Terms of use:" in bunch.DESCR


@pytest.mark.parametrize(("load", "shape", "feature_names"), LOADERS)
def test_frame(load, shape, feature_names):
    pd = pytest.importorskip("pandas")
    bunch = load(as_frame=True)
    assert isinstance(bunch.data, pd.DataFrame)
    assert bunch.data is bunch.frame
    assert list(bunch.data.columns) == feature_names
    assert_array_equal(bunch.data.to_numpy(), load().data)


def test_a_loader_gives_a_fresh_array_each_time():
    load_heights().data[:] = 0
    assert load_heights().data[0, 0] == 152


def test_heights():
    heights = [152, 155, 158, 160, 163, 165, 168, 170, 172, 175, 178, 180, 183, 185]
    assert_array_equal(load_heights().data[:, 0], heights)


def test_old_faithful():
    """Means and first rows as R prints them."""
    data = load_old_faithful().data
    assert_allclose(data.mean(axis=0), [3.487783, 70.897059], atol=5e-7)
    assert_array_equal(data[:2], [[3.6, 79], [1.8, 54]])


def test_earthquakes():
    """-log L of independent Poisson counts: Zucchini and MacDonald (2009), the one-state model."""
    year, count = load_earthquakes().data.T
    assert_array_equal(year, np.arange(1900, 2007))
    assert -poisson.logpmf(count, count.mean()).sum() == pytest.approx(391.9189, abs=5e-5)


def least_squares(x, y):
    """Coefficients and residual standard error of y on a constant and x, as R's lm gives them."""
    x = np.column_stack([np.ones(len(y)), x])
    coef, rss, rank, _ = np.linalg.lstsq(x, y, rcond=None)
    return coef, np.sqrt(rss[0] / (len(y) - rank))


def test_ethanol():
    """Rows, number of rows at each compression ratio and regression of NOx on C and E, as R prints them."""
    data = load_ethanol().data
    assert_array_equal(data[[0, -1]], [[3.741, 12, 0.907], [1.9, 18, 0.655]])
    ratios, counts = np.unique(data[:, 1], return_counts=True)
    assert_array_equal(ratios, [7.5, 9, 12, 15, 18])
    assert_array_equal(counts, [22, 17, 14, 19, 16])
    coef, sigma = least_squares(data[:, 1:], data[:, 0])
    assert_allclose(coef, [2.559100509759, -0.007109044701, -0.557136839457], rtol=1e-9)
    assert sigma == pytest.approx(1.13966552)


def test_motorcycle():
    """Rows, number of distinct times and regression of accel on times, as R prints them."""
    times, accel = load_motorcycle().data.T
    assert (np.diff(times) >= 0).all()
    assert np.unique(times).size == 94
    assert_array_equal([times[-1], accel[-1]], [57.6, 10.7])
    assert (accel.min(), accel.max()) == (-134, 75)
    coef, sigma = least_squares(times, accel)
    assert_allclose(coef, [-53.007920208, 1.090675283], rtol=1e-9)
    assert sigma == pytest.approx(46.32640799)


def test_tones():
    """Rows and regression of tuned on stretchratio, as R prints them."""
    stretchratio, tuned = load_tones().data.T
    assert_array_equal([stretchratio[-1], tuned[-1]], [3, 2.91])
    assert (stretchratio.min(), stretchratio.max()) == (1.35, 3)
    coef, sigma = least_squares(stretchratio, tuned)
    assert_allclose(coef, [1.304576555, 0.354533890], rtol=1e-8)
    assert sigma == pytest.approx(0.228830298)


def test_acs12():
    """Counts and means as R prints them for the table of openintro."""
    pd = pytest.importorskip("pandas")
    bunch = load_acs12()
    frame = bunch.frame
    assert bunch.data is frame
    assert bunch.feature_names == list(frame.columns)
    assert frame.shape == (2000, 13)
    assert "Origin:" in bunch.DESCR
    assert "Terms of use:" in bunch.DESCR
    assert frame["age"].dtype == pd.Int64Dtype()
    assert all(frame[name].dtype == np.float64 for name in ("income", "hrs_work", "time_to_work"))
    assert frame["edu"].cat.ordered
    assert frame["edu"].value_counts(sort=False).to_dict() == {"hs or lower": 1439, "college": 359, "grad": 144}
    assert frame["employment"].value_counts().to_dict() == {
        "employed": 843,
        "not in labor force": 656,
        "unemployed": 106,
    }
    others = frame.columns.difference(["age", "income", "hrs_work", "time_to_work", "edu"])
    assert all(isinstance(frame[name].dtype, pd.CategoricalDtype) and not frame[name].cat.ordered for name in others)
    holes = frame.isna().sum()
    assert holes[holes > 0].to_dict() == {
        "income": 377,
        "employment": 395,
        "hrs_work": 1041,
        "time_to_work": 1217,
        "lang": 105,
        "edu": 58,
    }
    employed = frame[frame["employment"] == "employed"]
    assert employed["income"].mean() == pytest.approx(44098.339265)
    assert employed["hrs_work"].mean() == pytest.approx(38.931198)


def test_acs12_is_a_fresh_frame_each_time():
    frame = load_acs12().frame
    frame.iloc[0, 0] = 0
    assert load_acs12().frame.iloc[0, 0] == 60000


def test_docstrings():
    """Each text once, without its notes, from the three packages; what one of them is known to be."""
    bunch = load_docstrings()
    assert len(bunch.data) == len(set(bunch.data)) == len(bunch.target) > 1500
    assert all(len(text) > 300 for text in bunch.data)
    assert not any("\nExamples\n---" in text or "\nNotes\n---" in text for text in bunch.data)
    assert set(bunch.target) == {"numpy", "scipy", "sklearn"}
    (place,) = (i for i, text in enumerate(bunch.data) if text.startswith("K-Means clustering.\n"))
    assert bunch.target[place] == "sklearn"
    assert "Origin:" in bunch.DESCR
    assert "Terms of use:" in bunch.DESCR
