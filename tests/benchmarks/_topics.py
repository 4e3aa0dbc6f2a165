"""Pieces of work of the topic benchmark: corpora, one curve of perplexity against processor time for each library."""

from __future__ import annotations

import time
import warnings

import numpy as np
import scipy.sparse as sp

from emkit import EMTopicModel
from emkit.metrics import completion_perplexity, npmi

K = {"synthetic": 50, "reuters": 20}
TRUE_PRIOR = 0.1
PRIORS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)  # of documents, at folding in: of each library's topics the best counts
# each library's schedule: what is run on between two evaluations, or (emkit, scikit-learn, gensim) whole fits
SCHEDULES = {
    "emkit": [
        {"n_init": 1, "max_iter": 1, "learn_priors": False},
        {"n_init": 1, "max_iter": 1},
        {"n_init": 1, "max_iter": 20},
        {"max_iter": 20},
        {},
    ],
    "tomotopy": {"synthetic": [50, 50, 50, 50], "reuters": [50, 150, 800, 1000]},
    "lda": {"synthetic": [20, 60], "reuters": [100, 500, 2000]},
    "sklearn-batch": {"synthetic": [3, 10], "reuters": [5, 20, 100]},
    "sklearn-online": {"synthetic": [1, 4], "reuters": [5, 20, 100]},
    "gensim": {"synthetic": [1, 4], "reuters": [5, 20, 100]},
}


def simulated(n_documents=22_000, n_terms=10_000, k=50, sparsity=0.024, seed=0):
    """Documents of about 100 tokens from sparse topics, and these; the last 2,000 are to be held out."""
    rng = np.random.default_rng(seed)
    topics = rng.dirichlet(np.full(n_terms, sparsity), size=k)
    ends = np.cumsum(topics, axis=1)
    tokens = np.array(
        [rng.multinomial(rng.poisson(100), p) for p in rng.dirichlet(np.full(k, TRUE_PRIOR), n_documents)]
    )
    rows, columns = [], []
    for topic in range(k):
        rows.append(np.repeat(np.arange(n_documents), tokens[:, topic]))
        places = np.searchsorted(ends[topic], rng.random(len(rows[-1])) * ends[topic, -1])
        columns.append(np.minimum(places, n_terms - 1))
    rows, columns = np.concatenate(rows), np.concatenate(columns)
    shape = (n_documents, n_terms)
    return sp.csr_array(sp.coo_array((np.ones(len(rows), dtype=np.int64), (rows, columns)), shape=shape)), topics


def load(corpus):
    """Training and held-out documents, integer counts. `corpus` is "synthetic", "reuters" or a SciPy .npz file."""
    if corpus == "synthetic":
        X = simulated()[0]
        return X[:-2_000], X[-2_000:]
    if corpus == "reuters":
        from lda.datasets import load_reuters

        X = sp.csr_array(load_reuters())
    else:
        X = sp.csr_array(sp.load_npz(corpus))
    X = X.astype(np.int64)[np.random.default_rng(5).permutation(X.shape[0])]
    n = int(0.8 * X.shape[0])
    return X[:n], X[n:]


def quality(topics, train, held_out):
    """Held-out perplexity, the same for every library, and coherence on the training documents."""
    perplexity = min(completion_perplexity(topics, held_out, doc_topic_prior=prior) for prior in PRIORS)
    return {"perplexity": perplexity, "npmi": float(npmi(topics, train).mean())}


def curve(library, corpus, seed):
    """Points of growing effort: processor seconds, perplexity, coherence."""
    warnings.simplefilter("ignore")
    train, held_out = load(corpus)
    schedule = SCHEDULES[library]
    steps = schedule if library == "emkit" else schedule["synthetic" if corpus == "synthetic" else "reuters"]

    def timed():
        points = []
        for seconds, topics in RUNS[library](train, K.get(corpus, 20), seed, steps):
            points.append({"seconds": seconds, **quality(topics, train, held_out)})
        return {"points": points}

    return timed


def run_emkit(X, k, seed, steps):
    for options in steps:
        began = time.process_time()
        model = EMTopicModel(k, random_state=seed, **options).fit(X)
        yield time.process_time() - began, model.topic_word_


def run_sklearn(method):
    def run(X, k, seed, steps):
        from sklearn.decomposition import LatentDirichletAllocation

        for n in steps:
            model = LatentDirichletAllocation(k, learning_method=method, max_iter=n, random_state=seed)
            began = time.process_time()
            model.fit(X)
            yield time.process_time() - began, model.components_

    return run


def run_gensim(X, k, seed, steps):
    from gensim.matutils import Sparse2Corpus
    from gensim.models import LdaModel

    corpus, names = Sparse2Corpus(sp.csc_matrix(X.T)), {i: str(i) for i in range(X.shape[1])}
    for n in steps:
        began = time.process_time()
        model = LdaModel(corpus, k, names, passes=n, alpha="auto", eta="auto", random_state=seed)
        yield time.process_time() - began, model.get_topics().astype(np.float64)


