"""Small tables and texts for the examples and tests, shipped with the package or with those that it needs.

Each loader returns a :class:`sklearn.utils.Bunch` whose ``DESCR`` names the origin, the terms of use and the source.
"""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from importlib.resources import files

import numpy as np
from sklearn.utils import Bunch

from ._optional import pandas_for

__all__ = [
    "load_acs12",
    "load_docstrings",
    "load_earthquakes",
    "load_ethanol",
    "load_heights",
    "load_motorcycle",
    "load_old_faithful",
    "load_tones",
]


def _load(name: str, description: str, as_frame: bool) -> Bunch:
    """Read ``data/<name>.csv``: one header line, then numbers."""
    with (files("emkit.data") / f"{name}.csv").open(encoding="utf-8") as file:
        feature_names = file.readline().strip().split(",")
        data = np.loadtxt(file, delimiter=",", dtype=np.float64, ndmin=2)
    frame = None
    if as_frame:
        frame = pandas_for("as_frame=True").DataFrame(data, columns=feature_names)
    return Bunch(
        data=data if frame is None else frame,
        frame=frame,
        feature_names=feature_names,
        DESCR=description,
    )


_HEIGHTS = """\
Fourteen heights
----------------
Heights of fourteen people in centimetres: 14 rows, 1 column (height).

Origin: made up for emkit's worked example of EM with two components; not a sample of any population.
Terms of use: part of emkit, under its BSD 3-clause licence.
"""

_OLD_FAITHFUL = """\
Old Faithful
------------
Duration of an eruption of the Old Faithful geyser (Yellowstone National Park, USA) and waiting time to the next one,
both in minutes: 272 rows, 2 columns (eruptions, waiting).

Origin: the table `faithful` of R's package `datasets`.
Terms of use: a table of measured facts, free to use; please cite the source.
Source: Haerdle, W. (1991). Smoothing Techniques with Implementation in S. Springer.
    Azzalini, A. and Bowman, A. W. (1990). A look at some data on the Old Faithful geyser. Applied Statistics 39(3),
    357-365.
"""

_EARTHQUAKES = """\
Major earthquakes
-----------------
Number of earthquakes of magnitude 7 or greater in the world, in each year from 1900 to 2006: 107 rows in order of
time, 2 columns (year, count).

Origin: catalogue of the United States Geological Survey, as printed in the source below.
Terms of use: a table of counted facts, free to use; works of the United States Geological Survey are in the public
domain. Please cite the source.
Source: Zucchini, W. and MacDonald, I. L. (2009). Hidden Markov Models for Time Series: An Introduction Using R.
    Chapman & Hall/CRC. Table 1.1.
"""

_ETHANOL = """\
Ethanol in an engine
--------------------
Exhaust of an engine with one cylinder that burned pure ethanol: 88 rows, 3 columns.

    NOx  nitrogen oxides in the exhaust, micrograms per joule
    C    compression ratio of the engine, one of 7.5, 9, 12, 15 and 18
    E    equivalence ratio, the richness of the mixture of fuel and air

NOx is highest where E is near 0.9, so that E as a function of NOx has two branches: Hurn, Justel and Robert (2003) fit
it by a mixture of two regressions.

Origin: the table `ethanol` of R's package `lattice`; columns NOx and E are the table `NOdata` of `mixtools`.
Terms of use: a table of measured facts, free to use; please cite the source.
Source: Brinkman, N. D. (1981). Ethanol fuel: a single-cylinder engine study of efficiency and exhaust emissions. SAE
    Transactions 90, 1410-1424.
    Hurn, M., Justel, A. and Robert, C. P. (2003). Estimating mixtures of regressions. Journal of Computational and
    Graphical Statistics 12(1), 55-79.
"""

_MOTORCYCLE = """\
Motorcycle accident
-------------------
Acceleration of the head in simulated motorcycle accidents, a test of crash helmets: 133 rows in order of time, 2
columns (times, in milliseconds after the impact; accel, in units of g). Mean and spread of accel both change with
times, and 94 times are distinct.

Origin: the table `mcycle` of R's package `MASS`.
Terms of use: a table of measured facts, free to use; please cite the source.
Source: Silverman, B. W. (1985). Some aspects of the spline smoothing approach to non-parametric regression curve
    fitting. Journal of the Royal Statistical Society B 47(1), 1-52.
"""

_TONES = """\
Perception of tones
-------------------
A musician heard a tone with electronic overtones and tuned a second tone to the octave above it: 150 trials of one
musician, 2 columns.

    stretchratio  by how much the overtones were stretched; 2 is the harmonic series of common instruments
    tuned         frequency of the tuned tone over that of the first; 2 is an octave

Some trials follow the octave whatever the overtones (tuned near 2), others the overtones (tuned near stretchratio):
the classical example of a switching regression.

Origin: the table `tonedata` of R's packages `fpc` and `mixtools`.
Terms of use: a table of measured facts, free to use; please cite the source.
Source: Cohen, E. A. (1980). Inharmonic tone perception. Ph.D. dissertation, Stanford University.
    Cohen, E. A. (1984). Some effects of inharmonic partials on interval perception. Music Perception 1(3), 323-349.
    De Veaux, R. D. (1989). Mixtures of linear regressions. Computational Statistics & Data Analysis 8(3), 227-245.
"""

