"""
How many topics? It depends on what for
=======================================

Real documents have no true number of topics. The docstrings of NumPy, SciPy and scikit-learn are modelled by 5 to 40,
and three questions are asked of each model. Numbers depend on the versions installed.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold

from emkit import EMTopicModel
from emkit.datasets import load_docstrings
from emkit.metrics import make_topic_scorer

docstrings = load_docstrings()
package = docstrings.target
words = CountVectorizer(stop_words="english", token_pattern="[a-z]{3,}", min_df=5, max_df=0.2)
X = words.fit_transform(docstrings.data)
folds = list(KFold(3, shuffle=True, random_state=0).split(X))
coherence = make_topic_scorer("npmi", X=X)

# %%
# - **To foretell words:** one half of each document left out from its other half (perplexity, lower is better). A
#   docstring is full of paragraphs that others have too, so more topics foretell it better and better.
# - **To read topics:** do the top words of a topic occur together (NPMI, higher is better)?
# - **As features:** which package does a text come from? Some tens of numbers stand in for thousands of counts, and do
#   not hold all that these do.


def accuracy(of_train, of_test, train, test):
    classifier = LogisticRegression(C=10, max_iter=1000).fit(of_train, package[train])
    return classifier.score(of_test, package[test])


def three_answers(k, train, test):
    model = EMTopicModel(k, random_state=0).fit(X[train])
    by_topics = accuracy(model.transform(X[train]), model.transform(X[test]), train, test)
    return model.perplexity(X[test]), coherence(model, X[test]), by_topics


numbers = [5, 10, 20, 40]
answers = np.array([[three_answers(k, *fold) for fold in folds] for k in numbers])
by_counts = np.mean([accuracy(X[train], X[test], train, test) for train, test in folds])

figure, axes = plt.subplots(1, 3, figsize=(11, 3.5), layout="constrained")
for i, (name, ax) in enumerate(zip(("perplexity", "coherence (NPMI)", "accuracy"), axes, strict=True)):
    mean, sd = answers[:, :, i].mean(axis=1), answers[:, :, i].std(axis=1)
    ax.errorbar(numbers, mean, sd, fmt="o-", capsize=4)
    ax.set(xlabel="topics", title=name, xticks=numbers)
    print(f"{name:16s} of {numbers} topics: {mean.round(2)}")
axes[2].axhline(by_counts, color="0.4", linestyle="--", label=f"{X.shape[1]} counts")
axes[2].legend()
plt.show()
