"""CsvExampleGen that refuses bad files; see `component.CsvExampleGen`."""

from pcgrad_tfx.csv_example_gen.component import CsvExampleGen

__all__ = ["CsvExampleGen"]
