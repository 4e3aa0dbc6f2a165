"""What the documentation shows of stored results: for each area a table, and its row on the front page.

A function of an area takes what its benchmark wrote with ``--json``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from _tables import Table, duration, pair, ratio

PEERS = ("scikit-learn", "hmmlearn", "tomotopy", "gensim", "lda", "gcimpute", "stepmix", "dask")
FRONT_HEADS = ("Estimator", "Work, one thread, processor time", "emkit", "Beside", "Faster", "Quality, emkit / other")


@dataclass(frozen=True)
class Shown:
    """`front`: cells of the row on the front page; `text`: what the table does not say, in reStructuredText."""

    front: tuple[str, ...]
    table: Table
    text: str = ""


def front_page(shown: dict[str, Shown]) -> Table:
    return Table(FRONT_HEADS, [area.front for area in shown.values()], (20, 26, 10, 16, 9, 19))


def where(machine: dict) -> str:
    """Machine, versions and date."""
    versions = [f"{name} {machine[name]}" for name in ("emkit", "numpy", *PEERS) if name in machine]
    processor = f"{machine['processor']} ({machine['vectors']}, {machine['cores']} cores)"
    return f"{processor}, Python {machine['python']}, {', '.join(versions)}; {machine['date']}."


def together(machines: list[dict]) -> dict:
    """What all areas were measured with; where they differ, each value once."""
    keys = dict.fromkeys(key for machine in machines for key in machine)
    values = {key: dict.fromkeys(str(machine[key]) for machine in machines if key in machine) for key in keys}
    return {key: " and ".join(found) for key, found in values.items()}


def mixture(found: dict) -> Shown:
    rows = [
        (
            f"one step, {row['work']}" if "iteration" in row["unit"] else row["work"],
            *(duration(ms / 1e3) for ms in row["cpu"]),
            ratio(row["ratio_cpu"]),
            pair(row["ours_mb"], row["theirs_mb"], ".0f"),
            row["quality"],
        )
        for row in found["rows"]
    ]
    work, ours, theirs, faster, _, quality = rows[0]
    front = ("``EMGaussianMixture``", work, ours, f"scikit-learn: {theirs}", faster, quality)
    heads = ("Work", "emkit", "scikit-learn", "Faster", "MB beyond the data", "Quality")
    return Shown(front, Table(heads, rows, (26, 11, 13, 9, 13, 28)))


def latent_class(found: dict) -> Shown:
    rows = []
    for row in found["rows"]:
        ours, theirs = row["emkit"], row["StepMix"]
        quality = "log-likelihood " + pair(ours["log_likelihood"], theirs["log_likelihood"], ".3f")
        for name, what, said in (("one step", "step", ""), ("whole fit from ten starts", "whole", quality)):
            times = duration(ours[what]), duration(theirs[what])
            rows.append((f"{name}, {row['work']}", *times, ratio(theirs[what] / ours[what]), said))
    work, ours, theirs, faster, quality = rows[1]
    front = ("``EMMixture``", f"latent classes, {work}", ours, f"StepMix: {theirs}", faster, quality)
    return Shown(
        front, Table(("Work", "emkit", "StepMix", "Faster", "Quality, emkit / other"), rows, (40, 11, 11, 9, 29))
    )


def selection(found: dict) -> Shown:
    (row,) = found["speed"]
    ours, theirs = map(duration, row["cpu"])
    quality = "log-likelihood of a new row " + pair(*row["scores"], ".4f")
    cells = (ours, theirs, ratio(row["ratio_cpu"]), quality)
    work = "choosing K of 1 to 10, five folds, 1e4 x 4"
    front = ("``ComponentSearch``", work, ours, f"``GridSearchCV``: {theirs}", *cells[2:])
    heads = ("Work", "emkit", "``GridSearchCV``", "Faster", "Quality")
    return Shown(front, Table(heads, [(work, *cells)], (34, 12, 16, 10, 28)))


def hmm(found: dict) -> Shown:
    rows = []
    for row in found["rows"]:
        ours, log, scaling = (duration(ms / 1e3) for ms in row["step_ms"])
        ratios = ", ".join(map(ratio, row["step_ratio"]))
        calls = ", ".join(map(ratio, row["call_ratio"].values()))
        rows.append((row["work"], ours, log, scaling, ratios, calls, f"{row['difference']:.0e}"))
    work, ours, log, scaling, ratios, _, difference = rows[0]
    front = (
        "``EMHiddenMarkov``",
        f"one step of Baum and Welch, {work}",
        ours,
        f"hmmlearn: {log} (log), {scaling} (scaling)",
        ratios,
        f"log-likelihood differs by {difference}",
    )
    heads = ("One step", "emkit", "log", "scaling", "Faster", "``decode``, ``score``, ``predict_proba``", "Differs")
    return Shown(front, Table(heads, rows, (27, 11, 11, 11, 13, 17, 10)))


def topics(found: dict) -> Shown:
    curves = {entry["corpus"]: entry["curves"] for entry in found["curves"] if "curves" in entry}
    first = {corpus: curve["emkit"][0] for corpus, curve in curves.items()}
    rows = []
    for library in curves["reuters"]:
        last = {corpus: curve[library][-1] for corpus, curve in curves.items()}
        if library == "emkit":
            rows += [_topics_row("emkit, one step of one start", first), _topics_row("emkit, defaults", last)]
        else:
            rows.append(_topics_row(library, last, first))
    ours, peer = first["reuters"], curves["reuters"]["sklearn-batch"][-1]
    front = (
        "``EMTopicModel``",
        "20 topics of 316 documents of Reuters",
        duration(ours["seconds"]),
        f"scikit-learn: {duration(peer['seconds'])}",
        ratio(peer["seconds"] / ours["seconds"]),
        f"held-out perplexity {pair(ours['perplexity'], peer['perplexity'], '.0f')}",
    )
    heads = ("Library", *(text for corpus in curves for text in (CORPORA[corpus], "sooner")))
    calls = " and ".join(f"{ratio(row['ratio'])} times on {row['corpus']} documents" for row in found["transform"])
    return Shown(
        front, Table(heads, rows, (22, 28, 10, 30, 10)), f"``transform`` is faster than scikit-learn's {calls}."
    )


CORPORA = {
    "synthetic": "20,000 synthetic documents, 10,000 terms, K = 50",
    "reuters": "316 documents of Reuters, 4,258 terms, K = 20",
}


def _topics_row(name, points, reference=None):
    """The last point of each corpus, and how much sooner `reference` was there with a perplexity as low."""
    cells = []
    for corpus, point in points.items():
        cells.append(f"{point['perplexity']:.0f} after {duration(point['seconds'])}, NPMI {point['npmi']:.2f}")
        as_good = reference and reference[corpus]["perplexity"] <= point["perplexity"]
        cells.append(ratio(point["seconds"] / reference[corpus]["seconds"]) if as_good else "")
    return (name, *cells)


def impute(found: dict) -> Shown:
    rows = []
    for row in found["speed"]:
        errors = tuple(row["quality"].values()) or (row["ours"]["error"], row["theirs"]["error"])
        times = duration(row["ours"]["cpu"]), duration(row["theirs"]["cpu"])
        rows.append((row["work"], row["peer"], *times, ratio(row["ratio"]), pair(*errors, ".3f")))
    tables = _by_table(found["real"])
    survey = next(row for row in rows if row[0].startswith("gss"))
    work, peer, ours, theirs, faster, errors = survey
    front = ("``EMImputer``", f"survey, {work}", ours, f"``{peer}``: {theirs}", faster, f"error {errors} sd")
    heads = ("``fit_transform``", "Other", "emkit", "other", "Faster", "Error, emkit / other")
    return Shown(front, Table(heads, rows, (30, 22, 11, 11, 9, 17)), tables)


def _by_table(rows: list[dict]) -> str:
    libraries = list(dict.fromkeys(row["library"] for row in rows))
    cells = {(row["table"], row["library"]): f"{row['error']:.3f}, {row['accuracy']:.0%}" for row in rows}
    names = dict.fromkeys(row["table"] for row in rows)
    table = Table(
        ("Real table: error in sd, levels right", *libraries),
        [(name, *(cells[name, library] for library in libraries)) for name in names],
        (28, *(72 // len(libraries),) * len(libraries)),
    )
    return table.rst()


def experts(found: dict) -> Shown:
    rows, front = [], None
    for row in found["rows"]:
        alone = math.isnan(row["theirs_cpu"])  # there is no peer
        cells = (
            row["work"],
            duration(row["ours_cpu"]),
            "" if alone else duration(row["theirs_cpu"]),
            "" if alone else ratio(row["ratio_cpu"]),
            f"{row['ours_mb']:.0f}",
            row["quality"],
        )
        rows.append(cells)
        if "flexmix" in row:
            other = f"flexmix {row['flexmix']}: {cells[2]}"
            work = "from one start to the end, 1e4 x 5, K = 4"
            front = ("``EMMixtureOfExpertsRegressor``", work, cells[1], other, cells[3], row["quality"])
    heads = ("Work", "emkit", "other", "Faster", "MB beyond the data", "Quality")
    if front is None:
        raise ValueError("experts: flexmix was not measured; install R with flexmix")
    return Shown(front, Table(heads, rows, (32, 11, 11, 9, 12, 25)))


def scale(found: dict) -> Shown:
    rows = [
        (row["kind"], f"{row['n']:.0e} x {row['d']}, K = {row['k']}", f"{row['ns']:.0f} ns", f"{row['mb']:.0f}")
        for row in found["rows"]
    ]
    (threads,), (dask,), (online,) = found["threads"], found["dask"], found["online"]
    ours, theirs = online["ours"], online["theirs"]
    slower = f"{dask['dask'] / dask['threads']:.2f} times as long as two threads ({dask['n']:.0e} rows)"
    text = (
        f"Two threads are {ratio(threads['one'] / threads['two'])} times as fast as one"
        f" ({threads['n']:.0e} x 8, K = 8), and two independent fits side by side"
        f" {ratio(2 * threads['one'] / threads['side_by_side'])} times as fast as one after the other. Two processes of"
        f" a dask cluster take {slower}."
    )
    front = (
        "``emkit.online.fit_in_passes``",
        f"one pass, {online['n']:.0e} x 8, K = 8",
        duration(ours["cpu"]),
        f"``MiniBatchKMeans``: {duration(theirs['cpu'])}",
        ratio(theirs["cpu"] / ours["cpu"]),
        f"inertia {pair(ours['inertia'], theirs['inertia'], '.3f')}",
    )
    heads = ("Five steps over", "Rows", "a row and pass", "MB beyond those at the beginning")
    return Shown(front, Table(heads, rows, (25, 30, 20, 25)), text)


AREAS = {
    function.__name__: function for function in (mixture, latent_class, selection, hmm, topics, impute, experts, scale)
}
