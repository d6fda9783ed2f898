"""Looks whether rows can be split as the configuration says, and where a split by time cuts.

The rows are read before ExampleGen splits them, so that what cannot be split is refused with its
line, and both, the look at the data and ExampleGen itself, know the same of the splits.
"""

from __future__ import annotations

import bisect
import hashlib
from array import array
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from pcgrad_tfx.config.splitting import Splitting
from pcgrad_tfx.data.row_checks import as_number, is_int64
from pcgrad_tfx.data.times import FORMATS, NUMBER, are_days, as_time, narrowed
from pcgrad_tfx.errors import DataError, brief_list, shown

SPLITS = ("train", "eval", "test")

# So many are told apart: of more, each split surely has some.
_MAX_GROUPS = 10_000
_MAX_STRATA = 100


@dataclass(frozen=True)
class TimeBounds:
    """Where a split by time cuts.

    Attributes:
        column: The column of times.
        written: How they are written, one of `pcgrad_tfx.data.times.FORMATS`.
        is_decimal: Whether TFX keeps them as 32-bit floating numbers.
        bounds: The times at which train ends, eval begins, eval ends and test begins.
    """

    column: str
    written: str
    is_decimal: bool
    bounds: tuple[float, float, float, float]

    def place(self, text: str) -> int:
        """The position of a row's split in `SPLITS`; that of none is their number."""
        time = as_time(text, self.written)
        if time is None:
            raise DataError(f"column {shown(self.column)} (`time`): {shown(text)} is no time")
        time = float(np.float32(time)) if self.is_decimal else time
        return _PLACES[bisect.bisect(self.bounds, time)]


# Between the bounds; what lies in a gap is in no split.
_PLACES = (0, 3, 1, 3, 2)


@dataclass(frozen=True)
class SplitSummary:
    """What is known of the splits before the rows are split.

    Attributes:
        rows: By split the number of its rows.
        groups: By split the number of its groups, where rows are split by group.
        left_out: How many rows are in no split, as they lie in a gap.
        bounds: Where a split by time cuts.
        undivided: Strata of fewer than three different rows, which are in train as a whole, with
            the number of their rows.
    """

    rows: Mapping[str, int]
    groups: Mapping[str, int]
    left_out: int = 0
    bounds: TimeBounds | None = None
    undivided: Mapping[str, int] = field(default_factory=dict)


