"""What EMImputer promises of its errors: near the best that can be done, covered by intervals, and never a NaN."""

import warnings

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm
from sklearn.linear_model import LinearRegression

from emkit import EMImputer, pool

# --- errors beside those under true parameters ---


def dense(p):
    """A covariance without structure."""
    rng = np.random.default_rng(0)
    A = rng.normal(size=(p, 2 * p)) + 0.3
    return A @ A.T


def low_rank(p, q):
    """Of q factors, and noise."""
    rng = np.random.default_rng(0)
    W = rng.normal(size=(p, q))
    return W @ W.T + np.diag(rng.uniform(0.5, 1.5, p))


def conditional_means(X, mean, covariance):
    """The best predictor of what is missing."""
    best = X.copy()
    for row in best:
        gaps, seen = np.isnan(row), ~np.isnan(row)
        gain = np.linalg.solve(covariance[np.ix_(seen, seen)], covariance[np.ix_(seen, gaps)]).T
        row[gaps] = mean[gaps] + gain @ (row - mean)[seen]
    return best


def excess(n, share, covariance, seed=0, **arguments):
    """How much larger the root mean squared error of `transform` is than that of the conditional mean, as a share."""
    rng, p = np.random.default_rng(seed), len(covariance)
    mean = rng.normal(size=p)
    full = mean + rng.normal(size=(n, p)) @ np.linalg.cholesky(covariance).T
    gaps = rng.random((n, p)) < share
    X = np.where(gaps, np.nan, full)
    filled = EMImputer(**arguments).fit_transform(X)
    assert_array_equal(filled[~gaps], full[~gaps])
    sd = np.sqrt(covariance.diagonal())
    own, best = (
        np.sqrt(np.mean((((table - full) / sd)[gaps]) ** 2))
        for table in (filled, conditional_means(X, mean, covariance))
    )
    return own / best - 1


@pytest.mark.parametrize("covariance", [dense(20), low_rank(20, 4)], ids=["dense", "low rank"])
def test_many_rows_are_filled_as_well_as_if_the_parameters_were_known(covariance):
    """About 230 parameters in 20,000 rows: the excess is 0.1 % or less."""
    assert -0.001 < excess(20_000, 0.2, covariance, model="gaussian") < 0.003


@pytest.mark.parametrize(
    ("covariance", "arguments", "most"),
    [
        (low_rank(100, 5), {"model": "auto"}, 0.025),
        (low_rank(100, 10), {"model": "auto"}, 0.025),
        (low_rank(100, 5), {"model": "factor", "n_components": 5}, 0.006),
        (low_rank(100, 10), {"model": "factor", "n_components": 10}, 0.012),
        (dense(100), {"model": "auto"}, 0.04),
    ],
    ids=["5 factors, full", "10 factors, full", "5 factors", "10 factors", "dense"],
)
def test_few_rows_of_many_columns_are_filled_nearly_as_well(covariance, arguments, most):
    """5150 parameters of 2000 rows, or some 500 if the rank is known. Without structure the bound is wider."""
    assert -0.001 < excess(2000, 0.3, covariance, **arguments) < most


def test_the_ridge_helps_where_rows_are_few():
    few = {"n": 120, "share": 0.2, "covariance": low_rank(40, 5), "model": "gaussian"}
    assert excess(**few) < 0.8 * excess(**few, ridge=1e-3)


# --- intervals ---


def regression_with_gaps(rng, n):
    """y on two predictors; the first is missing more often where the other is large, y where the other is small."""
    X = rng.multivariate_normal([1, -1], [[1, 0.5], [0.5, 1]], size=n)
    y = 2 + 0.8 * X[:, 0] - 0.5 * X[:, 1] + rng.normal(size=n)
    table = np.column_stack([X, y])
    table[rng.random(n) < norm.cdf(X[:, 1] + 0.5), 0] = np.nan
    table[rng.random(n) < 0.5 * norm.cdf(-X[:, 1] - 1), 2] = np.nan
    return table


@pytest.mark.slow
def test_intervals_of_pooled_slopes_cover():
    """Of 1500 tables; the standard error of a coverage of 95 % is 0.6 %, that of the mean of the two not larger."""
    rng, repeats, truth = np.random.default_rng(0), 1500, np.array([0.8, -0.5])
    covered = np.zeros(2)
    for i in range(repeats):
        table = regression_with_gaps(rng, 200)
        tables = EMImputer("gaussian", random_state=i).fit(table).impute(table, 10)
        low, high = pool(LinearRegression(), [(filled[:, :2], filled[:, 2]) for filled in tables]).conf_int().T
        covered += (low <= truth) & (truth <= high)
    assert (covered / repeats > 0.93).all()
    assert (covered / repeats < 0.97).all()


