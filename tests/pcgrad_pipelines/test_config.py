"""The configuration: the taxi file, defaults and overrides."""

import csv
from pathlib import Path

import pytest

import pcgrad_pipelines.config
from minimal_config import MINIMAL
from pcgrad_pipelines.config import ConfigError, load_config
from pcgrad_tfx.config.splitting import BY_HASH, Splitting
from pcgrad_tfx.config.tasks import parse_tasks

TAXI = Path(pcgrad_pipelines.config.__file__).with_name("taxi.toml")

SCHEMA = '# Trips.\nfeature { name: "miles" type: FLOAT }\n'


def test_minimal_file_gets_defaults(write_config):
    config = load_config(write_config(MINIMAL))
    assert config.training.surgery == "pcgrad"
    assert config.schema_text is None
    assert config.evaluation.slices == ()
    assert config.tasks[0].label_key == "fare_label"


def test_relative_paths_start_at_the_file(write_config, tmp_path):
    (tmp_path / "schema.pbtxt").write_text(SCHEMA)
    config = load_config(write_config('schema = "schema.pbtxt"\n' + MINIMAL))
    assert config.data.location == str(tmp_path / "trips.csv")
    assert config.schema_text == SCHEMA


def test_file_named_relative_to_the_working_folder(write_config, tmp_path, monkeypatch):
    write_config(MINIMAL)
    monkeypatch.chdir(tmp_path)
    assert load_config("trips.toml").data.location == str(tmp_path / "trips.csv")


@pytest.mark.parametrize("path", ["/data/trips", "gs://bucket/trips"])
def test_absolute_paths_and_uris_stay(write_config, path):
    text = MINIMAL.replace("trips.csv", path)
    assert load_config(write_config(text)).data.location == path


def test_the_splits_are_described_beside_the_data(write_config):
    def splitting(keys):
        text = MINIMAL.replace('"trips.csv"', f'"trips.csv"\nheader = false\n{keys}')
        data = load_config(write_config(text)).data
        assert not data.dialect.header
        return data.splitting

    assert splitting("") == BY_HASH
    assert splitting('group = "driver"') == Splitting(group="driver")
    assert splitting('time = "date"\ngap = 7') == Splitting(time="date", gap=7)
    assert splitting('stratify = "sort"') == splitting('stratify = ["sort"]')
    shares = {"train": 70, "eval": 20, "test": 10}
    assert splitting("splits = { train = 70, eval = 20, test = 10 }") == Splitting(splits=shares)
    with pytest.raises(ConfigError, match="trips.toml: data: `group` and `time` are two ways"):
        splitting('group = "driver"\ntime = "date"')
    with pytest.raises(ConfigError, match="data.splits.eval: is missing; add it"):
        splitting("splits = { train = 8, test = 1 }")


def test_byte_order_mark_is_no_mistake(write_config):
    assert load_config(write_config("\ufeff" + MINIMAL)).name == "trips"


def test_taxi_data_are_found():
    location = Path(load_config(TAXI).data.location)
    assert location.is_absolute()
    with location.open() as file:
        assert "trip_seconds" in next(csv.reader(file))


def test_taxi_features_are_the_whitelist():
    features = load_config(TAXI).features
    assert set(features.columns) == {
        "trip_start_month",
        "trip_start_day",
        "trip_start_hour",
        "pickup_latitude",
        "pickup_longitude",
        "pickup_community_area",
        "dropoff_latitude",
        "dropoff_longitude",
        "dropoff_community_area",
        "company",
    }


def test_every_taxi_column_is_a_feature_or_excluded_with_a_reason():
    config = load_config(TAXI)
    with Path(config.data.location).open() as file:
        header = next(csv.reader(file))
    assert set(header) == {*config.features.columns, *config.features.exclude}


def test_taxi_tasks():
    tasks = {task.name: task for task in load_config(TAXI).tasks}
    assert [(name, task.kind) for name, task in tasks.items()] == [
        ("big_tip", "binary"),
        ("fare", "regression"),
        ("duration", "regression"),
    ]
    assert all(task.gate.min_gain > 0 for task in tasks.values())


def test_tasks_survive_json():
    tasks = load_config(TAXI).tasks
    assert parse_tasks([task.model_dump(mode="json") for task in tasks]) == tasks


def test_overrides(write_config):
    config = load_config(write_config(MINIMAL))
    changed = config.with_overrides(surgery="none", epochs=3, batch_size=None)
    assert (changed.training.surgery, changed.training.epochs) == ("none", 3)
    assert changed.training.batch_size == config.training.batch_size
    assert changed.tasks == config.tasks
    assert config.training.surgery == "pcgrad"


def test_an_override_by_zero_counts_and_the_others_stay(write_config):
    text = MINIMAL + "[training]\nseed = 3\nhidden_units = [7]\n"
    training = load_config(write_config(text)).with_overrides(seed=0, epochs=None).training
    assert (training.seed, training.hidden_units) == (0, (7,))


def test_wrong_override(write_config):
    config = load_config(write_config(MINIMAL))
    with pytest.raises(ConfigError, match=r"^epochs: 0 should be greater .* 1 \(passes"):
        config.with_overrides(epochs=0)


def test_the_taxi_schema_is_read():
    assert load_config(TAXI).schema_text == TAXI.with_name("taxi_schema.pbtxt").read_text()