class SplitChecks:
    """Takes the rows one after the other.

    Args:
        splitting: How they are to be split.
        columns: The names of the columns.
        texts: Those that hold texts, even where these look like numbers.
    """

    def __init__(
        self, splitting: Splitting, columns: Sequence[str], texts: Collection[str] = ()
    ) -> None:
        self._splitting = splitting
        self._texts = texts
        self._places = [columns.index(name) for name in splitting.columns]
        self._is_grouped, self._is_timed = bool(splitting.group), bool(splitting.time)
        self._counts: Counter[str] = Counter()
        # By stratum the hashes of its rows, as many as there are splits.
        self._rows: defaultdict[str, set[int]] = defaultdict(set)
        # Groups with spaces around them, by the hash of what they are without.
        self._padded: dict[int, str] = {}
        self._hashes = array("q")
        self._formats = FORMATS
        self._times = array("d")
        self._cells: list[str] = []
        self._is_decimal = False

    def add(self, where: str, cells: Sequence[str]) -> None:
        """Takes a row.

        Args:
            where: Where it stands, for the message.
            cells: A cell for each column, empty where the value is missing.

        Raises:
            DataError: The group or the time is missing, or is none.
        """
        if not self._places:
            return
        cell = cells[self._places[0]]
        if self._is_grouped:
            self._check_presence(where, "group", cell)
            self._hashes.append(hash(cell))
            self._count(cell, _MAX_GROUPS)
            if cell != (bare := cell.strip()) and len(self._padded) < _MAX_GROUPS:
                self._padded[hash(bare)] = cell
        elif self._is_timed:
            self._check_presence(where, "time", cell)
            self._add_time(where, cell)
        else:
            stratum = "\0".join(cells[place] for place in self._places)
            self._count(stratum, _MAX_STRATA)
            if stratum in self._counts and len(self._rows[stratum]) < len(SPLITS):
                self._rows[stratum].add(hash(tuple(cells)))

    def finish(self, where: str) -> SplitSummary | None:
        """Says what is known of the splits.

        Args:
            where: What was read, for the message.

        Returns:
            What is known; None where hashes of the rows, or of very many groups, decide and
            there is nothing to say.

        Raises:
            DataError: The rows cannot be split in this way.
        """
        if self._is_grouped:
            return self._groups(where)
        if self._is_timed:
            return self._by_time(where)
        return self._strata(where) if self._places else None

    def _check_presence(self, where: str, key: str, cell: str) -> None:
        if not cell:
            column = shown(self._splitting.columns[0])
            raise DataError(
                f"{where}: column {column} (`{key}`): the value is missing, so it is not known "
                "which split the row belongs to; fill it, or leave the row out"
            )

    def _count(self, value: str, limit: int) -> None:
        if value in self._counts or len(self._counts) <= limit:
            self._counts[value] += 1

    def _add_time(self, where: str, cell: str) -> None:
        if as_time(cell, self._formats[0]) is None or len(self._formats) > 1:
            formats = narrowed(self._formats, cell)
            if not formats:
                column = shown(self._splitting.columns[0])
                raise DataError(
                    f"{where}: column {column} (`time`): {shown(cell)} is no time, or written in "
                    "another way than those before it; write all as 2013-01-31 10:00:00, or as "
                    "numbers"
                )
            self._formats = formats
        if len(self._formats) > 1:
            self._cells.append(cell)
            return
        self._flush()
        self._keep(cell)

    def _flush(self) -> None:
        """Reads the times that came before it was known how they are written."""
        for cell in self._cells:
            self._keep(cell)
        self._cells.clear()

    def _keep(self, cell: str) -> None:
        written = self._formats[0]
        time = as_time(cell, written)
        assert time is not None
        self._times.append(time)
        self._is_decimal |= written == NUMBER and not is_int64(cell)

    def _by_time(self, where: str) -> SplitSummary:
        column = self._splitting.columns[0]
        place = f"{where}: column {shown(column)} (`time`)"
        if len({tuple(as_time(cell, w) for cell in self._cells) for w in self._formats}) > 1:
            listed = " or ".join(self._formats)
            raise DataError(
                f"{place}: {shown(self._cells[0])} may be {listed}; write dates as 2013-01-31"
            )
        self._flush()
        is_decimal = self._is_decimal and column not in self._texts
        times = np.frombuffer(self._times, np.float64)
        if is_decimal:
            times = times.astype(np.float32).astype(np.float64)
        known, counts = np.unique(times, return_counts=True)
        if len(known) < len(SPLITS):
            raise DataError(
                f"{place}: {len(known)} different times are too few for three splits; name another "
                "column"
            )
        if (
            self._splitting.gap
            and self._formats[0] == NUMBER
            and are_days(np.where(known < 1e6, known * 100 + 1, known))
        ):
            raise DataError(
                f"{place}: {known[0]:.0f} looks like a date without marks, and from such a number "
                "a `gap` cannot be taken off; write dates as 2013-01-31"
            )
        starts = [float(known[i]) for i in cut(counts, self._splitting.splits.buckets)]
        ends = [start - self._splitting.gap for start in starts]
        bounds = TimeBounds(
            column, self._formats[0], is_decimal, (ends[0], starts[0], ends[1], starts[1])
        )
        sides = np.searchsorted(np.array(bounds.bounds), times, side="right")
        places = np.bincount(np.array(_PLACES)[sides], minlength=len(_PLACES))
        rows = {name: int(count) for name, count in zip(SPLITS, places, strict=False)}
        for name, count in rows.items():
            if not count:
                raise DataError(
                    f"{place}: split {name!r} would be empty, as a `gap` of "
                    f"{self._splitting.gap:g} leaves nothing between the bounds; make it smaller"
                )
        return SplitSummary(rows, {}, int(places[len(SPLITS)]), bounds)

    def _strata(self, where: str) -> SplitSummary | None:
        place = f"{where}: column {', '.join(map(shown, self._splitting.stratify))} (`stratify`)"
        if len(self._counts) > _MAX_STRATA:
            raise DataError(
                f"{place} has more than {_MAX_STRATA} different values; name columns of classes"
            )
        undivided = {
            stratum.replace("\0", ", "): count
            for stratum, count in self._counts.items()
            if len(self._rows[stratum]) < len(SPLITS)
        }
        if len(undivided) == len(self._counts):
            raise DataError(
                f"{place}: no value has three different rows, and equal rows stay together, so "
                "that eval and test would be empty; name another column, or remove the key"
            )
        return SplitSummary({}, {}, undivided=undivided) if undivided else None

    def _groups(self, where: str) -> SplitSummary | None:
        column = self._splitting.columns[0]
        place = f"{where}: column {shown(column)} (`group`)"
        rows = len(self._hashes)
        known = np.unique(np.frombuffer(self._hashes, np.int64))
        number = len(known)
        padded = np.array([*self._padded], np.int64)
        if (both := padded[np.isin(padded, known)]).size:
            group = self._padded[int(both[0])]
            raise DataError(
                f"{place}: {shown(group)} and {shown(group.strip())} differ by spaces only, and "
                "would be two groups; remove the spaces"
            )
        if number == rows:
            raise DataError(
                f"{place}: another value in each of the {rows:,} rows, so that no two rows are of "
                "one group; name a column that several rows share, or remove the key"
            )
        if number == 1:
            raise DataError(
                f"{place}: {shown(next(iter(self._counts)))} in every row, so that there is one "
                "group for three splits; name another column"
            )
        is_number = column not in self._texts and None not in map(as_number, self._counts)
        if is_number and (others := [c for c in self._counts if not is_int64(c)]):
            raise DataError(
                f"{place}: {shown(others[0])} is no whole number of 64 bits, and TFX groups by "
                "these and by texts; write whole numbers, or put a letter before each to make texts"
            )
        if number > _MAX_GROUPS:
            return None
        counts, groups = Counter(dict.fromkeys(SPLITS, 0)), Counter(dict.fromkeys(SPLITS, 0))
        for value, count in self._counts.items():
            split = SPLITS[hashed_place(group_key(value, is_number), self._splitting)]
            counts[split] += count
            groups[split] += 1
        if empty := [name for name, count in counts.items() if not count]:
            raise DataError(
                f"{place}: split {empty[0]!r} would be empty: {number} groups "
                f"({brief_list(self._counts)}) are put into the splits by a hash of the value; "
                "change the shares (`splits`), or split the files yourself"
            )
        return SplitSummary(counts, groups)


