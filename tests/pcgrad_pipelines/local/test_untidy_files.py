"""Files that nobody tidied: `init` reads them, and a run reads what `init` has read."""

import gzip
import random

import pyarrow as pa
import pytest

from pcgrad_pipelines.config import load_config
from pcgrad_pipelines.local.data_check import check_config_data
from pcgrad_pipelines.local.init_config import init_config
from pcgrad_pipelines.local.runner import DONE, FAILED, main
from pcgrad_tfx.config.dialect import PLAIN, Dialect
from pcgrad_tfx.errors import DataError
from pcgrad_tfx.inspection.proposal import propose

LABELS = ["price", "sold"]
GERMAN = Dialect(separator=";", encoding="cp1252", decimal=",", thousands=".", units=("€",))


def table():
    """Rows of numbers and texts, of which the lines are made."""
    choose = random.Random(0)
    for i in range(400):
        yield (
            i,
            choose.uniform(20, 200),
            choose.choice(["Köln", "Aix, north", "Bonn"]),
            choose.uniform(900, 90_000),
            choose.choice(["yes", "no"]),
        )


def american():
    lines = [',area,city,share,"price ",sold']
    lines += [
        f'{i},{area:.2f}," {city} ",{area / 2:.0f}%,"${price:,.2f}",{sold}'
        for i, area, city, price, sold in table()
    ]
    return "\n".join([*lines, ""])


def german():
    def number(value):
        return f"{value:,.2f}".translate(str.maketrans(",.", ".,"))

    lines = ['"id";"area";"city";"price";"sold"']
    lines += [
        f'{i};{number(area)};"{city}";{number(price)} €;{sold}'
        for i, area, city, price, sold in table()
    ]
    return "\r\n".join([*lines, ""])


