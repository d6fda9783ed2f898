"""Faulty CSV files that are let through: training sees what a person reads in them."""

import csv
import gzip
import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from chains import Chain, run_chain, values_of
from csv_mutations import mutated_files
from csv_tables import CLASSES, MISSING, File, Mutated, as_number
from pcgrad_pipelines.config import PipelineConfig, load_config
from pcgrad_pipelines.local.data_check import check_config_data

pytestmark = pytest.mark.long

SAMPLE = 40


def outcome_of(case: Mutated, folder) -> str:
    """Whether it trains right, or else what went wrong."""
    folder.mkdir()
    path = case.write(folder)
    try:
        inspection = check_config_data(load_config(path, draft=True), str(path))
    except ValueError as error:
        return f"refused: {error}"
    chain = run_chain(inspection, folder)
    faults = [
        *wrong_examples(case, inspection.config, chain),
        *wrong_labels(inspection.config, chain),
    ]
    faults += [*wrong_features(inspection.config, chain), *not_finite(inspection.config, chain)]
    return "; ".join(faults[:3]) or "trained right"


def wrong_examples(case: Mutated, config: PipelineConfig, chain: Chain):
    """Rows that ExampleGen made otherwise than a person reads them, in whatever order."""
    table = case.table()
    used = sorted({task.column for task in config.tasks} | {*config.features.columns})
    examples = [example for split in chain.examples.values() for example in split]
    kinds = {name: kind_of(examples, name) for name in used}
    ours = Counter(tuple(plain(values_of(example, name)) for name in used) for example in examples)
    read = Counter(
        tuple(person_reads(cell, kinds[name]) for name, cell in zip(used, cells, strict=True))
        for cells in zip(*(table[name] for name in used), strict=True)
    )
    for row in [*(ours - read), *(read - ours)]:
        yield f"{row} is read {ours[row]} times, not {read[row]}"


def kind_of(examples, name):
    kinds = {example.features.feature[name].WhichOneof("kind") for example in examples} - {None}
    (kind,) = kinds or {None}
    return kind


def plain(values):
    """One value or None; as text where it is not equal to itself."""
    (value,) = values or [None]
    return "nan" if isinstance(value, float) and math.isnan(value) else value


def person_reads(cell, kind):
    if not cell:
        return None
    if kind == "bytes_list":
        return cell.encode()
    number = as_number(cell)
    if kind == "int64_list":
        return int(cell)
    return "nan" if number is None else float(np.float32(number))


def rows_of(chain: Chain):
    for split, rows in chain.transformed.items():
        yield from zip(chain.examples[split], rows, strict=True)


def wrong_labels(config: PipelineConfig, chain: Chain):
    for example, row in rows_of(chain):
        for task in config.tasks:
            (raw,) = values_of(example, task.column) or [None]
            expected = label_of(task, raw)
            found = row[task.label_key] if row[task.mask_key] else None
            if (found is None) != (expected is None) or (
                found is not None and not np.isclose(found, expected, rtol=1e-6)
            ):
                yield f"{task.name}: {raw!r} became {found}, not {expected}"


def label_of(task, raw):
    """The label that a person makes of a cell; None where there is none."""
    if task.classes or task.positive is not None:
        if raw is None or (isinstance(raw, float) and not math.isfinite(raw)):
            return None
        text = (
            raw.decode() if isinstance(raw, bytes) else f"{raw:g}" if raw < 1e6 else str(int(raw))
        )
        if task.positive is not None:
            return float(text == task.positive)
        return task.classes.index(text) if text in task.classes else None
    if raw is None or not math.isfinite(raw):
        return None
    if task.kind == "binary":
        return raw if raw in (0, 1) else None
    return None if task.log_scale and raw < 0 else raw


def wrong_features(config: PipelineConfig, chain: Chain):
    for name in config.features.numeric:
        yield from wrong_numbers(name, chain)
    for name in config.features.categorical:
        yield from wrong_ids(name, chain)
    for name, buckets in config.features.bucketized.items():
        for _, row in rows_of(chain):
            if row[f"{name}_xf"] not in range(buckets):
                yield f"{name}: bucket {row[f'{name}_xf']}"


def wrong_numbers(name: str, chain: Chain):
    """Numbers are scaled to mean 0 and variance 1, and 0 where they are missing."""
    known = [v for e in chain.examples["train"] for v in values_of(e, name) if math.isfinite(v)]
    mean, deviation = np.mean(known or [0.0]), np.std(known or [0.0])
    for example, row in rows_of(chain):
        (raw,) = values_of(example, name) or [math.nan]
        varies = math.isfinite(raw) and deviation > 1e-9 * abs(mean)
        expected = (raw - mean) / deviation if varies else 0.0
        if not np.isclose(row[f"{name}_xf"], expected, rtol=1e-3, atol=1e-3):
            yield f"{name}: {raw} became {row[f'{name}_xf']}, not {expected}"