_ACS12 = """\
American Community Survey 2012
------------------------------
A sample of people who live in the USA: 2,000 rows, 13 columns, of which 6 have missing cells (3,193 in all).

    income        dollars in a year, of people from 15 years of age
    employment    "employed", "unemployed" or "not in labor force", of people from 16 years of age
    hrs_work      hours of work a week
    race          "asian", "black", "other" or "white"
    age           years
    gender        "female" or "male"
    citizen       "no" or "yes"
    time_to_work  minutes
    lang          language spoken at home, "english" or "other", of people from 5 years of age
    married       "no" or "yes"
    edu           highest education, "hs or lower" < "college" < "grad", of people from 3 years of age
    disability    "no" or "yes"
    birth_qrtr    quarter of birth, as "jan thru mar"

Cells are missing where the question does not apply: of children, and of people without work.

Origin: a random sample of the 2012 American Community Survey, as in the R package openintro.
Terms of use: a work of the US Census Bureau, in the public domain. Please cite the source.
Source: US Census Bureau (2012). American Community Survey.
    Cetinkaya-Rundel, M. and others. openintro: data sets and supplemental functions from OpenIntro textbooks and labs.
"""

_DOCSTRINGS = """\
Docstrings
----------
What NumPy, SciPy and scikit-learn say of their public functions and classes: more than 2,000 texts in English, each
without its notes, references and examples, and of the package that is named first where several have the same.

The texts are read from the installed packages, so their number and words depend on the versions.

Origin: docstrings of the installed numpy, scipy and sklearn.
Terms of use: BSD 3-clause, that of each of the three packages.
Source: the packages themselves.
"""

_DOCUMENTED = """numpy numpy.fft numpy.linalg numpy.ma numpy.polynomial numpy.random scipy.cluster.hierarchy scipy.fft
scipy.integrate scipy.interpolate scipy.linalg scipy.ndimage scipy.optimize scipy.signal scipy.sparse
scipy.sparse.linalg scipy.spatial scipy.spatial.distance scipy.special scipy.stats sklearn.cluster sklearn.covariance
sklearn.datasets sklearn.decomposition sklearn.ensemble sklearn.feature_extraction.text sklearn.feature_selection
sklearn.gaussian_process sklearn.linear_model sklearn.manifold sklearn.metrics sklearn.metrics.pairwise
sklearn.mixture sklearn.model_selection sklearn.naive_bayes sklearn.neighbors sklearn.neural_network
sklearn.preprocessing sklearn.svm sklearn.tree"""

_ACS12_LEVELS = ["hs or lower", "college", "grad"]


def load_acs12() -> Bunch:
    """Load 2,000 people of the American Community Survey of 2012: numbers, ordered levels and categories, with gaps.

    Needs pandas.

    Returns
    -------
    Bunch
        ``data`` and ``frame``, the same DataFrame (2000, 13): age Int64, income (dollars a year), hrs_work (hours a
        week) and time_to_work (minutes) float64, edu an ordered category, all others categories; ``feature_names``,
        list of str; ``DESCR``, meaning of the columns, origin and terms of use.

    Examples
    --------
    >>> from emkit.datasets import load_acs12
    >>> people = load_acs12().frame
    >>> people["edu"].cat.categories.tolist()
    ['hs or lower', 'college', 'grad']
    >>> people.isna().sum().loc[lambda count: count > 0].to_dict()
    {'income': 377, 'employment': 395, 'hrs_work': 1041, 'time_to_work': 1217, 'lang': 105, 'edu': 58}
    """
    pd = pandas_for("load_acs12")
    numbers = {"income": "float64", "hrs_work": "float64", "age": "Int64", "time_to_work": "float64"}
    with (files("emkit.data") / "acs12.csv").open(encoding="utf-8") as file:
        frame = pd.read_csv(file, dtype=numbers)
    kinds = {name: "category" for name in frame if name not in numbers}
    frame = frame.astype({**kinds, "edu": pd.CategoricalDtype(_ACS12_LEVELS, ordered=True)})
    return Bunch(data=frame, frame=frame, feature_names=list(frame.columns), DESCR=_ACS12)


def load_docstrings() -> Bunch:
    """Load the docstrings of NumPy, SciPy and scikit-learn: texts for a model of topics.

    They are read from the installed packages, so their number and words depend on the versions.

    Returns
    -------
    Bunch
        ``data``, list of str, the texts; ``target``, array of str, the package of each: numpy, scipy or sklearn;
        ``DESCR``, what is taken, origin and terms of use.

    Examples
    --------
    >>> from emkit.datasets import load_docstrings
    >>> docstrings = load_docstrings()
    >>> len(docstrings.data) > 2000, sorted(set(docstrings.target.tolist()))
    (True, ['numpy', 'scipy', 'sklearn'])
    """
    package_of: dict[str, str] = {}  # a text counts once
    for module in _DOCUMENTED.split():
        for name, value in vars(import_module(module)).items():
            if callable(value) and not name.startswith("_"):
                text = re.split(r"\n(?:Notes|See Also|References|Examples)\n-", inspect.getdoc(value) or "")[0]
                if len(text) > 300:
                    package_of.setdefault(text, module.split(".")[0])
    return Bunch(data=list(package_of), target=np.array(list(package_of.values())), DESCR=_DOCSTRINGS)


