"""From the probes of a training to what they say about its tasks: the ledger and the cosines."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pcgrad.probe_statistics import Array, Probe, covariances, mean_of_pairs


class _Estimate(NamedTuple):
    """A number and the ends of its 95% interval."""

    value: float
    low: float
    high: float


# Both in standard deviations of a normal distribution; see `_student`.
_QUANTILE = 1.96

# A squared gradient is measurable if it is so many standard errors above 0. With two, what passes
# by chance would be too long, and the ratios to it too small: their intervals would miss.
_MEASURABLE = 3.0

_COURSE_PARTS = 8

# With more pairs of tasks the course of each would say nothing to a reader.
_PAIRS_WITH_COURSE = 100


def summarize_probes(probes: Sequence[Probe], tasks: Sequence[str]) -> dict[str, Any]:
    """What the probes of one training say about its tasks.

    Sums over the training come first, ratios last: a ratio of noisy numbers would have no mean. The
    sum over all steps is estimated from those with a probe by the trapezoid rule, so a probe counts
    for the steps around it.

    - The ledger. Under the update Σ_j w_j g_j, task i's loss falls, to first order, by
      Σ_j w_j ⟨G_i, G_j⟩ for each unit of the learning rate; alone, by w_i ⟨G_i, G_i⟩. `kept` is the
      ratio: 1 where the others neither help nor harm, 0.7 where they take 30% of its progress,
      below 0 where the update raises its loss. `from_others` has its terms. It is about plain
      gradient descent: Adam and its kin scale the coordinates.
    - The cosine of two tasks, Σ M_ij / √(Σ M_ii Σ M_jj), which noise does not shrink.

    Both are about this training, its initial weights and its training rows: intervals are those of
    the rows that were drawn, and another seed may give something else.

    Args:
        probes: Of one training, in the order of their steps. Where much changes, at its beginning,
            there should be more of them.
        tasks: The T names.

    Raises:
        ValueError: The probes have different numbers of chunks.

    Returns:
        Plain JSON values, `None` for what cannot be told. An *estimate* is a dict of `value`, `low`
        and `high`, the ends of its 95% interval.

        - `probes`: their number; `first_step`, `last_step`; `rows` and `chunk_rows` of one probe.
        - `tasks`: by name a dict of `kept` and `kept_with_surgery` (estimates; the latter for the
          update that the training's weighting makes of a chunk's gradients, `None` without one),
          `from_others` (estimate by the other's name), `signal_share` (of a chunk's squared
          gradient, what is not noise), `noise_scale` (the number of rows of which the gradient
          would be half signal, half noise: McCandlish et al. 2018, arXiv 1812.06162), `is_noise`
          (whether its own gradient cannot be told from noise, so that nothing can be said) and
          `opposed_to_itself` (the share of pairs of chunks on which its gradients have a negative
          inner product: what to compare `opposed` with; Elich et al. 2023, arXiv 2311.04698).
        - `pairs`: for each two tasks a dict of `tasks`, `cosine` (estimate), `opposed` (the share
          of chunks on which their gradients have a negative inner product), `thirds` (the estimate
          for each third of the steps), `trend` (the last third minus the first) and `course` (for
          up to eight equal parts a dict of `step`, the middle one, and `cosine`).

        Empty if there is no probe.
    """
    if not probes:
        return {}
    first, last = probes[0], probes[-1]
    if len(counts := {probe.chunks for probe in probes}) > 1:
        raise ValueError(f"probes of {sorted(counts)} chunks: take as many at each")
    spans = _spans(probes)
    whole = _Sums.of(probes, spans)
    thirds = [sums for _, sums in _parts(probes, spans, 3)]
    pairs = list(itertools.combinations(range(len(tasks)), 2))
    parts = _parts(probes, spans, _COURSE_PARTS) if len(pairs) <= _PAIRS_WITH_COURSE else []
    return {
        "probes": len(probes),
        "first_step": first.step,
        "last_step": last.step,
        "rows": first.chunks * first.chunk_rows,
        "chunk_rows": first.chunk_rows,
        "tasks": {
            name: _of_task(whole, tasks, i, first.chunk_rows) for i, name in enumerate(tasks)
        },
        "pairs": [
            {
                "tasks": [tasks[i], tasks[j]],
                "cosine": _json(whole.cosine(i, j)),
                "opposed": _or_none(whole.opposed[i, j]),
                "thirds": [_json(third.cosine(i, j)) for third in thirds],
                "trend": _json(_trend([third.cosine(i, j) for third in thirds])),
                "course": [
                    {"step": step, "cosine": _json(part.cosine(i, j))} for step, part in parts
                ],
            }
            for i, j in pairs
        ],
    }


@dataclasses.dataclass(frozen=True)
class _Sums:
    """Estimates from several probes, in sums over steps, with their covariances.

    Attributes:
        chunks: K.
        signal_parts: [T], what `products` on the diagonal would be if all were signal.
        products: [T, T].
        product_covariances: [T, T, 3, 3].
        terms: [T, T].
        term_covariances: [T, T, 2, 2], of a term and the task's own M_ii.
        descent: [T, 2], the sum of the terms, and the same under the weighting's update.
        descent_covariances: [T, 2, 2, 2], of `descent` and M_ii.
        has_update: Whether there is a weighting.
        opposed: [T, T], means.
    """

    chunks: int
    signal_parts: Array
    products: Array
    product_covariances: Array
    terms: Array
    term_covariances: Array
    descent: Array
    descent_covariances: Array
    has_update: bool
    opposed: Array

    @classmethod
    def of(cls, probes: Sequence[Probe], spans: Array) -> _Sums:
        """Of at least one probe, each standing for so many steps.

        The chunks of all probes are summed first, number by number: where probes take chunk k from
        the same rows, what these rows have in common is no independent evidence.
        """
        tasks, chunks = len(probes[0].lengths), probes[0].chunks
        kernels, of_terms = np.zeros((2, tasks, tasks, chunks, chunks))
        of_updates = np.zeros((tasks, chunks, chunks))
        for span, probe in zip(spans, probes, strict=True):
            found = span * probe.kernels()
            kernels += found
            of_terms += found * probe.relative_weights()[:, :, None, None]
            of_updates += span * probe.update_kernels()
        own = np.einsum("iikl->ikl", kernels)
        by_row = np.broadcast_to(own[:, None], kernels.shape)
        by_column = np.broadcast_to(own[None, :], kernels.shape)
        descents = np.stack([of_terms.sum(axis=1), of_updates], axis=1)
        owns = np.broadcast_to(own[:, None], descents.shape)

        opposed = np.stack([probe.opposed for probe in probes])
        known = np.isfinite(opposed)
        of_known = _total(spans, known)
        means = np.full(of_known.shape, math.nan)
        opposed = _total(spans, np.where(known, opposed, 0.0))
        np.divide(opposed, of_known, out=means, where=of_known > 0)
        return cls(
            chunks=chunks,
            signal_parts=_total(spans, np.stack([probe.labelled_pairs for probe in probes])),
            products=mean_of_pairs(kernels),
            product_covariances=covariances(np.stack([kernels, by_row, by_column], axis=2)),
            terms=mean_of_pairs(of_terms),
            term_covariances=covariances(np.stack([of_terms, by_row], axis=2)),
            descent=mean_of_pairs(descents),
            descent_covariances=covariances(np.stack([descents, owns], axis=2)),
            has_update=bool(np.isfinite(probes[0].update_weights).any()),
            opposed=means,
        )

    def kept(self, i: int, way: int) -> _Estimate | None:
        """What is left of task i's own descent."""
        covariance = self.descent_covariances[i, way]
        return self._ratio(self.descent[i, way], self.products[i, i], covariance)

    def term(self, i: int, j: int) -> _Estimate | None:
        """What task j adds to it."""
        return self._ratio(self.terms[i, j], self.products[i, i], self.term_covariances[i, j])

    def cosine(self, i: int, j: int) -> _Estimate | None:
        """Of the gradients of two tasks."""
        one, other = self.products[i, i], self.products[j, j]
        covariance = self.product_covariances[i, j]
        if not (self.is_measurable(i) and self.is_measurable(j)):
            return None
        # The root, to first order, so that it is a ratio as the others are.
        length = math.sqrt(one * other)
        jacobian = np.array([[1, 0, 0], [0, length / one / 2, length / other / 2]])
        found = self._ratio(self.products[i, j], length, jacobian @ covariance @ jacobian.T)
        return found and _Estimate(*(min(1.0, max(-1.0, end)) for end in found))

    def is_measurable(self, i: int) -> bool:
        """Whether task i's squared gradient is above 0 by more than its noise."""
        return self._is_measurable(self.products[i, i], self.product_covariances[i, i, 0, 0])

    def _is_measurable(self, squared_length: float, variance: float) -> bool:
        limit = _student(_MEASURABLE, self.chunks - 1)
        return bool(squared_length > limit * math.sqrt(max(0.0, variance)))

    def _ratio(self, numerator: float, denominator: float, covariance: Array) -> _Estimate | None:
        """A ratio of estimates and its interval, all values that the data do not contradict.

        Those θ for which numerator - θ denominator may be 0 (Fieller 1954): also right where the
        denominator is little longer than its noise.
        """
        if not self._is_measurable(denominator, covariance[1, 1]):
            return None
        value = float(numerator / denominator)
        squared = _student(_QUANTILE, self.chunks - 1) ** 2
        a = denominator**2 - squared * covariance[1, 1]
        b = numerator * denominator - squared * covariance[0, 1]
        c = numerator**2 - squared * covariance[0, 0]
        root = math.sqrt(max(0.0, b * b - a * c))
        # Rounding may put the value itself outside.
        return _Estimate(value, min(value, (b - root) / a), max(value, (b + root) / a))


