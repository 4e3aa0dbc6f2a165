"""What mixtures of experts take: frames, arrays, responses, weights, starts; the same for any number of threads."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from experts_kinds import (
    BLOCK,
    CLASSES,
    COUNTS,
    FRAME,
    LABELS,
    MIXED,
    PAIR,
    POLARS,
    STRINGS,
    N,
    X,
    Y,
    assert_same,
    classifier,
    of_each_kind,
    outputs,
    pl,
    regressor,
    simulated,
    warnings_are_errors,
)
from numpy.testing import assert_allclose, assert_array_equal
from old_versions import needs_names_of_polars
from sklearn.compose import make_column_transformer
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures, SplineTransformer, StandardScaler

from emkit import EMMixtureOfExpertsClassifier

pytestmark = warnings_are_errors


class TestFrames:
    @of_each_kind
    def test_frames_and_arrays_give_the_same(self, make, options, y):
        model = make(**options).fit(X, y)
        named = make(**options).fit(FRAME, y)
        assert_same(outputs(named, FRAME, y), outputs(model, X, y), rtol=1e-6, atol=1e-8)
        assert named.feature_names_in_.tolist() == ["a", "b", "c"]
        assert not hasattr(model, "feature_names_in_")

    @needs_names_of_polars
    def test_polars(self):
        y = pl.Series(Y)
        model = regressor(expert_features=["b"], gate_features=["a"]).fit(POLARS, y)
        expected = regressor(expert_features=["b"], gate_features=["a"]).fit(FRAME, Y)
        assert_same(outputs(model, POLARS, y), outputs(expected, FRAME, Y))
        assert_array_equal(model.predict(POLARS), model.predict(FRAME))
        assert_array_equal(classifier().fit(POLARS, pl.Series(STRINGS)).classes_, ["blue", "green", "red"])

    @pytest.mark.parametrize("options", [{}, {"expert_features": StandardScaler()}, {"gate_features": ["a"]}])
    def test_names_must_match(self, options):
        model = regressor(**options).fit(FRAME, Y)
        for other in (FRAME[["b", "a", "c"]], FRAME.rename(columns={"c": "C"}), FRAME.assign(d=1), FRAME[["a", "b"]]):
            for call in (model.predict, model.predict_expert_proba, model.score_samples, model.sample):
                with pytest.raises(ValueError, match="feature names should match"):
                    call(other)

    @pytest.mark.parametrize("options", [{}, {"expert_features": StandardScaler()}, {"gate_features": [0]}])
    def test_the_number_of_columns_must_match(self, options):
        for make, y in ((regressor, Y), (classifier, CLASSES)):
            model = make(**options).fit(X, y)
            for call in (model.predict, model.predict_expert_proba, model.score_samples, model.sample):
                with pytest.raises(ValueError, match=rf"X has 2 features, but {type(model).__name__} is expecting 3"):
                    call(X[:, :2])

    def test_names_that_are_missing_or_new_warn(self):
        with pytest.warns(UserWarning, match="X does not have valid feature names"):
            regressor().fit(FRAME, Y).predict(X)
        with pytest.warns(UserWarning, match="X has feature names, but EMMixtureOfExpertsRegressor was fitted without"):
            regressor().fit(X, Y).predict(FRAME)

    @pytest.mark.parametrize("name", ["expert_features", "gate_features"])
    def test_columns_by_name_or_place(self, name):
        expected = regressor(**{name: ["a", "c"]}).fit(FRAME, Y)
        for columns in (["a", 2], [0, -1], (0, 2), np.array([0, 2]), np.array(["a", "c"]), pd.Index(["a", "c"])):
            model = regressor(**{name: columns}).fit(FRAME, Y)
            assert_same(outputs(model, FRAME, Y), outputs(expected, FRAME, Y))
        assert_same(outputs(regressor(**{name: [-3, 2]}).fit(X, Y), X, Y), outputs(expected, FRAME, Y))
        assert {"expert_features": expected.coef_, "gate_features": expected.gate_coef_}[name].shape == (2, 2)
        assert expected.n_features_in_ == 3

    def test_the_order_of_columns_is_kept(self):
        model = regressor(expert_features=["c", "b"]).fit(FRAME, Y)
        other = regressor(expert_features=["b", "c"]).fit(FRAME, Y)
        assert_allclose(model.coef_[:, ::-1], other.coef_, rtol=1e-6)

    @needs_names_of_polars
    @pytest.mark.parametrize("library", ["pandas", "polars"])
    def test_columns_of_categories(self, library):
        table = MIXED if library == "pandas" else pl.from_pandas(MIXED.astype({"kind": str}).reset_index(drop=True))
        inputs = make_column_transformer((StandardScaler(), ["b"]), (OneHotEncoder(drop="first"), ["kind", "size"]))
        gate = make_column_transformer((OneHotEncoder(drop="first"), ["kind"]))
        model = regressor(expert_features=inputs, gate_features=gate).fit(table, Y)
        assert model.coef_.shape == (2, 3)
        assert model.gate_coef_.shape == (2, 1)
        assert model.n_features_in_ == 5
        coded = np.column_stack([StandardScaler().fit_transform(X[:, [1]]), LABELS * 1.0, X[:, 2] <= 0])
        expected = regressor(gate_features=[1]).fit(coded, Y)
        assert_allclose(model.predict(table), expected.predict(coded), rtol=1e-9)
        assert_allclose(model.predict_expert_proba(table, Y), expected.predict_expert_proba(coded, Y), atol=1e-9)
        assert len(cross_val_score(model, table, Y, cv=3, error_score="raise")) == 3

    def test_a_transformer_for_the_gate_and_columns_for_the_experts(self):
        gate = make_column_transformer((OneHotEncoder(drop="first"), ["kind"]))
        model = regressor(expert_features=["b", "c"], gate_features=gate).fit(MIXED, Y)
        assert model.coef_.shape == (2, 2)
        assert model.gate_coef_.shape == (2, 1)
        assert model.score(MIXED, Y) > 0.8
        inputs = make_column_transformer((StandardScaler(), ["b"]), (OneHotEncoder(drop="first"), ["size"]))
        other = regressor(expert_features=inputs, gate_features=["a"]).fit(MIXED, Y)
        assert other.gate_coef_.shape == (2, 1)
        assert other.score(MIXED, Y) > 0.8

    def test_transformers_are_cloned(self):
        spline, poly = SplineTransformer(), PolynomialFeatures(2, include_bias=False)
        model = regressor(expert_features=spline, gate_features=poly).fit(X, Y)
        assert not hasattr(spline, "n_features_in_")
        assert not hasattr(poly, "n_features_in_")
        assert model.expert_features is spline
        assert model.coef_.shape == (2, SplineTransformer().fit(X).n_features_out_)
        assert model.gate_coef_.shape == (2, 9)
        both = regressor(expert_features=poly, gate_features=poly).fit(X, Y)
        made = PolynomialFeatures(2, include_bias=False).fit_transform(X)
        assert_allclose(both.coef_, regressor().fit(made, Y).coef_, rtol=1e-6, atol=1e-8)

    def test_transformers_see_the_responses(self):
        best = SelectKBest(f_regression, k=1)
        model = regressor(expert_features=make_pipeline(StandardScaler(), best), gate_features=[0]).fit(X, Y)
        assert model.coef_.shape == (2, 1)


class TestResponses:
    @pytest.mark.parametrize(
        "y",
        [
            *(Y.tolist(), pd.Series(Y, index=np.arange(N)[::-1]), pl.Series(Y), Y.astype(object)),
            *(pd.Series(Y).astype("Float64"), Y.astype(">f8"), np.repeat(Y, 2)[::2]),
        ],
    )
    def test_of_one_dimension(self, y):
        model = regressor().fit(X, y)
        assert_array_equal(model.predict(X), regressor().fit(X, Y).predict(X))
        assert_array_equal(model.score_samples(X, y), model.score_samples(X, Y))

    @pytest.mark.parametrize("y", [Y[:, None], pd.DataFrame({"y": Y}), pl.DataFrame({"y": Y}), Y[:, None].tolist()])
    def test_a_table_of_one_column_is_kept_as_one(self, y):
        model, flat = regressor().fit(X, y), regressor().fit(X, Y)
        assert model.predict(X).shape == model.predict_quantile(X).shape == (N, 1)
        assert model.predict_quantile(X, [0.2, 0.5, 0.7]).shape == (N, 3, 1)
        assert model.sample(X, 4).shape == (4, N, 1)
        assert model.coef_.shape == (2, 1, 3)
        assert model.experts_[0].predict(X).shape == (N, 1)
        assert_array_equal(model.predict(X)[:, 0], flat.predict(X))
        assert model.score(X, y) == flat.score(X, Y)
        assert_array_equal(model.score_samples(X, y), flat.score_samples(X, Y))

    @pytest.mark.parametrize("expert", ["poisson", "gamma", "binomial"])
    def test_a_column_for_experts_of_one_response(self, expert):
        y = np.clip(COUNTS, 0.5, 1)
        with pytest.warns(sklearn.exceptions.DataConversionWarning, match="column-vector y"):
            model = regressor(expert=expert, alpha=0.1).fit(X, y[:, None])
        assert_array_equal(model.predict(X), regressor(expert=expert, alpha=0.1).fit(X, y).predict(X))

    @pytest.mark.parametrize("options", [{}, {"expert": "student"}, {"expert": LinearRegression(), "tol": 1e-3}])
    @pytest.mark.parametrize("make", [np.asarray, pd.DataFrame, lambda y: pl.DataFrame(y, schema=["p", "q"])])
    def test_several_responses(self, options, make):
        model = regressor(**options).fit(X, make(PAIR))
        assert_allclose(model.predict(X), regressor(**options).fit(X, PAIR).predict(X), rtol=1e-6)
        assert model.predict(X).shape == (N, 2)
        assert model.predict_quantile(X, [0.2, 0.5, 0.7]).shape == (N, 3, 2)
        assert model.sample(X, 4).shape == (4, N, 2)
        assert all(bound.shape == (N, 2) for bound in model.predict_interval(X))
        assert model.score(X, make(PAIR)) > 0.8

    @pytest.mark.parametrize(
        "y",
        [
            *(STRINGS.tolist(), STRINGS.astype(object), pd.Series(STRINGS), pd.Series(STRINGS, dtype="category")),
            *(pd.Series(STRINGS, dtype="string"), pl.Series(STRINGS), pl.Series(STRINGS, dtype=pl.Categorical)),
        ],
    )
    def test_classes_of_strings(self, y):
        model, coded = classifier().fit(X, y), classifier().fit(X, CLASSES)
        assert model.classes_.tolist() == ["blue", "green", "red"]
        assert_array_equal(model.predict_proba(X), coded.predict_proba(X))
        assert_array_equal(model.predict(X), model.classes_[coded.predict(X)])
        assert_array_equal(model.score_samples(X, y), coded.score_samples(X, CLASSES))
        assert set(model.sample(X).ravel()) <= set(STRINGS)
        assert set(model.experts_[0].predict(X)) <= set(STRINGS)
        assert model.score(X, np.asarray(y)) == coded.score(X, CLASSES)

    @pytest.mark.parametrize(
        "y",
        [
            *(CLASSES > 0, (CLASSES > 0).astype(float), (CLASSES > 0) * 2 - 1, (CLASSES > 0) * 10**15),
            *(pd.array(CLASSES > 0, dtype="boolean"), pd.array(CLASSES > 0, dtype="Int64"), [c > 0 for c in CLASSES]),
        ],
    )
    def test_two_classes(self, y):
        model = classifier().fit(X, y)
        assert_array_equal(model.predict_proba(X), classifier().fit(X, (CLASSES > 0) * 1).predict_proba(X))
        assert_array_equal(model.classes_, np.unique(np.asarray(y)))
        assert set(model.predict(X)) == set(model.classes_)

    def test_two_classes_and_their_log_odds(self):
        model = EMMixtureOfExpertsClassifier(1, alpha=0.5).fit(X, CLASSES > 0)
        expected = LogisticRegression(C=2, tol=1e-10).fit(StandardScaler().fit_transform(X), CLASSES > 0)
        assert_allclose(model.coef_[0] * X.std(axis=0), expected.coef_, rtol=1e-4)
        assert_allclose(model.predict_proba(X), expected.predict_proba(StandardScaler().fit_transform(X)), rtol=1e-4)

    def test_responses_that_are_missing_in_score_samples(self):
        holes = np.where(np.arange(N) % 4, Y, np.nan)
        model = regressor().fit(X, Y)
        scores = model.score_samples(X, holes)
        assert_allclose(scores[::4], 0, atol=1e-12)
        assert_array_equal(scores[1::4], model.score_samples(X, Y)[1::4])
        assert_array_equal(model.predict_expert_proba(X, holes)[::4], model.predict_expert_proba(X)[::4])
        assert_allclose(model.score_samples(X), 0, atol=1e-12)
        inputs = regressor(gate="gaussian").fit(X, Y)
        assert_array_equal(inputs.score_samples(X, holes)[::4], inputs.score_samples(X)[::4])
        classes = classifier().fit(X, STRINGS)
        some = np.where(np.arange(N) % 4, STRINGS.astype(object), None)
        assert_allclose(classes.score_samples(X, some)[::4], 0, atol=1e-12)
        assert_array_equal(classes.score_samples(X, some)[1::4], classes.score_samples(X, STRINGS)[1::4])


class TestArrays:
    @of_each_kind
    def test_memory_layouts(self, make, options, y):
        expected = make(**options).fit(X, y).predict(X)
        fixed = X.copy()
        fixed.setflags(write=False)
        wide = np.repeat(np.repeat(X, 2, axis=0), 2, axis=1)[::2, ::2]
        sames = [fixed, np.asfortranarray(X)]
        if not options:
            sames += [wide, X[::-1].copy()[::-1], X.astype(">f8"), X.tolist()]
        for same in sames:
            got = make(**options).fit(same, y).predict(same)
            assert_same({"predict": got}, {"predict": expected}, rtol=1e-6, atol=1e-8)

    def test_memory_maps(self, tmp_path):
        paths = [tmp_path / "X.npy", tmp_path / "y.npy"]
        for path, array in zip(paths, (X, Y), strict=True):
            np.save(path, array)
        rows, y = (np.load(path, mmap_mode="r") for path in paths)
        assert_same(outputs(regressor().fit(rows, y), rows, y), outputs(regressor().fit(X, Y), X, Y))
        whole = np.rint(10 * X).astype(np.int32)
        np.save(tmp_path / "whole.npy", whole)
        mapped = np.load(tmp_path / "whole.npy", mmap_mode="r")
        assert_array_equal(regressor().fit(mapped, Y).predict(mapped), regressor().fit(whole, Y).predict(whole))

    def test_responses_and_weights_that_are_read_only(self):
        fixed = [np.array(a, dtype=np.float64) for a in (Y, np.arange(N) % 3, np.full(N, 0.5))]
        for array in fixed:
            array.setflags(write=False)
        y, weight, offset = fixed
        regressor().fit(X, y, sample_weight=weight, offset=offset).score(X, y, sample_weight=weight, offset=offset)

    @of_each_kind
    def test_single_precision(self, make, options, y):
        single = X.astype(np.float32)
        model = make(**options).fit(single, y)
        expected = make(**options).fit(single.astype(np.float64), y)
        tolerance = {"rtol": 1e-3, "atol": 1e-3} if "expert" in options else {"rtol": 1e-9, "atol": 1e-9}
        assert_allclose(model.predict_expert_proba(single), expected.predict_expert_proba(single), **tolerance)
        assert np.isfinite(model.score_samples(single, y)).all()

    def test_whole_numbers(self):
        whole = np.rint(10 * X).astype(int)
        expected = outputs(regressor().fit(whole.astype(float), Y), whole.astype(float), Y)
        for dtype in (np.int64, np.int16, np.int8):
            model = regressor().fit(whole.astype(dtype), Y)
            assert_same(outputs(model, whole.astype(dtype), Y), expected)
        assert_same(outputs(regressor().fit(pd.DataFrame(whole), Y), whole, Y), expected)
        regressor().fit(X > 0, np.rint(Y).astype(int))

    @pytest.mark.parametrize("kind", ["regressor", "classifier"])
    def test_a_function_that_yields_blocks(self, kind):
        make, y = (regressor, Y) if kind == "regressor" else (classifier, STRINGS)

        def blocks():
            yield X[:0], y[:0]
            yield X[:50], y[:50]
            yield X[50:], y[50:]

        weight = 1.0 + np.arange(N) % 2
        model = make().fit(blocks)
        assert_same(outputs(model, X, y), outputs(make().fit(X, y), X, y), rtol=1e-6, atol=1e-9)
        weighted, expected = make().fit(blocks, sample_weight=weight), make().fit(X, y, sample_weight=weight)
        assert weighted.objective_ == pytest.approx(expected.objective_)
        assert_array_equal(make().fit(lambda: [(X, y)]).predict(X), make().fit(X, y).predict(X))

    def test_blocks_of_frames_and_transformers(self):
        def blocks():
            return ((FRAME.iloc[i : i + 40], pd.Series(Y[i : i + 40])) for i in range(0, N, 40))

        model = regressor(expert_features=["b", "c"], gate_features=PolynomialFeatures(2)).fit(blocks)
        expected = regressor(expert_features=["b", "c"], gate_features=PolynomialFeatures(2)).fit(FRAME, Y)
        assert_allclose(model.predict(FRAME), expected.predict(FRAME), rtol=1e-6)
        assert model.feature_names_in_.tolist() == ["a", "b", "c"]


class TestWeights:
    """A row of weight w is w rows, whatever the options; one of weight zero is none."""

    weight = np.arange(N) % 3

    @of_each_kind
    def test_weights_are_repetitions(self, make, options, y):
        again = np.repeat(np.arange(N), self.weight)
        again = np.random.default_rng(1).permutation(again)
        options = {**options, "n_init": 2, "tol": 1e-10 if isinstance(options.get("expert", ""), str) else 1e-5}
        if options.get("expert") == "binomial":
            options["n_init"] = 1
        model = make(**options).fit(X, y, sample_weight=self.weight)
        other = make(**options).fit(X[again], y[again])
        assert model.objective_ == pytest.approx(other.objective_, rel=1e-7)
        assert_allclose(model.predict_expert_proba(X), other.predict_expert_proba(X), atol=1e-3)

    @of_each_kind
    def test_rows_of_weight_zero_are_left_out(self, make, options, y):
        kept = self.weight > 0
        labels = LABELS + (X[:, 2] > 0) if options.get("n_components") == 3 else LABELS
        for start in ("auto", labels):
            model = make(**{**options, "init_params": start}).fit(X, y, sample_weight=self.weight)
            start = start if isinstance(start, str) else start[kept]
            other = make(**{**options, "init_params": start})
            other.fit(X[kept], y[kept], sample_weight=self.weight[kept])
            assert model.objective_ == other.objective_
            assert_array_equal(model.predict(X), other.predict(X))

    @pytest.mark.parametrize("name", ["expert_features", "gate_features"])
    def test_transformers_learn_nothing_of_rows_of_weight_zero(self, name):
        far = np.where(self.weight[:, None] > 0, X, 50 * X)
        spline = {name: SplineTransformer(3, degree=1, extrapolation="linear")}
        model = regressor(**spline).fit(pd.DataFrame(far), pd.Series(Y), sample_weight=self.weight)
        kept = self.weight > 0
        other = regressor(**spline).fit(X[kept], Y[kept], sample_weight=self.weight[kept])
        assert model.objective_ == pytest.approx(other.objective_, rel=1e-12)

    def test_weights_of_one_change_nothing(self):
        expected = outputs(regressor().fit(X, Y), X, Y)
        for weight in (1, 1.0, np.ones(N), np.ones(N, dtype=int), [1] * N, pd.Series(np.ones(N))):
            assert_same(outputs(regressor().fit(X, Y, sample_weight=weight), X, Y), expected)

    @of_each_kind
    def test_blocks_of_one_row_change_nothing(self, make, options, y):
        model = make(**options).fit(X, y)
        blocks = make(**options).fit(X, y, block_id=[f"row {i}" for i in range(N)])
        assert_allclose(blocks.objective_, model.objective_)
        assert_allclose(blocks.score_samples(X, y, block_id=np.arange(N)), model.score_samples(X, y), rtol=1e-6)

    @of_each_kind
    def test_blocks_of_weight_are_repetitions(self, make, options, y):
        weight = (np.arange(N // 3) % 3).repeat(3)
        options = {**options, "tol": 1e-9 if isinstance(options.get("expert", ""), str) else 1e-5}
        model = make(**options).fit(X, y, sample_weight=weight, block_id=BLOCK)
        again = np.concatenate([np.flatnonzero(weight > copy) for copy in range(2)])
        ids = np.concatenate([BLOCK[weight > copy] + 1000 * copy for copy in range(2)])
        other = make(**options).fit(X[again], y[again], block_id=ids)
        assert model.objective_ == pytest.approx(other.objective_, rel=1e-6)

    def test_the_order_of_rows_of_blocks_is_the_same(self):
        turn = np.random.default_rng(0).permutation(N)
        model = regressor().fit(X, Y, block_id=BLOCK)
        other = regressor().fit(X[turn], Y[turn], block_id=BLOCK[turn])
        assert other.objective_ == pytest.approx(model.objective_)
        for method in (model.predict, model.predict_expert_proba):
            assert_allclose(method(X[turn], block_id=BLOCK[turn]), method(X, block_id=BLOCK)[turn])
        assert_allclose(
            model.predict_expert_proba(X[turn], Y[turn], block_id=BLOCK[turn]),
            model.predict_expert_proba(X, Y, block_id=BLOCK)[turn],
        )
        by_block = np.bincount(BLOCK[turn], model.score_samples(X[turn], Y[turn], block_id=BLOCK[turn]))
        assert_allclose(by_block, np.bincount(BLOCK, model.score_samples(X, Y, block_id=BLOCK)), rtol=1e-9)

    def test_blocks_share_an_expert(self):
        model = regressor().fit(X, Y, block_id=BLOCK)
        proba = model.predict_expert_proba(X, Y, block_id=BLOCK)
        assert_array_equal(proba[::3], proba[1::3])
        assert_array_equal(proba[::3], proba[2::3])
        total = model.score_samples(X, Y, block_id=BLOCK).sum()
        penalty = 0.05 * ((model.gate_coef_ * gate_spread()) ** 2).sum()
        assert model.objective_ == pytest.approx(total - penalty, rel=1e-4)

    def test_weighted_scores(self):
        weight = self.weight.astype(float)
        model = regressor().fit(X, Y, sample_weight=weight)
        again = np.repeat(np.arange(N), self.weight)
        assert model.score(X, Y, sample_weight=weight) == pytest.approx(model.score(X[again], Y[again]))
        for name in ("bic", "aic", "icl"):
            criterion = getattr(model, name)
            assert criterion(X, Y, sample_weight=weight) == pytest.approx(criterion(X[again], Y[again]))
        exact = regressor(tol=1e-12, gate_features=[0]).fit(X, Y, sample_weight=weight)
        errors = exact.standard_errors(X, Y, sample_weight=weight)
        assert_allclose(errors["coef_"], exact.standard_errors(X[again], Y[again])["coef_"], rtol=1e-3)


def gate_spread():
    means = X.reshape(-1, 3, 3).mean(axis=1)
    return means.std(axis=0)


class TestStarts:
    def test_labels_and_responsibilities(self):
        by_label = regressor(init_params=LABELS).fit(X, Y)
        assert_same(outputs(regressor(init_params=np.eye(2)[LABELS]).fit(X, Y), X, Y), outputs(by_label, X, Y))
        for same in (LABELS.tolist(), LABELS.astype(float), LABELS > 0, pd.Series(LABELS), np.eye(2)[LABELS].tolist()):
            assert_same(outputs(regressor(init_params=same).fit(X, Y), X, Y), outputs(by_label, X, Y))

    def test_labels_name_the_experts(self):
        one = regressor(init_params=LABELS).fit(X, Y)
        other = regressor(init_params=1 - LABELS).fit(X, Y)
        assert_allclose(one.coef_, other.coef_[::-1], rtol=1e-6, atol=1e-8)
        assert one.intercept_[1] > one.intercept_[0]
        still = regressor(init_params=LABELS, max_iter=0).fit(X, Y)
        assert still.n_iter_ == 0
        upper = LinearRegression().fit(X[LABELS > 0], Y[LABELS > 0])
        assert_allclose(still.coef_[1], upper.coef_, rtol=1e-4, atol=1e-4)

    def test_a_start_makes_one_run(self):
        model = regressor(init_params=LABELS, n_init=5).fit(X, Y)
        assert set(model.history_["start"]) == {0}
        one, other = (regressor(init_params=LABELS, random_state=seed).fit(X, Y) for seed in (0, 1))
        assert_array_equal(one.coef_, other.coef_)

    def test_with_blocks_that_are_scattered(self):
        turn = np.random.default_rng(0).permutation(N)
        soft = np.column_stack([1 - 0.8 * LABELS - 0.1, 0.8 * LABELS + 0.1])
        for start in (LABELS, soft):
            model = regressor(init_params=start).fit(X, Y, block_id=BLOCK)
            other = regressor(init_params=start[turn]).fit(X[turn], Y[turn], block_id=BLOCK[turn])
            assert_allclose(other.coef_, model.coef_, rtol=1e-6)

    def test_with_blocks_and_weights_of_zero(self):
        weight = (np.arange(N // 3) % 2).repeat(3)
        model = regressor(init_params=LABELS).fit(X, Y, sample_weight=weight, block_id=BLOCK)
        kept = weight > 0
        other = regressor(init_params=LABELS[kept]).fit(X[kept], Y[kept], block_id=BLOCK[kept])
        assert_array_equal(other.coef_, model.coef_)

    def test_experts_without_rows_in_the_start(self):
        model = regressor(n_components=3, init_params=LABELS, max_iter=5, tol=0).fit(X, Y)
        assert np.isfinite(model.coef_).all()
        assert np.isfinite(model.predict(X)).all()

    def test_warm_start_goes_on(self):
        options = {"accelerate": False, "tol": 0}
        whole = regressor(max_iter=12, **options).fit(X, Y)
        parts = regressor(max_iter=4, warm_start=True, **options)
        for _ in range(3):
            parts.fit(X, Y)
        assert parts.objective_ == pytest.approx(whole.objective_, rel=1e-9)
        assert_allclose(parts.coef_, whole.coef_, rtol=1e-6)
        assert parts.n_iter_ == 4
        assert_array_equal(parts.set_params(max_iter=0).fit(X, Y).coef_, parts.coef_)

    @of_each_kind
    def test_warm_start_at_the_end_stays(self, make, options, y):
        model = make(**options, warm_start=True).fit(X, y)
        before = model.objective_
        model.fit(X, y)
        assert model.n_iter_ <= 5
        assert model.objective_ >= before - 1e-6 * abs(before)

    @pytest.mark.parametrize(
        ("change", "y", "table"),
        [
            ({"n_components": 3}, Y, X),
            ({"gate": "constant"}, Y, X),
            ({"expert": "student"}, Y, X),
            ({"noise": True}, Y, X),
            ({"covariance_type": "tied"}, Y, X),
            ({"expert_features": [0, 1]}, Y, X),
            ({"gate_features": [0, 1]}, Y, X),
            ({}, Y, X[:, :2]),
        ],
    )
    def test_warm_start_refuses_another_shape(self, change, y, table):
        model = regressor(warm_start=True).fit(X, Y)
        before = dict(vars(model)) | change
        with pytest.raises(ValueError, match=r"warm_start=True continues a fit of n_components=2, .* now it would be"):
            model.set_params(**change).fit(table, y)
        assert vars(model) == before

    def test_warm_start_of_new_rows(self):
        more = simulated(240, seed=5)
        model = regressor(warm_start=True).fit(X, Y).fit(more[0], more[1])
        assert model.objective_ == pytest.approx(regressor().fit(more[0], more[1]).objective_, rel=0.05)
        assert model.n_features_in_ == 3

    def test_a_cold_start_forgets(self):
        model = regressor().fit(X, Y)
        again = regressor(n_components=3).fit(X[:, :2], Y)
        assert_array_equal(model.set_params(n_components=3).fit(X[:, :2], Y).coef_, again.coef_)


class TestRandomness:
    @of_each_kind
    def test_n_jobs(self, make, options, y):
        one, two = (make(**{**options, "n_init": 2}, n_jobs=n_jobs).fit(X, y) for n_jobs in (None, 2))
        assert one.objective_ == two.objective_
        assert_same(outputs(one, X, y), outputs(two, X, y))

    def test_n_jobs_over_chunks(self, monkeypatch):
        monkeypatch.setattr("emkit.mixture_of_experts.cases.CHUNK_ROWS", 50)
        for block_id in (None, BLOCK):
            one, two = (regressor(n_jobs=n_jobs).fit(X, Y, block_id=block_id) for n_jobs in (None, 2))
            assert one.objective_ == two.objective_
            assert_same(outputs(one, X, Y), outputs(two, X, Y))

    def test_chunks_change_rounding_alone(self, monkeypatch):
        for block_id in (None, BLOCK):
            expected = regressor().fit(X, Y, block_id=block_id)
            scores = expected.score_samples(X, Y, block_id=block_id)
            monkeypatch.setattr("emkit.mixture_of_experts.cases.CHUNK_ROWS", 7)
            model = regressor().fit(X, Y, block_id=block_id)
            assert_allclose(model.coef_, expected.coef_, rtol=1e-6)
            assert_allclose(expected.score_samples(X, Y, block_id=block_id), scores, rtol=1e-9)
            monkeypatch.undo()

    @of_each_kind
    def test_a_number_repeats_and_a_generator_goes_on(self, make, options, y):
        model = make(**options).fit(X, y)
        assert_array_equal(make(**options).fit(X, y).predict(X), model.predict(X))
        assert_array_equal(model.sample(X, 2), model.sample(X, 2))
        generator = np.random.RandomState(0)
        model.set_params(random_state=generator)
        assert (model.sample(X, 2) != model.sample(X, 2)).any()
        same = make(**{**options, "random_state": np.random.RandomState(7)}).fit(X, y)
        again = make(**{**options, "random_state": np.random.RandomState(7)}).fit(X, y)
        assert_array_equal(same.predict(X), again.predict(X))

    def test_experts_get_seeds_of_their_own(self):
        from sklearn.tree import DecisionTreeRegressor

        tree = DecisionTreeRegressor(max_depth=2)
        model = regressor(expert=tree, max_iter=3, tol=0).fit(X, Y)
        seeds = [expert.estimator_.random_state for expert in model.experts_]
        assert len(set(seeds)) == 2
        assert tree.random_state is None
        fixed = regressor(expert=DecisionTreeRegressor(max_depth=2, random_state=5), max_iter=3, tol=0).fit(X, Y)
        assert [expert.estimator_.random_state for expert in fixed.experts_] == [5, 5]

    def test_the_global_generator_is_left_alone(self):
        np.random.seed(3)  # noqa: NPY002  # it is the old generator that must not move
        before = np.random.get_state()[1].copy()  # noqa: NPY002  # as above
        regressor().fit(X, Y).sample(X)
        assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002  # as above

    @pytest.mark.parametrize("first", [2, 5])
    def test_more_draws_of_the_same_law(self, first):
        model = regressor().fit(X, Y)
        draws = model.sample(X, 400 * first)
        assert_allclose(draws.mean(axis=0), model.predict(X), atol=0.5)