def test_single_imputation_is_too_sure_and_several_are_not():
    """Standard errors of a slope, beside its spread over 120 tables."""
    rng, slopes, errors, naive = np.random.default_rng(1), [], [], []
    for i in range(120):
        table = regression_with_gaps(rng, 200)
        model = EMImputer("gaussian", random_state=i).fit(table)
        pooled = pool(LinearRegression(), [(t[:, :2], t[:, 2]) for t in model.impute(table, 5)])
        slopes.append(pooled.coef_[0])
        errors.append(pooled.standard_error_[0])
        once = model.transform(table)
        naive.append(pool(LinearRegression(), [(once[:, :2], once[:, 2])] * 2).standard_error_[0])
    spread = np.std(slopes)
    assert np.mean(slopes) == pytest.approx(0.8, abs=4 * spread / np.sqrt(120))
    assert 0.8 < np.sqrt(np.mean(np.square(errors))) / spread < 1.25
    assert np.sqrt(np.mean(np.square(naive))) / spread < 0.8


@pytest.mark.parametrize("model", ["gaussian", "copula", "factor", "mixture"])
def test_prediction_intervals_cover_the_cells(model):
    """90 % intervals of about 3600 missing cells: the standard error is 0.5 %."""
    rng = np.random.default_rng(0)
    full = rng.normal(size=(3000, 4)) @ np.linalg.cholesky(low_rank(4, 2)).T
    gaps = rng.random(full.shape) < 0.3
    X = np.where(gaps, np.nan, full)
    n_components = {"factor": 2, "mixture": 1}.get(model, "auto")
    fitted = EMImputer(model, n_components=n_components, random_state=0).fit(X)
    low, high = fitted.predict_interval(X, 0.9)
    assert ((low <= full) & (full <= high))[gaps].mean() == pytest.approx(0.9, abs=0.02)
    assert_array_equal(low[~gaps], full[~gaps])
    z = ((full - fitted.transform(X)) / np.where(gaps, fitted.standard_error(X), 1))[gaps]
    assert np.mean(z**2) == pytest.approx(1, abs=0.06)


# --- weights ---


