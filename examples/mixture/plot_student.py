"""
Wrong rows: Student's t in place of Gaussians
=============================================

In six rows of Old Faithful the decimal points slipped, so that an eruption of 3.6 minutes lasts 36. Gaussian components
must account for them, and one of two goes there. Components of Student's t let a row lie far out.
"""

import matplotlib.pyplot as plt
import numpy as np

from emkit import EMMixture
from emkit.datasets import load_old_faithful
from emkit.plot import MixtureDisplay

clean = load_old_faithful(as_frame=True).data
X = clean.copy()
X.iloc[::50] *= 10

figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained", sharey=True)
for family, ax in zip(("gaussian", "student"), axes, strict=True):
    mixture = EMMixture(2, family=family, random_state=0).fit(X)
    MixtureDisplay.from_estimator(mixture, X, levels=(0.5, 0.8), ax=ax)
    ax.set(title=family, xlim=(1, 6), ylim=(35, 105))
    print(
        f"{family:9s} means {mixture.means_.round(1).tolist()}, log-likelihood {mixture.objective_:.0f}"
    )
plt.show()

# %%
# The six rows are outside both pictures. ``degrees_of_freedom_`` tell which component holds far rows: some few mean
# long tails, hundreds are nearly Gaussian. How unlike its component a row is shows in its log density:

print("degrees of freedom:", mixture.degrees_of_freedom_.round(1))
lowest = np.sort(mixture.score_samples(X).argsort()[:6])
print("the six rows of the lowest density:", lowest)
