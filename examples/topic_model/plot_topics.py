"""
Topics of docstrings
====================

What is the documentation of NumPy, SciPy and scikit-learn about? The docstrings of their public functions and classes,
more than two thousand, are real texts that are there wherever emkit is. Numbers depend on the versions installed.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.feature_extraction.text import CountVectorizer

from emkit import EMTopicModel
from emkit.datasets import load_docstrings
from emkit.plot import TopicDisplay

# %%
# Topics by their words
# ---------------------
# Terms that a fifth of the documents share tell them little apart, and of those in fewer than five little can be
# learned. Starts, priors and mini-batches are left to the defaults. With ``vocabulary`` the columns have names.

docstrings = load_docstrings()
words = CountVectorizer(stop_words="english", token_pattern="[a-z]{3,}", min_df=5, max_df=0.2)
X = words.fit_transform(docstrings.data)
print(f"{X.shape[0]} documents, {X.shape[1]} terms, {X.sum()} tokens")
model = EMTopicModel(20, vocabulary=words.vocabulary_, random_state=0).fit(X)
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

weights, packages = model.transform(X), np.unique(docstrings.target)
share = np.array([weights[docstrings.target == name].mean(axis=0) for name in packages])
print(" " * 40 + "".join(f"{name:>9}" for name in packages))
for topic, top in enumerate(model.top_words(3)):
    print(f"{topic:2d}  {', '.join(top):36}" + "".join(f"{value:9.1%}" for value in share[:, topic]))