def mixed_table(n, seed=0):
    """Two numbers, an ordinal column, a boolean, a category; a fifth is missing."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, 5)) @ np.linalg.cholesky(low_rank(5, 2)).T
    table = pd.DataFrame(
        {
            "a": np.exp(z[:, 0] / 2),
            "b": 10 * z[:, 1],
            "level": pd.Categorical.from_codes(np.searchsorted([-1, 1], z[:, 2]), ["low", "mid", "high"], ordered=True),
            "yes": pd.array(z[:, 3] > 0.3, dtype="boolean"),
            "kind": pd.Categorical(np.array(["x", "y", "z"])[np.searchsorted([-0.8, 0.9], z[:, 4])]),
        }
    )
    return table.mask(rng.random(table.shape) < 0.2)


def levels_of(table):
    return table[["level", "yes", "kind"]]


MODELS = {
    "gaussian": {},
    "copula": {},
    "factor": {"n_components": 2},
    "mixture": {"n_components": 2, "n_init": 8},
    "latent_class": {"n_components": 2, "n_init": 8},
}


def table_for(model, n, seed=0):
    table = mixed_table(n, seed)
    return levels_of(table) if model == "latent_class" else table


@pytest.mark.parametrize("model", MODELS)
def test_a_row_of_weight_w_counts_as_w_rows(model):
    table = table_for(model, 150)
    times = np.random.default_rng(1).integers(0, 4, 150)
    arguments = {"tol": 1e-12, "max_iter": 10_000, "random_state": 0, **MODELS[model]}
    weighted = EMImputer(model, **arguments).fit(table, sample_weight=times)
    repeated = EMImputer(model, **arguments).fit(table.iloc[np.repeat(np.arange(150), times)])
    assert weighted.objective_ == pytest.approx(repeated.objective_, rel=1e-8)
    assert_allclose(weighted.location_, repeated.location_, rtol=1e-4, atol=1e-4)
    assert_allclose(weighted.covariance_, repeated.covariance_, rtol=1e-4, atol=1e-4)
    assert_allclose(weighted.score_samples(table), repeated.score_samples(table), rtol=1e-4, atol=1e-4)
    assert weighted.ridge_ == repeated.ridge_


def test_weights_undo_a_biased_sample():
    """Rows are kept by a known probability that grows with the first column; its inverse is the survey weight."""
    rng = np.random.default_rng(0)
    full = rng.normal(size=(40_000, 3)) @ np.linalg.cholesky(low_rank(3, 1)).T
    chance = norm.cdf(full[:, 0])
    kept = rng.random(len(full)) < chance
    X = np.where(rng.random(full.shape) < 0.2, np.nan, full)[kept]
    weighted = EMImputer("gaussian", ridge=0).fit(X, sample_weight=1 / chance[kept])
    plain = EMImputer("gaussian", ridge=0).fit(X)
    sd = np.sqrt(np.diag(low_rank(3, 1)))
    assert np.abs(weighted.location_ / sd).max() < 0.05
    assert np.abs(plain.location_ / sd).max() > 0.3


# --- batches ---


@pytest.mark.parametrize(
    ("model", "ridge", "most"),
    [
        ("gaussian", 0.005, 0.02),
        ("copula", 0.005, 0.05),  # normal scores are those of the first batch
        ("factor", 0, 0.03),
        ("factor", 0.005, 0.03),
        ("mixture", 0.005, 0.02),
    ],
)
def test_batches_come_near_the_fit_on_all(model, ridge, most):
    """Filled cells, in units of standard deviations; those of a fit on the first batch are 0.1 apart."""
    rng = np.random.default_rng(0)
    full = rng.normal(size=(10_000, 5)) @ np.linalg.cholesky(low_rank(5, 2)).T
    X = np.where(rng.random(full.shape) < 0.2, np.nan, full)
    n_components = {"factor": 2, "mixture": 1}.get(model, "auto")
    arguments = {"n_components": n_components, "ridge": ridge, "random_state": 0}
    whole, online = EMImputer(model, **arguments).fit(X), EMImputer(model, **arguments)
    for batch in np.split(X, 20):
        online.partial_fit(batch)
    first = EMImputer(model, **arguments).fit(X[:500])
    unit, expected, gaps = full.std(axis=0), whole.transform(X), np.isnan(X)

    def distance(other):
        return np.sqrt(np.mean(((other.transform(X) - expected) / unit)[gaps] ** 2))

    assert distance(online) < most
    assert distance(online) < 0.5 * distance(first)
    if model != "copula":
        assert_allclose((online.location_ - whole.location_) / unit, 0, atol=0.1 if model == "factor" else 0.05)
        assert_allclose((online.covariance_ - whole.covariance_) / np.outer(unit, unit), 0, atol=0.05)


def test_batches_of_levels_come_near_the_fit_on_all():
    table = levels_of(mixed_table(6000)).astype(object)
    arguments = {"n_components": 2, "random_state": 0, "n_init": 8}
    whole, online = EMImputer("latent_class", **arguments).fit(table), EMImputer("latent_class", **arguments)
    for start in range(0, 6000, 500):
        online.partial_fit(table[start : start + 500])
    gap = whole.score(table) - online.score(table)
    assert 0 <= gap < 2e-3
    for name in table.columns:
        proba = [model.predict_category_proba(table, name) for model in (online, whole)]
        assert np.sqrt(np.mean((proba[0] - proba[1]) ** 2)) < 0.03


# --- rows by themselves ---


@pytest.mark.parametrize("model", MODELS)
def test_each_row_is_filled_by_itself(model):
    table = table_for(model, 150)
    fitted = EMImputer(model, random_state=0, **MODELS[model]).fit(table)
    table = table[:50].copy()
    table.iloc[7] = None
    whole, errors, scores = fitted.transform(table), fitted.standard_error(table), fitted.score_samples(table)
    order = np.random.default_rng(0).permutation(50)
    shuffled = fitted.transform(table.iloc[order]).iloc[np.argsort(order)]
    for name in table.columns:
        parts = [fitted.transform(table.iloc[i : i + 1])[name] for i in range(50)]
        for other in (pd.concat(parts), shuffled[name]):
            if whole[name].dtype == "float64":
                assert_allclose(other, whole[name], rtol=1e-9, atol=1e-9)
            else:
                assert (other == whole[name]).all()
    assert_allclose(np.concatenate([fitted.standard_error(table.iloc[[i]]) for i in range(50)]), errors, atol=1e-8)
    assert_allclose(np.concatenate([fitted.score_samples(table.iloc[[i]]) for i in range(50)]), scores, atol=1e-8)
    assert scores[7] == pytest.approx(0, abs=1e-12)
    observed = table.notna().to_numpy()
    assert (errors[observed] == 0).all()
    assert (errors[~observed] > 0).all()


# --- beliefs about cells ---


@pytest.fixture(scope="module")
def normal_table():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 4)) @ np.linalg.cholesky(low_rank(4, 2)).T * [1, 10, 0.1, 2] + [0, 50, 1, -3]
    return np.where(rng.random(X.shape) < 0.35, np.nan, X)


def beliefs(X, seed=1):
    """About half of all cells, missing or not."""
    rng = np.random.default_rng(seed)
    unit = np.nanstd(X, axis=0)
    mean = np.nanmean(X, axis=0) + unit * rng.normal(size=X.shape)
    sd = unit * rng.uniform(0.1, 2, X.shape)
    none = rng.random(X.shape) < 0.5
    mean[none] = sd[none] = np.nan
    return mean, sd


def posterior(x, model, mean, sd):
    """Of the gaps of a row: a Gaussian times those of the beliefs."""
    gaps, seen = np.flatnonzero(np.isnan(x)), np.flatnonzero(~np.isnan(x))
    m, S = model.location_, model.covariance_
    gain = S[np.ix_(gaps, seen)] @ np.linalg.inv(S[np.ix_(seen, seen)])
    centre, spread = m[gaps] + gain @ (x - m)[seen], S[np.ix_(gaps, gaps)] - gain @ S[np.ix_(seen, gaps)]
    held = ~np.isnan(mean[gaps])
    precision = np.where(held, 1 / np.where(held, sd[gaps], 1) ** 2, 0.0)
    covariance = np.linalg.inv(np.linalg.inv(spread) + np.diag(precision))
    pull = precision * np.where(held, mean[gaps] - centre, 0)
    return gaps, centre + covariance @ pull, covariance


def test_a_belief_is_an_observation_with_an_error(normal_table):
    """Of the cell and, by what they have in common, of the other gaps of the row."""
    model = EMImputer("gaussian").fit(normal_table)
    prior = beliefs(normal_table)
    filled, errors = (
        model.transform(normal_table, cell_prior=prior),
        model.standard_error(normal_table, cell_prior=prior),
    )
    low, high = model.predict_interval(normal_table, 0.8, cell_prior=prior)
    for i, x in enumerate(normal_table):
        gaps, mean, covariance = posterior(x, model, *(part[i] for part in prior))
        sd = np.sqrt(covariance.diagonal())
        assert_allclose((filled[i, gaps] - mean) / sd, 0, atol=1e-9)
        assert_allclose(errors[i, gaps], sd, rtol=1e-9)
        assert_allclose((high[i, gaps] - mean) / sd, norm.ppf(0.9), rtol=1e-8)
        assert_allclose((low[i, gaps] - mean) / sd, norm.ppf(0.1), rtol=1e-8)
        assert_array_equal(np.delete(filled[i], gaps), np.delete(x, gaps))


def test_draws_follow_beliefs(normal_table):
    model = EMImputer("gaussian", statistic="sample", random_state=0).fit(normal_table)
    x, n = np.array([np.nan, 55.0, np.nan, np.nan]), 50_000
    mean, sd = np.array([1.0, np.nan, np.nan, -2]), np.array([0.5, np.nan, np.nan, 3])
    drawn = model.transform(np.tile(x, (n, 1)), cell_prior=(np.tile(mean, (n, 1)), np.tile(sd, (n, 1))))
    gaps, centre, covariance = posterior(x, model, mean, sd)
    unit = np.sqrt(covariance.diagonal())
    assert_allclose((drawn[:, gaps].mean(axis=0) - centre) / unit, 0, atol=5 / np.sqrt(n))
    apart = (np.cov(drawn[:, gaps].T) - covariance) / np.outer(unit, unit)
    assert_allclose(apart, 0, atol=5 * np.sqrt(2 / n))


@pytest.mark.parametrize("model", ["gaussian", "copula"])
def test_a_sure_belief_is_the_value_and_a_vague_one_is_nothing(model, normal_table):
    fitted = EMImputer(model).fit(normal_table)
    unit = np.nanstd(normal_table, axis=0)
    value = np.tile(np.nanquantile(normal_table, 0.7, axis=0), (len(normal_table), 1))
    filled = fitted.transform(normal_table, cell_prior=(value, np.tile(1e-4 * unit, (len(value), 1))))
    gaps = np.isnan(normal_table)
    assert_allclose(((filled - value) / unit)[gaps], 0, atol=1e-3)
    vague = fitted.transform(normal_table, cell_prior=(value, np.tile(1e4 * unit, (len(value), 1))))
    assert_allclose(vague / unit, fitted.transform(normal_table) / unit, atol=1e-6)


def test_a_belief_of_a_copula_is_about_that_of_the_gaussian_where_columns_are_normal():
    """Where the map to scores has a slope: within the values of the training table."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 3)) @ np.linalg.cholesky(low_rank(3, 2)).T
    X = np.where(rng.random(X.shape) < 0.3, np.nan, X)
    unit = np.nanstd(X, axis=0)
    mean, sd = beliefs(X)
    prior = np.clip(mean, -1.5 * unit, 1.5 * unit), sd
    filled = [EMImputer(model).fit(X).transform(X, cell_prior=prior) / unit for model in ("gaussian", "copula")]
    assert np.sqrt(np.mean((filled[0] - filled[1])[np.isnan(X)] ** 2)) < 0.05
    without = EMImputer("gaussian").fit_transform(X) / unit
    assert np.sqrt(np.mean((filled[0] - without)[np.isnan(X)] ** 2)) > 0.3


