"""Hidden Markov models by brute force: every sum and maximum over ALL paths of states, densities from scipy.stats.

Slow and simple: the oracle of the tests. Nothing here uses emkit but to set the attributes of an estimator.
"""

from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.special import digamma, logsumexp

from emkit import EMHiddenMarkov


class AllPaths:
    """One sequence: all paths (m, t) of k states and their log joint probability with the rows, (m,)."""

    def __init__(self, startprob, transmat, log_density):
        n, k = log_density.shape
        self.k = k
        self.paths = np.indices((k,) * n).reshape(n, -1).T
        with np.errstate(divide="ignore"):
            log_start, log_moves = np.log(startprob), np.log(transmat)
        self.log_joint = log_start[self.paths[:, 0]] + log_density[np.arange(n), self.paths].sum(axis=1)
        self.log_joint += log_moves[self.paths[:, :-1], self.paths[:, 1:]].sum(axis=1)

    @property
    def log_likelihood(self):
        return logsumexp(self.log_joint)

    @property
    def probability(self):
        """Of each path, given the rows."""
        return np.exp(self.log_joint - self.log_likelihood)

    def proba(self):
        """Of each state at each row, (t, k)."""
        return np.stack([self.probability @ (self.paths == state) for state in range(self.k)], axis=1)

    def pairs(self):
        """Expected number of transitions, (k, k)."""
        a, b = self.paths[:, :-1, None, None], self.paths[:, 1:, None, None]
        states = np.arange(self.k)
        counts = ((a == states[:, None]) & (b == states)).sum(axis=1)
        return np.tensordot(self.probability, counts, axes=1)

    def entropy(self):
        return stats.entropy(self.probability)

    def number(self, path):
        """Where a path (t,) stands in `paths`."""
        return np.ravel_multi_index(path, (self.k,) * len(path))


def conditional(x, mean, covariance):
    """E[x - mean] (d,) and the covariance (d, d) of a Gaussian row given what is observed of it."""
    seen = ~np.isnan(x)
    gain = covariance[:, seen] @ np.linalg.inv(covariance[np.ix_(seen, seen)])
    return gain @ (x - mean)[seen], covariance - gain @ covariance[seen]


class Gaussian:
    """Emissions have: log density (k,), mean and variance (k, d), moments of one row under responsibilities (k,)."""

    def __init__(self, rng, k, d=2, covariance_type="full"):
        roots = rng.normal(size=(k, d, d)) * 0.4 + np.eye(d)
        dense = roots @ roots.swapaxes(1, 2)
        self.kind = covariance_type
        self.means = rng.normal(size=(k, d)) * 1.5
        if covariance_type == "full":
            self.covariances = dense
        elif covariance_type == "tied":
            self.covariances = dense[0]
            dense = dense[[0] * k]
        elif covariance_type == "diag":
            self.covariances = np.diagonal(dense, axis1=1, axis2=2).copy()
            dense = dense * np.eye(d)
        else:
            self.covariances = dense[:, 0, 0].copy() if covariance_type == "spherical" else dense[0, 0, 0]
            dense = np.broadcast_to(self.covariances, (k,))[:, None, None] * np.eye(d)
        self.dense = dense
        self.arguments = {"emission": "gaussian", "covariance_type": covariance_type}
        self.parts = {"means": self.means, "covariances": self.covariances}
        self.mean, self.variance = self.means, np.diagonal(dense, axis1=1, axis2=2)

    def draw(self, rng, state):
        return rng.multivariate_normal(self.means[state], self.dense[state])

    def log_density(self, x):
        seen = ~np.isnan(x)
        if not seen.any():
            return np.zeros(len(self.means))
        laws = zip(self.means[:, seen], self.dense[:, seen][:, :, seen], strict=True)
        return np.array([stats.multivariate_normal.logpdf(x[seen], *law) for law in laws])

    def layout(self, scatter):
        """Scatter (k, d, d) as the covariance type sums it; of matrices the lower triangle."""
        if self.kind in ("full", "tied"):
            return np.tril(scatter if self.kind == "full" else scatter.sum(axis=0, keepdims=True))
        return np.diagonal(scatter, axis1=1, axis2=2)

    def moments(self, x, resp):
        given = [conditional(x, *law) for law in zip(self.means, self.dense, strict=True)]
        delta = np.array([pair[0] for pair in given])
        second = np.array([np.outer(e, e) + c for e, c in given])
        return resp, resp[:, None] * delta, self.layout(resp[:, None, None] * second)


