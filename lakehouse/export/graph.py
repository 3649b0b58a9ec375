"""A fitted pipeline as an ONNX model in doubles: the same steps as scikit-learn's, in its order."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from lakehouse.errors import ConfigurationError
from lakehouse.export.trees import attributes_of
from lakehouse.models import Classification, Features, Problem
from lakehouse.models.flat import Tree, trees_of
from lakehouse.models.trials import LARGEST_FLOAT32

NUMBERS, TEXTS = "numbers", "texts"
PREDICTION, PROBABILITIES = "prediction", "probabilities"
_OPSET, _ML_OPSET, _IR = 21, 5, 10
_ML = "ai.onnx.ml"
_TREES = (DecisionTreeClassifier, DecisionTreeRegressor)
_FORESTS = (RandomForestClassifier, RandomForestRegressor)
_BOOSTED = (HistGradientBoostingClassifier, HistGradientBoostingRegressor)


def exported(pipeline: Pipeline, features: Features, problem: Problem) -> onnx.ModelProto:
    """The pipeline as an ONNX model.

    Inputs are `numbers` (rows × numeric features, float64, NaN for a missing one) and `texts`
    (rows × text features, see `missing_text`), whichever the model reads. Outputs are `prediction`
    (the code of a class, or a number) and of classes `probabilities` (rows × classes, float64).

    Raises:
        ConfigurationError: the pipeline has a step that this exporter does not know.
    """
    graph = _Graph()
    matrix = _encoded(graph, pipeline, features)
    answer = _answer(graph, pipeline[-1], matrix)
    outputs = _outputs(graph, answer, pipeline[-1], problem)
    inputs = []
    if features.numeric:
        inputs.append(_matrix(NUMBERS, TensorProto.DOUBLE, len(features.numeric)))
    if features.categorical:
        inputs.append(_matrix(TEXTS, TensorProto.STRING, len(features.categorical)))
    body = helper.make_graph(graph.nodes, "model", inputs, outputs, graph.constants)
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_ML, _ML_OPSET)]
    model = helper.make_model(body, opset_imports=opsets, ir_version=_IR)
    onnx.checker.check_model(model)
    return model


def missing_text(encoder: OneHotEncoder, place: int) -> str:
    """The text that stands for a missing one: ONNX has no null. No category is the same.

    Empty, or `<missing>` where the empty text is itself a category.
    """
    known = set(encoder.categories_[place])
    text = ""
    while text in known:
        text = "<missing>" if not text else f"<{text}>"
    return text


def text_encoder(pipeline: Pipeline) -> OneHotEncoder | None:
    """The step that encodes texts; None where the model reads none."""
    steps = (step for _, step, _ in pipeline[0].transformers_)
    return next((step for step in steps if type(step) is OneHotEncoder), None)


class _Graph:
    """Nodes and constants in the order in which they are added; each value has a name."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def node(
        self, operator: str, *inputs: str, domain: str = "", output: str = "", **attributes: Any
    ) -> str:
        """Add a node; return the name of its output."""
        name = output or f"v{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(operator, list(inputs), [name], domain=domain, **attributes)
        )
        return name

    def constant(self, values: Any) -> str:
        """Add a constant; return its name."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def columns(self, name: str, places: Sequence[int]) -> str:
        """Some columns of a matrix."""
        return self.node("Gather", name, self.constant(np.array(places, dtype=np.int64)), axis=1)


def _encoded(graph: _Graph, pipeline: Pipeline, features: Features) -> str:
    """The matrix that the last step reads."""
    encoder = pipeline[0]
    if len(pipeline) != 2 or type(encoder) is not ColumnTransformer:
        raise _unknown(encoder)
    parts = []
    for _, step, columns in encoder.transformers_:
        names = list(columns)
        if names and set(names) <= set(features.numeric):
            places = [features.numeric.index(name) for name in names]
            parts.append(_numbers(graph, step, graph.columns(NUMBERS, places)))
        elif names and type(step) is OneHotEncoder:
            parts += [
                _one_hot(
                    graph, step, place, graph.columns(TEXTS, [features.categorical.index(name)])
                )
                for place, name in enumerate(names)
            ]
        elif names:
            raise _unknown(step)
    return graph.node("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]


def _numbers(graph: _Graph, step: Any, numbers: str) -> str:
    """Numbers within float32, missing ones at the median, scaled where the family asks for it."""
    fill, scaler = (step[0], step[1]) if isinstance(step, Pipeline) else (step, None)
    is_known = type(fill) is SimpleImputer and not fill.add_indicator
    if not is_known or (scaler is not None and type(scaler) is not StandardScaler):
        raise _unknown(step)
    # Of a column without a single value the median is not known; scikit-learn takes zero.
    medians = np.nan_to_num(np.asarray(fill.statistics_, dtype=np.float64))
    is_missing = graph.node("IsNaN", numbers)
    limits = (graph.constant(np.float64(sign * LARGEST_FLOAT32)) for sign in (-1, 1))
    filled = graph.node("Where", is_missing, graph.constant(medians[np.newaxis]), numbers)
    within = graph.node("Clip", filled, *limits)
    if scaler is None:
        return within
    centred = graph.node("Sub", within, graph.constant(scaler.mean_[np.newaxis]))
    return graph.node("Div", centred, graph.constant(scaler.scale_[np.newaxis]))


def _one_hot(graph: _Graph, encoder: OneHotEncoder, place: int, text: str) -> str:
    """A column for each category; zeros for a text that is none of them."""
    instead = missing_text(encoder, place)
    categories = [instead if each is None else str(each) for each in encoder.categories_[place]]
    single = graph.node("OneHotEncoder", text, domain=_ML, cats_strings=categories, zeros=1)
    shape = graph.constant(np.array([-1, len(categories)], dtype=np.int64))
    return graph.node("Cast", graph.node("Reshape", single, shape), to=TensorProto.DOUBLE)


def _answer(graph: _Graph, model: Any, matrix: str) -> str:
    """Probabilities of the classes that the model knows, or a number: rows × outputs."""
    if type(model) in _TREES and model.n_outputs_ == 1:
        return _forest(graph, model, matrix)
    if type(model) in _FORESTS and model.n_outputs_ == 1:
        summed = _forest(graph, model, matrix)
        return graph.node("Div", summed, graph.constant(np.float64(len(model.estimators_))))
    if type(model) in _BOOSTED and model.is_categorical_ is None:
        return _boosting(graph, model, matrix)
    if type(model) is LogisticRegression:
        return _classes_of_margins(graph, _linear(graph, model, matrix), len(model.classes_))
    if type(model) is Ridge:
        return _linear(graph, model, matrix)
    raise _unknown(model)


def _forest(graph: _Graph, model: Any, matrix: str) -> str:
    """The sum of trees; scikit-learn reads float32, and compares it with doubles."""
    trees = trees_of(model)
    single = graph.node("Cast", matrix, to=TensorProto.FLOAT)
    double = graph.node("Cast", single, to=TensorProto.DOUBLE)
    return _ensemble(graph, trees, trees[0][0].value.shape[1], double)


def _boosting(graph: _Graph, model: Any, matrix: str) -> str:
    """A start for each output, then each tree in turn, then the link of the loss."""
    width = model.n_trees_per_iteration_
    start = np.zeros(width) + np.ravel(model._baseline_prediction)
    starts = [(Tree.of_constant(float(value)), output) for output, value in enumerate(start)]
    margins = _ensemble(graph, [*starts, *trees_of(model)], width, matrix)
    if type(model) is HistGradientBoostingRegressor:
        if model.loss != "squared_error":
            raise _unknown(model)
        return margins
    return _classes_of_margins(graph, margins, len(model.classes_))


def _ensemble(graph: _Graph, trees: Sequence[tuple[Tree, int]], width: int, matrix: str) -> str:
    return graph.node("TreeEnsemble", matrix, domain=_ML, **attributes_of(trees, width))


def _linear(graph: _Graph, model: Any, matrix: str) -> str:
    """Rows × margins."""
    weights = np.atleast_2d(np.asarray(model.coef_, dtype=np.float64)).T
    product = graph.node("MatMul", matrix, graph.constant(np.ascontiguousarray(weights)))
    start = np.atleast_1d(np.asarray(model.intercept_, dtype=np.float64))
    return graph.node("Add", product, graph.constant(start[np.newaxis]))


def _classes_of_margins(graph: _Graph, margins: str, n_classes: int) -> str:
    """The logistic function of one margin, or softmax of several."""
    if n_classes > 2:
        return graph.node("Softmax", margins, axis=1)
    positive = graph.node("Sigmoid", margins)
    negative = graph.node("Sub", graph.constant(np.float64(1.0)), positive)
    return graph.node("Concat", negative, positive, axis=1)


def _outputs(graph: _Graph, answer: str, model: Any, problem: Problem) -> list[Any]:
    """The outputs by name; a class that the model never saw has probability zero."""
    if not isinstance(problem, Classification):
        shape = graph.constant(np.array([-1], dtype=np.int64))
        graph.node("Reshape", answer, shape, output=PREDICTION)
        return [helper.make_tensor_value_info(PREDICTION, TensorProto.DOUBLE, ["rows"])]
    n_classes = len(problem.classes)
    codes = np.zeros((len(model.classes_), n_classes))
    codes[np.arange(len(model.classes_)), model.classes_.astype(int)] = 1.0
    graph.node("MatMul", answer, graph.constant(codes), output=PROBABILITIES)
    graph.node("ArgMax", PROBABILITIES, output=PREDICTION, axis=1, keepdims=0, select_last_index=0)
    return [
        helper.make_tensor_value_info(PREDICTION, TensorProto.INT64, ["rows"]),
        _matrix(PROBABILITIES, TensorProto.DOUBLE, n_classes),
    ]


def _matrix(name: str, kind: int, width: int) -> Any:
    """A value of rows × width."""
    return helper.make_tensor_value_info(name, kind, ["rows", width])


def _unknown(step: Any) -> ConfigurationError:
    return ConfigurationError(
        f"--to onnx: the exporter does not know {type(step).__name__} as it stands in this model; "
        "nothing was written"
    )
