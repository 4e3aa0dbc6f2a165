"""All that depends on `covariance_type`: one class a type, in the table `COVARIANCES`."""

from .base import Covariance, Prepared, SingularCovarianceError
from .dense import EEE, VVV, Full, Tied
from .diagonal import EEI, EII, EVI, VEI, VII, VVI, Diag, Spherical
from .oriented import EEV, EVE, EVV, VEE, VEV, VVE

__all__ = ["COVARIANCES", "Covariance", "Prepared", "SingularCovarianceError"]

COVARIANCES: dict[str, Covariance] = {
    covariance.name: covariance
    for covariance in (
        *(Full(), Tied(), Diag(), Spherical()),  # the names of scikit-learn
        *(EII(), VII(), EEI(), VEI(), EVI(), VVI()),  # those of mclust
        *(EEE(), VEE(), EVE(), VVE(), EEV(), VEV(), EVV(), VVV()),
    )
}
