"""EMMixture of each family against oracles: direct maximisation, plain NumPy EM, a published table."""

import re
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, logit, logsumexp
from scipy.stats import bernoulli, multivariate_normal, multivariate_t, poisson
from sklearn.exceptions import NotFittedError
from test_hidden_markov_family import Exponential

from emkit import EMGaussianMixture, EMMixture
from emkit.chunks import Rows
from emkit.families.base import Family, Options
from emkit.families.table import FAMILIES, family_class
from emkit.mixture import MixtureModel, MixtureParams
from emkit.mixture.noise import WithNoise
from emkit.testing import check_em_model

K = 2
FAMILY_NAMES = ("student", "gaussian", "poisson", "bernoulli", "categorical", "mixed")
MIXED = ["gaussian", "poisson", "categorical", "poisson"]


def family_argument(name):
    return MIXED if name == "mixed" else name


def two_groups(name, n=120, seed=0):
    """Rows (n, 4) or (n, 2) of two groups that overlap somewhat, and the group of each."""
    rng = np.random.default_rng(seed)
    z = (rng.random(n) < 0.4).astype(int)
    normal = np.array([[0.0, 0.0], [2.5, 1.5]])[z] + rng.standard_normal((n, 2)) @ [[1.0, 0.4], [0.0, 0.8]]
    counts = rng.poisson(np.array([[2.0, 6.0, 1.0], [6.0, 3.0, 4.0]])[z]).astype(float)
    answers = (rng.random((n, 4)) < np.array([[0.2, 0.3, 0.6, 0.1], [0.8, 0.7, 0.2, 0.7]])[z]).astype(float)
    symbols = np.stack([rng.multinomial(1, p).argmax() for p in np.array([[0.6, 0.3, 0.1], [0.1, 0.3, 0.6]])[z]])
    X = {
        "gaussian": normal,
        "student": normal / np.sqrt(rng.chisquare(5, (n, 1)) / 5),
        "poisson": counts,
        "bernoulli": answers,
        "categorical": np.column_stack([symbols, answers[:, :3]]),
        "mixed": np.column_stack([normal[:, 0], counts[:, 0], symbols, counts[:, 1]]),
    }[name]
    return X.astype(float), z


def forget(X, share=0.15, seed=1):
    """Cells at random become NaN, one whole row included."""
    X = X.copy()
    X[np.random.default_rng(seed).random(X.shape) < share] = np.nan
    X[5] = np.nan
    return X


