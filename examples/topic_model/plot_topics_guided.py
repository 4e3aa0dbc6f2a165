"""
Topics that are asked for
=========================

``seed_words`` puts a topic where it is wanted: some words are named, and the documents say which others go with them.
The docstrings of NumPy, SciPy and scikit-learn are to have a topic of clusters, one of signals and one of tests, among
twenty. Numbers depend on the versions installed.
"""

import matplotlib.pyplot as plt
from sklearn.feature_extraction.text import CountVectorizer

from emkit import EMTopicModel
from emkit.datasets import load_docstrings
from emkit.plot import TopicDisplay

texts = load_docstrings().data
words = CountVectorizer(stop_words="english", token_pattern="[a-z]{3,}", min_df=5, max_df=0.2)
X = words.fit_transform(texts)
seeds = {
    "clusters": ["cluster", "linkage"],
    "signals": ["filter", "frequency"],
    "tests": ["hypothesis", "statistic"],
}
guided = EMTopicModel(20, seed_words=seeds, vocabulary=words.vocabulary_, random_state=0).fit(X)

# %%
# Guided topics come first, in the order given. The seeds are a prior, so all other words come from the documents.

terms = words.get_feature_names_out()
first = {"topic_word": guided.topic_word_[:3], "topic_weights": guided.topic_weights_[:3]}
display = TopicDisplay(**first, feature_names=terms, n_words=10).plot()
for ax, (name, seed) in zip(display.ax_, seeds.items(), strict=True):
    ax.set_title(name)
    for label in ax.get_yticklabels():
        label.set_fontweight("bold" if label.get_text() in seed else "normal")
plt.show()