FILES = {
    "American": ("a.csv", american().encode("utf-8-sig"), Dialect(thousands=",", units=("$", "%"))),
    "German": ("a.csv", german().encode("cp1252"), GERMAN),
    "German, packed": ("a.csv.gz", gzip.compress(german().encode("cp1252")), GERMAN),
    "UTF-16, packed": (
        "a.txt.zst",
        pa.compress(german().encode("utf-16"), "zstd", asbytes=True),
        GERMAN.model_copy(update={"encoding": "utf-16"}),
    ),
    "old Macintosh": (
        "a.data",
        american().replace("\n", "\r").encode(),
        Dialect(thousands=",", units=("$", "%")),
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_run_reads_what_init_has_read(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    file, content, dialect = FILES[name]
    (tmp_path / file).write_bytes(content)
    config = load_config(init_config(file, None, LABELS))
    assert config.data.dialect == dialect
    price, sold = config.tasks
    assert (price.kind, sold.kind, sold.positive) == ("regression", "binary", "yes")
    assert "area" in config.features.numeric
    assert config.features.categorical == ("city",)
    assert list(config.features.exclude) == ["unnamed_1" if "American" in name or
                                             "Mac" in name else "id"]  # fmt: skip
    assert check_config_data(config, "a.toml").config == config
    assert "units = [" in capsys.readouterr().out


def test_a_run_does_not_guess(tmp_path, monkeypatch):
    """A later file that is written in another way is refused, with its line."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_bytes(german().encode("cp1252"))
    config = load_config(init_config("a.csv", None, LABELS))
    (tmp_path / "a.csv").write_bytes(german().replace(",", ".").encode("cp1252"))
    with pytest.raises(
        DataError, match=r"a\.csv:2: column 'price': '4\.507\.16 €' is not a number"
    ):
        check_config_data(config, "a.toml")
    (tmp_path / "a.csv").write_bytes(german().translate({59: 9, 34: None}).encode("cp1252"))
    with pytest.raises(DataError, match=r"a\.csv:1: the columns are separated by a tab"):
        check_config_data(config, "a.toml")


def test_a_file_put_together_from_several_keeps_its_numbers(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    header, *lines = american().splitlines()
    lines[7] = lines[7].replace(lines[7].split(",")[1], "#REF!")
    lines[9] = lines[9].replace(lines[9].split(",")[1], " ")
    (tmp_path / "a.csv").write_text("\n".join([header, *lines[:200], header, *lines[200:], ""]))
    config = load_config(init_config("a.csv", None, LABELS))
    assert "area" in config.features.numeric
    assert config.data.missing == ("#REF!",)
    printed = capsys.readouterr().out
    assert "a.csv: 400 rows" in printed
    assert "rows that repeat the header are left out: 1" in printed
    assert "area: numbers, but '#REF!' in 1 of 399 rows, taken for missing" in printed
    remarks = check_config_data(config, "a.toml").remarks
    assert "rows that repeat the header are left out: 1" in remarks


def test_without_a_header_the_option_is_proposed(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    lines = german().splitlines()[1:]
    (tmp_path / "a.data").write_bytes("\n".join([*lines, ""]).encode())
    assert main(["--init", "a.data"]) == FAILED
    (line,) = capfd.readouterr().out.splitlines()
    assert "the first line looks like data" in line
    assert "add --no-header to have them called column_1 to column_5" in line
    assert main(["--init", "a.data", "--no-header", "--label", "column_4"]) == DONE
    config = load_config("a.toml")
    assert not config.data.header
    assert config.features.numeric == ("column_2", "column_5")
    assert check_config_data(config, "a.toml").config == config
    assert main(["--no-header"]) == FAILED
    assert "--no-header goes with --init" in capfd.readouterr().out
    assert main(["--init", "a.data", "--label", "column_4", "--sql", " "]) == FAILED
    assert "--sql is empty; pass a SELECT statement" in capfd.readouterr().out
    query = "SELECT * FROM read_csv('a.data')"
    assert main(["--init", "a.data", "--label", "a", "--no-header", "--sql", query]) == FAILED
    assert "--no-header goes without --sql" in capfd.readouterr().out


def test_a_label_that_the_first_line_names_is_proof_of_a_header(tmp_path):
    lines = ["x,7", *(f"{i / 7:.2f},{i % 13 / 3:.2f}" for i in range(150))]
    (tmp_path / "a.csv").write_text("\n".join([*lines, ""]))
    with pytest.raises(DataError, match="add --no-header"):
        propose(str(tmp_path / "a.csv"))
    assert propose(str(tmp_path / "a.csv"), ["7"]).dialect == PLAIN


def test_truth_values_are_numbers_as_features_and_binary_as_labels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    choose = random.Random(0)
    pairs = {"paid": "True False", "member": "yes no", "new": "t f", "late": "Y N", "old": "0 1"}
    rows = [[choose.choice(pair.split()) for pair in pairs.values()] for _ in range(300)]
    rows[7][1] = ""
    lines = [",".join([*pairs, "fare"]), *(",".join([*row, f"{choose.random()}"]) for row in rows)]
    (tmp_path / "a.csv").write_text("\n".join([*lines, ""]))
    config = load_config(init_config("a.csv", None, ["fare"]))
    assert config.features.numeric == tuple(pairs)
    assert check_config_data(config, "a.toml").config == config
    tasks = propose("a.csv", list(pairs)).tasks
    assert [(task.kind, task.positive) for task in tasks] == [
        ("binary", "True"), ("binary", "yes"), ("binary", "t"), ("binary", "Y"), ("binary", None),
    ]  # fmt: skip
    # What earlier configurations say holds.
    by_hand = (
        (tmp_path / "a.toml").read_text().replace("categorical = []", 'categorical = ["late"]')
    )
    (tmp_path / "a.toml").write_text(by_hand.replace('"late", "old"', '"old"'))
    config = load_config("a.toml")
    assert config.features.categorical == ("late",)
    assert check_config_data(config, "a.toml").config == config


def test_init_takes_the_rows_of_a_query(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trips").mkdir()
    (tmp_path / "trips" / "a.csv").write_text(american())
    sql = "SELECT area, city, sold = 'yes' AS sold FROM read_csv('a.csv') WHERE area > 30"
    assert main(["--init", "trips", "--sql", sql, "--label", "sold"]) == DONE
    assert "numeric and 1 categorical features" in capsys.readouterr().out
    config = load_config("trips.toml")
    assert config.data.dialect == Dialect(sql=sql)
    (task,) = config.tasks
    assert (task.kind, task.positive) == ("binary", None)
    checked = check_config_data(config, "trips.toml")
    assert checked.config == config
    assert checked.files.patterns == {"all": "*"}
    assert main(["--sql", sql]) == FAILED
    assert "--sql goes with --init" in capsys.readouterr().out