class Law:
    """Log densities (n, k) by scipy over an unconstrained vector, and that vector of a fitted mixture.

    One for each kind of column; it knows nothing of emkit.
    """

    def __init__(self, name, columns):
        self.name, self.columns = name, columns

    def pack(self, mixture):
        if self.name == "poisson":
            return np.log(mixture.rates_).ravel()
        if self.name == "bernoulli":
            return logit(mixture.emissionprob_).ravel()
        if self.name == "categorical":
            tables = mixture.emissionprob_
            tables = tables if isinstance(tables, list) else [tables]
            self.shapes = [table.shape for table in tables]
            return np.concatenate([np.log(table).ravel() for table in tables])
        roots = [self._root(matrix) for matrix in np.reshape(mixture.covariances_, (K, self.d, self.d))]
        tails = [np.log(mixture.degrees_of_freedom_)] if self.name == "student" else []
        return np.concatenate([mixture.means_.ravel(), *roots, *tails])

    @property
    def d(self):
        return len(self.columns)

    def _root(self, matrix):
        lower = np.linalg.cholesky(matrix)
        lower[np.diag_indices(self.d)] = np.log(np.diag(lower))
        return lower[np.tril_indices(self.d)]

    def _matrix(self, entries):
        lower = np.zeros((self.d, self.d))
        lower[np.tril_indices(self.d)] = entries
        lower[np.diag_indices(self.d)] = np.exp(np.diag(lower))
        return lower @ lower.T

    def log_density(self, theta, X):
        X = X[:, self.columns]
        if self.name in ("poisson", "bernoulli"):
            means = {"poisson": np.exp, "bernoulli": expit}[self.name](theta.reshape(K, self.d))
            law = {"poisson": poisson, "bernoulli": bernoulli}[self.name]
            cells = law.logpmf(np.nan_to_num(X)[:, None], means)
            return np.where(np.isnan(X)[:, None], 0, cells).sum(axis=2)
        if self.name == "categorical":
            return self._symbols(theta, X)
        return self._elliptic(theta, X)

    def _symbols(self, theta, X):
        out = np.zeros((len(X), K))
        for j, shape in enumerate(self.shapes):
            own, theta = theta[: shape[0] * shape[1]], theta[shape[0] * shape[1] :]
            logs, seen = log_softmax(own.reshape(shape), axis=1), ~np.isnan(X[:, j])
            out[seen] += logs[:, X[seen, j].astype(int)].T
        return out

    def _elliptic(self, theta, X):
        means, rest = theta[: K * self.d].reshape(K, self.d), theta[K * self.d :]
        size = self.d * (self.d + 1) // 2
        out = np.zeros((len(X), K))
        patterns, which = np.unique(~np.isnan(X), axis=0, return_inverse=True)
        for c in range(K):
            matrix = self._matrix(rest[c * size : (c + 1) * size])
            for p, seen in enumerate(patterns):
                if seen.any():
                    here = np.flatnonzero(which.ravel() == p)
                    where = {"gaussian": multivariate_normal, "student": self._t(rest, c)}[self.name]
                    law = where(means[c, seen], matrix[np.ix_(seen, seen)])
                    out[here, c] = law.logpdf(X[np.ix_(here, seen)])
        return out

    def _t(self, rest, c):
        return partial(multivariate_t, df=np.clip(np.exp(rest[c - K]), 0.1, 1e3))  # the range that emkit allows


def laws(name, d):
    if name != "mixed":
        return [Law(name, np.arange(d))]
    return [Law(kind, np.flatnonzero(np.array(MIXED) == kind)) for kind in dict.fromkeys(MIXED)]


def negative_log_likelihood(parts, sizes, X, weight, labels):
    """Of log weights and the vectors of the laws, one after the other."""

    def loss(theta):
        joint = log_softmax(theta[:K])[None]
        for law, vector in zip(parts, np.split(theta[K:], np.cumsum(sizes)[:-1]), strict=True):
            joint = joint + law.log_density(vector, X)
        total = np.where(labels < 0, logsumexp(joint, axis=1), joint[np.arange(len(X)), labels])
        return -weight @ total

    return loss


@pytest.mark.parametrize("labelled", [False, True])
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("name", FAMILY_NAMES)
class TestMaximum:
    """Quasi-Newton over the observed likelihood, written with scipy's densities."""

    def fitted(self, name, missing, labelled):
        X, z = two_groups(name)
        X = forget(X) if missing else X
        labels = np.where(np.arange(len(X)) % 3 == 0, z, -1) if labelled else np.full(len(X), -1)
        weight = np.random.default_rng(2).integers(1, 4, len(X)) / 2
        mixture = EMMixture(K, family=family_argument(name), random_state=0, tol=1e-12)
        mixture.fit(X, sample_weight=weight, labels=labels if labelled else None)
        parts = laws(name, X.shape[1])
        vectors = [law.pack(mixture) for law in parts]
        loss = negative_log_likelihood(parts, [len(v) for v in vectors], X, weight, labels)
        return mixture, X, weight, np.concatenate([np.log(mixture.weights_), *vectors]), loss

    def test_objective_is_the_log_likelihood_and_no_more_is_to_gain(self, name, missing, labelled):
        mixture, X, weight, theta, loss = self.fitted(name, missing, labelled)
        assert -loss(theta) == pytest.approx(mixture.objective_, rel=1e-9)
        if not labelled:
            assert weight @ mixture.score_samples(X) == pytest.approx(mixture.objective_, rel=1e-9)
        further = minimize(loss, theta, method="L-BFGS-B", options={"maxiter": 20})
        assert -further.fun <= mixture.objective_ + 1e-5

    def test_from_nearby_both_come_to_the_same_place(self, name, missing, labelled):
        mixture, _, _, theta, loss = self.fitted(name, missing, labelled)
        nearby = theta + 0.05 * np.random.default_rng(3).standard_normal(len(theta))
        found = minimize(loss, nearby, method="BFGS", options={"gtol": 1e-2})
        assert -found.fun == pytest.approx(mixture.objective_, abs=0.02)
        assert_allclose(log_softmax(found.x[:K]), np.log(mixture.weights_), atol=0.1)


