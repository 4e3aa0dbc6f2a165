"""
Topics of docstrings
====================

What is the documentation of NumPy, SciPy and scikit-learn about? The docstrings of their public functions and classes,
more than two thousand, are the corpus: real texts that are there wherever emkit is. Numbers depend on the versions
installed.
"""

import inspect
import re
from importlib import import_module

import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline

from emkit import EMTopicModel
from emkit.metrics import make_topic_scorer
from emkit.plot import TopicDisplay

MODULES = """numpy numpy.fft numpy.linalg numpy.ma numpy.polynomial numpy.random scipy.cluster.hierarchy scipy.fft
scipy.integrate scipy.interpolate scipy.linalg scipy.ndimage scipy.optimize scipy.signal scipy.sparse
scipy.sparse.linalg scipy.spatial scipy.spatial.distance scipy.special scipy.stats sklearn.cluster sklearn.covariance
sklearn.datasets sklearn.decomposition sklearn.ensemble sklearn.feature_extraction.text sklearn.feature_selection
sklearn.gaussian_process sklearn.linear_model sklearn.manifold sklearn.metrics sklearn.metrics.pairwise
sklearn.mixture sklearn.model_selection sklearn.naive_bayes sklearn.neighbors sklearn.neural_network
sklearn.preprocessing sklearn.svm sklearn.tree"""

# %%
# The corpus
# ----------
# A document is a docstring up to its notes and examples. Terms that a fifth of the documents share tell them little
# apart, and of those in fewer than five little can be learned.

package_of = {}  # a text counts once
for module in MODULES.split():
    for name, value in vars(import_module(module)).items():
        if callable(value) and not name.startswith("_"):
            text = re.split(r"\n(?:Notes|See Also|References|Examples)\n-", inspect.getdoc(value) or "")[0]
            if len(text) > 300:
                package_of.setdefault(text, module.split(".")[0])
texts, package = list(package_of), np.array(list(package_of.values()))
vectorizer = CountVectorizer(stop_words="english", token_pattern="[a-z]{3,}", min_df=5, max_df=0.2)
X = vectorizer.fit_transform(texts)
words = vectorizer.get_feature_names_out()
print(f"{X.shape[0]} documents, {X.shape[1]} terms, {X.sum()} tokens")

# %%
# Topics by their words
# ---------------------
# Starts, priors and mini-batches are left to the defaults. With ``vocabulary`` the columns have names.

model = EMTopicModel(20, vocabulary=words, random_state=0).fit(X)
TopicDisplay.from_estimator(model, n_words=7)
plt.show()

# %%
# Topics on a map
# ---------------
# The nearer two discs, the more alike the topics (as far as a plane can show it); the larger, the more tokens.

TopicDisplay.from_estimator(model, kind="map")
plt.show()

# %%
# Topics of a document
# --------------------
# ``transform`` gives the weights of the topics in each document; here, their means over the documents of a package.

names, weights = np.unique(package), model.transform(X)
share = np.array([weights[package == name].mean(axis=0) for name in names])
print(" " * 40 + "".join(f"{name:>9}" for name in names))
for topic, top in enumerate(model.top_words(3)):
    print(f"{topic:2d}  {', '.join(top):36}" + "".join(f"{value:9.1%}" for value in share[:, topic]))

# %%
# How many topics?
# ----------------
# Each model foretells one half of the words of documents left out from the other half. A docstring is full of
# paragraphs that others have too, so more topics foretell it better and better. Coherence asks whether the top words
# of a topic occur together. The first is for those who use the model (perplexity, lower is better), the second for
# those who read it (NPMI, higher is better).

numbers = [5, 10, 20, 40]
scoring = {"npmi": make_topic_scorer("npmi", X=X), "perplexity": lambda fitted, held_out: fitted.perplexity(held_out)}
folds = KFold(3, shuffle=True, random_state=0)
results = [cross_validate(EMTopicModel(k, random_state=0), X, cv=folds, scoring=scoring) for k in numbers]
figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
for ax, name in zip(axes, scoring, strict=True):
    values = np.array([result[f"test_{name}"] for result in results])
    ax.errorbar(numbers, values.mean(axis=1), values.std(axis=1), fmt="o-", capsize=4)
    ax.set(xlabel="topics", ylabel=name)
plt.show()

# %%
# Topics that are asked for
# -------------------------
# ``seed_words`` puts a topic where it is wanted. They are a prior, so the words around them come from the documents.

seeds = {"clusters": ["cluster", "linkage"], "signals": ["filter", "frequency"], "tests": ["hypothesis", "statistic"]}
guided = EMTopicModel(20, seed_words=seeds, vocabulary=words, random_state=0).fit(X)
for name, top in zip(seeds, guided.top_words(9), strict=False):
    print(f"{name}: {', '.join(top)}")

# %%
# Topics as features
# ------------------
# In a pipeline with a classifier: which package does a text come from? The vectoriser, the topics and the classifier
# see the training folds alone. Twenty numbers stand in for thousands of counts, and do not hold all that these do.

by_topics = make_pipeline(vectorizer, EMTopicModel(20, random_state=0), LogisticRegression(C=10))
by_counts = make_pipeline(vectorizer, LogisticRegression(max_iter=1000))
for name, pipeline in {"20 topics": by_topics, f"{len(words)} counts": by_counts}.items():
    print(f"{name}: accuracy {cross_val_score(pipeline, texts, package, cv=folds).mean():.3f}")
print(f"always the most frequent package: {np.unique(package, return_counts=True)[1].max() / len(package):.3f}")