def _of_task(sums: _Sums, tasks: Sequence[str], i: int, chunk_rows: int) -> dict[str, Any]:
    parts = sums.signal_parts[i]
    share = float(sums.products[i, i] / parts) if parts else 0.0
    return {
        "kept": _json(sums.kept(i, 0)),
        "kept_with_surgery": _json(sums.kept(i, 1)) if sums.has_update else None,
        "from_others": {name: _json(sums.term(i, j)) for j, name in enumerate(tasks) if j != i},
        "signal_share": share,
        "noise_scale": chunk_rows * (1 - share) / share if share > 0 else None,
        "is_noise": not sums.is_measurable(i),
        "opposed_to_itself": _or_none(sums.opposed[i, i]),
    }


def _trend(thirds: Sequence[_Estimate | None]) -> _Estimate | None:
    """The last of three estimates minus the first.

    The interval by the arms of theirs (Zou & Donner 2008), as if they were independent: what they
    have in common by their rows makes the difference more certain, not less.
    """
    one, other = thirds[-1], thirds[0]
    if len(thirds) < 3 or one is None or other is None:
        return None
    value = one.value - other.value
    below = math.hypot(one.value - one.low, other.high - other.value)
    above = math.hypot(one.high - one.value, other.value - other.low)
    return _Estimate(value, value - below, value + above)


