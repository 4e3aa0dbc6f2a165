"""A prior on the weights, means and covariances of EMGaussianMixture, against numerical integrals and brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from old_versions import skip_what_old_versions_get_wrong
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.special import gammaln, logsumexp
from scipy.stats import beta, dirichlet, gamma, multivariate_normal, multivariate_t, norm, wishart
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from emkit import EMGaussianMixture
from emkit.chunks import Rows
from emkit.datasets import load_old_faithful
from emkit.engine import run_em
from emkit.families.conjugate import ROWS_AT_CENTRE, ConjugateGaussians, is_conjugate
from emkit.families.covariance import COVARIANCES
from emkit.families.gaussian import GaussianFamily
from emkit.mixture.model import MixtureModel
from emkit.mixture.weights import WEIGHTINGS, Dirichlet, DirichletProcess
from emkit.testing import check_em_model

pytestmark = pytest.mark.filterwarnings("error")

TYPES = ("full", "tied", "diag", "spherical", "EII", "EEI")  # EEI: variances of the features, the same for all
COUNTS = np.array([3.0, 0.4, 7.0, 0.0])


def clusters(n=300, k=3, d=2, seed=0, spread=6.0):
    rng = np.random.default_rng(seed)
    centres = spread * rng.standard_normal((k, d))
    return centres[np.arange(n) % k] + rng.standard_normal((n, d))


def rows_of(X):
    return Rows(X, np.ones(len(X)))


def model_of(X, k, covariance_type, weighting=None):
    family = GaussianFamily(COVARIANCES[covariance_type], k, X.std(axis=0), 1e-6, X.dtype)
    return MixtureModel(ConjugateGaussians(family, X.mean(axis=0)), weighting=weighting or Dirichlet(0.3))


@parametrize_with_checks(
    [
        EMGaussianMixture(3, weight_concentration_prior=0.01),
        EMGaussianMixture(3, weight_concentration_prior=1.0, weight_concentration_prior_type="dirichlet_process"),
    ]
)
def test_common_checks(estimator, check):
    skip_what_old_versions_get_wrong(check)
    check(estimator)


class TestDirichlet:
    def test_means_are_those_of_the_distribution(self):
        q = dirichlet(0.3 + COUNTS)
        assert_allclose(Dirichlet(0.3).mean(COUNTS), q.mean())

    @pytest.mark.parametrize("alpha", [0.01, 0.5, 3.0])
    def test_divergence_and_logs_of_two_components_are_the_integrals(self, alpha):
        counts = np.array([3.0, 1.2])
        q, p = beta(*(alpha + counts)), beta(alpha, alpha)
        kl = quad(lambda x: q.pdf(x) * (q.logpdf(x) - p.logpdf(x)), 0, 1)[0]
        assert Dirichlet(alpha).divergence(counts) == pytest.approx(kl, rel=1e-6)
        logs = [quad(lambda x, f=f: q.pdf(x) * np.log(f(x)), 0, 1)[0] for f in (lambda x: x, lambda x: 1 - x)]
        assert_allclose(Dirichlet(alpha).mean_log(counts), logs, rtol=1e-6)

    def test_divergence_of_four_components_is_that_of_a_sample(self):
        q, p = dirichlet(0.7 + COUNTS + 0.5), dirichlet(np.full(4, 0.7))
        X = q.rvs(200_000, random_state=0).T
        sample = q.logpdf(X) - p.logpdf(X)
        error = 5 * sample.std() / np.sqrt(sample.size)
        assert Dirichlet(0.7).divergence(COUNTS + 0.5) == pytest.approx(sample.mean(), abs=error)


class TestDirichletProcess:
    def breaks(self, gamma, counts):
        later = np.array([counts[i + 1 :].sum() for i in range(len(counts) - 1)])
        return [beta(1 + n, gamma + after) for n, after in zip(counts, later, strict=False)]

    def test_means_are_those_of_a_broken_stick(self):
        left, mean = 1.0, []
        for law in self.breaks(0.8, COUNTS):
            mean.append(left * law.mean())
            left *= 1 - law.mean()
        assert_allclose(DirichletProcess(0.8).mean(COUNTS), [*mean, left])

    def test_logs_and_divergence_are_the_integrals(self):
        laws, left, logs, kl = self.breaks(0.8, COUNTS), 0.0, [], 0.0
        prior = beta(1, 0.8)
        for q in laws:
            logs.append(left + quad(lambda x, q=q: q.pdf(x) * np.log(x), 0, 1)[0])
            left += quad(lambda x, q=q: q.pdf(x) * np.log1p(-x), 0, 1)[0]
            kl += quad(lambda x, q=q: q.pdf(x) * (q.logpdf(x) - prior.logpdf(x)), 0, 1)[0]
        assert_allclose(DirichletProcess(0.8).mean_log(COUNTS), [*logs, left], rtol=1e-6)
        assert DirichletProcess(0.8).divergence(COUNTS) == pytest.approx(kl, rel=1e-6)


@pytest.mark.parametrize("name", list(WEIGHTINGS))
class TestBothPriors:
    def test_the_m_step_is_the_maximum_of_the_bound(self, name):
        """For given responsibilities, over all q of the same form."""
        weighting = WEIGHTINGS[name](0.3)
        counts = np.array([3.0, 1.4, 7.0])

        def minus_bound(logs):
            q = np.exp(logs)
            return weighting.divergence(q) - counts @ weighting.mean_log(q)

        found = minimize(minus_bound, np.zeros(3), method="BFGS", options={"gtol": 1e-8})
        best = np.exp(found.x)
        assert_allclose(weighting.mean(best), weighting.mean(counts), rtol=1e-4)
        assert -minus_bound(np.log(counts)) == pytest.approx(-found.fun, abs=1e-8)

    @given(counts=st.lists(st.floats(0, 1e6), min_size=1, max_size=8), alpha=st.floats(1e-3, 100))
    def test_weights_add_up_and_the_divergence_is_not_negative(self, name, counts, alpha):
        weighting, counts = WEIGHTINGS[name](alpha), np.array(counts)
        assert weighting.mean(counts).sum() == pytest.approx(1)
        assert np.exp(weighting.mean_log(counts)).sum() <= 1 + 1e-9  # Jensen
        assert weighting.divergence(counts) >= -1e-6
        assert weighting.divergence(np.zeros(len(counts))) == pytest.approx(0, abs=1e-8)

    def test_the_vector_leads_back(self, name):
        weighting = WEIGHTINGS[name](0.3)
        weights, counts = weighting.estimate(COUNTS)
        again = weighting.from_vector(weighting.to_vector(weights, counts), counts)
        assert_allclose(again[0], weights)
        assert_allclose(again[1], counts)


def draw_q(family, params, n, rng):
    """Means (n, k, d) and precisions (n, k, d, d) from q of `full`, and from the prior if params is None."""
    d, k = family.n_features, family.n_components
    means, precisions = np.empty((n, k, d)), np.empty((n, k, d, d))
    for j in range(k):
        degrees = d + params.counts[j]
        inverse = np.linalg.inv(params.gaussians.covariances[j])
        precisions[:, j] = wishart(degrees, inverse / degrees).rvs(n, random_state=rng)
        noise = np.linalg.solve(np.linalg.cholesky(precisions[:, j]).swapaxes(1, 2), rng.standard_normal((n, d, 1)))
        means[:, j] = params.gaussians.means[j] + noise[..., 0] / np.sqrt(ROWS_AT_CENTRE + params.counts[j])
    return means, precisions


class TestConjugateGaussians:
    def fitted(self, covariance_type="full", k=2, d=2):
        X = clusters(n=24, k=2, d=d)
        model = model_of(X, k, covariance_type)
        params = model.init_params([rows_of(X)], np.random.default_rng(0))
        return X, model, run_em(model, params, [rows_of(X)], max_iter=5).params

    def test_expected_log_densities_are_those_of_a_sample(self):
        X, model, params = self.fitted()
        components = params.components
        means, precisions = draw_q(model.family, components, 40_000, np.random.default_rng(1))
        away = X[:1] - means[:, 0]
        square = np.einsum("ni,nij,nj->n", away, precisions[:, 0], away)
        sample = 0.5 * np.linalg.slogdet(precisions[:, 0])[1] - np.log(2 * np.pi) - 0.5 * square
        expected = model.family.log_density(components, rows_of(X[:1]))[0, 0]
        assert expected == pytest.approx(sample.mean(), abs=5 * sample.std() / np.sqrt(sample.size))

    def test_the_divergence_is_that_of_a_sample(self):
        X, model, params = self.fitted()
        family, components = model.family, params.components
        means, precisions = draw_q(family, components, 4_000, np.random.default_rng(1))
        d = 2
        sample = np.zeros(len(means))
        for j in range(2):
            degrees, rows = d + components.counts[j], ROWS_AT_CENTRE + components.counts[j]
            q = wishart(degrees, np.linalg.inv(components.gaussians.covariances[j]) / degrees)
            p = wishart(d, np.diag(1 / X.var(axis=0)))
            for i, (mean, precision) in enumerate(zip(means[:, j], precisions[:, j], strict=True)):
                width = np.linalg.inv(precision)
                sample[i] += q.logpdf(precision) - p.logpdf(precision)
                sample[i] += multivariate_normal(components.gaussians.means[j], width / rows).logpdf(mean)
                sample[i] -= multivariate_normal(X.mean(axis=0), width / ROWS_AT_CENTRE).logpdf(mean)
        error = 5 * sample.std() / np.sqrt(sample.size)
        assert -family.log_prior(components) == pytest.approx(sample.mean(), abs=error)

    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_the_m_step_is_the_maximum_of_the_bound(self, covariance_type):
        """No change of q by some thousandths leads higher, for given responsibilities."""
        X, model, params = self.fitted(covariance_type)
        family = model.family
        resp = np.random.default_rng(2).dirichlet([1.0, 1.0], len(X))
        moments = family.moments(params.components, rows_of(X), resp)
        best = family.m_step(moments, params.components)

        def bound(components):
            return (resp * family.log_density(components, rows_of(X))).sum() + family.log_prior(components)

        vector = family.to_vector(best)
        for place, step in itertools.product(range(2, len(vector)), (-3e-3, 3e-3)):
            moved = vector.copy()
            moved[place] += step
            assert bound(family.from_vector(moved, best)) <= bound(best) + 1e-9

    def test_one_step_is_that_of_the_book(self):
        """Bishop, equations (10.60) to (10.63)."""
        X, model, params = self.fitted(k=3)
        resp = np.random.default_rng(2).dirichlet(np.ones(3), len(X))
        q = model.family.m_step(model.family.moments(params.components, rows_of(X), resp), params.components)
        centre, spread, d = X.mean(axis=0), np.diag(X.var(axis=0)), 2
        for j, n in enumerate(resp.sum(axis=0)):
            mean = resp[:, j] @ X / n
            scatter = (resp[:, j, None] * (X - mean)).T @ (X - mean)
            between = ROWS_AT_CENTRE * n / (ROWS_AT_CENTRE + n) * np.outer(mean - centre, mean - centre)
            assert_allclose(q.gaussians.means[j], (ROWS_AT_CENTRE * centre + n * mean) / (ROWS_AT_CENTRE + n))
            assert_allclose(q.gaussians.covariances[j], (spread + scatter + between) / (d + n))

    @pytest.mark.parametrize("missing", [False, True])
    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_the_model_keeps_what_the_engine_asks(self, covariance_type, missing):
        X = clusters(n=120)
        if missing:
            X[np.random.default_rng(3).random(X.shape) < 0.1] = np.nan
        family = GaussianFamily(COVARIANCES[covariance_type], 4, np.nanstd(X, axis=0), 1e-6, X.dtype)
        for weighting in (Dirichlet(0.01), DirichletProcess(1.0)):
            model = MixtureModel(ConjugateGaussians(family, np.nanmean(X, axis=0)), weighting=weighting)
            check_em_model(model, X)

    def test_types_that_share_a_part_have_no_such_prior(self):
        refused = {"VEI", "EVI", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV"}
        assert {name for name in COVARIANCES if not is_conjugate(COVARIANCES[name], 3)} == refused
        for name in sorted(refused):
            mixture = EMGaussianMixture(2, covariance_type=name, weight_concentration_prior=1.0)
            with pytest.raises(ValueError, match=f"shares all or nothing between components, but got .*{name}"):
                mixture.fit(clusters())


def log_evidence(X, centre, spread, covariance_type):
    """log p(X) of one component: the product of each row's density given those before."""
    d, total = X.shape[1], 0.0
    for i, row in enumerate(X):
        before = X[:i]
        rows, degrees = ROWS_AT_CENTRE + i, d + i
        mean = (ROWS_AT_CENTRE * centre + before.sum(axis=0)) / rows
        scatter = np.diag(spread) + ROWS_AT_CENTRE * np.outer(centre, centre) + before.T @ before
        scatter = scatter - rows * np.outer(mean, mean)
        if covariance_type == "full":
            shape = scatter * (rows + 1) / rows / (degrees - d + 1)
            total += multivariate_t(mean, shape, df=degrees - d + 1).logpdf(row)
        else:
            scale = np.diag(scatter) * (rows + 1) / rows / degrees
            total += sum(
                multivariate_t([m], [[s]], df=degrees).logpdf([x]) for m, s, x in zip(mean, scale, row, strict=True)
            )
    return total


