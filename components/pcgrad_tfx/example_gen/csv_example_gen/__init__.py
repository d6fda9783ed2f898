"""CsvExampleGen that refuses bad files; see `component.CsvExampleGen`."""

from pcgrad_tfx.example_gen.csv_example_gen.component import CsvExampleGen

__all__ = ["CsvExampleGen"]
