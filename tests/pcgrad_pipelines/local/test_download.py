"""`tfx-pcgrad init` with the address of a file in the web."""

import urllib.parse

import pytest

from local_server import Handler, LocalServer
from pcgrad_pipelines.config import load_config
from pcgrad_pipelines.local.init_config import init_config
from pcgrad_tfx.errors import DataError

TABLE = "number,x,y,z\n" + "".join(f"{i},{i % 7},{3 * i % 11},{i % 2}\n" for i in range(300))
FILES = {
    "a table.csv": TABLE,
    "plain": TABLE,
    "page.csv": "\n<!DOCTYPE html><html><body>Not found</body></html>",
}


class Files(Handler):
    """Serves the files, and fails for one."""

    def do_GET(self):
        name = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).strip("/")
        if name == "broken.csv":
            self.send_error(503, "Try later")
        elif name in FILES:
            self.send(FILES[name].encode(), "text/plain")
        else:
            self.send_error(404)

    do_HEAD = do_GET


@pytest.fixture
def web(tmp_path, monkeypatch):
    """Address of a server; the working directory is empty."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with LocalServer(Files) as server:
        yield server.host


@pytest.mark.parametrize(
    ("path", "name", "file"),
    [
        ("a%20table.csv?download=1", "a-table.toml", "a table.csv"),
        ("plain", "plain.toml", "plain.csv"),
    ],
)
def test_a_file_is_downloaded_and_looked_at(web, tmp_path, path, name, file):
    written = init_config(f"{web}/{path}", None, ["y", "z"])
    assert str(written) == name
    # A run needs no network.
    assert load_config(written).data.location == str(tmp_path / "here" / file)
    assert sorted(found.name for found in (tmp_path / "here").iterdir()) == sorted([name, file])
    assert (tmp_path / "here" / file).read_text() == TABLE


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nothing.csv", "there is no such file"),
        ("page.csv", r'is a web page and no data; give .* \(on GitHub that of the button "Raw"\)'),
        ("broken.csv", "cannot be downloaded: .*503"),
        ("", "names no file"),
    ],
)
def test_what_cannot_be_had_is_said_in_one_line_and_leaves_nothing(web, tmp_path, path, message):
    with pytest.raises(DataError, match=f"^{web}/{path}:? .*{message}"):
        init_config(f"{web}/{path}", None, ["y"])
    assert not list((tmp_path / "here").iterdir())


def test_a_kind_of_address_without_its_library_names_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="abfs://x/a.csv cannot be downloaded: .*adlfs"):
        init_config("abfs://x/a.csv", None, ["y"])


def test_a_file_that_is_there_is_not_overwritten(web, tmp_path):
    (tmp_path / "here" / "plain.csv").write_text("mine")
    with pytest.raises(DataError, match=r"plain\.csv exists .* `tfx-pcgrad init plain\.csv`"):
        init_config(f"{web}/plain", None, ["y"])
    assert (tmp_path / "here" / "plain.csv").read_text() == "mine"