class TestTextbookSteps:
    """A given number of steps, beside EM written out; McLachlan and Peel (2000), equations (2.30), (2.31)."""

    @pytest.mark.parametrize("missing", [False, True])
    def test_latent_classes(self, missing):
        X, _ = two_groups("categorical")
        X = forget(X) if missing else X
        tables = [np.array([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]])] + [np.array([[0.6, 0.4], [0.3, 0.7]])] * 3
        weights = np.array([0.5, 0.5])
        settings = {"max_iter": 25, "tol": 0, "accelerate": False}
        parts = {"weights": weights, "emissionprob": tables}
        mixture = EMMixture(2, family="categorical", parts_init=parts, **settings).fit(X)
        for _ in range(25):
            joint = np.tile(np.log(weights), (len(X), 1))
            for column, table in zip(X.T, tables, strict=True):
                seen = ~np.isnan(column)
                joint[seen] += np.log(table[:, column[seen].astype(int)].T)
            r = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
            weights = r.mean(axis=0)
            tables = [
                np.stack([r[column == m].sum(axis=0) for m in range(table.shape[1])], axis=1)
                for column, table in zip(X.T, tables, strict=True)
            ]
            tables = [table / table.sum(axis=1, keepdims=True) for table in tables]
        assert_allclose(mixture.weights_, weights, rtol=1e-9)
        for table, expected in zip(mixture.emissionprob_, tables, strict=True):
            assert_allclose(table, expected, rtol=1e-8)
        assert mixture.n_iter_ == 25

    @pytest.mark.parametrize(("name", "law"), [("poisson", poisson), ("bernoulli", bernoulli)])
    def test_column_means(self, name, law):
        X = forget(two_groups(name)[0])
        part = {"poisson": "rates", "bernoulli": "emissionprob"}[name]
        means = np.nanmean(X, axis=0) * np.array([[0.8], [1.1]])
        weights = np.array([0.3, 0.7])
        settings = {"max_iter": 25, "tol": 0, "accelerate": False}
        mixture = EMMixture(2, family=name, parts_init={"weights": weights, part: means}, **settings).fit(X)
        seen = ~np.isnan(X)
        for _ in range(25):
            cells = np.where(seen[:, None], law.logpmf(np.nan_to_num(X)[:, None], means), 0)
            joint = np.log(weights) + cells.sum(axis=2)
            r = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
            weights, means = r.mean(axis=0), (r.T @ np.nan_to_num(X)) / (r.T @ seen)
        assert_allclose(mixture.weights_, weights, rtol=1e-9)
        assert_allclose(getattr(mixture, f"{part}_"), means, rtol=1e-9)

    def test_student_of_known_degrees(self):
        """Section 7.4 of the same book."""
        X, _ = two_groups("student")
        nu, means, weights = np.array([3.0, 8.0]), np.array([[0.0, 0.0], [2.0, 2.0]]), np.array([0.5, 0.5])
        matrices = np.stack([np.eye(2)] * 2)
        parts = {"weights": weights, "means": means, "covariances": matrices, "degrees_of_freedom": nu}
        settings = {"max_iter": 25, "tol": 0, "accelerate": False, "fixed": ("degrees_of_freedom",)}
        mixture = EMMixture(2, parts_init=parts, **settings).fit(X)
        for _ in range(25):
            laws = [multivariate_t(m, s, n) for m, s, n in zip(means, matrices, nu, strict=True)]
            joint = np.log(weights) + np.stack([law.logpdf(X) for law in laws], axis=1)
            r = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
            distances = np.stack(
                [
                    np.einsum("ij,jk,ik->i", X - m, np.linalg.inv(s), X - m)
                    for m, s in zip(means, matrices, strict=True)
                ],
                axis=1,
            )
            u = (nu + 2) / (nu + distances)
            weights, means = r.mean(axis=0), (r * u).T @ X / (r * u).sum(axis=0)[:, None]
            matrices = np.stack(
                [((r * u)[:, c, None] * (X - means[c])).T @ (X - means[c]) / r[:, c].sum() for c in range(2)]
            )
        assert_allclose(mixture.means_, means, rtol=1e-9)
        assert_allclose(mixture.covariances_, matrices, rtol=1e-9)
        assert_array_equal(mixture.degrees_of_freedom_, nu)


