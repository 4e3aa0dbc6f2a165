"""Stepwise EM: the statistics are a moving average over batches. Every `partial_fit` is this.

References
----------
.. [1] Cappe, O. and Moulines, E. (2009). On-line expectation-maximization algorithm for latent data models. JRSS B
   71(3), 593-613. Equation (11).
.. [2] Liang, P. and Klein, D. (2009). Online EM for unsupervised models. NAACL, 611-619. Section 3.
"""

from __future__ import annotations

from typing import Generic, NamedTuple, Protocol, TypeVar

from .engine import EMModel, Stats

Params = TypeVar("Params")
S = TypeVar("S", bound=Stats)


class OnlineModel(EMModel[Params, S], Protocol[Params, S]):
    """A model whose statistics are taken about its parameters and can be moved to others."""

    def recentre(self, stats: S, params: Params, new_params: Params) -> S: ...


class OnlineState(NamedTuple, Generic[Params, S]):
    """Parameters and averaged statistics (about those parameters, per unit of weight); rows and batches seen."""

    params: Params
    stats: S
    weight: float
    n_steps: int


def learning_rate(n_steps: float, delay: float = 2.0, power: float = 0.6) -> float:
    """Rate after `n_steps` steps: (n_steps + delay)^-power; 0.5 < power <= 1 converges ([2]_, section 3)."""
    return float((n_steps + delay) ** -power)


def online_step(model: OnlineModel[Params, S], state: OnlineState[Params, S], new: S) -> OnlineState[Params, S]:
    """s <- (1 - rate) s + rate * new, then an M-step ([1]_, equation 11). `new` was taken under `state.params`.

    What was seen before counts as so many batches of the size of the new one.
    """
    if new.weight == 0:
        return state
    rate = learning_rate(state.weight / new.weight)
    stats = state.stats * (1 - rate) + new * (rate / new.weight)
    params = model.m_step(stats, state.params)
    return OnlineState(
        params, model.recentre(stats, state.params, params), state.weight + new.weight, state.n_steps + 1
    )
