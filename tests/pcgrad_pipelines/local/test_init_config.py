"""--init writes a configuration that a run can read."""

import random
import sys

import pytest

from pcgrad_pipelines.config import ConfigError, load_config
from pcgrad_pipelines.local.data_check import check_config_data
from pcgrad_pipelines.local.init_config import init_config, toml_text
from pcgrad_pipelines.local.runner import DONE, FAILED, main
from pcgrad_tfx.config.features import Features
from pcgrad_tfx.config.tasks import Task
from pcgrad_tfx.config.training_config import Training
from pcgrad_tfx.config.training_rule import with_choices
from pcgrad_tfx.errors import DataError
from pcgrad_tfx.inspection.leakage import Leak
from pcgrad_tfx.inspection.proposal import Proposal, propose

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@pytest.fixture
def houses(tmp_path, monkeypatch):
    choose = random.Random(0)
    lines = ["id,area,district,rooms,sold,price,built,country,agent fee,type"]
    for i in range(600):
        area, district = choose.uniform(20, 200), choose.choice(["north", "south", "east"])
        price = area * (1.5 if district == "south" else 1.0) + choose.gauss(0, 10)
        sold = choose.choice(["yes", "no"])
        price_text = "NA" if i % 50 == 7 else f"{price:.1f}"
        lines.append(
            f"{i},{area:.1f},{district},{choose.randrange(1, 6)},{sold},{price_text},"
            f"2001-{1 + i % 12:02}-01,Italy,{price * 0.03:.3f},{choose.choice('abcd')}"
        )
    (tmp_path / "houses.csv").write_text("\n".join([*lines, ""]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


LABELS = ["price", "sold", "type"]


def test_the_proposal_is_what_a_run_reads(houses, capsys):
    file = init_config("houses.csv", None, LABELS)
    assert str(file) == "houses.toml"
    config = load_config(file)
    price, sold, kind = config.tasks
    assert (price.kind, price.column) == ("regression", "price")
    assert (sold.kind, sold.positive) == ("binary", "yes")
    assert (kind.kind, kind.classes) == ("multiclass", ("a", "b", "c", "d"))
    assert config.data.location == str(houses / "houses.csv")
    assert config.data.missing == ("NA",)
    assert config.features.numeric == ("area", "rooms", "agent fee")
    assert config.features.categorical == ("district",)
    assert config.features.dates == {"built": "iso"}
    assert set(config.features.exclude) == {"id", "country"}
    assert check_config_data(config, str(file)).config == config
    printed = capsys.readouterr().out
    assert "'agent fee' alone predicts price almost perfectly" in printed
    assert "--config houses.toml --output houses --compare" in printed
    assert "# Possible leak: 'agent fee' alone predicts price" in file.read_text()


def test_groups_and_times_are_proposed_with_the_reason(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lines = ["subject#,visit,width,score"]
    lines += [
        f"{i * 7 % 61},2013-{1 + i // 60:02}-{1 + i % 28:02},{i * 37 % 101},{i * 53 % 89 / 7:.2f}"
        for i in range(600)
    ]
    (tmp_path / "visits.csv").write_text("\n".join([*lines, ""]))
    file = init_config("visits.csv", None, ["score"])
    config = load_config(file)
    assert config.data.group == "subject#"
    assert config.features.columns == ("width", "visit")
    assert config.features.exclude["subject#"] == "the rows are split by it"
    text, printed = file.read_text(), capsys.readouterr().out
    assert 'group = "subject#" # rows of one are alike: 61 values in 600 rows\n' in text
    later = "if predictions are wanted for later rows than these"
    assert f'# time = "visit"  # {later}, in the place of `group`\n' in text
    assert "  all rows of one subject# come into the same split (rows of one are alike" in printed
    assert f"  perhaps time = 'visit' under [data], {later}\n" in printed
    found = check_config_data(config, str(file))
    assert any(one.startswith("rows, split by subject#: train ") for one in found.remarks)
    # The other way: what is a comment can be a key.
    other = text.replace("group =", "# group =").replace("# time =", "time =")
    file.write_text(other)
    assert check_config_data(load_config(file), str(file)).config.data.time == "visit"


def test_without_labels_tasks_are_proposed_but_not_chosen(houses, capsys):
    file = init_config("houses.csv", None, [])
    with pytest.raises(ConfigError, match="tasks: is missing; add it"):
        load_config(file)
    text = file.read_text()
    assert '# [[tasks]]\n# name = "price"' in text
    assert "--label price" in capsys.readouterr().out
    # All of them, uncommented, without their columns among the features.
    chosen = text.replace("# [[tasks]]", "[[tasks]]")
    for key in ("name", "kind", "column", "positive", "classes"):
        chosen = chosen.replace(f"# {key} = ", f"{key} = ")
    chosen = chosen.replace('kind = "regression"  # if', '# kind = "regression"  # if')
    document = tomllib.loads(chosen)
    assert {"price", "type", "sold"} <= {task["column"] for task in document["tasks"]}


def test_a_single_task_is_not_to_be_compared(houses, capsys):
    init_config("houses.csv", None, ["price"])
    printed = capsys.readouterr().out
    assert "add another [[tasks]]" in printed
    assert printed.endswith("--config houses.toml --output houses\n")


def test_a_file_is_not_overwritten(houses, capfd):
    (houses / "houses.toml").write_text("mine")
    assert main(["--init", "houses.csv", "--label", "price"]) == FAILED
    (line,) = capfd.readouterr().out.splitlines()
    assert "houses.toml exists and is not overwritten; choose another name by --config" in line
    assert (houses / "houses.toml").read_text() == "mine"
    assert main(["--init", "houses.csv", "--label", "price", "--config", "other.toml"]) == DONE
    assert load_config("other.toml").tasks[0].column == "price"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--init", "house.csv"], "did you mean 'houses.csv'?"),
        (["--init", "houses.csv", "--label", "prize"], "(did you mean 'price'?)"),
        (["--init", "houses.csv", "--label", "built"], "--label built: date: "),
        (["--init", "houses.csv", "--label", "country"], "--label country: 'Italy' in every row"),
        (["--init", "houses.csv", "--label", "id"], "--label id: identifier: "),
        (["--label", "price"], "--label goes with --init"),
        (["--init", "houses.csv", "--config", "no/where.toml"], "no/where.toml: No such file"),
    ],
)
def test_a_mistake_is_one_line(houses, capfd, arguments, expected):
    assert main(arguments) == FAILED
    (line,) = capfd.readouterr().out.splitlines()
    assert expected in line
    assert not (houses / "houses.toml").exists()


HOSTILE = ["a b", 'a"b', "a'b", "a\\b", "a#b", "[a]", "a=b", "ключ", "a.b", "a\tb", "\x01", "\x7f"]


@pytest.mark.parametrize("text", [*HOSTILE, "\x1b[31m", "a\u2028b", "🚕", "\\u0041", '"""', ""])
def test_any_text_is_read_back(text):
    proposal = Proposal(
        rows=9,
        missing=(text, "NA"),
        tasks=(
            Task(name="kind", kind="multiclass", column=f"c{text}", classes=[f"1{text}", "2", "3"]),
        ),
        candidates=(),
        features=Features.model_construct(numeric=(text,), categorical=()),
        left_out={text: f"because\n{text}"},
        leaks=(Leak(text, "kind", f"predicts\n{text}"),),
        training=with_choices(Training(epochs=3), rows=9, columns=1),
        no_classes={f"c{text}": (text,)},
        text_columns=frozenset(),
        ordinal=frozenset(),
    )
    document = tomllib.loads(toml_text(proposal, "any", location=text))
    assert document["data"] == {"path": text, "missing": [text, "NA"]}
    (task,) = document["tasks"]
    assert (task["column"], task["classes"]) == (f"c{text}", [f"1{text}", "2", "3"])
    features = document["features"]
    assert (features["numeric"], features["exclude"]) == ([text], {text: f"because\n{text}"})
    assert document["training"]["epochs"] == 3


def test_any_name_of_a_column_is_read_back(tmp_path, monkeypatch):
    """Names with quotes and commas cannot be in a CSV header; all others can."""
    monkeypatch.chdir(tmp_path)
    names = [name for name in HOSTILE if '"' not in name]
    lines = [",".join([*names, "e\x02", "same=", "label [#"])]
    for i in range(200):
        lines.append(",".join([*(f"{i * (7 + j) % 83 / 7:.2f}" for j in range(len(names))),
                               "x", f"{i % 9 == 0:d}", "uv'"[i * i % 7 % 3]]))  # fmt: skip
    (tmp_path / "ho#stile'.csv").write_text("\n".join([*lines, ""]))
    file = init_config("ho#stile'.csv", None, ["label [#", "a=b"])
    config = load_config(file)
    assert [task.column for task in config.tasks] == ["label [#", "a=b"]
    assert set(config.features.numeric) == {*names, "same="} - {"a=b"}
    assert config.features.exclude == {"e\x02": "'x' in every row"}
    assert config.data.location == str(tmp_path / "ho#stile'.csv")


def test_tasks_get_names_of_their_own(tmp_path):
    path = tmp_path / "data.csv"
    rows = [f"{i / 7:.2f},{i * 13 % 99 / 7:.2f},{i * 31 % 97 / 3:.2f},{i % 11 / 3:.2f}"
            for i in range(150)]  # fmt: skip
    path.write_text("\n".join(["Body Mass (g),body mass (g),2nd,age", *rows, ""]))
    tasks = propose(str(path), ["Body Mass (g)", "body mass (g)", "2nd"]).tasks
    assert [task.name for task in tasks] == ["body_mass_g", "body_mass_g_2", "task_2nd"]


@pytest.mark.parametrize(
    ("values", "kind", "positive"),
    [
        (["0", "1"], "binary", None),
        (["0.0", "1.0", ""], "binary", None),
        (["1", "2", "2"], "binary", "1"),
        (["yes", "no", "yes"], "binary", "yes"),
        (["False", "True", "True"], "binary", "True"),
        (["good", "bad", "good"], "binary", "bad"),
        (["1", "2", "3"], "multiclass", None),
        (["r", "g", "b"], "multiclass", None),
        (["1.5", "2", "3"], "regression", None),
    ],
)
def test_what_a_label_is(tmp_path, values, kind, positive):
    path = tmp_path / "data.csv"
    rows = [f"{i / 7:.2f},{values[i % len(values)]}" for i in range(300)]
    path.write_text("\n".join(["x,label", *rows, ""]))
    (task,) = propose(str(path), ["label"]).tasks
    assert (task.kind, task.positive) == (kind, positive)


def test_too_many_classes(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("\n".join(["x,label", *(f"{i / 7:.2f},c{i % 60}" for i in range(900)), ""]))
    with pytest.raises(
        DataError, match="--label label: more than 50 different texts, such as 'c0'"
    ):
        propose(str(path), ["label"])


def test_training_fits_the_number_of_rows(tmp_path):
    """As the Trainer itself would choose from four fifths of them."""
    path = tmp_path / "data.csv"
    path.write_text("\n".join(["x,label", *(f"{i / 7:.2f},{i % 2}" for i in range(6000)), ""]))
    assert propose(str(path), ["label"]).training == with_choices(Training(), 4800, 1)
