"""EMTopicModel: the scikit-learn face of topic models."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import ClassifierTags, check_random_state
from sklearn.utils.validation import check_is_fitted

from .._compat import with_callbacks
from .._estimator import EMEstimator
from .._validation import check_integer, check_sample_weight
from ..checkpoint import checkpointed
from ..lazy import lazy_for_dask, weighted_mean
from ..partitions import is_collection
from .completion import complete, log_likelihood, perplexity_of, shares_of
from .entropy import token_entropy
from .fitting import fit_batch, fit_online, fitted_topics
from .options import vocabulary_of
from .reading import read_chunks
from .sampling import draw_documents
from .tables import top_words_frame


class EMTopicModel(ClassNamePrefixFeaturesOutMixin, TransformerMixin, EMEstimator):
    """Topics of documents, fitted by EM to counts of terms; a drop-in for latent Dirichlet allocation.

    The probability of term v in document d is :math:`p(v \\mid d) = \\sum_k \\theta_{dk} \\phi_{kv}`, a mixture of
    topics :math:`\\phi_k` with weights of the document's own. By default EM maximises the log-likelihood of all tokens
    plus :math:`\\sum \\alpha_k \\log \\theta_{dk} + \\sum \\eta \\log \\phi_{kv}`, so that :math:`\\theta` is
    proportional to expected counts plus :math:`\\alpha`, and :math:`\\phi` to expected counts plus :math:`\\eta`.

    Parameters
    ----------
    n_components : int, default=10
        Number of topics, K.
    method : {"map", "plsa", "vb", "cvb0"}, default="map"
        "map": smoothed EM as above, which are Dirichlet priors with parameters :math:`\\alpha + 1` and
        :math:`\\eta + 1`. "plsa": maximum likelihood. "vb": variational Bayes, as
        :class:`sklearn.decomposition.LatentDirichletAllocation`. "cvb0": collapsed variational Bayes of order zero;
        it keeps K numbers for each entry of the table.
    doc_topic_prior : float, array-like of shape (n_components,) or None, default=None
        :math:`\\alpha`, prior pseudo-counts of the topics in a document. None is 1 / K.
    topic_word_prior : float, array-like of shape (n_features,) or (n_components, n_features), or None, default=None
        :math:`\\eta`, prior pseudo-counts of the terms in a topic. None is 1 / K. A number in (-1, 0) makes topics
        sparse: a term with fewer expected tokens than that leaves the topic.
    learn_priors : {True, False, "doc_topic", "topic_word"}, default=True
        Learn :math:`\\alpha` (for each topic) and :math:`\\eta` (one number) by Minka's fixed point in a short first
        run, from the values given; then they are held. An array of `topic_word_prior` is kept, and where
        `components_init` gives all topics, :math:`\\alpha` stays even.
    tol : float, default=1e-2
        Bound on the estimated remaining gain of the objective per unit of weight (a document). 0 runs all `max_iter`
        steps.
    max_iter : int, default=1000
        Largest number of EM updates (M-steps) of a start, mini-batches apart.
    n_init : "auto" or int, default="auto"
        "auto": four short starts, compared on at most 2,000 documents; the best is continued, the best two if there are
        more. A number: that many starts, the best kept.
    batch_size : int or None, default=None
        Documents of a mini-batch. None: from 2,000 documents on, two passes of about 20 to 50 mini-batches, then steps
        on all documents; below, only these. A number asks for mini-batches always.
    components_init : array-like of shape (m, n_features) or None, default=None
        Start of the first m <= K topics. All K, as `components_` of an earlier fit, are the start as they are, and the
        only one; fewer are scaled to the size of the others.
    fixed : tuple of {"components"}, default=()
        ``("components",)`` holds the topics of `components_init`, at any positive scale, and only the others are
        fitted. Not with "cvb0".
    seed_words : dict of {str: list of str or int} or None, default=None
        Guided topics: name of a topic to its words (or their columns). They are the topics after those of
        `components_init`. Words need names: `vocabulary`, or a frame.
    seed_strength : float, default=0.1
        Prior pseudo-counts that the seed words of a topic get together, as a share of an average topic's tokens.
    background : bool, default=False
        Whether a topic is held at the frequencies of the terms in all documents, so that the others need not explain
        common words. It comes after those of `components_init` and `seed_words`; without them it is the first. Not with
        "cvb0".
    vocabulary : sequence of str, dict or None, default=None
        Terms of the columns, as ``CountVectorizer.get_feature_names_out()`` or ``.vocabulary_`` gives them.
    max_doc_update_iter : int, default=100
        Largest number of updates of a new document in `transform`, and in the E-step of "vb".
    mean_change_tol : float, default=1e-3
        Mean change of a document's expected topic counts at which these updates stop.
    early_stopping : bool, default=False
        Whether to hold out some documents, and to stop when their completion has not improved for `n_iter_no_change`
        steps. The best topics are returned.
    validation_fraction : float, default=0.1
        Share of the documents held out by `early_stopping`.
    n_iter_no_change : int, default=5
        Steps without improvement.
    dtype : {"auto", "float32", "float64"}, default="auto"
        Of the loops. "auto" is that of X; integer counts of 2,000 or more documents are float32. Sums over documents
        are float64.
    accelerate : {"auto", "squarem", "anderson", False}, default="auto"
        Extrapolation of the steps, each kept only if the objective rises; for "map" and "plsa". False and "auto" are
        textbook EM: at the default `tol`, extrapolation costs as many passes as it saves.
    random_state : int, RandomState instance or None, default=None
        Of the starts, of mini-batches and of `sample`.
    n_jobs : int or None, default=None
        Threads: over starts, and over chunks of documents. Results do not depend on it.
    warm_start : bool, default=False
        Continue from the topics of the previous fit.
    verbose : int, default=0
        1 logs the end of each start, 2 also each iteration, at level INFO to the logger ``emkit``.
    checkpoint : path or None, default=None
        File that `fit` writes after each pass, and from which the same fit goes on if it was killed; or a directory,
        in which each fit has a file of its own. See :mod:`emkit.checkpoint`.

    Attributes
    ----------
    components_ : ndarray of shape (n_components, n_features)
        Pseudo-counts of the terms in the topics: expected tokens plus :math:`\\eta`.
    topic_word_ : ndarray of shape (n_components, n_features)
        Probabilities of the terms in the topics: rows of `components_` over their sums.
    topic_weights_ : ndarray of shape (n_components,)
        Share of the training tokens in each topic.
    doc_topic_prior_ : ndarray of shape (n_components,)
        :math:`\\alpha`, as given or learned; zeros for "plsa".
    topic_word_prior_ : float or ndarray
        :math:`\\eta`, as given or learned, with the seed words' pseudo-counts; 0 for "plsa".
    mean_document_length_ : float
        Tokens of a training document, weighted mean.
    objective_ : float
        Log-likelihood of the training tokens plus log-priors (up to constants); the evidence lower bound for "vb"; the
        tokens' log-probabilities given all others for "cvb0". Weighted total, natural log.
    n_iter_ : int
        M-steps of the returned start, mini-batches apart.
    n_e_steps_ : int
        Passes over the data of the returned start, mini-batches apart.
    converged_ : bool
        Whether the stop rule was met before `max_iter`. False after a further batch, of which nothing tells whether it
        led to a maximum.
    n_parameters_ : int
        Free parameters of the topics, for BIC and AIC; the weights of the documents are left out.
    history_ : ndarray, structured
        A record for each iteration of each start: start, iteration, objective (total), change, seconds (since the
        start began), phase ("start", "em"; "sample" for steps on a sample of the documents).
    n_features_in_ : int
        Number of terms.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Terms, if X had string names.

    See Also
    --------
    emkit.metrics : perplexity, coherence and diversity of any topics.

    Notes
    -----
    An E-step costs O(K nnz) time. Work memory is O(K (V + block)) beyond the counts, and K numbers for each document
    while steps are on all documents. Documents of 2,000 or more are float32 if they are integers.

    References
    ----------
    .. [1] Asuncion, A., Welling, M., Smyth, P. and Teh, Y. W. (2009). On smoothing and inference for topic models.
       UAI, 27-34.
    .. [2] Hofmann, T. (1999). Probabilistic latent semantic indexing. SIGIR, 50-57.
    .. [3] Blei, D. M., Ng, A. Y. and Jordan, M. I. (2003). Latent Dirichlet allocation. JMLR 3, 993-1022.
    .. [4] Minka, T. P. (2000). Estimating a Dirichlet distribution. Technical report, MIT.

    Examples
    --------
    >>> from sklearn.feature_extraction.text import CountVectorizer
    >>> from emkit import EMTopicModel
    >>> texts = ["cat dog pet", "dog pet vet", "cat vet pet"]
    >>> texts += ["bank loan rate", "loan rate debt", "bank debt rate"]
    >>> words = CountVectorizer().fit(texts)
    >>> model = EMTopicModel(2, random_state=0, vocabulary=words.vocabulary_).fit(words.transform(texts))
    >>> sorted(model.top_words(1))
    [['pet'], ['rate']]
    """

    __metadata_request__fit = MappingProxyType({"sample_weight": True})
    __metadata_request__partial_fit = MappingProxyType({"sample_weight": True})
    __metadata_request__score = MappingProxyType({"sample_weight": True})

    def __init__(
        self,
        n_components=10,
        *,
        method="map",
        doc_topic_prior=None,
        topic_word_prior=None,
        learn_priors=True,
        tol=1e-2,
        max_iter=1000,
        n_init="auto",
        batch_size=None,
        components_init=None,
        fixed=(),
        seed_words=None,
        seed_strength=0.1,
        background=False,
        vocabulary=None,
        max_doc_update_iter=100,
        mean_change_tol=1e-3,
        early_stopping=False,
        validation_fraction=0.1,
        n_iter_no_change=5,
        dtype="auto",
        accelerate="auto",
        random_state=None,
        n_jobs=None,
        warm_start=False,
        verbose=0,
        checkpoint=None,
    ):
        self.n_components = n_components
        self.method = method
        self.doc_topic_prior = doc_topic_prior
        self.topic_word_prior = topic_word_prior
        self.learn_priors = learn_priors
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.batch_size = batch_size
        self.components_init = components_init
        self.fixed = fixed
        self.seed_words = seed_words
        self.seed_strength = seed_strength
        self.background = background
        self.vocabulary = vocabulary
        self.max_doc_update_iter = max_doc_update_iter
        self.mean_change_tol = mean_change_tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.dtype = dtype
        self.accelerate = accelerate
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.warm_start = warm_start
        self.verbose = verbose
        self.checkpoint = checkpoint

    @with_callbacks
    def fit(self, X, y=None, *, sample_weight=None):
        """Fit the topics to documents.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or blocks of rows: see :mod:`emkit.blocks`
            Counts of terms, not negative, fractions allowed. Or a function that returns, at each call, an iterable of
            blocks of rows, or a dask array or frame, which is fitted where it is if a dask client is active; then
            nothing is kept of the documents, and on a cluster there are no mini-batches.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            A document of weight w counts as w documents.

        Returns
        -------
        self : EMTopicModel

        Raises
        ------
        ValueError
            If an argument is out of range, counts are negative or not finite, or there are no tokens. The estimator is
            left as it was.
        emkit.distributed.ClusterError
            If a dask cluster has no worker left, or if its client is closed.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` was reached.
        """
        return self._fit_copy(checkpointed(fit_batch), X, sample_weight=sample_weight)

    @with_callbacks
    def partial_fit(self, X, y=None, *, sample_weight=None):
        """Update the topics by some documents: stepwise EM.

        The first call is a short fit to its documents, which should be some thousands, and sets the priors. Each
        further call is one step, or one for every `batch_size` documents. The order of the documents should be random.
        After `fit`, this updates that fit. Memory is O(K V) beyond the documents of a call.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or callable
            Documents; see `fit`.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            A document of weight w counts as w documents.

        Returns
        -------
        self : EMTopicModel
        """
        return self._fit_copy(fit_online, X, sample_weight=sample_weight)

    def _accelerator(self, model):
        """None for "auto": at the default tolerance the proposals cost as many passes as they save."""
        return (lambda: None) if self.accelerate == "auto" else super()._accelerator(model)

    def _by_chunk(self, X):
        check_is_fitted(self)
        fitted = None
        for chunk in read_chunks(self, X, self.dtype):
            fitted = fitted or fitted_topics(self, chunk.dtype)
            yield fitted, chunk

    def transform(self, X):
        """Weights of the topics in documents.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or callable
            Documents; see `fit`. For a dask array or frame the result is a lazy dask array.

        Returns
        -------
        theta : ndarray or frame of shape (n_samples, n_components)
            Rows sum to one. A document without tokens has the shares of the prior.
        """
        return self.predict_proba(X)

    @lazy_for_dask
    def predict_proba(self, X):
        """Weights of the topics in documents; the same as `transform`.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or callable
            Documents; see `fit`. For a dask array or frame the result is a lazy dask array.

        Returns
        -------
        theta : ndarray of shape (n_samples, n_components)
            Rows sum to one. A document without tokens has the shares of the prior.
        """
        parts = [self._theta(fitted, chunk).astype(chunk.dtype) for fitted, chunk in self._by_chunk(X)]
        return np.concatenate(parts)

    def _theta(self, fitted, chunk):
        return shares_of(fitted.method.fold_in(fitted.topics, chunk, fitted.alpha, fitted.sweeps))

    @lazy_for_dask
    def predict(self, X):
        """Main topic of each document.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or callable
            Documents; see `fit`. For a dask array or frame the result is a lazy dask array.

        Returns
        -------
        labels : ndarray of shape (n_samples,), int
        """
        return self.predict_proba(X).argmax(axis=1)

    def _complete(self, X):
        parts = [
            complete(fitted.method, fitted.topics, fitted.topic_word, fitted.alpha, chunk, fitted.sweeps)
            for fitted, chunk in self._by_chunk(X)
        ]
        return np.concatenate([p.log_likelihood for p in parts]), np.concatenate([p.n_tokens for p in parts])

    @lazy_for_dask
    def score_samples(self, X):
        """How well the second half of each document is foretold from the first (document completion).

        The tokens in the order of the columns go to the halves in turn, so the split depends on the row alone.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or callable
            Documents; see `fit`. For a dask array or frame the result is a lazy dask array.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,), float64
            Natural log, total over the tokens of the second half; 0 where there are none.
        """
        return self._complete(X)[0]

    def score(self, X, y=None, *, sample_weight=None):
        """Mean of `score_samples`; greater is better.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or callable
            Documents; see `fit`.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the mean.

        Returns
        -------
        log_likelihood : float
            Natural log, per unit of weight. It is not scikit-learn's, which is a bound for all tokens of all documents.
        """
        scores = self.score_samples(X)
        if is_collection(scores):
            return weighted_mean(scores, sample_weight)
        weight = check_sample_weight(sample_weight, len(scores), np.dtype(np.float64))
        return float(np.average(scores, weights=weight))

    def perplexity(self, X, *, sample_weight=None):
        """Completion perplexity, exp(-sum of `score_samples` / scored tokens); lower is better.

        Parameters
        ----------
        X : {array-like, sparse matrix} of shape (n_samples, n_features), or callable
            Documents; see `fit`.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            A document of weight w counts as w documents.

        Returns
        -------
        perplexity : float
            At least 1. It is not comparable with scikit-learn's or gensim's, which come from bounds.

        Raises
        ------
        ValueError
            If no document has two tokens, so that nothing can be scored.
        """
        return perplexity_of(*self._complete(X), sample_weight)

    def sample(self, n_samples=1):
        """Draw documents from the fitted model; their lengths are Poisson about `mean_document_length_`.

        Parameters
        ----------
        n_samples : int, default=1
            Number of documents.

        Returns
        -------
        X : sparse array of shape (n_samples, n_features), int64
            Counts, CSR.
        y : ndarray of shape (n_samples,), int
            The topic of most tokens of each document; 0 without tokens.

        Raises
        ------
        ValueError
            If the documents have no prior, as with "plsa".
        """
        check_is_fitted(self)
        check_integer("n_samples", n_samples, 1)
        alpha = self.doc_topic_prior_.astype(np.float64)
        if not alpha.any():
            raise ValueError("documents cannot be drawn without a prior of their topics; use method='map'")
        seeds = check_random_state(self.random_state).randint(np.iinfo(np.int32).max, size=4)
        rng = np.random.default_rng(seeds)
        return draw_documents(self.topic_word_, alpha, self.mean_document_length_, n_samples, rng)

    def top_words(self, n=10, *, as_frame=False):
        """The most probable terms of each topic.

        Parameters
        ----------
        n : int, default=10
            Terms of a topic.
        as_frame : bool, default=False
            Whether to give a pandas DataFrame.

        Returns
        -------
        words : list of list of str, or DataFrame
            Most probable first, for each topic; numbers of columns if the terms have no names (see `vocabulary`). The
            frame has a row for each topic and term, with columns topic, rank (from 1), word and probability.
        """
        check_is_fitted(self)
        n = min(check_integer("n", n, 1), self.topic_word_.shape[1])
        names = self._term_names()
        order = np.argsort(-self.topic_word_, axis=1, kind="stable")[:, :n]
        words = [[names[v] if names else int(v) for v in row] for row in order]
        return top_words_frame(words, np.take_along_axis(self.topic_word_, order, axis=1)) if as_frame else words

    def _term_names(self):
        """Names of the columns; empty if they have none."""
        return vocabulary_of(self, self.components_.shape[1])

    def _training_log_likelihood(self, X):
        """log p of each document under its own best weights, for the criteria."""
        parts = [
            log_likelihood(chunk, fitted.topic_word, self._theta(fitted, chunk)) for fitted, chunk in self._by_chunk(X)
        ]
        return np.concatenate(parts)

    def _posterior_entropy(self, X, *, sample_weight=None):
        """Entropy of the tokens' topics."""
        parts = [
            token_entropy(chunk, fitted.topic_word, self._theta(fitted, chunk)) for fitted, chunk in self._by_chunk(X)
        ]
        by_document = np.concatenate(parts)
        weight = check_sample_weight(sample_weight, len(by_document), by_document.dtype)
        return float(by_document.sum() if weight is None else weight @ by_document)

    @property
    def _n_features_out(self):
        return self.components_.shape[0]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"] if self.dtype == "auto" else [self.dtype]
        # scikit-learn's checks of sparse input read these tags of whatever has predict_proba; it is no classifier
        tags.classifier_tags = ClassifierTags(multi_class=False)
        return tags
