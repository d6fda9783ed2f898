"""Hundreds of faulty CSV files: each is refused in one clear line, or read as a person reads it."""

from collections import Counter
from decimal import Decimal

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings

from csv_mutations import cell_by_cell, mutated_files
from csv_tables import Mutated, as_number
from pcgrad_pipelines.config import load_config
from pcgrad_pipelines.local.data_check import check_config_data
from pcgrad_tfx.data.reading.csv_files import CsvFile
from pcgrad_tfx.example_gen.csv_decoding import ColumnTypeInferrer, to_example

CASES = 500


def read_by_us(case: Mutated, file) -> dict[str, list]:
    """The examples that our CsvExampleGen generates of a file, without Beam between the steps."""
    table = CsvFile(str(file), missing=case.missing)
    columns = table.columns
    rows = [[cell.encode() for cell in cells] for _, cells in table.rows()]
    inferrer = ColumnTypeInferrer(columns)
    types = inferrer.create_accumulator()
    for row in rows:
        types = inferrer.add_input(types, row)
    examples = [to_example(row, inferrer.extract_output(types)) for row in rows]
    return {name: [example.features.feature[name] for example in examples] for name in columns}


def agrees(ours: tf.train.Feature, cell: str) -> bool:
    """Whether what we read in a cell is what a person reads in it."""
    kind = ours.WhichOneof("kind")
    values = getattr(ours, kind).value if kind else []
    if not cell:
        return not values
    (value,) = values
    if kind == "bytes_list":
        return value.decode() == cell
    number = as_number(cell)
    if number is None:
        # In a column of numbers that is no feature of numbers, or label: see the checks.
        return kind == "float_list" and not np.isfinite(value)
    if kind == "int64_list":
        return value == int(cell)
    with np.errstate(over="ignore"):
        return value == np.float32(number)


def is_clear(message: str, case: Mutated) -> bool:
    """One line, not too long, that names the file or the configuration and a remedy."""
    (line,) = message.splitlines()
    names = case.name in line or "mutated.toml" in line
    return names and len(line) < 600 and ("; " in line or "did you mean" in line)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory):
    """The number of cases by outcome, and the faults found."""
    folder = tmp_path_factory.mktemp("mutated")
    counts, kinds, faults, seen = Counter(), Counter(), [], set()

    def judge(case):
        if case in seen:
            return
        seen.add(case)
        outcome = outcome_of(case, folder)
        counts[outcome if outcome in ("refused", "read right") else "other"] += 1
        kinds.update(case.kinds)
        if outcome not in ("refused", "read right"):
            faults.append((case.kinds, outcome))

    for case in cell_by_cell():
        judge(case)
    settings(max_examples=CASES, suppress_health_check=list(HealthCheck))(
        given(mutated_files())(judge)
    )()
    return counts, kinds, faults


def outcome_of(case: Mutated, folder) -> str:
    config = case.write(folder)
    try:
        inspection = check_config_data(load_config(config, draft=True), str(config))
    except ValueError as error:
        return "refused" if is_clear(str(error), case) else f"unclear: {error!r}"
    except Exception as error:  # whatever it is, nobody should see it
        return f"bare {error!r}"
    table, ours = case.table(), read_by_us(case, folder / case.name)
    if list(table) != list(ours):
        return f"columns {list(ours)}, not {list(table)}"
    used = {task.column for task in inspection.config.tasks} | {*inspection.config.features.columns}
    for name in used:
        for row, (feature, cell) in enumerate(zip(ours[name], table[name], strict=True)):
            if not agrees(feature, cell):
                return f"{name!r}, row {row}: {cell[:80]!r} was read as {feature}"
    for name in mixed_up(inspection.config, table, ours):
        return f"{name!r}: different numbers became the same category"
    return "read right"


def mixed_up(config, table, ours):
    """The columns of categories in which numbers are no longer told apart."""
    labels = {task.column for task in config.tasks if task.is_text}
    for name in labels | {*config.features.categorical}:
        found = {}
        for feature, cell in zip(ours[name], table[name], strict=True):
            if as_number(cell) is not None and feature.WhichOneof("kind") != "bytes_list":
                number = Decimal(cell.strip())
                if abs(number) < Decimal("1e-300"):  # No computer tells it from 0.
                    number = 0
                if found.setdefault(str(feature), number) != number:
                    yield name
                    break


@pytest.mark.slow
def test_every_case_is_refused_in_one_clear_line_or_read_right(outcomes, record_property):
    counts, kinds, faults = outcomes
    total = sum(counts.values())
    print(f"\n{total} cases: {dict(counts)}; kinds of mutations: {len(kinds)}")
    record_property("cases", total)
    for outcome, count in counts.items():
        record_property(outcome, count)
    assert not faults, "\n".join(map(str, faults[:20]))
    assert total >= 500
    # Neither may be a matter of chance.
    assert counts["refused"] > 100
    assert counts["read right"] > 100
