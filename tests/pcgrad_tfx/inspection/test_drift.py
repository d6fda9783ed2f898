"""New data that break the curated schema stop at the gate, with a table of what is wrong."""

import pytest
from tfx import v1 as tfx

from dag_runs import run
from example_gen_runs import OUTPUT, SPLITS
from pcgrad_tfx.errors import DataError
from pcgrad_tfx.example_gen.csv_example_gen import CsvExampleGen
from pcgrad_tfx.validation.curated_schema import CuratedSchema
from pcgrad_tfx.validation.validation_gate import ValidationGate

SCHEMA = """
feature {
  name: "city" type: BYTES presence { min_fraction: 1.0 min_count: 1 }
  string_domain { name: "city" value: "Aix" value: "Bonn" }
}
feature {
  name: "miles" type: FLOAT presence { min_fraction: 1.0 min_count: 1 }
  float_domain { min: 0.0 max: 100.0 }
}
feature { name: "seats" type: INT presence { min_fraction: 1.0 min_count: 1 } }
feature { name: "note" type: BYTES }
"""
COLUMNS = "city,miles,seats,note\n"


def rows(city="{}", miles="{}.5", seats="{}"):
    cities = ("Aix", "Bonn")
    return COLUMNS + "".join(
        f"{city.format(cities[i % 2])},{miles.format(i % 99)},{seats.format(i % 7)},text {i}\n"
        for i in range(300)
    )


def validate(folder, content):
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "data.csv").write_text(content)
    example_gen = CsvExampleGen(str(folder / "data"), output_config=OUTPUT)
    statistics_gen = tfx.components.StatisticsGen(examples=example_gen.outputs["examples"])
    statistics = statistics_gen.outputs["statistics"]
    schema = CuratedSchema(SCHEMA)
    validator = tfx.components.ExampleValidator(
        statistics=statistics, schema=schema.outputs["schema"]
    )
    gate = ValidationGate(statistics=statistics, anomalies=validator.outputs["anomalies"])
    run(folder, example_gen, statistics_gen, schema, validator, gate)


def test_values_from_the_data_cannot_break_the_table(tmp_path):
    nasty = "<b>" + "x" * 5000 + "\x1b[2J"
    with pytest.raises(DataError) as caught:
        validate(tmp_path, rows(city=nasty))
    lines = str(caught.value).splitlines()
    assert len(lines) == 3 + len(SPLITS)
    assert max(map(len, lines)) < 400
    assert str(caught.value).replace("\n", "").isprintable()


def test_data_of_the_schema_pass_and_data_that_drifted_stop_with_a_table(tmp_path):
    validate(tmp_path, rows())
    drifted = rows(seats="{} seats").replace("Aix", "Aachen").replace(",98.5,", ",-980.5,")
    with pytest.raises(DataError) as caught:
        validate(tmp_path, drifted)
    first_line, blank, header, *table = str(caught.value).splitlines()
    assert first_line.startswith("split 'train', column 'city': Unexpected string values: ")
    assert first_line.endswith("(and 8 more); correct the data or, if they are right, the schema")
    assert blank == ""
    # One row for each fault, in columns that stand below each other.
    starts = [header.index(name) for name in ("Split", "Column", "Anomaly", "Detail")]
    cells = [
        [line[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)]
        for line in table
    ]
    expected = {
        "city": ("Unexpected string values", "Aachen"),
        "miles": ("Out-of-range values", "-980.5<0"),
        "seats": ("Unexpected data type", "Expected data of type: INT but got STRING"),
    }
    assert [row[:2] for row in cells] == [
        [split, column] for split in SPLITS for column in expected
    ]
    for _, column, anomaly, detail in cells:
        assert anomaly == expected[column][0]
        assert expected[column][1] in detail
