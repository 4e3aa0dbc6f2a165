"""How often the true number of components is found: EMGaussianMixture("auto"), a prior, BIC over K = 1..10, and peers.

    python tests/benchmarks/auto.py [--rows 80 300 2000] [--features 2 3 4] [--sets 50] [--first 1000] [--only NAME ...]

Each data set has four normal components of random means and full covariances, of which 2 to 10 percent of the rows are
on the wrong side of the best border. A line for each method: how often four were found, the mean log-likelihood of
20,000 further rows less that of the truth (nats per row; mean and median over data sets), and seconds a data set.
Data sets 0 to 49 were used to choose settings, those from 1000 on to report. The message length of Figueiredo and Jain
(2002) is here as published, in NumPy: it is what "auto" was first meant to be.
"""

from __future__ import annotations

import argparse
import time
import warnings
from functools import partial

import numpy as np
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.mixture import BayesianGaussianMixture

from emkit import EMGaussianMixture

TRUE = 4
MOST = 10


def log_joint(X, weights, means, covariances):
    laws = [multivariate_normal(mean, covariance) for mean, covariance in zip(means, covariances, strict=True)]
    return np.log(weights) + np.stack([law.logpdf(X) for law in laws], axis=1)


def draw(n, weights, means, covariances, rng):
    labels = rng.choice(len(weights), n, p=weights)
    X = np.empty((n, len(means[0])))
    for k, (mean, covariance) in enumerate(zip(means, covariances, strict=True)):
        X[labels == k] = rng.multivariate_normal(mean, covariance, (labels == k).sum())
    return X, labels


def truth(seed, d):
    """Weights, means, covariances of moderate overlap, and the generator after them."""
    rng = np.random.default_rng([seed, d])
    while True:
        means = rng.normal(0, rng.uniform(1.5, 4), (TRUE, d))
        roots = rng.normal(size=(TRUE, d, d + 2))
        covariances = roots @ roots.swapaxes(1, 2) / (d + 2) * rng.uniform(0.4, 1.6, (TRUE, 1, 1))
        weights = rng.dirichlet(np.full(TRUE, 6.0))
        X, labels = draw(4000, weights, means, covariances, rng)
        wrong = (log_joint(X, weights, means, covariances).argmax(axis=1) != labels).mean()
        if weights.min() >= 0.1 and 0.02 < wrong < 0.10:
            return weights, means, covariances, rng


def found(mixture, X):
    return len(np.unique(mixture.predict(X))), mixture.score


def auto(X):
    return found(EMGaussianMixture("auto", random_state=0).fit(X), X)


def bic_path(X):
    fits = [EMGaussianMixture(k, random_state=0).fit(X) for k in range(1, MOST + 1)]
    return found(min(fits, key=lambda fit: fit.bic(X)), X)


def prior(kind):
    def fit(X):
        arguments = {"weight_concentration_prior": 1e-3, "weight_concentration_prior_type": f"dirichlet_{kind}"}
        return found(EMGaussianMixture(MOST, random_state=0, **arguments).fit(X), X)

    return fit


def scikit_learn(kind, n_init):
    def fit(X):
        arguments = {"weight_concentration_prior": 1e-3, "weight_concentration_prior_type": f"dirichlet_{kind}"}
        made = BayesianGaussianMixture(n_components=MOST, max_iter=1000, n_init=n_init, random_state=0, **arguments)
        return found(made.fit(X), X)

    return fit


def message_length(X, most=25, tolerance=1e-5):
    """Component-wise EM of Figueiredo and Jain (2002), figure 2: least of their equation (15)."""
    rng, (n, d) = np.random.default_rng(0), X.shape
    own = d + d * (d + 1) / 2
    weights, means = np.full(most, 1 / most), X[rng.choice(n, most, replace=False)]
    covariances = np.array([np.eye(d) * X.var(axis=0).mean() / 10] * most)
    density = log_joint(X, np.ones(most), means, covariances)
    floor = 1e-6 * np.diag(X.var(axis=0))

    def without(m):
        return (np.delete(a, m, axis=-1 if a is density else 0) for a in (weights, means, covariances, density))

    def length():
        k, total = len(weights), logsumexp(density + np.log(weights), axis=1).sum()
        return own / 2 * np.log(n * weights / 12).sum() + k / 2 * np.log(n / 12) + k * (own + 1) / 2 - total

    best, parts, now = np.inf, (), length()
    while True:
        for _ in range(500):
            m = 0
            while m < len(weights):
                joint = density + np.log(weights)
                resp = np.exp(joint - logsumexp(joint, axis=1, keepdims=True))
                kept = np.maximum(resp.sum(axis=0) - own / 2, 0)
                weights[m] = kept[m] / max(kept.sum(), 1e-9)
                if weights[m] > 0 or len(weights) == 1:
                    weights[m] = weights[m] or 1.0
                    means[m] = resp[:, m] @ X / resp[:, m].sum()
                    away = X - means[m]
                    covariances[m] = (resp[:, m, None] * away).T @ away / resp[:, m].sum() + floor
                    density[:, m] = multivariate_normal(means[m], covariances[m]).logpdf(X)
                    m += 1
                else:
                    weights, means, covariances, density = without(m)
                weights = weights / weights.sum()
            before, now = now, length()
            if abs(now - before) < tolerance * abs(now):
                break
        if now < best:
            best, parts = now, (weights.copy(), means.copy(), covariances.copy())
        if len(weights) == 1:
            return len(parts[0]), partial(score_of, parts)
        weights, means, covariances, density = without(int(weights.argmin()))
        weights, now = weights / weights.sum(), length()


def score_of(parts, X):
    return logsumexp(log_joint(X, *parts), axis=1).mean()


METHODS = {
    "auto": auto,
    "BIC over K": bic_path,
    "message length": message_length,
    "Dirichlet": prior("distribution"),
    "Dirichlet process": prior("process"),
    "scikit-learn Dirichlet": scikit_learn("distribution", 1),
    "scikit-learn Dirichlet, n_init=5": scikit_learn("distribution", 5),
    "scikit-learn process": scikit_learn("process", 1),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[80, 300, 2000])
    parser.add_argument("--features", type=int, nargs="+", default=[2, 3, 4])
    parser.add_argument("--sets", type=int, default=50)
    parser.add_argument("--first", type=int, default=1000)
    parser.add_argument("--only", default=list(METHODS), nargs="+", help="names of methods")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    for n in arguments.rows:
        for d in arguments.features:
            for name, method in METHODS.items():
                if name in arguments.only:
                    report(name, method, n, d, range(arguments.first, arguments.first + arguments.sets))


def report(name, method, n, d, seeds):
    results = []
    for seed in seeds:
        *parts, rng = truth(seed, d)
        held_out = draw(20_000, *parts, rng)[0]
        X = draw(n, *parts, rng)[0]
        began = time.perf_counter()
        k, score = method(X)
        seconds = time.perf_counter() - began
        results.append((k, score(held_out) - score_of(parts, held_out), seconds))
    k, lost, seconds = np.array(results).T
    print(
        f"{n:6d} x {d}  {name:34s} {int((k == TRUE).sum()):3d} of {len(k)}   mean K {k.mean():5.2f}   "
        f"{lost.mean():7.3f} {np.median(lost):7.3f}   {seconds.mean():7.3f} s",
        flush=True,
    )


if __name__ == "__main__":
    main()