def _student(normal: float, degrees: int) -> float:
    """The quantile of Student's t where a normal distribution has this one.

    Its expansion, Abramowitz & Stegun 26.7.5; from three degrees of freedom on 4% too small at most
    for a 95% interval.
    """
    z, n = normal, degrees
    return z + (z**3 + z) / (4 * n) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)


def _spans(probes: Sequence[Probe]) -> Array:
    """[P], for how many steps each probe stands: half the way to the one before and the next."""
    steps = np.array([probe.step for probe in probes], float)
    gaps = np.diff(steps) / 2
    spans = np.append(gaps, 0.0) + np.append(0.0, gaps)
    return spans if spans.any() else np.ones(len(probes))


def _parts(probes: Sequence[Probe], spans: Array, count: int) -> list[tuple[float, _Sums]]:
    """Parts of the training of about the same number of steps: the middle step and the sums."""
    steps = np.array([probe.step for probe in probes])
    edges = np.linspace(steps[0], steps[-1], count + 1)
    places = np.searchsorted(edges[1:-1], steps, side="right")
    parts = []
    for place in range(count):
        inside = np.flatnonzero(places == place)
        if len(inside):
            sums = _Sums.of([probes[number] for number in inside], spans[inside])
            parts.append((float(edges[place : place + 2].mean()), sums))
    return parts


def _total(spans: Array, values: Array) -> Array:
    """Sum over the first axis."""
    return np.tensordot(spans, values, axes=1)


def _json(estimate: _Estimate | None) -> dict[str, float | None]:
    return estimate._asdict() if estimate else dict.fromkeys(_Estimate._fields)


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