# Seven pathologists' findings (1: carcinoma) on 118 slides of the uterine cervix, and the number of slides of each
# pattern: Landis and Koch (1977), Biometrics 33, 363-374, as in Agresti (2002), Categorical Data Analysis, table 13.1.
CARCINOMA = {
    "0000000": 34,
    "0000100": 2,
    "0100000": 6,
    "0100001": 1,
    "0100100": 4,
    "0100101": 5,
    "1000000": 2,
    "1010101": 1,
    "1100000": 2,
    "1100001": 1,
    "1100100": 2,
    "1100101": 7,
    "1100111": 1,
    "1101001": 1,
    "1101101": 2,
    "1101111": 3,
    "1110101": 13,
    "1110111": 5,
    "1111101": 10,
    "1111111": 16,
}


class TestPublished:
    slides = np.array([[float(finding) for finding in pattern] for pattern in CARCINOMA])
    n_slides = np.array(list(CARCINOMA.values()))

    @pytest.mark.parametrize("family", ["categorical", "bernoulli"])
    @pytest.mark.parametrize(
        ("n_classes", "log_likelihood", "bic"),
        [(2, -317.2568, 706.0739), (3, -293.705, 697.1357), (4, -289.2858, 726.4629)],
    )
    def test_carcinoma(self, family, n_classes, log_likelihood, bic):
        """Linzer and Lewis (2011), poLCA, J. Stat. Softw. 42(10), section 5.1."""
        classes = EMMixture(n_classes, family=family, random_state=0)
        classes.fit(self.slides, sample_weight=self.n_slides)
        assert classes.objective_ == pytest.approx(log_likelihood, abs=1e-3)
        assert classes.bic(self.slides, sample_weight=self.n_slides) == pytest.approx(bic, abs=2e-3)
        assert classes.n_parameters_ == 8 * n_classes - 1

    def test_three_classes_of_slides(self):
        """Estimated shares of the classes: 0.3736, 0.1817 and 0.4447, as printed there."""
        classes = EMMixture(3, family="categorical", random_state=0)
        classes.fit(self.slides, sample_weight=self.n_slides)
        assert_allclose(np.sort(classes.weights_), [0.1817, 0.3736, 0.4447], atol=2e-4)

    def test_one_class_is_the_table_of_shares(self):
        one = EMMixture(1, family="categorical").fit(self.slides, sample_weight=self.n_slides)
        shares = self.n_slides @ self.slides / 118
        for table, share in zip(one.emissionprob_, shares, strict=True):
            assert_allclose(table, [[1 - share, share]], rtol=1e-12)

    def test_a_prior_gives_unseen_symbols_a_probability(self):
        X, weight = np.array([[0.0], [1.0], [1.0]]), np.array([1.0, 2.0, 3.0])
        one = EMMixture(1, family="categorical", n_symbols=4, emissionprob_prior=1.5).fit(X, sample_weight=weight)
        assert_allclose(one.emissionprob_, [np.array([1.5, 5.5, 0.5, 0.5]) / 8])
        log_prior = 0.5 * np.log(one.emissionprob_).sum()
        assert one.objective_ == pytest.approx(weight @ one.score_samples(X) + log_prior)