def test_a_belief_of_a_copula_beyond_all_values_pulls_to_the_largest():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 2))
    X[3, 1] = np.nan
    mean, sd = np.full((2, *X.shape), np.nan)
    mean[3, 1], sd[3, 1] = 40, 1
    filled = EMImputer("copula").fit(X).transform(X, cell_prior=(mean, sd))
    assert np.nanquantile(X[:, 1], 0.9) < filled[3, 1] <= np.nanmax(X[:, 1])


# --- bounds ---


@pytest.mark.parametrize("model", ["gaussian", "copula", "factor", "mixture"])
def test_filled_numbers_are_within_bounds_and_known_ones_stay(model, normal_table):
    low, high = [-0.3, 45, -np.inf, -3], [0.2, 55, 1.01, np.inf]
    arguments = {"n_components": {"factor": 1, "mixture": 1}.get(model, "auto"), "random_state": 0}
    free = EMImputer(model, **arguments).fit(normal_table)
    held = EMImputer(model, **arguments, min_value=low, max_value=high).fit(normal_table)
    gaps = np.isnan(normal_table)
    tables = [held.transform(normal_table), *held.impute(normal_table, 2), *held.predict_interval(normal_table)]
    for table in tables:
        assert_array_equal(table[~gaps], normal_table[~gaps])
        assert ((table >= low) & (table <= high))[gaps].all()
    filled = free.transform(normal_table)
    assert_allclose(tables[0], np.where(gaps, np.clip(filled, low, high), normal_table), rtol=1e-12)
    assert (tables[0] != filled).any()
    assert_array_equal(held.covariance_, free.covariance_)