class Student(Gaussian):
    def __init__(self, rng, k, d=2):
        super().__init__(rng, k, d)
        self.nu = rng.uniform(2.5, 8, k)
        self.arguments = {"emission": "student"}
        self.parts["degrees_of_freedom"] = self.nu
        self.variance = self.variance * (self.nu / (self.nu - 2))[:, None]

    def log_density(self, x):
        seen = ~np.isnan(x)
        if not seen.any():
            return np.zeros(len(self.means))
        laws = zip(self.means[:, seen], self.dense[:, seen][:, :, seen], self.nu, strict=True)
        return np.array([stats.multivariate_t.logpdf(x[seen], *law) for law in laws])

    def moments(self, x, resp):
        seen = ~np.isnan(x)
        apart = (x - self.means)[:, seen]
        inverse = np.linalg.inv(self.dense[:, seen][:, :, seen])
        shape, rate = (self.nu + seen.sum()) / 2, (self.nu + np.einsum("ki,kij,kj->k", apart, inverse, apart)) / 2
        u, log_u = shape / rate, digamma(shape) - np.log(rate)
        given = [conditional(x, *law) for law in zip(self.means, self.dense, strict=True)]
        sums = np.array([e for e, _ in given]) * (resp * u)[:, None]
        second = np.array([precision * np.outer(e, e) + c for precision, (e, c) in zip(u, given, strict=True)])
        return resp, resp * u, sums, np.tril(resp[:, None, None] * second), resp * (log_u - u)


class Mixture:
    def __init__(self, rng, k, d=2, n_mix=2, covariance_type="full"):
        self.flat = Gaussian(rng, k * n_mix, d, covariance_type)
        self.weights = rng.dirichlet(np.ones(n_mix) * 2, k)
        self.shape = (k, n_mix)
        shared = covariance_type == "tied"
        covariances = self.flat.covariances if shared else self.flat.covariances.reshape(k, n_mix, d, d)
        self.parts = {
            "weights": self.weights,
            "means": self.flat.means.reshape(k, n_mix, d),
            "covariances": covariances,
        }
        self.arguments = {"emission": "mixture", "n_mix": n_mix, "covariance_type": covariance_type}
        share, means = self.weights[:, :, None], self.parts["means"]
        squares = self.flat.variance.reshape(k, n_mix, d) + means**2
        self.mean = (share * means).sum(axis=1)
        self.variance = (share * squares).sum(axis=1) - self.mean**2

    def draw(self, rng, state):
        return self.flat.draw(rng, state * self.shape[1] + rng.choice(self.shape[1], p=self.weights[state]))

    def _joint(self, x):
        return np.log(self.weights) + self.flat.log_density(x).reshape(self.shape)

    def log_density(self, x):
        return logsumexp(self._joint(x), axis=1)

    def moments(self, x, resp):
        share = np.exp(self._joint(x) - self.log_density(x)[:, None])
        return self.flat.moments(x, (resp[:, None] * share).ravel())


class Categorical:
    def __init__(self, rng, k, symbols=(3,), zeros=False):
        self.tables = [rng.dirichlet(np.ones(m), k) for m in symbols]
        if zeros:
            self.tables[0][0, 0] = 0.0
            self.tables[0] /= self.tables[0].sum(axis=1, keepdims=True)
        self.arguments = {"emission": "categorical"}
        self.parts = {"emissionprob": self.tables[0] if len(symbols) == 1 else self.tables}
        numbers = [np.arange(m) for m in symbols]
        self.mean = np.stack([t @ v for t, v in zip(self.tables, numbers, strict=True)], axis=1)
        self.variance = np.stack([t @ v**2 for t, v in zip(self.tables, numbers, strict=True)], axis=1) - self.mean**2

    def draw(self, rng, state):
        return np.array([rng.choice(table.shape[1], p=table[state]) for table in self.tables], dtype=float)

    def log_density(self, x):
        cells = [table[:, int(v)] for table, v in zip(self.tables, x, strict=True) if not np.isnan(v)]
        with np.errstate(divide="ignore"):
            return np.sum([np.zeros(len(self.tables[0])), *np.log(cells)], axis=0)

    def moments(self, x, resp):
        return (np.hstack([np.outer(resp, np.arange(t.shape[1]) == v) for t, v in zip(self.tables, x, strict=True)]),)


class Columns:
    """Independent columns with a mean each: Poisson, Bernoulli."""

    def __init__(self, rng, k, d=2, kind="poisson"):
        self.kind = kind
        self.mean = rng.uniform(0.5, 9, (k, d)) if kind == "poisson" else rng.uniform(0.1, 0.9, (k, d))
        self.law = stats.poisson(self.mean) if kind == "poisson" else stats.bernoulli(self.mean)
        self.variance = self.law.var()
        self.arguments = {"emission": kind}
        self.parts = {"rates" if kind == "poisson" else "emissionprob": self.mean}

    def draw(self, rng, state):
        law = rng.poisson(self.mean[state]) if self.kind == "poisson" else rng.random(2) < self.mean[state]
        return law.astype(float)

    def log_density(self, x):
        return np.where(np.isnan(x), 0.0, self.law.logpmf(np.nan_to_num(x))).sum(axis=1)

    def moments(self, x, resp):
        return np.outer(resp, ~np.isnan(x)), np.outer(resp, np.nan_to_num(x))


