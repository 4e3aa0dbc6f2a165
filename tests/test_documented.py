"""Whatever is public is described: parameters, fitted attributes, and what methods take and return."""

import importlib
import inspect
import re
from pathlib import Path

import numpy as np
import pytest
from all_estimators import COLUMNS, RESPONSES, TABLES, Column, _maker
from numpydoc.docscrape import ClassDoc, FunctionDoc
from sklearn.linear_model import LinearRegression

import emkit
from emkit import (
    ComponentSearch,
    EMGaussianMixture,
    EMHiddenMarkov,
    EMImputer,
    EMMixture,
    EMMixtureOfExpertsClassifier,
    EMMixtureOfExpertsRegressor,
    EMTopicModel,
    PooledEstimate,
    plot,
    pool,
)
from emkit.datasets import load_acs12, load_old_faithful
from emkit.families.base import Family

ROOT = Path(__file__).parent.parent
REFERENCE = re.findall(r"^   (emkit\.[\w.]+)$", (ROOT / "doc/api.rst").read_text(encoding="utf-8"), flags=re.MULTILINE)

GAPS = np.where(np.arange(72).reshape(24, 3) % 5 == 0, np.nan, TABLES["numbers"])

# Settings that publish what the plain ones do not.
FURTHER = {
    "mixed": Column(_maker(EMMixture, 2, family=["gaussian", "poisson", "categorical"]), "counts"),
    "noisy student": Column(_maker(EMMixture, 2, noise=True), "numbers"),
    "markov student": Column(_maker(EMHiddenMarkov, 2, emission="student"), "numbers"),
    "markov symbols": Column(_maker(EMHiddenMarkov, 2, emission="categorical"), "symbols"),
    "markov bits": Column(_maker(EMHiddenMarkov, 2, emission="bernoulli", start="stationary"), "bits"),
    "markov mixed": Column(_maker(EMHiddenMarkov, 2, emission=["gaussian", "poisson", "poisson"]), "counts"),
    "topics background": Column(_maker(EMTopicModel, 3, background=True), "tokens"),
    "imputer indicator": Column(_maker(EMImputer, add_indicator=True), "numbers"),
    "regressor groups": Column(
        _maker(EMMixtureOfExpertsRegressor, 4, gate="hierarchical", n_groups=2), "inputs", "number"
    ),
    "regressor gamma": Column(
        _maker(EMMixtureOfExpertsRegressor, expert="gamma", gate="gaussian"), "inputs", "positive"
    ),
    "regressor binomial": Column(_maker(EMMixtureOfExpertsRegressor, expert="binomial"), "inputs", "class"),
    "regressor noise": Column(_maker(EMMixtureOfExpertsRegressor, noise=True), "inputs", "number"),
    "regressor foreign": Column(_maker(EMMixtureOfExpertsRegressor, expert=LinearRegression()), "inputs", "number"),
    "classifier gaussian": Column(_maker(EMMixtureOfExpertsClassifier, gate="gaussian"), "inputs", "class"),
    "search heldout": Column(
        lambda: ComponentSearch(EMGaussianMixture(n_init=1), n_components=(1, 2), criterion="heldout", cv=2), "numbers"
    ),
}
SETTINGS = COLUMNS | FURTHER


def fitted(name):
    column = SETTINGS[name]
    return column.make().fit(*(a for a in (column.X, column.y) if a is not None))


def public_objects():
    """What the API reference lists, by name."""
    found = {}
    for name in REFERENCE:
        module, _, last = name.rpartition(".")
        found[name] = getattr(importlib.import_module(module), last)
    return found


def is_made_by_users(cls):
    """By calling the class: no protocol, no warning, and not what a function returns."""
    made_for_them = getattr(cls, "_is_protocol", False) or issubclass(cls, (Exception, Family, PooledEstimate))
    return "__init__" in vars(cls) and not made_for_them


OBJECTS = public_objects()
CLASSES = {name: value for name, value in OBJECTS.items() if inspect.isclass(value)}
FUNCTIONS = {name: value for name, value in OBJECTS.items() if inspect.isroutine(value)}
PARTS = re.compile(r"emkit\.(engine\.\w+Model|chunks|mixture|hidden_markov\.Hidden|topic_model|families)\.?")
STEPS = {"log_prior", "n_free", "rounding"}


def _display(cls, make, *args, **options):
    """What draws one, of an estimator that is fitted to the table of its column."""

    def draw():
        rows = (SETTINGS[make].X if arg is ROWS else arg for arg in args)
        return cls.from_estimator(fitted(make), *rows, **options)

    return draw


