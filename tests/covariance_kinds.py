"""The fourteen covariance types of mclust, and covariances of each from as many numbers as it has free parameters."""

import numpy as np
from scipy.linalg import expm

MCLUST = ("EII", "VII", "EEI", "VEI", "EVI", "VVI", "EEE", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV", "VVV")
ALIASES = {"EEE": "tied", "VVI": "diag", "VII": "spherical", "VVV": "full"}
SHARING = ("VEI", "EVI", "VEE", "EVE", "VVE", "EEV", "VEV", "EVV")


def from_numbers(name, numbers, k, d):
    """Covariances (k, d, d) of a type from unconstrained numbers; and how many of these there are."""
    used = 0

    def take(*shape):
        nonlocal used
        size = int(np.prod(shape))
        used += size
        return numbers[used - size : used].reshape(shape)

    volumes = np.broadcast_to(take({"E": 1, "V": k}[name[0]]), k)
    shapes = np.zeros((k, d))
    if name[1] != "I":
        shapes[:, 1:] = take({"E": 1, "V": k}[name[1]], d - 1)
        shapes -= shapes.mean(axis=1, keepdims=True)
    axes = np.tile(np.eye(d), (k, 1, 1))
    if name[2] != "I":
        angles = np.zeros(({"E": 1, "V": k}[name[2]], d, d))
        lower = np.tril_indices(d, -1)
        angles[:, lower[0], lower[1]] = take(len(angles), len(lower[0]))
        axes[:] = [expm(a - a.T) for a in angles]
    variances = np.exp(volumes[:, None] + shapes)
    return (axes * variances[:, None, :]) @ axes.swapaxes(1, 2), used


def n_numbers(name, k, d):
    return from_numbers(name, np.zeros(10_000), k, d)[1]