class TestGaussianIsGaussian:
    @pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical", "EII"])
    @pytest.mark.parametrize("missing", [False, True])
    @pytest.mark.parametrize("noise", [False, True])
    def test_the_same_as_EMGaussianMixture(self, covariance_type, missing, noise):
        X, z = two_groups("gaussian", 300)
        X = forget(X) if missing else X
        weight = np.random.default_rng(0).uniform(0.5, 2, len(X))
        labels = np.where(np.arange(len(X)) % 4 == 0, z, -1)
        shared = {"covariance_type": covariance_type, "noise": noise, "random_state": 0}
        one = EMMixture(2, family="gaussian", **shared).fit(X, sample_weight=weight, labels=labels)
        other = EMGaussianMixture(2, **shared).fit(X, sample_weight=weight, labels=labels)
        assert one.objective_ == pytest.approx(other.objective_, rel=1e-9)
        for name in ("weights_", "means_", "covariances_", "n_parameters_"):
            assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-7, err_msg=name)
        for method in ("score_samples", "predict_proba", "predict", "transform"):
            assert_allclose(getattr(one, method)(X), getattr(other, method)(X), rtol=1e-7, atol=1e-12)
        for criterion in ("bic", "aic", "icl"):
            assert getattr(one, criterion)(X) == pytest.approx(getattr(other, criterion)(X), rel=1e-9)

    def test_student_of_many_degrees_is_nearly_gaussian(self):
        X, _ = two_groups("gaussian", 300)
        gaussian = EMMixture(2, family="gaussian", random_state=0).fit(X)
        parts = {"means": gaussian.means_, "degrees_of_freedom": [1e6, 1e6]}
        student = EMMixture(2, parts_init=parts, fixed=("degrees_of_freedom",)).fit(X)
        assert student.objective_ == pytest.approx(gaussian.objective_, abs=0.05)
        assert_allclose(student.means_, gaussian.means_, atol=1e-2)


class TestFarRows:
    """Student components, for which a row may lie as far as it likes."""

    @pytest.mark.parametrize("far", [1e2, 1e3, 1e4, 1e6, 1e9, -1e12])
    def test_one_row_moves_nothing(self, far):
        rng = np.random.default_rng(0)
        X = np.vstack([rng.normal(0, 1, (100, 2)), rng.normal(6, 1, (100, 2)), [[far, far]]])
        mixture = EMMixture(2, random_state=0).fit(X)
        assert_allclose(np.sort(mixture.means_, axis=0), [[0, 0], [6, 6]], atol=0.25)
        labels = mixture.predict(X)
        assert len(set(labels[:100])) == len(set(labels[100:200])) == 1
        assert labels[0] != labels[100]

    def test_a_tenth_of_the_rows(self):
        rng = np.random.default_rng(1)
        far = 50 * rng.standard_cauchy((40, 2))
        X = np.vstack([rng.normal(0, 1, (200, 2)), rng.normal(6, 1, (200, 2)), far])
        mixture = EMMixture(2, random_state=0).fit(X)
        assert_allclose(np.sort(mixture.means_, axis=0), [[0, 0], [6, 6]], atol=0.25)

    @pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e6, 1e12])
    @pytest.mark.parametrize("family", ["student", "gaussian"])
    def test_units_change_nothing(self, scale, family):
        X, _ = two_groups("student", 200)
        one = EMMixture(2, family=family, random_state=0).fit(X)
        other = EMMixture(2, family=family, random_state=0).fit(X * scale)
        assert other.objective_ == pytest.approx(one.objective_ - X.size * np.log(scale), abs=1e-3)
        assert_allclose(other.means_ / scale, one.means_, rtol=1e-3, atol=1e-3)

    @pytest.mark.parametrize("family", ["student", "gaussian"])
    def test_an_offset_changes_nothing(self, family):
        X, _ = two_groups("student", 200)
        one = EMMixture(2, family=family, random_state=0).fit(X)
        other = EMMixture(2, family=family, random_state=0).fit(X + 1e8)
        assert other.objective_ == pytest.approx(one.objective_, abs=1e-2)
        assert_allclose(other.means_ - 1e8, one.means_, atol=1e-3)


