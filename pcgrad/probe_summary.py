"""From the probes of a training to what they say about its tasks: the ledger and the cosines."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pcgrad.probe_statistics import Array, Probe


class _Estimate(NamedTuple):
    """A number and the ends of its 95% interval."""

    value: float
    low: float
    high: float


# Of Student's t at 97.5% with 60 degrees of freedom, about what the variances of 20 probes of 16
# chunks have where all is noise; where nothing is, there are 300, and it would be 1.97.
_QUANTILE = 2.0

# A squared gradient is measurable if it is so many standard errors above 0. With two, what passes
# by chance would be too long, and the ratios to it too small: their intervals would miss.
_MEASURABLE = 3.0

_COURSE_PARTS = 8

# With more pairs of tasks the course of each would say nothing to a reader.
_PAIRS_WITH_COURSE = 100


def summarize_probes(probes: Sequence[Probe], tasks: Sequence[str]) -> dict[str, Any]:
    """What the probes of one training say about its tasks.

    Sums over the probes come first, ratios last: a ratio of noisy numbers would have no mean.

    - The ledger. Under the update Σ_j w_j g_j, task i's loss falls, to first order, by
      Σ_j w_j ⟨G_i, G_j⟩ for each unit of the learning rate; alone, by w_i ⟨G_i, G_i⟩. `kept` is the
      ratio: 1 where the others neither help nor harm, 0.7 where they take 30% of its progress,
      below 0 where the update raises its loss. `from_others` has its terms. It is about plain
      gradient descent: Adam and its kin scale the coordinates.
    - The cosine of two tasks, Σ M_ij / √(Σ M_ii Σ M_jj), which noise does not shrink.

    Both are about this training, its initial weights and its training rows: intervals are those of
    the rows that were drawn, and another seed may give something else.

    Args:
        probes: Of one training, in the order of their steps.
        tasks: The T names.

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
          for each third of the probes), `trend` (the last third minus the first) and `course` (for
          up to eight parts a dict of `step`, the middle one, and `cosine`).

        Empty if there is no probe.
    """
    if not probes:
        return {}
    first, last = probes[0], probes[-1]
    whole = _Sums.of(probes)
    thirds = [_Sums.of(part) for part in _parts(probes, 3)]
    pairs = list(itertools.combinations(range(len(tasks)), 2))
    course = _parts(probes, _COURSE_PARTS) if len(pairs) <= _PAIRS_WITH_COURSE else []
    middles = [(part[0].step + part[-1].step) / 2 for part in course]
    parts = list(zip(middles, map(_Sums.of, course), strict=True))
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
    """Sums over probes of what is in a `Probe`, with the covariances of the sums.

    Attributes:
        signal_parts: [T], what `products` on the diagonal would be if all were signal.
        products: [T, T].
        product_covariances: [T, T, 3, 3].
        terms: [T, T].
        term_covariances: [T, T, 2, 2], of a term and the task's own M_ii.
        descent: [T, 2].
        descent_covariances: [T, 2, 2, 2].
        opposed: [T, T], means.
    """

    signal_parts: Array
    products: Array
    product_covariances: Array
    terms: Array
    term_covariances: Array
    descent: Array
    descent_covariances: Array
    opposed: Array

    @classmethod
    def of(cls, probes: Sequence[Probe]) -> _Sums:
        """Of at least one probe."""
        products, covariances, terms, opposed = (
            np.stack([getattr(probe, name) for probe in probes])
            for name in ("products", "product_covariances", "terms", "opposed")
        )
        # A term is a multiple of M_ij, in each probe another one.
        factors = np.divide(terms, products, out=np.zeros_like(terms), where=products != 0)
        scales = np.stack([factors, np.ones_like(factors)], axis=-1)
        scales = scales[..., :, None] * scales[..., None, :]
        known = np.isfinite(opposed)
        counts = known.sum(axis=0)
        means = np.full(counts.shape, math.nan)
        np.divide(np.where(known, opposed, 0).sum(axis=0), counts, out=means, where=counts > 0)
        return cls(
            signal_parts=np.sum([probe.labelled**2 for probe in probes], axis=0),
            products=products.sum(axis=0),
            product_covariances=covariances.sum(axis=0),
            terms=terms.sum(axis=0),
            term_covariances=(covariances[..., :2, :2] * scales).sum(axis=0),
            descent=np.sum([probe.descent for probe in probes], axis=0),
            descent_covariances=np.sum([probe.descent_covariances for probe in probes], axis=0),
            opposed=means,
        )

    def kept(self, i: int, way: int) -> _Estimate | None:
        """What is left of task i's own descent."""
        covariance = self.descent_covariances[i, way]
        return _ratio(self.descent[i, way], self.products[i, i], covariance)

    def term(self, i: int, j: int) -> _Estimate | None:
        """What task j adds to it."""
        return _ratio(self.terms[i, j], self.products[i, i], self.term_covariances[i, j])

    def cosine(self, i: int, j: int) -> _Estimate | None:
        """Of the gradients of two tasks."""
        one, other = self.products[i, i], self.products[j, j]
        covariance = self.product_covariances[i, j]
        if not (_is_measurable(one, covariance[1, 1]) and _is_measurable(other, covariance[2, 2])):
            return None
        # The root, to first order, so that it is a ratio as the others are.
        length = math.sqrt(one * other)
        jacobian = np.array([[1, 0, 0], [0, length / one / 2, length / other / 2]])
        found = _ratio(self.products[i, j], length, jacobian @ covariance @ jacobian.T)
        return found and _Estimate(*(min(1.0, max(-1.0, end)) for end in found))


