"""Fits that a test kills and lets go on, and the process in which one is killed.

    python checkpoint_cases.py NAME FILE WRITES

fits the case of that name with a checkpoint and kills its own process after so many writes of the file.
"""

import os
import signal
import sys

import numpy as np
import pandas as pd
from sklearn.datasets import load_iris

from emkit import (
    EMGaussianMixture,
    EMHiddenMarkov,
    EMImputer,
    EMMixture,
    EMMixtureOfExpertsClassifier,
    EMMixtureOfExpertsRegressor,
    EMTopicModel,
)
from emkit.datasets import load_old_faithful

IRIS = load_iris()
X, GEYSER = IRIS.data, load_old_faithful().data


def forgetful():
    return np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)


def blocks():
    return (X[start : start + 40] for start in range(0, len(X), 40))


def tables():
    table = pd.DataFrame(forgetful(), columns=list("abcd")).assign(wide=IRIS.data[:, 0] > 6)
    return (table[start : start + 40] for start in range(0, len(table), 40))


CASES = {
    "starts": lambda: (EMGaussianMixture(3, random_state=0), {"X": X}),
    "full starts in threads": lambda: (EMGaussianMixture(3, random_state=0, n_init=3, n_jobs=2), {"X": X}),
    "no seed": lambda: (EMGaussianMixture(3), {"X": X}),
    "auto": lambda: (EMGaussianMixture("auto", random_state=0), {"X": X}),
    "blocks": lambda: (EMGaussianMixture(3, random_state=0), {"X": blocks}),
    "weights": lambda: (EMGaussianMixture(3, random_state=0), {"X": X, "sample_weight": 1.0 + (X[:, 0] > 6)}),
    "mixture": lambda: (EMMixture(3, family="student", random_state=0), {"X": X}),
    "states": lambda: (EMHiddenMarkov(2, random_state=0), {"X": GEYSER}),
    "topics": lambda: (EMTopicModel(3, random_state=0), {"X": np.round(X * 10)}),
    "factors": lambda: (EMImputer(model="factor", n_components=1, random_state=0), {"X": forgetful()}),
    "classes": lambda: (EMImputer(model="mixture", n_components=2, random_state=0), {"X": forgetful()}),
    "tables in blocks": lambda: (EMImputer(model="copula", random_state=0), {"X": tables}),
    "regressions": lambda: (EMMixtureOfExpertsRegressor(2, random_state=0), {"X": X[:, :2], "y": X[:, 2]}),
    "classifiers": lambda: (EMMixtureOfExpertsClassifier(2, random_state=0), {"X": X[:, :2], "y": IRIS.target}),
}


def killed_after(n_writes):
    """Let this process die in the middle of a fit, right after its file was written for the n-th time."""
    replace, writes = os.replace, iter(range(n_writes - 1))

    def replace_and_die(source, target):
        replace(source, target)
        if next(writes, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = replace_and_die


if __name__ == "__main__":
    name, path, n_writes = sys.argv[1:]
    estimator, data = CASES[name]()
    killed_after(int(n_writes))
    estimator.set_params(checkpoint=path).fit(**data)