def model_of(name, X, noise=False):
    family = family_class(family_argument(name), "family").for_data(K, Options(), X)
    return MixtureModel(WithNoise.over(family, np.stack([X.min(axis=0), X.max(axis=0)])) if noise else family)


@pytest.mark.parametrize("name", ["gaussian", "student"])
def test_properties_with_noise(name):
    X, z = two_groups(name)
    labels = np.where(np.arange(len(X)) % 3 == 0, z, -1)
    model = model_of(name, X, noise=True)
    check_em_model(model, X)
    check_em_model(model, Rows(forget(X), np.ones(len(X)), labels))


@pytest.mark.parametrize("name", FAMILY_NAMES)
class TestModel:
    def test_properties(self, name):
        X, _ = two_groups(name)
        check_em_model(model_of(name, X), X)

    def test_properties_with_missing_values_and_labels(self, name):
        X, z = two_groups(name)
        labels = np.where(np.arange(len(X)) % 3 == 0, z, -1)
        check_em_model(model_of(name, X), Rows(forget(X), np.full(len(X), 1.5), labels))

    def test_recovery(self, name):
        X, z = two_groups(name, 600)
        model = model_of(name, X)
        resp = np.eye(2)[z]
        params = MixtureParams(resp.mean(axis=0), model.family.start(Rows(X, np.ones(len(X))), resp))
        rng = np.random.default_rng(5)
        components = (rng.random(600) < params.weights[1]).astype(int)
        drawn = model.family.sample(params.components, components, rng)
        check_em_model(model, X, truth=(params, drawn), n_steps=5)


@pytest.mark.parametrize("name", FAMILY_NAMES)
class TestInvariance:
    @settings(max_examples=5)
    @given(seed=st.integers(0, 1000))
    def test_order_of_rows_and_weights_as_repetition(self, name, seed):
        rng = np.random.default_rng(seed)
        X = forget(two_groups(name)[0])
        weight = rng.integers(0, 4, len(X))
        repeated = rng.permutation(np.repeat(X, weight, axis=0))
        mixture = EMMixture(2, family=family_argument(name), n_init=1, random_state=seed, max_iter=30, tol=0)
        weighted = mixture.fit(X, sample_weight=weight)
        theirs, objective = weighted.score_samples(X), weighted.objective_
        plain = EMMixture(**mixture.get_params()).fit(repeated)
        assert plain.objective_ == pytest.approx(objective, rel=1e-7)
        assert_allclose(plain.score_samples(X), theirs, rtol=1e-4, atol=1e-4)

    def test_number_of_jobs(self, name):
        X = forget(np.tile(two_groups(name, 300)[0], (40, 1)))  # more than a chunk
        settings = {"family": family_argument(name), "random_state": 0, "max_iter": 5, "n_init": 2, "tol": 0}
        one, two = (EMMixture(2, n_jobs=n, **settings).fit(X) for n in (1, 2))
        assert one.objective_ == two.objective_
        assert_array_equal(one.predict_proba(X[:50]), two.predict_proba(X[:50]))

    def test_sample_has_the_fitted_law(self, name):
        X, _ = two_groups(name, 400)
        mixture = EMMixture(2, family=family_argument(name), random_state=0).fit(X)
        drawn, components = mixture.sample(4000)
        assert drawn.shape == (4000, X.shape[1])
        assert_allclose(np.bincount(components) / 4000, mixture.weights_, atol=0.03)
        assert mixture.score(drawn) == pytest.approx(mixture.score(X), abs=0.15)
        again = EMMixture(2, family=family_argument(name), random_state=1).fit(drawn)
        assert again.score(drawn) >= mixture.score(drawn) - 1e-6


