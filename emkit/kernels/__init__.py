"""The compiled core: densities and EM steps over plain arrays. It knows no model, no option string, no validation.

`reference.py` is a plain NumPy twin of each kernel: it says what the kernel computes, and the tests hold one to the
other.
"""

from ._kernels import em_step_diag, em_step_full, factorise, log_density_diag, log_density_full

__all__ = ["em_step_diag", "em_step_full", "factorise", "log_density_diag", "log_density_full"]
