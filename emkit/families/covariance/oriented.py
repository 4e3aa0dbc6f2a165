"""Covariances with axes of which a part is in common: VEE, EVV, EEV, VEV, EVE and VVE.

Sigma_k = D_k diag(s_k) D_k^T. The columns of D_k are the axes, the variances s_k along them share volume or shape as in
`variances.py`. VEE and EVV do not depend on the units of features and are fitted in units of their scale. The others
do: their axes are orthogonal in the units of the data alone. There the floor bounds the variances along the axes, each
by that of V in its direction u: u^T Sigma_k u is at least floor u^T V u.

References
----------
.. [1] Celeux, G. and Govaert, G. (1995). Gaussian parsimonious clustering models. Pattern Recognition 28(5), 781-793.
   Section 4.1: the M-steps of lambda_k D A D^T (VEE), lambda D_k A_k D_k^T (EVV), lambda D_k A D_k^T (EEV) and
   lambda_k D_k A D_k^T (VEV).
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from .base import SingularCovarianceError
from .dense import Full
from .rotation import Along, along, loss, turned
from .sharing import Sharing
from .variances import ROUNDS, Rule, free, one_shape, one_volume, same

NOTHING = 1e-3  # of the floor: less than that has no axes
AT_FLOOR = 1 + 1e-9
GOLDEN = 0.6180339887498949  # its multiples are spread evenly


class _SharedDense(Sharing, Full):
    """Covariance matrices that share something."""

    def rows_of_full_rank(self, d):
        """What is shared has full rank by the others, and a variance that is its own needs two rows."""
        return 2

    @abstractmethod
    def _maximum(
        self, scatter: np.ndarray, counts: np.ndarray, before: np.ndarray, scale: np.ndarray, floor: float
    ) -> np.ndarray:
        """See `estimate`."""

    def _fit(self, scatter, counts, before, scale, floor):
        try:
            return self._maximum(scatter, counts, before, scale, floor)
        except np.linalg.LinAlgError:  # without a floor numbers may have become infinite
            raise SingularCovarianceError from None

    def _raised(self, covariances, scale, floor):
        return super()._raised(_whole(covariances), scale, floor)


class VEE(_SharedDense):
    """Each component has a volume of its own; shape and axes are the same for all."""

    name = "VEE"

    def n_free(self, k, d):
        return d * (d + 1) // 2 + k - 1

    def _maximum(self, scatter, counts, before, scale, floor):
        """Sigma_k = u_k C, u and C by turns ([1]_)."""
        k, d = len(counts), len(scale)
        units = np.outer(scale, scale)
        flat = _whole(scatter / units).reshape(k, -1)
        volumes = _volumes(before / units)
        with np.errstate(divide="ignore", invalid="ignore"):
            for _ in range(ROUNDS):
                inverse = 1 / volumes
                common = (inverse @ flat / counts.sum()).reshape(d, d)
                common, precision, least = _inverted(common, floor * inverse.max())
                volumes = np.maximum(flat @ precision.ravel() / (d * counts), floor / least)
        return volumes[:, None, None] * (common * units)


class _Oriented(_SharedDense):
    """Variances by `rule` along axes that a subclass chooses."""

    rule: Rule

    @abstractmethod
    def _axes_of(self, covariances: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Axes (k, d, d), or (1, d, d) if they are common, of covariances of the type."""

    def widths(self, covariances, scale, k):
        here = along(self._axes_of(covariances, scale), _roots(covariances, scale), scale)
        directions = here.axes * scale[:, None] / np.sqrt(here.units)[:, None, :]
        return here.squares / here.units, np.broadcast_to(directions, covariances.shape)


class _OwnAxes(_Oriented):
    """Each component has the axes of its scatter; the j-th widest answers to the j-th of a common shape ([1]_)."""

    def _maximum(self, scatter, counts, before, scale, floor):
        here = self._widest_first(scatter, counts, scale, floor)
        variances = self.rule(here.squares, counts, floor, here.units, lambda: _volumes(before))
        if floor > 0 and (variances <= AT_FLOOR * floor * here.units).any():  # the axes before may now be better
            there = along(self._axes_of(before, scale), _roots(scatter, scale), scale)
            others = self.rule(there.squares, counts, floor, there.units, lambda: _volumes(before))
            if loss(others, there.squares, counts) < loss(variances, here.squares, counts):
                here, variances = there, others
        return _composed(here.axes, variances)

    def _widest_first(self, scatter: np.ndarray, counts: np.ndarray, scale: np.ndarray, floor: float) -> Along:
        """Along the axes of the scatter; where that is nothing, along those of V."""
        roots = _roots(scatter, scale)
        here = along(np.linalg.svd(roots)[0], roots, scale)
        little = NOTHING * floor * counts
        if (here.squares < little[:, None] * here.units).any():
            here = along(self._axes_of(scatter + little[:, None, None] * np.diag(scale**2), scale), roots, scale)
        return here

    def _axes_of(self, covariances, scale):
        return np.linalg.svd(_roots(covariances, scale))[0]


