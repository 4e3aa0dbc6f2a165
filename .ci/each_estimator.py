"""Fit every estimator of an installed emkit to data that it brings. Needs nothing but emkit and what that requires."""

import numpy as np

import emkit
from emkit.datasets import load_earthquakes, load_ethanol, load_old_faithful

eruptions = load_old_faithful().data
counts = load_earthquakes().data
engine = load_ethanol().data
late = (eruptions[:, 1] > 70).astype(int)

gappy = eruptions.copy()
gappy[::7, 0] = np.nan

fitted = [
    emkit.EMGaussianMixture(2, random_state=0).fit(eruptions),
    emkit.EMMixture(2, family="student", random_state=0).fit(gappy),
    emkit.EMHiddenMarkov(2, emission="poisson", random_state=0).fit(counts),
    emkit.EMTopicModel(2, random_state=0).fit(np.round(eruptions)),
    emkit.EMImputer(random_state=0).fit(gappy),
    emkit.EMMixtureOfExpertsRegressor(2, random_state=0).fit(engine[:, 1:], engine[:, 0]),
    emkit.EMMixtureOfExpertsClassifier(2, random_state=0).fit(eruptions[:, :1], late),
]
for estimator in fitted:
    assert np.isfinite(estimator.objective_), estimator
print(f"emkit {emkit.__version__}: {len(fitted)} estimators of {emkit.__file__}")