# --- singular tables ---


def singular_tables():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4))
    gaps = rng.random((60, 6)) < 0.15
    columns = {
        "sum": [X, X[:, [0]] + X[:, [1]] - X[:, [2]], X[:, [0]] - X[:, [3]]],
        "twice": [X, X[:, :2]],
        "constant": [X, np.full((60, 1), 3.0), np.zeros((60, 1))],
        "huge constant": [X, np.full((60, 1), 1e9), X[:, [0]]],
    }
    for name, parts in columns.items():
        table = np.concatenate(parts, axis=1)
        yield name, table
        if "constant" in name:
            yield name + ", holes", np.where(gaps, np.nan, table)
    yield "more columns than rows", np.where(rng.random((15, 25)) < 0.1, np.nan, rng.normal(size=(15, 25)))
    yield "two rows", rng.normal(size=(2, 3))
    yield "one row", np.array([[1.0, 2.0, 3.0]])


SINGULAR = dict(singular_tables())


def assert_no_nan(model, table):
    gaps = np.where(np.random.default_rng(3).random(table.shape) < 0.4, np.nan, table)
    gaps = np.vstack([gaps, np.full((1, table.shape[1]), np.nan)])
    found = [model.transform(gaps), model.standard_error(gaps), model.score_samples(gaps), model.sample(3)]
    found += [*model.predict_interval(gaps), *model.impute(gaps, 2), model.predict_proba(gaps)]
    found += [model.location_, model.covariance_, model.statistics_, model.objective_, model.history_["objective"]]
    assert all(np.isfinite(part).all() for part in found)
    return found[0][:-1], gaps[:-1]


