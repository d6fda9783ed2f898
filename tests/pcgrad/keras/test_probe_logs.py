"""What `ConflictProbe` and `ConflictMonitor` write of the probes."""

import json

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pcgrad.keras import ConflictMonitor, ConflictProbe
from probed_training import fit, model_of, rows


def test_the_logs(tmp_path):
    x, y = rows()
    probe = ConflictProbe(x, y, log_dir=tmp_path)
    monitor = ConflictMonitor(tmp_path, probe, follow=False)
    history = fit(model_of(), probe, monitor, x=x, y=y).history
    lines = [json.loads(line) for line in (tmp_path / "conflicts.jsonl").read_text().splitlines()]
    assert lines[-1]["probes"] == json.loads(json.dumps(probe.summary()))
    assert len(lines[0]["probes"]["tasks"]) == 2
    assert lines[-1]["pairs"] == []  # A step of a plain sum takes one backward pass.
    kept = probe.summary()["tasks"]["price"]["kept"]["value"]
    assert history["price_progress_kept"][-1] == kept
    events = EventAccumulator(str(tmp_path)).Reload()
    (*_, last) = events.Tensors("progress_kept/price")
    assert tf.make_ndarray(last.tensor_proto) == pytest.approx(kept)
    assert events.Tensors("probe_cosine/price/sold")