def _of_task(sums: _Sums, tasks: Sequence[str], i: int, chunk_rows: int) -> dict[str, Any]:
    parts = sums.signal_parts[i]
    share = float(sums.products[i, i] / parts) if parts else 0.0
    has_surgery = bool(np.isfinite(sums.descent[i, 1]))
    own_variance = sums.product_covariances[i, i, 0, 0]
    return {
        "kept": _json(sums.kept(i, 0)),
        "kept_with_surgery": _json(sums.kept(i, 1)) if has_surgery else None,
        "from_others": {name: _json(sums.term(i, j)) for j, name in enumerate(tasks) if j != i},
        "signal_share": share,
        "noise_scale": chunk_rows * (1 - share) / share if share > 0 else None,
        "is_noise": not _is_measurable(sums.products[i, i], own_variance),
        "opposed_to_itself": _or_none(sums.opposed[i, i]),
    }


def _ratio(numerator: float, denominator: float, covariance: Array) -> _Estimate | None:
    """A ratio of estimates and its interval, all values that the data do not contradict.

    Those θ for which numerator - θ denominator may be 0 (Fieller 1954): also right where the
    denominator is little longer than its noise.
    """
    if not _is_measurable(denominator, covariance[1, 1]):
        return None
    value = float(numerator / denominator)
    squared = _QUANTILE**2
    a = denominator**2 - squared * covariance[1, 1]
    b = numerator * denominator - squared * covariance[0, 1]
    c = numerator**2 - squared * covariance[0, 0]
    root = math.sqrt(max(0.0, b * b - a * c))
    # Rounding may put the value itself outside.
    return _Estimate(value, min(value, (b - root) / a), max(value, (b + root) / a))


def _trend(thirds: Sequence[_Estimate | None]) -> _Estimate | None:
    """The last of three independent estimates minus the first.

    The interval by the arms of theirs (Zou & Donner 2008).
    """
    one, other = thirds[-1], thirds[0]
    if len(thirds) < 3 or one is None or other is None:
        return None
    value = one.value - other.value
    below = math.hypot(one.value - one.low, other.high - other.value)
    above = math.hypot(one.high - one.value, other.value - other.low)
    return _Estimate(value, value - below, value + above)


def _is_measurable(squared_length: float, variance: float) -> bool:
    """Whether a squared gradient is above 0 by more than its noise."""
    return bool(squared_length > _MEASURABLE * math.sqrt(max(0.0, variance)))


def _parts(probes: Sequence[Probe], count: int) -> list[Sequence[Probe]]:
    """Successive parts of about the same number of probes; none is empty."""
    count = min(count, len(probes))
    ends = [round(part * len(probes) / count) for part in range(count + 1)]
    return [probes[first:last] for first, last in itertools.pairwise(ends)]


def _json(estimate: _Estimate | None) -> dict[str, float | None]:
    return estimate._asdict() if estimate else dict.fromkeys(_Estimate._fields)


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
