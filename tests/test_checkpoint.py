"""Checkpoints: a fit that was killed goes on to the same bits; a file of another fit is refused by name."""

import os
import pickle
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from checkpoint_cases import CASES, GEYSER, X, blocks
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV

from emkit import (
    ComponentSearch,
    EMGaussianMixture,
    EMHiddenMarkov,
    EMMixtureOfExpertsRegressor,
    EMTopicModel,
)

pytestmark = pytest.mark.filterwarnings("ignore::emkit._estimator.DegenerateSolutionWarning")
OTHER_DATA = "to EMGaussianMixture with the same parameters on other data"
OTHER_PARAMETERS = "to EMGaussianMixture with other parameters"


def kill_in_mid_fit(name, path, n_writes):
    script = Path(__file__).with_name("checkpoint_cases.py")
    child = subprocess.run([sys.executable, script, name, path, str(n_writes)], check=False, capture_output=True)
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()


def assert_same_state(one, other):
    """All fitted attributes to the bit, but for the seconds."""
    assert one._fit_attributes().keys() == other._fit_attributes().keys()
    for name, value in one._fit_attributes().items():
        if name.endswith("_") and isinstance(value, np.ndarray) and value.dtype.names is None:
            assert_array_equal(value, getattr(other, name), err_msg=name)
    for name in ("start", "iteration", "objective", "change", "phase"):
        assert_array_equal(one.history_[name], other.history_[name])
    assert (one.objective_, one.n_iter_, one.n_e_steps_, one.converged_) == (
        *(other.objective_, other.n_iter_, other.n_e_steps_, other.converged_),
    )


def n_writes_of(path, estimator, data):
    """How often a whole fit writes its file."""
    count, replace = 0, os.replace

    def counting(source, target):
        nonlocal count
        count += 1
        replace(source, target)

    os.replace = counting
    try:
        estimator.set_params(checkpoint=path).fit(**data)
    finally:
        os.replace = replace
    return count