SLOW = pytest.mark.filterwarnings("ignore:Best performing initialization did not converge")


@pytest.mark.parametrize(
    "name",
    [
        *[name for name in SINGULAR if name not in ("constant, holes", "more columns than rows")],
        "constant, holes",
        pytest.param("more columns than rows", marks=SLOW),
    ],
)
def test_a_singular_table_raises_a_ridge_of_zero_with_a_warning(name):
    """Of more columns than rows with holes a ridge of a millionth needs very many steps."""
    table = SINGULAR[name]
    model = EMImputer("gaussian", ridge=0, random_state=0)
    with pytest.warns(RuntimeWarning, match="singular with ridge=0"):
        model.fit(table)
    assert 0 < model.ridge_ <= 1e-3
    assert_no_nan(model, table)


@pytest.mark.parametrize("model", ["auto", "gaussian", "copula", "factor", "mixture"])
@pytest.mark.parametrize("name", SINGULAR)
def test_a_singular_table_needs_no_warning_by_default(name, model):
    """A mixture has a lower floor than the others a ridge, and would need more steps than the default."""
    arguments = {"n_components": 1 if model in ("factor", "mixture") else "auto", "random_state": 0}
    fitted = EMImputer(model, tol=1e-3 if model == "mixture" else 1e-8, **arguments).fit(SINGULAR[name])
    assert_no_nan(fitted, SINGULAR[name])


@pytest.mark.parametrize("name", ["sum", "twice"])
def test_what_follows_from_other_columns_is_filled_in_from_them(name):
    """With a tiny ridge, up to a ten-thousandth; a row must have enough of the others."""
    table = SINGULAR[name]
    with pytest.warns(RuntimeWarning, match="singular"):
        model = EMImputer("gaussian", ridge=0).fit(table)
    gaps = table.copy()
    gaps[:, 0] = np.nan
    assert_allclose(model.transform(gaps), table, atol=1e-3)


def test_a_constant_column_is_filled_with_its_constant():
    table = SINGULAR["constant, holes"]
    for arguments in ({}, {"model": "copula"}, {"model": "factor", "n_components": 1}):
        filled = EMImputer(**arguments).fit_transform(table)
        assert_allclose(filled[:, 4], 3, atol=1e-12)
        assert_allclose(filled[:, 5], 0, atol=1e-12)


@pytest.mark.parametrize("model", ["gaussian", "copula", "factor", "auto"])
def test_more_columns_than_rows_are_filled(model):
    """Better than by the means of columns."""
    rng = np.random.default_rng(0)
    full = rng.normal(size=(40, 3)) @ rng.normal(size=(3, 80)) + 0.3 * rng.normal(size=(40, 80))
    gaps = rng.random(full.shape) < 0.2
    X = np.where(gaps, np.nan, full)
    fitted = EMImputer(model, n_components=3 if model == "factor" else "auto").fit(X)
    by_means = np.sqrt(np.mean((np.nanmean(X, axis=0) - full)[gaps] ** 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.sqrt(np.mean((fitted.transform(X) - full)[gaps] ** 2)) < 0.6 * by_means


@pytest.mark.parametrize("model", MODELS)
def test_no_output_of_a_mixed_table_has_a_gap(model):
    table = table_for(model, 200)
    table.iloc[3] = None
    fitted = EMImputer(model, random_state=0, **MODELS[model]).fit(table)
    for filled in [fitted.transform(table), *fitted.impute(table, 2), *fitted.predict_interval(table)]:
        assert not filled.isna().any().any()
        for name in table.columns:
            known = table[name].notna()
            assert (filled[name][known] == table[name][known]).all()
    assert np.isfinite(fitted.standard_error(table)).all()
    for name in levels_of(table).columns:
        proba = fitted.predict_category_proba(table, name)
        assert_allclose(proba.sum(axis=1), 1, rtol=1e-12)
        assert (proba >= 0).all()