class EEV(_OwnAxes):
    """Volume and shape are the same for all components, each with axes of its own."""

    name = "EEV"
    rule = staticmethod(same)

    def n_free(self, k, d):
        return d + k * d * (d - 1) // 2


class VEV(_OwnAxes):
    """The shape is the same for all components, each with volume and axes of its own."""

    name = "VEV"
    rule = staticmethod(one_shape)

    def n_free(self, k, d):
        return k + d - 1 + k * d * (d - 1) // 2


class EVV(_OwnAxes):
    """Each component has a covariance matrix of its own, whose determinant is the same for all."""

    name = "EVV"
    rule = staticmethod(one_volume)

    def n_free(self, k, d):
        return 1 + k * (d * (d + 1) // 2 - 1)

    def rows_of_full_rank(self, d):
        return Full.rows_of_full_rank(self, d)

    def _maximum(self, scatter, counts, before, scale, floor):
        units = np.outer(scale, scale)
        return units * super()._maximum(scatter / units, counts, before / units, np.ones_like(scale), floor)

    def widths(self, covariances, scale, k):
        return Full.widths(self, covariances, scale, k)


class _CommonAxes(_Oriented):
    """All components have the same axes, not always in the same order. See `rotation.py`.

    The axes before are turned. Where all covariances were the same, as at a start, they do not tell what components
    have in common, and those of the pooled scatter are tried as well.
    """

    def _maximum(self, scatter, counts, before, scale, floor):
        examples = [before] if (before != before[0]).any() else [scatter.sum(axis=0)[None], before]
        roots = _roots(scatter, scale)
        turns = [turned(self._axes_of(example, scale), roots, counts, scale, floor, self.rule) for example in examples]
        best = min(turns, key=lambda turn: turn.loss)
        return _composed(best.along.axes, best.variances)

    def _axes_of(self, covariances, scale):
        """Of a sum in which two axes are as wide as each other only if they are in each of the covariances."""
        k, d = covariances.shape[:2]
        shares = (1 + np.arange(k) * GOLDEN % 1) / np.einsum("kii,i->k", covariances, scale**-2.0)
        return np.linalg.svd(_roots((shares @ covariances.reshape(k, -1)).reshape(1, d, d), scale))[0]


class EVE(_CommonAxes):
    """Axes and volume are the same for all components, each with a shape of its own."""

    name = "EVE"
    rule = staticmethod(one_volume)

    def n_free(self, k, d):
        return 1 + k * (d - 1) + d * (d - 1) // 2


class VVE(_CommonAxes):
    """Axes are the same for all components, each with variances along them of its own."""

    name = "VVE"
    rule = staticmethod(free)

    def n_free(self, k, d):
        return k * d + d * (d - 1) // 2


def _roots(matrices: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """G with matrix = G G^T, lower triangles read; rows are as small as their feature, so that none loses digits."""
    in_units = matrices / np.outer(scale, scale)
    try:
        roots = np.linalg.cholesky(in_units)
    except np.linalg.LinAlgError:  # singular
        values, vectors = np.linalg.eigh(in_units)
        roots = vectors * np.sqrt(np.maximum(values, 0))[:, None, :]
    return roots * scale[:, None]


def _composed(axes: np.ndarray, variances: np.ndarray) -> np.ndarray:
    if not variances.min() > 0:
        raise SingularCovarianceError
    roots = axes * np.sqrt(variances)[:, None, :]
    return roots @ roots.swapaxes(1, 2)


def _volumes(matrices: np.ndarray) -> np.ndarray:
    """d-th roots of the determinants, (k,)."""
    volumes: np.ndarray = np.exp(np.linalg.slogdet(matrices)[1] / matrices.shape[-1])
    return volumes


def _whole(lower: np.ndarray) -> np.ndarray:
    """Symmetric matrices from their lower triangles."""
    return np.tril(lower) + np.tril(lower, -1).swapaxes(1, 2)


def _inverted(matrix: np.ndarray, lowest: float) -> tuple[np.ndarray, np.ndarray, float]:
    """A matrix with eigenvalues raised to `lowest`, its inverse, and the least eigenvalue."""
    values, vectors = np.linalg.eigh(matrix)
    if values[0] < lowest:
        values = np.maximum(values, lowest)
        matrix = (vectors * values) @ vectors.T
    return matrix, (vectors / values) @ vectors.T, values[0]