ROWS = object()  # stands for the table of the column
DISPLAYS = {
    "ComponentSearchDisplay": _display(plot.ComponentSearchDisplay, "search"),
    "ConvergenceDisplay": _display(plot.ConvergenceDisplay, "gaussian"),
    "ExpertsDisplay": _display(plot.ExpertsDisplay, "regressor", ROWS, RESPONSES["number"], feature=0),
    "MissingnessDisplay": _display(plot.MissingnessDisplay, "imputer gaussian", GAPS),
    "MixtureDisplay": _display(plot.MixtureDisplay, "gaussian", ROWS),
    "OverimputationDisplay": _display(plot.OverimputationDisplay, "imputer gaussian", ROWS, 0),
    "StateDisplay": _display(plot.StateDisplay, "markov", ROWS),
    "TopicDisplay words": _display(plot.TopicDisplay, "topics map"),
    "TopicDisplay map": _display(plot.TopicDisplay, "topics map", kind="map"),
}


def described(doc, section):
    """Names with a description. One line may have several, as in "min_value, max_value : float"."""
    return {name.strip(" *") for entry in doc[section] if entry.desc for name in entry.name.split(",")}


def fitted_attributes(estimator):
    properties = dict(inspect.getmembers(type(estimator), lambda member: isinstance(member, property)))
    return {name for name in vars(estimator) | properties if name.endswith("_") and not name.startswith("_")}


def check_attributes(estimator):
    assert fitted_attributes(estimator) <= described(ClassDoc(type(estimator)), "Attributes")


def test_the_reference_lists_all_that_emkit_exports():
    exported = {f"emkit.{name}" for name in emkit.__all__ if not name.startswith("__")}
    for part in ("plot", "metrics", "datasets", "selection"):
        exported |= {f"emkit.{part}.{name}" for name in importlib.import_module(f"emkit.{part}").__all__}
    assert exported <= set(REFERENCE) | {"emkit.selection.ComponentSearch"}  # which is emkit.ComponentSearch


@pytest.mark.parametrize("name", SETTINGS)
def test_fitted_attributes_are_described(name, recwarn):
    check_attributes(fitted(name))


def test_attributes_of_fits_to_frames_are_described():
    frame = load_old_faithful(as_frame=True).data
    check_attributes(EMGaussianMixture(2, random_state=0).fit(frame))
    check_attributes(EMImputer().fit(load_acs12().frame))
    check_attributes(pool(LinearRegression(), [(frame[["waiting"]], frame["eruptions"])] * 2))


@pytest.mark.parametrize("name", DISPLAYS)
def test_attributes_of_displays_are_described(name):
    pytest.importorskip("matplotlib").use("Agg")
    display = DISPLAYS[name]()
    importlib.import_module("matplotlib.pyplot").close("all")
    check_attributes(display)


def test_no_display_is_forgotten():
    assert {name.split()[0] for name in DISPLAYS} == set(emkit.plot.__all__)


@pytest.mark.parametrize("name", [name for name, cls in CLASSES.items() if is_made_by_users(cls)])
def test_parameters_of_constructors_are_described(name):
    docs = [ClassDoc(cls) for cls in CLASSES[name].__mro__ if cls.__module__.startswith("emkit")]
    given = set(inspect.signature(CLASSES[name]).parameters)
    section = "Parameters" if docs[0]["Parameters"] else "Attributes"  # of dataclasses and named tuples
    assert given == set().union(*(described(doc, section) for doc in docs[: None if section == "Attributes" else 1]))


def functions_and_methods():
    """All public functions, and the public methods of public classes that emkit defines, by name."""
    yield from FUNCTIONS.items()
    for owner, cls in CLASSES.items():
        for name, member in inspect.getmembers(cls, callable):
            own = (getattr(member, "__module__", None) or "").startswith("emkit")
            if own and not name.startswith("_") and not inspect.isclass(member):
                yield f"{owner}.{name}", member


@pytest.mark.parametrize(("name", "function"), list(functions_and_methods()))
def test_functions_and_methods_are_described(name, function):
    """A sentence is enough for the steps of a model or family, whose arguments are those of the protocol."""
    if name.rpartition(".")[2] in STEPS:
        return
    doc = FunctionDoc(function)
    assert doc["Summary"]
    if PARTS.match(name):
        return
    if re.search(r"^\s+(return (?!None\b)|yield )\S", inspect.getsource(function), flags=re.MULTILINE):
        assert doc["Returns"] or doc["Yields"]
    taken = set(inspect.signature(function).parameters) - {"self", "cls", "y"}
    assert taken <= {name.strip(" *") for entry in doc["Parameters"] for name in entry.name.split(",")}