def group_key(value: str, is_number: bool) -> bytes:
    """What TFX hashes of a feature."""
    if is_number:
        feature = tf.train.Feature(int64_list=tf.train.Int64List(value=[int(value)]))
    else:
        feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
    return feature.SerializeToString(deterministic=True)


def hashed_place(key: bytes, splitting: Splitting) -> int:
    """The position of the split in `SPLITS` that TFX's ExampleGen puts a row into."""
    buckets = np.cumsum(splitting.splits.buckets).tolist()
    return bisect.bisect(buckets, int(hashlib.sha256(key).hexdigest(), 16) % buckets[-1])


def cut(counts: NDArray[np.int64], buckets: Sequence[int]) -> tuple[int, int]:
    """Cuts ordered values, so that equal ones stay together and each split has some.

    Args:
        counts: How often each value occurs; at least three.
        buckets: The sizes of train, eval and test.

    Returns:
        The positions of the values with which eval and test begin.
    """
    before = np.cumsum(counts) - counts
    shares = np.cumsum(buckets)[:2] / sum(buckets) * counts.sum()
    first = int(np.clip(np.abs(before - shares[0]).argmin(), 1, len(counts) - 2))
    second = int(max(np.abs(before - shares[1]).argmin(), first + 1))
    return first, second
