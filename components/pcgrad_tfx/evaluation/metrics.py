"""Evaluation metrics that TFMA does not have.

TFMA finds them by module and class name, so they must be importable where the Evaluator runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import apache_beam as beam
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2


class RSquared(tfma.metrics.Metric):
    """The coefficient of determination: the share of the labels' variance that is explained.

    1 - Σ w (y - p)² / Σ w (y - ȳ)², with ȳ the weighted mean of the labels y of the slice. It is
    1 for perfect predictions, 0 for the constant prediction of ȳ, and has no lower bound. (TFMA's
    squared Pearson correlation instead ignores the predictions' offset and scale.) It is NaN
    where the labels do not vary, or one is NaN.
    """

    def __init__(self, name: str = "r_squared") -> None:
        """Creates the metric.

        Args:
            name: The metric's name in the results.
        """
        super().__init__(tfma.metrics.merge_per_key_computations(_r_squared), name=name)


class _Moments(NamedTuple):
    weight: float = 0.0
    mean: float = 0.0
    variation: float = 0.0  # Σ w (y - mean)²
    error: float = 0.0  # Σ w (y - p)²

    def merge(self, other: _Moments) -> _Moments:
        # Chan, Golub and LeVeque (1983): Σ w y² - (Σ w y)²/Σ w loses all digits for labels whose
        # mean is large beside their spread.
        if other.weight == 0:
            return self
        weight = self.weight + other.weight
        step = other.mean - self.mean
        share = other.weight / weight
        return _Moments(
            weight,
            self.mean + share * step,
            self.variation + other.variation + self.weight * share * step**2,
            self.error + other.error,
        )


class _RSquaredCombiner(beam.CombineFn):
    def __init__(
        self, key: tfma.metrics.MetricKey, eval_config: config_pb2.EvalConfig | None
    ) -> None:
        self._key = key
        self._eval_config = eval_config

    def create_accumulator(self) -> _Moments:
        return _Moments()

    def add_input(
        self, accumulator: _Moments, element: tfma.metrics.StandardMetricInputs
    ) -> _Moments:
        for label, prediction, weight in tfma.metrics.to_label_prediction_example_weight(
            element,
            eval_config=self._eval_config,
            model_name=self._key.model_name,
            output_name=self._key.output_name,
            example_weighted=self._key.example_weighted,
        ):
            y, p, w = label.item(), prediction.item(), weight.item()
            if w > 0:
                accumulator = accumulator.merge(_Moments(w, y, 0.0, w * (y - p) ** 2))
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[_Moments]) -> _Moments:
        result = _Moments()
        for accumulator in accumulators:
            result = result.merge(accumulator)
        return result

    def extract_output(self, accumulator: _Moments) -> dict[tfma.metrics.MetricKey, float]:
        if accumulator.variation == 0:
            return {self._key: float("nan")}
        return {self._key: 1 - accumulator.error / accumulator.variation}


def _r_squared(
    name: str,
    eval_config: config_pb2.EvalConfig | None = None,
    model_name: str = "",
    output_name: str = "",
    example_weighted: bool = False,
) -> tfma.metrics.MetricComputations:
    key = tfma.metrics.MetricKey(
        name=name,
        model_name=model_name,
        output_name=output_name,
        example_weighted=example_weighted,
    )
    combiner = _RSquaredCombiner(key, eval_config)
    return [tfma.metrics.MetricComputation(keys=[key], preprocessors=None, combiner=combiner)]
