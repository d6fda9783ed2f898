"""How rows that the user has not split come into the splits train, eval and test."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from pcgrad_tfx.config.task_checks import first_repeated
from pcgrad_tfx.config.task_keys import Column
from pcgrad_tfx.errors import brief, brief_list, shown

_MOST_BUCKETS = 10_000

Buckets = Annotated[int, Field(ge=1, le=_MOST_BUCKETS)]


class Shares(BaseModel):
    """The splits' sizes relative to each other, in whole numbers as TFX takes them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: Buckets = Field(description="whole numbers, as in 8, 1 and 1")
    eval: Buckets = Field(description="whole numbers, as in 8, 1 and 1")
    test: Buckets = Field(description="whole numbers, as in 8, 1 and 1")

    @property
    def buckets(self) -> tuple[int, int, int]:
        """Those of train, eval and test."""
        return self.train, self.eval, self.test


def _listed(given: Any) -> Any:
    if isinstance(given, str):
        return (given,)
    return tuple(given) if isinstance(given, list) else given


class Splitting(BaseModel):
    """How rows are split; by default 8:1:1, by a hash of each row.

    Attributes:
        group: A column: rows with the same value of it come into the same split.
        time: A column of dates or numbers: the latest rows are test, those before them eval.
        gap: How much time is left out before eval and before test, in days where `time` holds
            dates, else in its own unit.
        stratify: Columns: each value, or combination of values, has the same share in each split.
        splits: The splits' sizes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: Column | None = Field(None, description="a column; rows of a group stay together")
    time: Column | None = Field(None, description="a column of dates or numbers to split by")
    gap: float = Field(0.0, ge=0, allow_inf_nan=False, description="time left out between splits")
    stratify: Annotated[tuple[Column, ...], BeforeValidator(_listed)] = Field(
        (), description='a column or several, as in ["outcome"]'
    )
    splits: Shares = Field(
        Shares(train=8, eval=1, test=1), description="as in { train = 8, eval = 1, test = 1 }"
    )

    @model_validator(mode="after")
    def _check_one_way(self) -> Splitting:
        ways = [key for key in ("group", "time", "stratify") if getattr(self, key)]
        if len(ways) > 1:
            raise ValueError(
                f"`{ways[0]}` and `{ways[1]}` are two ways to split the same rows; keep one of them"
            )
        if self.gap and self.time is None:
            raise ValueError("`gap` is a time between the splits; add `time`, or remove it")
        if (repeated := first_repeated(self.stratify)) is not None:
            raise ValueError(f"`stratify` names {shown(repeated)} twice; name each column once")
        return self

    def __str__(self) -> str:
        shares = ":".join(map(str, self.splits.buckets))
        if self.group:
            return f"{shares}, groups of {brief(self.group)} stay together"
        if self.time:
            gap = f", {self.gap:g} left out between them" if self.gap else ""
            return f"{shares}, in the order of {brief(self.time)}{gap}"
        if self.stratify:
            return f"{shares}, within each value of {brief_list(self.stratify)}"
        return f"{shares}, by a hash of the row"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that say where a row comes."""
        return (*self.stratify, *self.no_features)

    @property
    def no_features(self) -> tuple[str, ...]:
        """Those that become features only if they are listed: new rows have other values."""
        return tuple(column for column in (self.group, self.time) if column is not None)


BY_HASH = Splitting()
