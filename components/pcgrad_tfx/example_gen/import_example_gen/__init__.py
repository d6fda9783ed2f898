"""ImportExampleGen that refuses bad files; see `component.ImportExampleGen`."""

from pcgrad_tfx.example_gen.import_example_gen.component import ImportExampleGen

__all__ = ["ImportExampleGen"]
