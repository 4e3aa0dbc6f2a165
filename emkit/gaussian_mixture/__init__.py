"""The Gaussian mixture: `fitting.py` goes from rows to a mixture, `estimator.py` is its scikit-learn face."""

from .estimator import EMGaussianMixture

__all__ = ["EMGaussianMixture"]