def load_heights(*, as_frame: bool = False) -> Bunch:
    """Load fourteen heights in centimetres, the data of the worked example.

    Parameters
    ----------
    as_frame : bool, default=False
        Return ``data`` as a pandas DataFrame.

    Returns
    -------
    Bunch
        ``data``, float64 array (14, 1) or DataFrame; ``frame``, the DataFrame or None; ``feature_names``, list of
        str; ``DESCR``, origin and terms of use.

    Examples
    --------
    >>> from emkit.datasets import load_heights
    >>> load_heights().data[:3, 0].tolist()
    [152.0, 155.0, 158.0]
    """
    return _load("heights", _HEIGHTS, as_frame)


def load_old_faithful(*, as_frame: bool = False) -> Bunch:
    """Load the eruptions of the Old Faithful geyser: two clusters of durations and waiting times.

    Parameters
    ----------
    as_frame : bool, default=False
        Return ``data`` as a pandas DataFrame.

    Returns
    -------
    Bunch
        ``data``, float64 array (272, 2) or DataFrame with columns eruptions and waiting (minutes); ``frame``, the
        DataFrame or None; ``feature_names``, list of str; ``DESCR``, origin and terms of use.

    Examples
    --------
    >>> from emkit.datasets import load_old_faithful
    >>> load_old_faithful().data.mean(axis=0).round(3).tolist()
    [3.488, 70.897]
    """
    return _load("old_faithful", _OLD_FAITHFUL, as_frame)


def load_earthquakes(*, as_frame: bool = False) -> Bunch:
    """Load the yearly numbers of major earthquakes in the world, 1900-2006: an overdispersed series of counts.

    Parameters
    ----------
    as_frame : bool, default=False
        Return ``data`` as a pandas DataFrame.

    Returns
    -------
    Bunch
        ``data``, float64 array (107, 2) or DataFrame with columns year and count, in order of time; ``frame``, the
        DataFrame or None; ``feature_names``, list of str; ``DESCR``, origin and terms of use.

    Examples
    --------
    >>> from emkit.datasets import load_earthquakes
    >>> load_earthquakes().data[:2].tolist()
    [[1900.0, 13.0], [1901.0, 14.0]]
    """
    return _load("earthquakes", _EARTHQUAKES, as_frame)


def load_ethanol(*, as_frame: bool = False) -> Bunch:
    """Load the exhaust of an engine that burns ethanol: a mixture of two regressions.

    Parameters
    ----------
    as_frame : bool, default=False
        Return ``data`` as a pandas DataFrame.

    Returns
    -------
    Bunch
        ``data``, float64 array (88, 3) or DataFrame with columns NOx (micrograms per joule), C (compression ratio) and
        E (equivalence ratio); ``frame``, the DataFrame or None; ``feature_names``, list of str; ``DESCR``, origin and
        terms of use.

    Examples
    --------
    >>> from emkit.datasets import load_ethanol
    >>> load_ethanol().data[:2].tolist()
    [[3.741, 12.0, 0.907], [2.295, 12.0, 0.761]]
    """
    return _load("ethanol", _ETHANOL, as_frame)


def load_motorcycle(*, as_frame: bool = False) -> Bunch:
    """Load the simulated motorcycle accidents: a curve whose shape and spread change with time.

    Parameters
    ----------
    as_frame : bool, default=False
        Return ``data`` as a pandas DataFrame.

    Returns
    -------
    Bunch
        ``data``, float64 array (133, 2) or DataFrame with columns times (milliseconds) and accel (g), in order of time;
        ``frame``, the DataFrame or None; ``feature_names``, list of str; ``DESCR``, origin and terms of use.

    Examples
    --------
    >>> from emkit.datasets import load_motorcycle
    >>> load_motorcycle().data[:2].tolist()
    [[2.4, 0.0], [2.6, -1.3]]
    """
    return _load("motorcycle", _MOTORCYCLE, as_frame)


def load_tones(*, as_frame: bool = False) -> Bunch:
    """Load the tones that a musician tuned: the classical switching regression.

    Parameters
    ----------
    as_frame : bool, default=False
        Return ``data`` as a pandas DataFrame.

    Returns
    -------
    Bunch
        ``data``, float64 array (150, 2) or DataFrame with columns stretchratio and tuned; ``frame``, the DataFrame or
        None; ``feature_names``, list of str; ``DESCR``, origin and terms of use.

    Examples
    --------
    >>> from emkit.datasets import load_tones
    >>> load_tones().data[:2].tolist()
    [[1.35, 1.461], [1.4, 1.407]]
    """
    return _load("tones", _TONES, as_frame)
