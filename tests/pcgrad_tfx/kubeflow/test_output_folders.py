"""On Kubeflow the folder of an output is not there when a step begins."""

from comparisons import drawn
from pcgrad_tfx.comparison.results import read_comparison, write_comparison
from pcgrad_tfx.reference.results import ReferenceOutcome, read_reference, write_reference


def test_the_results_of_steps_make_their_folders(tmp_path):
    reference = ReferenceOutcome(tasks=(), rows=9, all_rows=9)
    write_reference(reference, str(tmp_path / "reference" / "1"))
    assert read_reference(str(tmp_path / "reference" / "1")) == reference
    comparison = drawn(seed=0)
    write_comparison(comparison, str(tmp_path / "comparison" / "1"))
    assert read_comparison(str(tmp_path / "comparison" / "1")) == comparison