class Mixed:
    """Columns 0 and 2 Gaussian, 1 and 3 Poisson."""

    def __init__(self, rng, k):
        self.kinds = [([0, 2], Gaussian(rng, k)), ([1, 3], Columns(rng, k))]
        self.arguments = {"emission": ["gaussian", "poisson"] * 2}
        self.parts = {name: part for _, one in self.kinds for name, part in one.parts.items()}
        self.mean, self.variance = np.empty((k, 4)), np.empty((k, 4))
        for columns, one in self.kinds:
            self.mean[:, columns], self.variance[:, columns] = one.mean, one.variance

    def draw(self, rng, state):
        x = np.empty(4)
        for columns, one in self.kinds:
            x[columns] = one.draw(rng, state)
        return x

    def log_density(self, x):
        return sum(one.log_density(x[columns]) for columns, one in self.kinds)

    def moments(self, x, resp):
        return tuple(one.moments(x[columns], resp) for columns, one in self.kinds)


EMISSIONS = {
    **{
        f"gaussian {t}": lambda rng, k, t=t: Gaussian(rng, k, 2, t)
        for t in ("full", "tied", "diag", "spherical", "EII")
    },
    "gaussian of one column": lambda rng, k: Gaussian(rng, k, 1),
    "mixture": Mixture,
    "mixture tied": lambda rng, k: Mixture(rng, k, covariance_type="tied"),
    "student": Student,
    "categorical": Categorical,
    "categorical with zeros": lambda rng, k: Categorical(rng, k, zeros=True),
    "categorical of two columns": lambda rng, k: Categorical(rng, k, (3, 2)),
    "poisson": Columns,
    "bernoulli": lambda rng, k: Columns(rng, k, kind="bernoulli"),
    "mixed": Mixed,
}


class Problem(NamedTuple):
    """A model, sequences drawn from it, and the same as an estimator whose attributes were set by hand."""

    emission: object
    startprob: np.ndarray
    transmat: np.ndarray
    X: np.ndarray
    lengths: list
    weight: np.ndarray  # (s,)
    labels: np.ndarray

    @property
    def estimator(self):
        model = EMHiddenMarkov(len(self.startprob), random_state=0, **self.emission.arguments)
        parts = {"startprob": self.startprob, "transmat": self.transmat, **self.emission.parts}
        for name, part in parts.items():
            setattr(model, f"{name}_", part)
        return model

    @property
    def row_weight(self):
        return np.repeat(self.weight, self.lengths)

    @property
    def sequences(self):
        return np.split(self.X, np.cumsum(self.lengths)[:-1])

    def all_paths(self, x, labels=None):
        """Of the rows x of one sequence."""
        log_density = np.array([self.emission.log_density(row) for row in x])
        if labels is not None:
            log_density[(labels >= 0)[:, None] & (labels[:, None] != np.arange(len(self.startprob)))] = -np.inf
        return AllPaths(self.startprob, self.transmat, log_density)

    def each(self, labelled=False):
        """All paths of each sequence."""
        labels = np.split(self.labels, np.cumsum(self.lengths)[:-1])
        return [self.all_paths(x, of if labelled else None) for x, of in zip(self.sequences, labels, strict=True)]


def problem(name, k=3, lengths=(1, 5, 2, 6), missing=0.0, zeros=False, seed=0):
    """Left to right with `zeros`; with `missing` some cells, and a whole row of each longer sequence."""
    rng = np.random.default_rng([seed, k, len(name)])
    emission = EMISSIONS[name](rng, k)
    startprob, transmat = rng.dirichlet(np.ones(k)), rng.dirichlet(np.ones(k), k)
    if zeros:
        startprob = np.eye(k)[0]
        transmat = np.triu(transmat)
        transmat /= transmat.sum(axis=1, keepdims=True)
    rows, states = [], []
    for n in lengths:
        state = rng.choice(k, p=startprob)
        for t in range(n):
            state = rng.choice(k, p=transmat[state]) if t else state
            states.append(state)
            rows.append(emission.draw(rng, state))
    X = np.array(rows)
    if missing:
        X[rng.random(X.shape) < missing] = np.nan
        X[np.cumsum(lengths)[np.array(lengths) > 2] - 2] = np.nan
    labels = np.where(rng.random(len(X)) < 0.3, states, -1)
    return Problem(emission, startprob, transmat, X, list(lengths), rng.uniform(0.5, 3, len(lengths)), labels)