class TestTheBound:
    @pytest.mark.parametrize("covariance_type", ["full", "diag"])
    def test_of_one_component_it_is_the_evidence(self, covariance_type):
        X = clusters(n=30, d=3)
        mixture = EMGaussianMixture(1, covariance_type=covariance_type, weight_concentration_prior=0.5).fit(X)
        evidence = log_evidence(X, X.mean(axis=0), X.var(axis=0), covariance_type)
        assert mixture.objective_ == pytest.approx(evidence, rel=1e-9)

    def test_of_one_variance_it_is_the_integral(self):
        """One feature, for which full, diag and spherical are the same."""
        X = np.array([[1.0], [2.5], [-0.5], [0.3]])
        rate = X.var() / 2  # of the precision, which is gamma of shape 1/2

        def joint(precision):
            means, weights = np.polynomial.hermite_e.hermegauss(60)
            width = 1 / np.sqrt(precision * (ROWS_AT_CENTRE + 4))
            middle = (ROWS_AT_CENTRE * X.mean() + X.sum()) / (ROWS_AT_CENTRE + 4)
            values = middle + width * means
            log_joint = norm(X, 1 / np.sqrt(precision)).logpdf(values).sum(axis=0)
            log_joint += norm(X.mean(), 1 / np.sqrt(precision * ROWS_AT_CENTRE)).logpdf(values)
            density = np.exp(log_joint + means**2 / 2) @ weights * width
            return density * gamma(0.5, scale=1 / rate).pdf(precision)

        evidence = quad(lambda u: joint(np.exp(u)) * np.exp(u), -12, 6)[0]
        for covariance_type in ("full", "tied", "diag", "spherical", "EII"):
            mixture = EMGaussianMixture(1, covariance_type=covariance_type, weight_concentration_prior=1.0).fit(X)
            assert mixture.objective_ == pytest.approx(np.log(evidence), rel=1e-6)

    @pytest.mark.parametrize("concentration", [0.05, 2.0])
    def test_of_two_components_it_is_below_the_evidence(self, concentration):
        """Which is the sum over all assignments of eight rows."""
        X = clusters(n=8, k=2)
        centre, spread = X.mean(axis=0), X.var(axis=0)
        log_terms = []
        for labels in itertools.product(range(2), repeat=len(X)):
            counts = np.bincount(labels, minlength=2)
            log_terms.append(
                -_log_beta(np.full(2, concentration))
                + _log_beta(concentration + counts)
                + sum(log_evidence(X[np.array(labels) == j], centre, spread, "full") for j in range(2))
            )
        evidence = logsumexp(log_terms)
        bound = EMGaussianMixture(2, weight_concentration_prior=concentration, random_state=0).fit(X).objective_
        assert evidence - 8 < bound < evidence