def run_tomotopy(X, k, seed, steps):
    import tomotopy

    model = tomotopy.LDAModel(k=k, seed=seed + 1, alpha=TRUE_PRIOR, eta=0.01)
    for start, end in zip(X.indptr[:-1], X.indptr[1:], strict=True):
        if end > start:
            model.add_doc([str(term) for term in np.repeat(X.indices[start:end], X.data[start:end])])
    model.train(0)
    columns = np.array([int(term) for term in model.used_vocabs])
    seconds = 0.0
    for n in steps:
        began = time.process_time()
        model.train(n, workers=1)
        seconds += time.process_time() - began
        topics = np.full((k, X.shape[1]), 1e-9)
        for topic in range(k):
            topics[topic, columns] = model.get_topic_word_dist(topic)
        yield seconds, topics


def run_lda(X, k, seed, steps):
    import logging

    import lda

    logging.getLogger("lda").setLevel(logging.ERROR)
    for n in steps:
        model = lda.LDA(k, n_iter=n, random_state=seed, refresh=10**9)
        began = time.process_time()
        model.fit(sp.csr_matrix(X))
        yield time.process_time() - began, model.topic_word_


RUNS = {
    "emkit": run_emkit,
    "tomotopy": run_tomotopy,
    "lda": run_lda,
    "sklearn-batch": run_sklearn("batch"),
    "sklearn-online": run_sklearn("online"),
    "gensim": run_gensim,
}


def methods(corpus, method, seed):
    """A whole fit by each method of emkit: its own perplexity, and time."""
    train, held_out = load(corpus)

    def timed():
        warnings.simplefilter("ignore")
        began = time.process_time()
        model = EMTopicModel(K.get(corpus, 20), method=method, random_state=seed).fit(train)
        seconds = time.process_time() - began
        return {
            "seconds": seconds,
            "own": model.perplexity(held_out),
            "n_iter": model.n_iter_,
            **quality(model.topic_word_, train, held_out),
        }

    return timed


def floor(method):
    """EM started at the true topics of the synthetic corpus: what point estimates lose by themselves."""
    X, topics = simulated()
    train, held_out = X[:-2_000], X[-2_000:]

    def timed():
        warnings.simplefilter("ignore")
        start = topics * (train.sum() / len(topics))
        model = EMTopicModel(50, method=method, components_init=start, max_iter=60).fit(train)
        return {"truth": quality(topics, train, held_out)["perplexity"], **quality(model.topic_word_, train, held_out)}

    return timed


def transform(who, corpus):
    """Folding in new documents at the same topics; float32 counts for emkit, as it makes of large integer tables."""
    train, held_out = load(corpus)
    k = K.get(corpus, 20)
    model = EMTopicModel(k, random_state=0, n_init=1, max_iter=20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(train)
    X = sp.vstack([train, held_out]).tocsr().astype(np.float32 if who == "emkit" else np.float64)
    if who == "sklearn":
        from scipy.special import psi
        from sklearn.decomposition import LatentDirichletAllocation

        counts = model.components_.astype(np.float64)
        model = LatentDirichletAllocation(k, max_iter=1, random_state=0).fit(X[:100])
        model.components_ = counts
        model.exp_dirichlet_component_ = np.exp(psi(counts) - psi(counts.sum(axis=1, keepdims=True)))
    return lambda: {"shape": model.transform(X).shape}


def threads(n_jobs, n_init, max_iter):
    """A fit with so many threads; the wall time counts."""
    train, _ = load("synthetic")

    def timed():
        warnings.simplefilter("ignore")
        model = EMTopicModel(50, n_jobs=n_jobs, random_state=1, n_init=n_init, max_iter=max_iter, tol=0).fit(train)
        return {"objective": model.objective_}

    return timed


def kernel():
    """Passes over the synthetic corpus alone: nanoseconds for a non-zero and a topic."""
    from emkit.topic_model.documents import documents_of
    from emkit.topic_model.methods import METHODS, Sweeps

    X, topics = simulated()
    chunk = documents_of(X.astype(np.float32))
    method = METHODS["map"]
    weights, alpha = method.topics(np.ascontiguousarray(topics.T), chunk.dtype), np.full(len(topics), TRUE_PRIOR)

    def least(function):
        times = []
        for _ in range(5):
            began = time.process_time()
            function()
            times.append(time.process_time() - began)
        return 1e9 * min(times) / X.nnz / len(topics)

    def timed():
        one = least(lambda: method.fold_in(weights, chunk, alpha, Sweeps(1)))
        return {
            "e_step": least(lambda: method.visit(weights, chunk, alpha, Sweeps(1), None)),
            "sweep_of_fresh_document": one,
            "further_sweep": (least(lambda: method.fold_in(weights, chunk, alpha, Sweeps(11))) - one) / 10,
        }

    return timed


def streaming():
    """Memory of a stream of mini-batches beyond the counts: K (V + block) numbers are to be enough."""
    X, _ = simulated()
    X = X.astype(np.float32)

    def timed():
        model = EMTopicModel(50, random_state=0, n_init=1)
        for start in range(0, X.shape[0], 1_000):
            model.partial_fit(X[start : start + 1_000])
        return {"topic_mb": 4e-6 * model.components_.size}

    return timed
