"""Which edits change a fingerprint: those of the code that runs, and no others."""

import importlib
import modulefinder
import pathlib
import pkgutil
import shutil
import subprocess
import sys

import pytest

import pcgrad
import pcgrad_tfx
from pcgrad_tfx.code_version import code_version

PACKAGES = (pcgrad, pcgrad_tfx)
MODULES = {
    module.name
    for package in PACKAGES
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
} | {package.__name__ for package in PACKAGES}
ENTRIES = ("pcgrad_tfx.transform.preprocessing", "pcgrad_tfx.training.trainer")


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """A copy of our packages, in the place of the installed ones; the files by module."""
    copies = {}
    for package in PACKAGES:
        shutil.copytree(package.__path__[0], tmp_path / package.__name__)
    for name in MODULES:
        module = importlib.import_module(name)
        root = pathlib.Path(sys.modules[name.split(".")[0]].__path__[0]).parent
        copies[name] = tmp_path / pathlib.Path(module.__file__).relative_to(root)
        monkeypatch.setattr(module.__spec__, "origin", str(copies[name]))
    return copies


def imported(entry):
    """Our modules that importing a module executes, found in its byte code."""
    roots = [str(pathlib.Path(package.__path__[0]).parent) for package in PACKAGES]
    finder = modulefinder.ModuleFinder(path=roots)
    finder.import_hook(entry)
    return {name for name in finder.modules if name.split(".")[0] in ("pcgrad", "pcgrad_tfx")}


def edit(path):
    path.write_text(path.read_text() + "\n# edited\n")


def test_is_the_same_wherever_the_code_is(sources, monkeypatch):
    copied = [code_version(entry) for entry in ENTRIES]
    monkeypatch.undo()
    assert [code_version(entry) for entry in ENTRIES] == copied
    assert len(set(copied)) == len(ENTRIES)


@pytest.mark.parametrize("entry", ENTRIES)
def test_changes_with_every_module_that_is_imported_and_with_no_other(entry, sources):
    version, needed = code_version(entry), imported(entry)
    for name in sources.keys() - needed:
        edit(sources[name])
    assert code_version(entry) == version
    for name in needed:
        edit(sources[name])
        before, version = version, code_version(entry)
        assert version != before, name


def test_an_edit_of_the_model_does_not_run_transform_again(sources):
    before = {entry: code_version(entry) for entry in ENTRIES}
    for name in (
        "pcgrad_tfx.training.model",
        "pcgrad_tfx.training.trainer",
        "pcgrad.weightings.projection",
    ):
        edit(sources[name])
    preprocessing = "pcgrad_tfx.transform.preprocessing"
    assert code_version(preprocessing) == before[preprocessing]
    assert code_version("pcgrad_tfx.training.trainer") != before["pcgrad_tfx.training.trainer"]


@pytest.mark.parametrize("module", ["pcgrad_tfx.trainr", "no_such_package.trainer"])
def test_a_module_that_is_not_there_is_named(module):
    with pytest.raises(ModuleNotFoundError, match=module.split(".", maxsplit=1)[0]):
        code_version(module)


TREE = {
    "__init__": "",
    "entry": "from pcgrad_tfx.names import VALUE\nfrom pcgrad_tfx import in_package\n",
    "names": "import pcgrad_tfx.dotted as short\nVALUE = 1\n",
    "dotted": "def late():\n    from pcgrad_tfx import local\n",
    "local": "import pcgrad_tfx.entry\nimport json, no_such_package\n",
    "in_package": "",
    "beside": "import pcgrad_tfx.entry\n",
}


@pytest.fixture
def tree(tmp_path):
    """A small package in the place of ours, in a Python process of its own."""
    package = tmp_path / "pcgrad_tfx"
    package.mkdir()
    for name, source in TREE.items():
        (package / f"{name}.py").write_text(source)
    shutil.copy(sys.modules[code_version.__module__].__file__, package)
    return package


def version_of(tree, module="pcgrad_tfx.entry"):
    program = (
        "import sys; from pcgrad_tfx.code_version import code_version; "
        "print(code_version(sys.argv[1]))"
    )
    command = [sys.executable, "-c", program, module]
    found = subprocess.run(command, cwd=tree.parent, capture_output=True, text=True, check=True)
    return found.stdout


@pytest.mark.parametrize("name", ["entry", "names", "dotted", "local", "in_package"])
def test_follows_every_form_of_import(tree, name):
    before = version_of(tree)
    assert version_of(tree) == before
    edit(tree / f"{name}.py")
    assert version_of(tree) != before


def test_does_not_follow_what_is_not_imported(tree):
    before = version_of(tree)
    edit(tree / "beside.py")
    assert version_of(tree) == before
