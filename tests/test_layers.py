"""Which part may import which: pipelines → pcgrad_tfx → pcgrad, and inside pcgrad_tfx by stages."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
PACKAGES = {
    "pcgrad": ROOT,
    "pcgrad_tfx": ROOT / "components",
    "pcgrad_pipelines": ROOT / "pipelines",
}
# Each may import itself and those before it.
STOREYS = list(PACKAGES)
STAGES = [
    "config", "data", "inspection", "example_gen", "validation", "transform", "training",
    "evaluation", "pushing", "reference", "comparison",
    "conflict_report", "kubeflow",
]  # fmt: skip
# Above and below all stages: the doors, and what knows none of them.
DOORS = {"__init__", "trainer", "preprocessing", "tasks", "features"}
COMMON = {"errors", "code_version", "component", "formatting"}


def modules(package):
    root = PACKAGES[package]
    return {
        ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): file
        for file in (root / package).rglob("*.py")
    }


def imports(file):
    """The modules that a file imports, also within functions."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", STOREYS)
def test_imports_go_down_the_storeys(package):
    above = STOREYS[STOREYS.index(package) + 1 :]
    wrong = [
        f"{module} imports {imported}"
        for module, file in modules(package).items()
        for imported in imports(file)
        if imported.split(".")[0] in above
    ]
    assert wrong == []


@pytest.mark.parametrize(("package", "foreign"), [("pcgrad", "tfx"), ("pcgrad", "keras")])
def test_the_algorithm_needs_tensorflow_alone(package, foreign):
    wrong = [
        f"{module} imports {imported}"
        for module, file in modules(package).items()
        for imported in imports(file)
        if imported.split(".")[0] == foreign and not module.startswith("pcgrad.keras")
    ]
    assert wrong == []


def stage(module):
    """The folder of a module of pcgrad_tfx, or the module itself if it lies at the top."""
    return ([*module.split("."), "__init__"])[1]


def test_every_folder_is_a_stage():
    tops = {stage(module) for module in modules("pcgrad_tfx")}
    assert tops == {*STAGES, *DOORS, *COMMON}


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_imports_earlier_ones(name):
    allowed = {*STAGES[: STAGES.index(name) + 1], *COMMON}
    known = modules("pcgrad_tfx")
    wrong = [
        f"{module} imports {imported}"
        for module, file in known.items()
        if stage(module) == name
        for imported in imports(file)
        if imported in known and stage(imported) not in allowed | {"__init__"}
    ]
    assert wrong == []


def test_folders_can_be_taken_in_at_a_look():
    folders = {}
    for package in STOREYS:
        for file in modules(package).values():
            folders.setdefault(file.parent, []).append(file.name)
    counts = {str(folder.relative_to(ROOT)): len(names) for folder, names in folders.items()}
    assert counts["components/pcgrad_tfx"] <= 10
    assert max(counts.values()) <= 14, counts
