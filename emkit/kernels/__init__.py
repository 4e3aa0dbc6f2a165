"""The compiled core: densities and EM steps over plain arrays. It knows no model, no option string, no validation.

`reference.py` is a plain NumPy twin of each kernel: it says what the kernel computes, and the tests hold one to the
other.
"""

from ._kernels import (
    em_step_diag,
    em_step_full,
    em_step_missing,
    factorise,
    log_density_diag,
    log_density_full,
    log_density_missing,
    moments_diag,
    moments_full,
    moments_missing,
    softmax,
)

__all__ = [
    "em_step_diag",
    "em_step_full",
    "em_step_missing",
    "factorise",
    "log_density_diag",
    "log_density_full",
    "log_density_missing",
    "moments_diag",
    "moments_full",
    "moments_missing",
    "softmax",
]
