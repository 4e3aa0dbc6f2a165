"""What `fit` and `partial_fit` of EMTopicModel do, between raw input and fitted attributes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import check_n_init
from ..engine import Step, run_em
from ..executors import Elsewhere, executor_for
from ..restarts import Heat, Plan, Search, Settings
from .completion import complete_documents, shares_of
from .documents import Documents, as_chunks, joined
from .methods import METHODS, Method, Sweeps, Topics
from .model import TopicModel, TopicModelParams
from .options import Given, Summary, check_params, check_tokens, make_model, read_given, summarise
from .priors import learned_alpha, learned_eta
from .problem import TopicProblem
from .reading import FEW, Corpus, random_documents, read_corpus
from .schedule import State, batches_for, in_order, state_of, stepwise, with_new_terms

if TYPE_CHECKING:
    from .estimator import EMTopicModel

SHORT_STARTS, SHORT_STEPS = 4, 10
FINALISTS, FINAL_STEPS = 2, 30
PILOT_ROUNDS, PILOT_STEPS = 3, 10


def plan_of(n_starts: int | None, settings: Settings, *, sample_is_all: bool) -> Plan:
    """Of some short starts the best are run on (None), and one goes to the end; two where a sample may mislead. Or all
    of a number of starts."""
    heats = ((SHORT_STARTS, SHORT_STEPS), (FINALISTS, FINAL_STEPS)) if n_starts is None else ((n_starts, FINAL_STEPS),)
    limited = tuple(Heat(n, settings.tol, min(steps, settings.max_iter), False) for n, steps in heats)
    only_best = n_starts is None and sample_is_all
    return Plan(limited, only_best, n_finalists=FINALISTS if n_starts is None else n_starts)


def fit_batch(estimator: EMTopicModel, owner: EMTopicModel, X: Any, sample_weight: Any) -> None:
    """Fit `estimator`, a blank copy of `owner`."""
    check_params(estimator)
    rng = estimator._random_generator()
    corpus = read_corpus(estimator, X, sample_weight, reset=True, dtype=estimator.dtype)
    stopper = None
    if estimator.early_stopping:
        corpus, held_out = _hold_out(corpus, estimator.validation_fraction, rng)
        stopper = Stopper(estimator, held_out)
    summary = summarise(corpus, estimator.n_components)
    given = read_given(estimator, len(summary.term_counts))
    problem = _problem(estimator, corpus, summary, given, rng)
    start: TopicModelParams | None
    if owner.warm_start and hasattr(owner, "components_"):
        check_continues(owner, "warm_start=True", len(summary.term_counts))
        problem = replace(problem, model=_with_former_priors(owner, problem.model))
        start = problem.model.params(np.ascontiguousarray(owner.components_.T, dtype=np.float64))
    else:
        problem = _with_learned_priors(estimator, problem, rng)
        start = problem.starts.given() if given.are_all(estimator.n_components) else None
    model = problem.model
    if stopper is not None:
        stopper.model = model
    search = estimator._search(
        *(problem, check_n_init(estimator.n_init), rng, owner, partial(published, model), start),
        plan=partial(plan_of, sample_is_all=summary.n_documents < FEW and isinstance(corpus, list)),
        also_watch=stopper,
    )
    if stopper is not None:
        search = stopper.best_of(search, problem)
    best = search.best.result
    check_objective(best.objective, summary.n_tokens / summary.weight)
    _publish(estimator, model, state_of(best.params, best.stats, best.n_iter), summary.n_tokens)
    estimator._record(search, model)


def check_objective(objective: float, mean_length: float) -> None:
    """ValueError if the weights of all topics in some document, or for some of its tokens, have underflowed."""
    if not np.isfinite(objective):
        raise ValueError(
            f"the objective is {objective}: the weights of all topics underflow for some counts, which are too small "
            f"(there are {mean_length:.3g} tokens a document); multiply X by a constant, leave out counts that are "
            "next to nothing, or give a larger doc_topic_prior and learn_priors=False"
        )


def _problem(
    estimator: EMTopicModel, corpus: Corpus, summary: Summary, given: Given, rng: np.random.Generator
) -> TopicProblem:
    """With the priors as given. A small corpus is its own sample; mini-batches are for large ones, or where they are
    asked for."""
    is_large = summary.n_documents >= FEW or not isinstance(corpus, list)
    sample = random_documents(corpus, FEW, summary.n_documents, rng) if is_large else list(corpus)
    batches = None
    is_elsewhere = isinstance(corpus, Elsewhere)  # there, mini-batches would leave all workers idle but one
    if is_elsewhere and estimator.batch_size is not None:
        raise ValueError(f"batch_size must be None on a dask cluster, but got {estimator.batch_size!r}")
    if ((is_large and not is_elsewhere) or estimator.batch_size is not None) and estimator.max_iter > 0:
        batches = batches_for(summary.n_documents, summary.weight, summary.term_counts, estimator.batch_size)
    model = replace(make_model(estimator, summary, given), documents_stay=isinstance(corpus, list))
    return TopicProblem(model, corpus, sample, given, batches)


def _with_former_priors(owner: EMTopicModel, model: TopicModel) -> TopicModel:
    """The priors of the fit that is continued: learned ones are not learned again."""
    model = replace(model, alpha=owner.doc_topic_prior_.astype(np.float64))
    if owner.learn_priors and hasattr(owner, "_online"):
        model = replace(model, eta=owner._online[0].eta)
    return model


def _with_learned_priors(estimator: EMTopicModel, problem: TopicProblem, rng: np.random.Generator) -> TopicProblem:
    """With even priors learned, if they are to be."""
    if not estimator.learn_priors or not problem.model.method.has_priors:
        return problem
    learns_alpha = estimator.learn_priors in (True, "doc_topic")
    learns_eta = estimator.learn_priors in (True, "topic_word") and np.ndim(estimator.topic_word_prior) == 0
    return replace(problem, model=_pilot(problem, learns_alpha, learns_eta, rng), learns_alpha=learns_alpha)


def _pilot(problem: TopicProblem, learns_alpha: bool, learns_eta: bool, rng: np.random.Generator) -> TopicModel:
    """The model with even priors, learned on the sample in turn with some steps from a first start, so that the
    objectives of all starts compare."""
    model, params = problem.model, problem.starts.seeded(0, rng)
    for _ in range(PILOT_ROUNDS):
        result = run_em(model, params, problem.sample, tol=0, max_iter=PILOT_STEPS)
        if learns_alpha:
            alpha = learned_alpha(result.params.pseudo_counts, problem.sample, model.alpha)
            model = replace(model, alpha=np.full_like(alpha, alpha.mean()))
        base = float(model.eta.min())
        if learns_eta and base >= 0:
            new = learned_eta(result.stats.counts, problem.sample, model.alpha, base)
            model = replace(model, eta=model.eta + (new - base))  # what seed words have more stays
        params = result.params._replace(alpha=model.alpha)
    return model


def _hold_out(corpus: Corpus, fraction: float, rng: np.random.Generator) -> tuple[Corpus, Documents]:
    """A random share of the documents, to stop by."""
    if not isinstance(corpus, list):
        raise ValueError("early_stopping=True needs documents in memory, but X is a function that yields blocks")
    whole = joined(corpus)
    n_held = int(np.ceil(fraction * len(whole)))
    if n_held >= len(whole):
        raise ValueError(
            f"early_stopping holds out {n_held} documents of n_samples = {len(whole)}, which leaves none to learn "
            f"from; set early_stopping=False, or a validation_fraction below {fraction}"
        )
    order = rng.permutation(len(whole))
    learn = whole.take(np.sort(order[n_held:]))
    return as_chunks(learn.table, learn.weight), whole.take(np.sort(order[:n_held]))


class Stopper:
    """Stops a run when the completion of held-out documents has not improved for some steps, and keeps the best."""

    def __init__(self, estimator: EMTopicModel, held_out: Documents) -> None:
        self.model: TopicModel | None = None
        self._held_out = held_out
        self._sweeps = Sweeps(estimator.max_doc_update_iter, estimator.mean_change_tol)
        self._patience = estimator.n_iter_no_change
        self._best: dict[int, tuple[float, int, TopicModelParams]] = {}

    def __call__(self, number: int) -> Callable[[Step, TopicModelParams], bool]:
        self._best.pop(number, None)  # a run on the sample says nothing of one on all documents

        def watch(step: Step, params: TopicModelParams) -> bool:
            score = self._score(params)
            if number not in self._best or score > self._best[number][0]:
                self._best[number] = score, step.iteration, params
            return step.iteration - self._best[number][1] >= self._patience

        return watch

    def _score(self, params: TopicModelParams) -> float:
        assert self.model is not None
        method, chunk = self.model.method, self._held_out
        done = complete_documents(method, params.pseudo_counts, params.alpha, chunk, self._sweeps)
        return float(chunk.weight @ done.log_likelihood)

    def best_of(self, search: Search, problem: TopicProblem) -> Search:
        """The search with the parameters that were best on held-out documents; not those of the last step."""
        run = search.best
        params = self._best[run.number][2]
        best = run_em(problem.model, params, problem.source, max_iter=0)
        result = replace(run.result, params=best.params, stats=best.stats, objective=best.objective, converged=True)
        return search._replace(best=run._replace(result=result))


def fit_online(estimator: EMTopicModel, owner: EMTopicModel, X: Any, sample_weight: Any) -> None:
    """Update `owner` by documents, into `estimator`, a blank copy of it; without an earlier fit, by a short one."""
    check_params(estimator)
    if not hasattr(owner, "_online"):
        asked = estimator.max_iter, estimator.tol
        estimator.max_iter, estimator.tol = min(estimator.max_iter, FINAL_STEPS), 0
        fit_batch(estimator, owner, X, sample_weight)
        estimator.max_iter, estimator.tol = asked
        return
    check_continues(owner, "partial_fit", owner.n_features_in_)
    estimator._carry_over(owner)
    corpus = read_corpus(estimator, X, sample_weight, reset=False, dtype=owner.components_.dtype)
    model, state = owner._online
    n_iter, tokens = owner.n_iter_, owner.mean_document_length_ * state.weight
    with executor_for(estimator.n_jobs) as executor:
        for batch in in_order(corpus, estimator.batch_size):
            check_tokens(float(batch.term_counts.sum()), batch.dtype)
            weight = float(batch.weight.sum(dtype=np.float64))
            model = replace(model, n_documents=state.weight + weight)
            state = with_new_terms(model, state, batch.term_counts, weight)
            state = stepwise(model, state, batch, executor, estimator._online_step)
            n_iter, tokens = n_iter + 1, tokens + float(batch.term_counts.sum())
    _publish(estimator, model, state, tokens)
    estimator.objective_ = float(state.stats.objective * state.weight) + model.log_prior(state.params)
    estimator.n_iter_ = estimator.n_e_steps_ = n_iter
    estimator.n_parameters_ = model.n_free(state.params)


def check_continues(owner: EMTopicModel, what: str, n_terms: int) -> None:
    """ValueError if `what` would continue a fit of another size or method."""
    fitted = (*owner.components_.shape, owner._fitted_type)
    if fitted != (owner.n_components, n_terms, owner.method):
        raise ValueError(
            f"{what} continues a fit with n_components={fitted[0]}, {fitted[1]} features and method={fitted[2]!r}, "
            f"but now n_components={owner.n_components}, method={owner.method!r} and X has {n_terms} features"
        )


def published(model: TopicModel, params: TopicModelParams) -> dict[str, Any]:
    """Fitted attributes that hold parameters, in the dtype of the loops."""
    return {
        "components_": np.ascontiguousarray(params.pseudo_counts.T, dtype=model.dtype),
        "topic_word_": shares_of(params.pseudo_counts.T).astype(model.dtype),
        "doc_topic_prior_": params.alpha.astype(model.dtype),
        "topic_word_prior_": _published_prior(model),
    }


def _published_prior(model: TopicModel) -> float | np.ndarray:
    """A number, one for each term, or one for each topic and term, as it was given."""
    if model.eta.size == 1:
        return float(model.eta.item())
    prior = model.eta.T.astype(model.dtype)
    return prior[0] if model.eta.shape[1] == 1 else prior


def _publish(estimator: EMTopicModel, model: TopicModel, state: State, n_tokens: float) -> None:
    for name, value in published(model, state.params).items():
        setattr(estimator, name, value)
    estimator.topic_weights_ = shares_of(state.stats.counts.sum(axis=0)[None])[0].astype(model.dtype)
    estimator.mean_document_length_ = n_tokens / state.weight
    estimator._fitted_type = model.method.name
    estimator._online = (model, state)


@dataclass(frozen=True)
class Fitted:
    """What a fitted estimator needs to look at documents of a dtype."""

    method: Method
    pseudo_counts: np.ndarray  # (V, K) float64
    alpha: np.ndarray  # (K,) float64
    sweeps: Sweeps
    dtype: np.dtype

    @cached_property
    def topics(self) -> Topics:
        return self.method.topics(self.pseudo_counts, self.dtype)

    @cached_property
    def topic_word(self) -> np.ndarray:
        """Probabilities of the terms, padded, (V, width)."""
        return METHODS["map"].topics(self.pseudo_counts, self.dtype).weights


def fitted_topics(estimator: EMTopicModel, dtype: np.dtype) -> Fitted:
    """From fitted attributes."""
    return Fitted(
        METHODS[getattr(estimator, "_fitted_type", estimator.method)],
        np.ascontiguousarray(estimator.components_.T, dtype=np.float64),
        estimator.doc_topic_prior_.astype(np.float64),
        Sweeps(estimator.max_doc_update_iter, estimator.mean_change_tol),
        dtype,
    )