def _log_beta(a):
    return gammaln(a).sum() - gammaln(a.sum())


class TestFit:
    @pytest.mark.parametrize("kind", list(WEIGHTINGS))
    @pytest.mark.parametrize("covariance_type", TYPES)
    def test_components_that_are_not_needed_are_emptied(self, covariance_type, kind):
        X = clusters(n=240)
        mixture = EMGaussianMixture(
            8,
            covariance_type=covariance_type,
            weight_concentration_prior=1e-3,
            weight_concentration_prior_type=kind,
            random_state=0,
        ).fit(X)
        in_use = mixture.weights_ > 1 / len(X)
        assert in_use.sum() == 3
        assert_allclose(mixture.weights_[in_use], 1 / 3, atol=0.05)
        assert len(np.unique(mixture.predict(X))) == 3
        assert mixture.weights_.sum() == pytest.approx(1)

    def test_a_large_concentration_smooths(self):
        X = clusters(n=30)
        weights = [
            np.sort(EMGaussianMixture(3, weight_concentration_prior=a, random_state=0).fit(X[5:]).weights_)
            for a in (1e-3, 1e5)
        ]
        assert_allclose(weights[1], 1 / 3, atol=1e-3)
        assert np.ptp(weights[0]) > np.ptp(weights[1])

    def test_acceleration_ends_no_lower(self):
        X = load_old_faithful().data
        textbook, fast = (
            EMGaussianMixture(
                6, weight_concentration_prior=0.01, accelerate=accelerate, n_init=1, random_state=0, max_iter=5000
            ).fit(X)
            for accelerate in (False, "auto")
        )
        assert fast.objective_ > textbook.objective_ - 1e-3
        steps = textbook.history_["objective"]
        assert (np.diff(steps) > -1e-8).all()

    @settings(max_examples=10)
    @given(seed=st.integers(0, 1000))
    def test_neither_order_nor_units_matter(self, seed):
        rng = np.random.default_rng(seed)
        X = clusters(n=90, seed=seed)
        units = 10 ** rng.uniform(-4, 4, 2)
        estimator = EMGaussianMixture(4, weight_concentration_prior=0.01, random_state=0)
        one = clone(estimator).fit(X)
        other = clone(estimator).fit(units * rng.permutation(X))
        assert other.objective_ == pytest.approx(one.objective_ - len(X) * np.log(units).sum(), abs=1e-3)

    def test_a_weight_is_a_number_of_rows(self):
        X = clusters(n=60)
        weight = np.arange(60) % 3
        estimator = EMGaussianMixture(5, weight_concentration_prior=0.01, random_state=0)
        weighted = clone(estimator).fit(X, sample_weight=weight)
        repeated = clone(estimator).fit(np.repeat(X, weight, axis=0))
        assert weighted.objective_ == pytest.approx(repeated.objective_, rel=1e-9)

    def test_missing_values_blocks_noise_and_hard_assignment(self):
        X = clusters(n=200)
        blocks = EMGaussianMixture(5, weight_concentration_prior=0.01, random_state=0).fit(
            lambda: iter([X[:90], X[90:]])
        )
        whole = EMGaussianMixture(5, weight_concentration_prior=0.01, random_state=0).fit(X)
        assert blocks.objective_ == pytest.approx(whole.objective_, rel=1e-9)
        hard = EMGaussianMixture(5, weight_concentration_prior=0.01, assignment="hard", random_state=0).fit(X)
        assert hard.objective_ <= whole.objective_ + 1e-6
        noisy = EMGaussianMixture(5, weight_concentration_prior=0.01, noise=True, random_state=0).fit(X)
        assert noisy.weights_.sum() + noisy.noise_weight_ == pytest.approx(1)
        X[::7, 0] = np.nan
        gaps = EMGaussianMixture(5, weight_concentration_prior=0.01, random_state=0).fit(X)
        assert (gaps.weights_ > 1 / len(X)).sum() == 3

    def test_warm_start_goes_on(self):
        X = clusters(n=200)
        mixture = EMGaussianMixture(5, weight_concentration_prior=0.01, random_state=0, warm_start=True).fit(X)
        first = mixture.objective_
        assert mixture.fit(X).objective_ == pytest.approx(first, abs=1e-3)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"weight_concentration_prior": 0}, "weight_concentration_prior must be None or a number > 0, but got 0"),
            ({"weight_concentration_prior": -1}, "weight_concentration_prior must be a finite number >= 0, but got -1"),
            ({"weight_concentration_prior": "a"}, "weight_concentration_prior must be a finite number"),
            (
                {"weight_concentration_prior_type": "stick"},
                r"weight_concentration_prior_type must be one of \['dirichlet_distribution', 'dirichlet_process'\]",
            ),
            ({"weight_concentration_prior": 1.0, "fixed": ("means",)}, r"fixed must be \(\) with weight_conc"),
            ({"weight_concentration_prior": 1.0, "n_components": "auto"}, "must be None with n_components='auto'"),
        ],
    )
    def test_arguments(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            EMGaussianMixture(**arguments).fit(clusters())

    def test_standard_errors_are_those_of_the_bootstrap(self):
        X = clusters(n=90)
        mixture = EMGaussianMixture(3, weight_concentration_prior=1.0, random_state=0).fit(X)
        with pytest.raises(ValueError, match="which a fit with weight_concentration_prior is not"):
            mixture.standard_errors(X)
        errors = mixture.standard_errors(X, method="bootstrap", n_bootstrap=20)
        assert ((errors["means_"] > 0.3 / np.sqrt(30)) & (errors["means_"] < 3 / np.sqrt(30))).all()

    def test_partial_fit_is_refused(self):
        mixture = EMGaussianMixture(2, weight_concentration_prior=0.5)
        assert not hasattr(mixture, "partial_fit")
        with pytest.raises(AttributeError, match="partial_fit") as raised:
            mixture.partial_fit(clusters())
        assert "needs weight_concentration_prior=None, but got 0.5" in str(raised.value.__cause__)