class TestStarts:
    @pytest.mark.parametrize("name", FAMILY_NAMES)
    def test_labels_and_responsibilities_are_the_same_start(self, name):
        X, z = two_groups(name)
        settings = {"family": family_argument(name), "max_iter": 3, "tol": 0}
        one = EMMixture(2, init_params=z, **settings).fit(X)
        other = EMMixture(2, init_params=np.eye(2)[z], **settings).fit(X)
        assert one.objective_ == other.objective_
        assert set(one.history_["start"]) == {0}

    @pytest.mark.parametrize("name", FAMILY_NAMES)
    def test_fitted_parts_as_a_start_are_the_end(self, name):
        X, _ = two_groups(name)
        first = EMMixture(2, family=family_argument(name), random_state=0).fit(X)
        names = family_class(first.family, "family").names
        parts = {part: getattr(first, f"{part}_") for part in ("weights", *names)}
        again = EMMixture(2, family=family_argument(name), parts_init=parts, max_iter=0).fit(X)
        assert again.objective_ == pytest.approx(first.objective_, rel=1e-12)
        fixed = EMMixture(2, family=family_argument(name), parts_init=parts, fixed=tuple(parts)).fit(X)
        assert fixed.objective_ == pytest.approx(first.objective_, rel=1e-12)
        assert fixed.n_parameters_ == 0

    @pytest.mark.parametrize("name", FAMILY_NAMES)
    def test_weights_go_with_parts_that_are_given(self, name):
        """Not with those of a start that was drawn, whose components have another order."""
        X, z = two_groups(name, 300)
        first = EMMixture(2, family=family_argument(name), init_params=np.where(z == 1, 0, 1)).fit(X)
        parts = {part: getattr(first, f"{part}_") for part in family_class(first.family, "family").names}
        for seed in range(4):
            again = EMMixture(2, family=family_argument(name), parts_init=parts, max_iter=0, random_state=seed).fit(X)
            assert_allclose(again.weights_, first.weights_, atol=0.1)

    @pytest.mark.parametrize("part", ["means", "rates"])
    def test_parts_of_some_columns(self, part):
        X, _ = two_groups("mixed")
        best = EMMixture(2, family=MIXED, random_state=0).fit(X)
        start = {part: getattr(best, f"{part}_")[::-1]}
        mixture = EMMixture(2, family=MIXED, parts_init=start, random_state=0).fit(X)
        assert mixture.objective_ == pytest.approx(best.objective_, abs=1e-3)

    def test_warm_start_goes_on(self):
        X, _ = two_groups("poisson")
        mixture = EMMixture(2, family="poisson", warm_start=True, max_iter=3, tol=0, random_state=0)
        first = mixture.fit(X).objective_
        assert mixture.fit(X).objective_ > first
        whole = EMMixture(2, family="poisson", max_iter=6, tol=0, random_state=0, accelerate=False).fit(X)
        assert mixture.objective_ == pytest.approx(whole.objective_, abs=0.5)

    def test_n_init_keeps_the_best(self):
        X, _ = two_groups("categorical")
        settings = {"family": "categorical", "init_params": "random", "random_state": 0}
        many = EMMixture(3, n_init=15, **settings).fit(X)
        assert all(
            EMMixture(3, n_init=1, **{**settings, "random_state": s}).fit(X).objective_ <= many.objective_ + 1e-3
            for s in range(5)
        )


class TestFamilyOfTheUser:
    def test_fit_predict_score(self):
        rng = np.random.default_rng(0)
        z = (rng.random(500) < 0.3).astype(int)
        X = rng.exponential(np.array([[1.0, 0.2], [12.0, 3.0]])[z])
        X[rng.random(X.shape) < 0.1] = np.nan
        mixture = EMMixture(2, family=Exponential, random_state=0).fit(X)
        order = mixture.scales_[:, 0].argsort()
        assert_allclose(mixture.scales_[order], [[1, 0.2], [12, 3]], rtol=0.25)
        assert (order.argsort()[mixture.predict(X)] == z).mean() > 0.9
        assert mixture.n_parameters_ == 5
        known = EMMixture(2, family=Exponential).fit(X, labels=z)
        expected = [[np.nanmean(X[z == c, j]) for j in range(2)] for c in range(2)]
        assert_allclose(known.scales_, expected, rtol=1e-9)

    def test_a_parameter_called_weights_is_the_mixtures(self):
        class Weighted(Exponential):
            names = ("weights",)

        with pytest.raises(ValueError, match="calls a parameter 'weights'"):
            EMMixture(2, family=Weighted).fit(np.eye(4, 2))

    @pytest.mark.parametrize("family", ["t", "mixture", ["mixture", "poisson"]])
    def test_a_mixture_is_no_component(self, family):
        allowed = r"\['gaussian', 'student', 'categorical', 'poisson', 'bernoulli'\]"
        with pytest.raises(ValueError, match=f"family must be one of {allowed}, .*, but got {re.escape(repr(family))}"):
            EMMixture(2, family=family).fit(np.eye(4, 2))
        assert "mixture" in FAMILIES

    def test_neither_of_two_methods(self):
        class Nothing(Family):
            names = ("scales",)

        with pytest.raises(ValueError, match="Nothing must have the method for_data or for_chunks, but has neither"):
            EMMixture(2, family=Nothing).fit(np.eye(4, 2))


