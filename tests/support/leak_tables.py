"""Made tables of which it is known what gives a label away, and what does not.

Each maker takes a random generator and returns the columns, the tasks, and the features that give
a label away: none in the tables that only look as if.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from pcgrad_tfx.config.features import Features
from pcgrad_tfx.config.tasks import Task

ROWS = 1500

SOLD = Task(name="sold", kind="binary", column="sold")
PRICE = Task(name="price", kind="regression", column="price")
SORT = Task(name="sort", kind="multiclass", column="sort", classes=("a", "b", "c"))


@dataclass(frozen=True)
class LeakTable:
    """A table and the truth about it."""

    columns: dict[str, Any]
    tasks: tuple[Task, ...]
    numeric: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    leaking: frozenset[str] = field(default_factory=frozenset)

    @property
    def frame(self) -> pd.DataFrame:
        """Rows of texts, empty where a value is missing."""
        return pd.DataFrame({name: map(_text, values) for name, values in self.columns.items()})

    @property
    def features(self) -> Features:
        """Those that a network would learn from."""
        return Features(numeric=self.numeric, categorical=self.categorical)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if np.isnan(value) else f"{value:.6g}"


MAKERS: dict[str, Callable[[np.random.Generator], LeakTable]] = {}


def _table(maker: Callable[[np.random.Generator], LeakTable]) -> None:
    MAKERS[maker.__name__.strip("_")] = maker


def _noise(draw: np.random.Generator, number: int = 4) -> dict[str, Any]:
    return {f"noise_{place}": draw.normal(size=ROWS) for place in range(number)}


def _binary(draw: np.random.Generator, share: float = 0.4) -> Any:
    return (draw.random(ROWS) < share).astype(float)


# Tables with a leak.


@_table
def copy_of_the_label(draw):
    sold = _binary(draw)
    columns = {**_noise(draw), "sold": sold, "copy": sold}
    return LeakTable(columns, (SOLD,), (*_noise(draw), "copy"), leaking=frozenset(["copy"]))


@_table
def code_of_the_class(draw):
    sort = draw.choice(["a", "b", "c"], ROWS)
    code = np.char.add("code_", sort)
    wrong = draw.random(ROWS) < 0.005
    code = np.where(wrong, "code_a", code)
    return LeakTable({"sort": sort, "code": code}, (SORT,), (), ("code",), frozenset(["code"]))


@_table
def amount_in_another_currency(draw):
    price = draw.lognormal(3, 1, ROWS)
    columns = {**_noise(draw), "price": price, "euros": price * 0.9 + draw.normal(0, 0.01, ROWS)}
    return LeakTable(columns, (PRICE,), (*_noise(draw), "euros"), leaking=frozenset(["euros"]))


def _riders(draw):
    casual, registered = draw.poisson(40, ROWS), draw.poisson(150, ROWS)
    return {"casual": casual, "registered": registered, "count": casual + registered}


@_table
def sum_of_two_labels(draw):
    tasks = [Task(name=name, kind="regression", column=name) for name in ("casual", "registered")]
    columns = {**_riders(draw), **_noise(draw)}
    return LeakTable(columns, tuple(tasks), (*_noise(draw), "count"), leaking=frozenset(["count"]))


@_table
def label_is_a_sum_of_two(draw):
    task = Task(name="count", kind="regression", column="count")
    numeric = (*_noise(draw), "casual", "registered")
    columns = {**_riders(draw), **_noise(draw)}
    return LeakTable(columns, (task,), numeric, leaking=frozenset(["casual", "registered"]))


@_table
def label_is_a_difference_with_gaps(draw):
    income, cost = draw.normal(100, 20, ROWS), draw.normal(80, 25, ROWS)
    price = income - cost
    income[draw.random(ROWS) < 0.02] = np.nan
    columns = {"income": income, "cost": cost, "price": price, **_noise(draw)}
    numeric = ("income", "cost", *_noise(draw))
    return LeakTable(columns, (PRICE,), numeric, leaking=frozenset(["income", "cost"]))


@_table
def label_is_a_ratio(draw):
    total, area = draw.lognormal(5, 0.6, ROWS), draw.lognormal(4, 0.5, ROWS)
    columns = {"total": total, "area": area, "price": total / area, **_noise(draw)}
    numeric = ("total", "area", *_noise(draw))
    return LeakTable(columns, (PRICE,), numeric, leaking=frozenset(["total", "area"]))


@_table
def label_above_a_threshold_of_a_sum(draw):
    task = Task(name="busy", kind="binary", column="count", above=190)
    columns = {**_riders(draw), **_noise(draw)}
    numeric = (*_noise(draw), "casual", "registered")
    return LeakTable(columns, (task,), numeric, leaking=frozenset(["casual", "registered"]))


@_table
def body_was_found(draw):
    sold = _binary(draw)
    found = (sold == 0) & (draw.random(ROWS) < 0.15)
    columns = {"sold": sold, "body": np.where(found, draw.integers(1, 300, ROWS), np.nan)}
    columns |= _noise(draw)
    return LeakTable(columns, (SOLD,), (*_noise(draw), "body"), leaking=frozenset(["body"]))


@_table
def boat_was_boarded(draw):
    sold = _binary(draw)
    boarded = np.where(draw.random(ROWS) < 0.03, 1 - sold, sold) == 1
    boats = np.char.add("boat ", draw.integers(1, 20, ROWS).astype(str))
    columns = {"sold": sold, "boat": np.where(boarded, boats, ""), **_noise(draw)}
    return LeakTable(columns, (SOLD,), tuple(_noise(draw)), ("boat",), frozenset(["boat"]))


@_table
def date_is_missing_for_what_never_happened(draw):
    sold = _binary(draw, 0.1)
    never = (sold == 1) & (draw.random(ROWS) < 0.7)
    columns = {"sold": sold, "departed": np.where(never, np.nan, draw.integers(0, 2400, ROWS))}
    return LeakTable(columns, (SOLD,), ("departed",), leaking=frozenset(["departed"]))


@_table
def tips_are_recorded_for_cards_only(draw):
    payment = draw.choice(["cash", "card"], ROWS, p=[0.6, 0.4])
    sold = np.where(payment == "card", _binary(draw, 0.5), 0)
    columns = {"sold": sold, "payment": payment, **_noise(draw)}
    return LeakTable(columns, (SOLD,), tuple(_noise(draw)), ("payment",), frozenset(["payment"]))


@_table
def amount_is_fixed_in_one_plan(draw):
    plan = draw.choice(["free", "basic", "full"], ROWS)
    price = np.where(plan == "free", 5, draw.normal(50, 20, ROWS))
    return LeakTable({"price": price, "plan": plan}, (PRICE,), (), ("plan",), frozenset(["plan"]))


@_table
def one_leak_among_a_hundred_columns(draw):
    sold = _binary(draw)
    noise = _noise(draw, 100)
    columns = {**noise, "sold": sold, "late": np.where(draw.random(ROWS) < 0.005, 0, sold)}
    return LeakTable(columns, (SOLD,), (*noise, "late"), leaking=frozenset(["late"]))


# Tables without one.


@_table
def nothing_but_noise(draw):
    noise = _noise(draw, 40)
    columns = {**noise, "sold": _binary(draw), "price": draw.normal(size=ROWS)}
    return LeakTable(columns, (SOLD, PRICE), tuple(noise))


@_table
def good_features(draw):
    signal = draw.normal(size=ROWS)
    columns = {
        "signal": signal,
        "sold": (signal + 0.5 * draw.normal(size=ROWS) > 0).astype(float),
        "price": 10 + signal + 0.33 * draw.normal(size=ROWS),
    }
    return LeakTable(columns, (SOLD, PRICE), ("signal",))


@_table
def two_good_features_and_a_little_noise(draw):
    first, second = draw.normal(size=ROWS), draw.normal(size=ROWS)
    price = first + second + 0.1 * draw.normal(size=ROWS)
    return LeakTable(
        {"first": first, "second": second, "price": price}, (PRICE,), ("first", "second")
    )


@_table
def rare_label_and_many_groups(draw):
    groups = draw.choice([f"g{place}" for place in range(15)], ROWS)
    columns = {"sold": _binary(draw, 0.07), "group": groups, **_noise(draw)}
    return LeakTable(columns, (SOLD,), tuple(_noise(draw)), ("group",))


@_table
def frequent_label_is_a_little_more_frequent(draw):
    """99.2% where 93% are the rule."""
    channel = draw.choice(["shop", "web", "phone"], ROWS * 4)
    web = channel == "web"
    sold = np.where(web, np.cumsum(web) % 125 != 0, draw.random(ROWS * 4) < 0.9).astype(float)
    return LeakTable({"sold": sold, "channel": channel}, (SOLD,), (), ("channel",))


@_table
def some_groups_all_have_what_nearly_all_have(draw):
    """As newer houses all have central air."""
    style = draw.choice(["old", "new", "rebuilt"], ROWS)
    sold = np.where(style == "new", 1.0, draw.random(ROWS) < 0.92)
    return LeakTable({"sold": sold, "style": style}, (SOLD,), (), ("style",))


@_table
def last_row_holds_the_totals(draw):
    price = draw.lognormal(3, 1, ROWS)
    price[-1] = price.sum()
    shop = np.where(price == price.max(), "total", draw.choice(["north", "south"], ROWS))
    return LeakTable({"price": price, "shop": shop}, (PRICE,), (), ("shop",))


@_table
def risk_is_lower_in_some_groups(draw):
    contract = draw.choice(["month", "year", "two years"], ROWS)
    share = pd.Series(contract).map({"month": 0.4, "year": 0.11, "two years": 0.03}).to_numpy()
    sold = (draw.random(ROWS) < share).astype(float)
    return LeakTable({"sold": sold, "contract": contract}, (SOLD,), (), ("contract",))


@_table
def presence_tells_something(draw):
    sold = _binary(draw)
    known = draw.random(ROWS) < np.where(sold == 1, 0.4, 0.15)
    columns = {"sold": sold, "cabin": np.where(known, draw.integers(1, 120, ROWS), np.nan)}
    return LeakTable(columns, (SOLD,), ("cabin",))


@_table
def missing_at_random(draw):
    columns = {"sold": _binary(draw), "price": draw.lognormal(3, 1, ROWS)}
    columns |= {
        name: np.where(draw.random(ROWS) < 0.3, np.nan, values)
        for name, values in _noise(draw, 30).items()
    }
    return LeakTable(columns, (SOLD, PRICE), tuple(_noise(draw, 30)))


@_table
def names_that_few_rows_have(draw):
    names = [f"n{place}" for place in draw.integers(0, ROWS, ROWS)]
    return LeakTable({"sold": _binary(draw), "name": names}, (SOLD,), (), ("name",))


@_table
def few_rows_and_many_columns(draw):
    columns = {name: values[:120] for name, values in _noise(draw, 80).items()}
    columns |= {"sold": _binary(draw)[:120], "price": draw.normal(size=120)}
    return LeakTable(columns, (SOLD, PRICE), tuple(_noise(draw, 80)))


@_table
def sizes_of_one_thing(draw):
    size = draw.lognormal(1, 0.4, ROWS)
    columns = {name: size * draw.lognormal(0, 0.1, ROWS) for name in ("length", "height", "price")}
    return LeakTable(columns, (PRICE,), ("length", "height"))


@_table
def labels_of_one_cause(draw):
    cause = draw.normal(size=ROWS)
    columns = {
        "cause": cause + draw.normal(0, 0.3, ROWS),
        "price": cause + draw.normal(0, 0.3, ROWS),
    }
    columns["cost"] = 2 * cause + draw.normal(0, 0.5, ROWS)
    cost = Task(name="cost", kind="regression", column="cost")
    return LeakTable(columns, (PRICE, cost), ("cause",))


@_table
def three_classes_and_good_features(draw):
    sort = draw.choice(["a", "b", "c"], ROWS)
    middle = pd.Series(sort).map({"a": -1.0, "b": 0.0, "c": 1.0}).to_numpy()
    columns = {"sort": sort, "width": middle + draw.normal(0, 0.6, ROWS)}
    elsewhere = draw.choice(["a", "b", "c", "d"], ROWS)
    columns["site"] = np.where(draw.random(ROWS) < 0.6, sort, elsewhere)
    return LeakTable(columns, (SORT,), ("width",), ("site",))