class TestKilled:
    @pytest.mark.parametrize("name", [name for name in CASES if name != "no seed"])
    def test_goes_on_to_the_same_bits(self, name, tmp_path):
        """Killed after a third of its passes, and again after another third."""
        estimator, data = CASES[name]()
        n_writes = n_writes_of(tmp_path / "whole", clone(estimator), data)
        assert n_writes > 10
        kill_in_mid_fit(name, tmp_path / "killed", n_writes // 3)
        kill_in_mid_fit(name, tmp_path / "killed", n_writes // 3)
        left = n_writes_of(tmp_path / "killed", resumed := clone(estimator), data)
        assert left < n_writes / 2
        assert_same_state(resumed, estimator.fit(**data))

    def test_without_a_seed_the_file_has_it(self, tmp_path):
        """The starts of the fit that goes on are those of the fit that was killed."""
        path = tmp_path / "file"
        kill_in_mid_fit("no seed", path, 30)
        copy = tmp_path / "copy"
        copy.write_bytes(path.read_bytes())
        one, other = (EMGaussianMixture(3, checkpoint=file).fit(X) for file in (path, copy))
        assert_same_state(one, other)

    def test_by_a_user(self, tmp_path, monkeypatch):
        """An interrupt leaves the estimator as it was, the file with what was reached, and no other files."""
        mixture = EMGaussianMixture(3, random_state=0, checkpoint=tmp_path / "file")
        replace, writes = os.replace, iter(range(20))

        def interrupted(source, target):
            if next(writes, None) is None:
                raise KeyboardInterrupt
            replace(source, target)

        monkeypatch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            mixture.fit(X)
        monkeypatch.undo()
        assert os.listdir(tmp_path) == ["file"]
        assert not hasattr(mixture, "means_")
        assert_same_state(mixture.fit(X), EMGaussianMixture(3, random_state=0).fit(X))


class TestFinished:
    def test_is_returned_at_once(self, tmp_path):
        mixture = EMGaussianMixture(3, random_state=0, checkpoint=tmp_path / "file").fit(X)
        again = clone(mixture)
        assert n_writes_of(tmp_path / "file", again, {"X": X}) == 0
        assert_same_state(again, mixture)
        assert_array_equal(again.predict_proba(X), mixture.predict_proba(X))

    def test_warns_again(self, tmp_path):
        mixture = EMGaussianMixture(3, random_state=0, max_iter=3, n_init=1, checkpoint=tmp_path / "file")
        for _ in range(2):
            with pytest.warns(ConvergenceWarning):
                mixture.fit(X)

    def test_other_threads_and_logs_are_the_same_fit(self, tmp_path):
        path = tmp_path / "file"
        mixture = EMGaussianMixture(3, random_state=0, checkpoint=path).fit(X)
        assert n_writes_of(path, clone(mixture).set_params(n_jobs=2, verbose=1), {"X": X}) == 0

    def test_updates_need_no_file(self, tmp_path):
        mixture = EMGaussianMixture(3, random_state=0, checkpoint=tmp_path / "file").partial_fit(X).partial_fit(X)
        assert not os.listdir(tmp_path)
        assert mixture.n_iter_ > 1

    def test_warm_start_is_a_fit_of_its_own(self, tmp_path):
        options = {"random_state": 0, "warm_start": True, "n_init": 1}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            mixture = EMGaussianMixture(3, max_iter=4, checkpoint=tmp_path, **options).fit(X).fit(X)
            plain = EMGaussianMixture(3, max_iter=4, **options).fit(X).fit(X)
        assert len(os.listdir(tmp_path)) == 2
        assert_same_state(mixture, plain)


class TestDirectory:
    def test_has_a_file_for_each_fit(self, tmp_path):
        grid = {"n_components": [1, 2], "covariance_type": ["full", "diag"]}
        mixture = EMGaussianMixture(random_state=0, n_init=1, checkpoint=tmp_path)
        search = GridSearchCV(mixture, grid, cv=2).fit(X)
        plain = GridSearchCV(clone(mixture).set_params(checkpoint=None), grid, cv=2).fit(X)
        assert len(os.listdir(tmp_path)) == 9
        assert_array_equal(search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"])

    def test_of_a_search(self, tmp_path):
        options = {"n_components": [1, 2], "random_state": 0}
        search = ComponentSearch(EMGaussianMixture(checkpoint=tmp_path), **options).fit(X)
        assert os.listdir(tmp_path)
        again, plain = (
            ComponentSearch(EMGaussianMixture(checkpoint=place), **options).fit(X) for place in (tmp_path, None)
        )
        for found in (again, plain):
            assert_array_equal(found.results_["bic"], search.results_["bic"])


class TestRefused:
    @pytest.fixture
    def path(self, tmp_path):
        EMGaussianMixture(2, random_state=0, checkpoint=tmp_path / "file").fit(X)
        return tmp_path / "file"

    @pytest.mark.parametrize(
        ("estimator", "data", "message"),
        [
            (EMGaussianMixture(3, random_state=0), X, OTHER_PARAMETERS),
            (EMGaussianMixture(2, random_state=1), X, OTHER_PARAMETERS),
            (EMGaussianMixture(2, random_state=0), X[1:], OTHER_DATA),
            (EMGaussianMixture(2, random_state=0), X.astype(np.float32), OTHER_DATA),
            (EMGaussianMixture(2, random_state=0), blocks, OTHER_DATA),
            (EMHiddenMarkov(2, random_state=0), GEYSER, "to EMGaussianMixture, not to EMHiddenMarkov"),
        ],
    )
    def test_file_of_another_fit(self, path, estimator, data, message):
        before = path.read_bytes()
        with pytest.raises(ValueError, match=f"checkpoint=.*file' belongs {message}"):
            estimator.set_params(checkpoint=path).fit(data)
        assert path.read_bytes() == before

    def test_other_weights(self, path):
        with pytest.raises(ValueError, match="on other data"):
            EMGaussianMixture(2, random_state=0, checkpoint=path).fit(X, sample_weight=np.ones(len(X)))

    @pytest.mark.parametrize("keep", [0.3, 0.9, 0.9999])
    def test_cut_off(self, path, keep):
        whole = path.read_bytes()
        path.write_bytes(whole[: int(keep * len(whole))])
        with pytest.raises(ValueError, match=r"file' is damaged or cut off"):
            EMGaussianMixture(2, random_state=0, checkpoint=path).fit(X)

    @pytest.mark.parametrize("content", [b"", b"a letter\n", pickle.dumps(X), b"\xff\xfe\n\n"])
    def test_no_checkpoint_at_all(self, path, content):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is no checkpoint of this version of emkit"):
            EMGaussianMixture(2, random_state=0, checkpoint=path).fit(X)

    def test_no_directory(self, tmp_path):
        with pytest.raises(ValueError, match="is in a directory that does not exist"):
            EMGaussianMixture(2, checkpoint=tmp_path / "nowhere" / "file").fit(X)

    @pytest.mark.parametrize("value", [True, 3, b"file"])
    def test_no_path(self, value):
        with pytest.raises(ValueError, match="checkpoint must be None, a file or a directory, but got"):
            EMGaussianMixture(2, checkpoint=value).fit(X)

    def test_search_over_a_file(self, tmp_path):
        """A file belongs to one fit."""
        search = ComponentSearch(EMGaussianMixture(checkpoint=tmp_path / "file"), n_components=[1, 2])
        with pytest.raises(ValueError, match="checkpoint must be None or a directory in a search"):
            search.fit(X)
        assert not os.listdir(tmp_path)

    def test_grid_search_over_a_file(self, tmp_path):
        mixture = EMGaussianMixture(random_state=0, checkpoint=tmp_path / "file")
        with pytest.raises(ValueError, match=OTHER_DATA):
            GridSearchCV(mixture, {"n_components": [1, 2]}, cv=2, error_score="raise").fit(X)

    def test_what_cannot_be_pickled(self, tmp_path):
        class Own(Ridge):
            pass

        experts = EMMixtureOfExpertsRegressor(2, expert=Own(), random_state=0, checkpoint=tmp_path / "file")
        with pytest.raises(ValueError, match="checkpoint must be None where parameters cannot be pickled"):
            experts.fit(X[:, :2], X[:, 2])

    def test_early_stopping(self, tmp_path):
        topics = EMTopicModel(2, early_stopping=True, random_state=0, checkpoint=tmp_path / "file")
        with pytest.raises(ValueError, match="checkpoint must be None with early_stopping=True"):
            topics.fit(np.round(X * 10))