def wrong_ids(name: str, chain: Chain):
    """Each category has an id of its own; 0 stands for a missing one."""
    ids, categories = defaultdict(set), defaultdict(set)
    in_training = {plain(values_of(example, name)) for example in chain.examples["train"]}
    for example, row in rows_of(chain):
        raw, found = plain(values_of(example, name)), row[f"{name}_xf"]
        if (found == 0) != (raw in (None, "nan")):
            yield f"{name}: {raw!r} became {found}; 0 stands for a missing value"
        ids[raw].add(found)
        # Texts with line breaks have no place in a vocabulary's file: they are as new ones.
        if raw in in_training and not (isinstance(raw, bytes) and {*b"\r\n"} & {*raw}):
            categories[found].add(raw)
    for raw, found in ids.items():
        if len(found) > 1:
            yield f"{name}: {raw!r} became {found}"
    for found, raws in categories.items():
        if len(raws) > 1 and found:
            yield f"{name}: {raws} all became {found}"


def not_finite(config: PipelineConfig, chain: Chain):
    """Losses and predictions that are no numbers; a loss is none where its task has no label."""
    unlabelled = {
        f"{prefix}{task.name}_loss"
        for prefix, split in (("", "train"), ("val_", "eval"))
        for task in config.tasks
        if not any(row[task.mask_key] for row in chain.transformed[split])
    }
    for name, loss in chain.step.losses.items():
        if math.isfinite(loss) == (name in unlabelled):
            yield f"{name} is {loss}"
    for name, values in chain.step.predictions.items():
        if not np.isfinite(values).all():
            yield f"{name} predicts {values[~np.isfinite(values)][0]}"


def set_column(file, column, *cells):
    for number, row in enumerate(file.rows):
        row[column] = cells[number % len(cells)]


def quoted(file):
    """Everything in quotes, line breaks and quotes in cells, Windows line ends."""
    set_column(file, 2, 'say "hi"', "a,b", "two\nlines", "Ålesund 🚕", " padded ")
    file.dialect |= {"quoting": csv.QUOTE_ALL, "lineterminator": "\r\n"}


def gaps(file):
    """Texts that stand for missing values, in numbers, categories and labels; compressed."""
    for column in range(7):
        for number, row in enumerate(file.rows):
            if number % 9 == column:
                row[column] = ("NA", " ? ", "")[number % 3]
    file.name = "data.csv.gz"
    file.settings |= {"missing": MISSING, "features": True}


def extremes(file):
    """Large numbers, a constant feature, codes beyond 2^53."""
    set_column(file, 0, "3e38", "-1e38", "1e-40", "0")
    set_column(file, 1, "7")
    set_column(file, 3, "9223372036854775807", "9007199254740993", "9007199254740992", "-1")
    set_column(file, 4, "1e15", "0", "-1e15")
    file.settings["features"] = True


def negative_amounts(file):
    """Negative values under a logarithmic scale have no label."""
    set_column(file, 4, "-2.5", "1.5", "0", "1000000")
    file.settings["log_scale"] = True


def rare_labels(file):
    """One row of a class, so that most splits have none, and a task with a single label."""
    set_column(file, 6, "x", "y")
    file.rows[7][6] = "z"
    set_column(file, 5, "")
    file.rows[8][5], file.rows[9][5] = "0", "1"
    set_column(file, 3, "1.5", "2", "2.5")
    file.settings["classes"] = CLASSES


CORE = (quoted, gaps, extremes, negative_amounts, rare_labels)


@pytest.mark.parametrize("mutate", CORE, ids=lambda mutate: mutate.__name__)
def test_odd_but_right_data_train_on_the_right_values(tmp_path, mutate):
    file = File()
    mutate(file)
    content = file.content
    if file.name.endswith(".gz"):
        content = gzip.compress(content)
    case = Mutated((mutate.__name__,), file.name, content, file.config)
    assert outcome_of(case, tmp_path / "case") == "trained right"


@pytest.fixture(scope="module")
def let_through(tmp_path_factory):
    """Cases that our checks let through, no two of the same mutations."""
    folder = tmp_path_factory.mktemp("let_through")
    found = {}

    @settings(max_examples=1500, suppress_health_check=list(HealthCheck))
    @given(mutated_files())
    def judge(case):
        if case.kinds in found or len(found) >= SAMPLE:
            return
        path = case.write(folder)
        try:
            check_config_data(load_config(path, draft=True), str(path))
        except ValueError:
            return
        found[case.kinds] = case

    judge()
    return list(found.values())


@pytest.mark.slow
def test_a_sample_of_what_is_let_through_trains_on_the_right_values(
    let_through, tmp_path, record_property
):
    outcomes = {
        case: outcome_of(case, tmp_path / str(number)) for number, case in enumerate(let_through)
    }
    counts = Counter(outcomes.values())
    print(f"\n{len(outcomes)} cases let through: {dict(counts)}")
    record_property("let through", len(outcomes))
    record_property("trained right", counts["trained right"])
    faults = [(case.kinds, found) for case, found in outcomes.items() if found != "trained right"]
    assert not faults, "\n".join(map(str, faults))
    assert len(outcomes) >= SAMPLE
