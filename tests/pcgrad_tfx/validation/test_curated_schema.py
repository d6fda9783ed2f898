"""CuratedSchema: what its text says is what the others read."""

from pathlib import Path

import pytest
from tfx import v1 as tfx
from tfx.utils import io_utils

from dag_runs import run
from pcgrad_tfx.validation.curated_schema import CuratedSchema

TEXT = '# Fares, größer als 0 €.\nfeature { name: "fare" type: FLOAT float_domain { min: 0 } }\n'


def read(schema):
    """Reads a schema as TFX's components do."""
    return io_utils.SchemaReader().read(io_utils.get_only_uri_in_dir(schema.uri))


def test_it_writes_what_importing_a_file_with_this_text_writes(tmp_path):
    (tmp_path / "schema.pbtxt").write_text(TEXT)
    stock = tfx.components.ImportSchemaGen(schema_file=str(tmp_path / "schema.pbtxt"))
    ours = CuratedSchema(TEXT)
    assert ours.outputs["schema"].type is stock.outputs["schema"].type
    imported, written = run(tmp_path, stock, ours)("Schema")
    assert Path(io_utils.get_only_uri_in_dir(written.uri)).read_text() == TEXT
    assert Path(written.uri).name != Path(imported.uri).name
    assert read(written) == read(imported)
    assert read(written).feature[0].float_domain.min == 0


def test_the_cache_follows_the_text(tmp_path):
    assert len(run(tmp_path, CuratedSchema(TEXT))("Schema")) == 1
    assert len(run(tmp_path, CuratedSchema(TEXT))("Schema")) == 1
    first, second = run(tmp_path, CuratedSchema(TEXT.replace("fare", "tips")))("Schema")
    assert [read(schema).feature[0].name for schema in (first, second)] == ["fare", "tips"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('feature {\n  name: "fare"\n  typ: FLOAT\n}', 'in text format: 3:3: .* "typ"; correct it'),
        ('{"feature": []}', "in text format: 1:1: "),
        ("", "describes no feature; add"),
    ],
)
def test_another_text_is_refused_before_anything_runs_in_one_line(text, said):
    with pytest.raises(ValueError, match=rf"\A.* schema.*{said}.*\Z"):
        CuratedSchema(text)