# --- standard errors ------------------------------------------------------------------------------------------------


class TestStandardErrors:
    rng = np.random.default_rng(3)
    z = rng.integers(2, size=600)
    answers = (rng.random((600, 4)) < np.where(z, 0.85, 0.2)[:, None]).astype(float)
    answers[rng.random(answers.shape) < 0.1] = np.nan

    def test_those_of_gaussians_are_exact_elsewhere(self):
        X = self.rng.normal(size=(400, 2)) + 5 * self.rng.integers(2, size=(400, 1))
        weight = self.rng.integers(1, 4, size=400).astype(float)
        one = EMGaussianMixture(2, random_state=0).fit(X, sample_weight=weight)
        two = EMMixture(2, family="gaussian", random_state=0).fit(X, sample_weight=weight)
        order = [int(np.argmin(np.abs(two.means_[:, 0] - mean))) for mean in one.means_[:, 0]]
        exact, numerical = (m.standard_errors(X, sample_weight=weight) for m in (one, two))
        for name, errors in exact.items():
            assert_allclose(numerical[name][order], errors, rtol=1e-4)

    def test_one_component_has_textbook_errors(self):
        counts = self.rng.poisson([2.0, 7.0], size=(300, 2)).astype(float)
        poisson = EMMixture(1, family="poisson").fit(counts)
        assert_allclose(
            poisson.standard_errors(counts)["rates_"], np.sqrt(counts.mean(axis=0, keepdims=True) / 300), rtol=1e-5
        )
        coins = EMMixture(1, family="bernoulli").fit(self.answers)
        n, share = (~np.isnan(self.answers)).sum(axis=0), np.nanmean(self.answers, axis=0)
        assert_allclose(
            coins.standard_errors(self.answers)["emissionprob_"][0], np.sqrt(share * (1 - share) / n), rtol=1e-5
        )

    @pytest.mark.parametrize("family", ["bernoulli", "categorical"])
    def test_information_and_bootstrap_agree(self, family):
        classes = EMMixture(2, family=family, random_state=0).fit(self.answers)
        by_information = classes.standard_errors(self.answers)
        by_bootstrap = classes.standard_errors(self.answers, method="bootstrap", n_bootstrap=200)
        for name, errors in by_information.items():
            assert_allclose(np.asarray(by_bootstrap[name]), np.asarray(errors), rtol=0.35)

    def test_what_is_fixed_and_what_is_certain_have_none(self):
        X = np.column_stack([self.answers, np.ones(600)])
        classes = EMMixture(
            2, family="bernoulli", fixed=("weights",), parts_init={"weights": [0.5, 0.5]}, random_state=0
        ).fit(X)
        errors = classes.standard_errors(X)
        assert_array_equal(errors["weights_"], 0)
        assert_array_equal(errors["emissionprob_"][:, -1], 0)
        assert (errors["emissionprob_"][:, :-1] > 0).all()

    def test_refusals(self):
        classes = EMMixture(2, family="bernoulli", random_state=0)
        with pytest.raises(NotFittedError):
            classes.standard_errors(self.answers)
        with pytest.raises(ValueError, match="method must be one of"):
            classes.fit(self.answers).standard_errors(self.answers, method="sandwich")
