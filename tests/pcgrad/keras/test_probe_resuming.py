"""`ConflictProbe` goes on with the probes of an interrupted training."""

import numpy as np
import pytest

from pcgrad.keras import ConflictProbe
from probed_training import fit, model_of, rows, same_probes, steps_of


def test_an_interrupted_training_goes_on_with_its_probes(tmp_path):
    x, y = rows()
    arguments = {"x": x, "y": y, "shuffle": False}
    model = model_of()
    fit(model, ConflictProbe(x, y, probes=5, log_dir=tmp_path), epochs=2, **arguments)
    resumed = ConflictProbe(x, y, probes=5, log_dir=tmp_path)
    fit(model, resumed, epochs=4, initial_epoch=2, **arguments)
    whole = ConflictProbe(x, y, probes=5)
    fit(model_of(), whole, epochs=4, **arguments)
    assert steps_of(whole) == [0, 1, 4, 8, 13]
    # Two planned epochs have their places elsewhere than four.
    assert steps_of(resumed) == [0, 1, 2, 4, 7, 10, 13]
    known = {probe.step: probe for probe in whole.probes}
    both = [probe for probe in resumed.probes if probe.step in known]
    assert len(both) > 1
    same_probes(both, [known[probe.step] for probe in both], 1e-5)
    # Another training in the same folder begins anew.
    third = ConflictProbe(x, y, probes=5, log_dir=tmp_path)
    fit(model_of(), third, epochs=1, **arguments)
    assert steps_of(third) == [0, 1, 2, 4]


def test_probes_of_steps_that_are_made_again_do_not_count(tmp_path):
    """The process was killed after they were saved, and before the weights were."""
    x, y = rows()
    arguments = {"x": x, "y": y, "shuffle": False}
    killed = ConflictProbe(x, y, probes=5, log_dir=tmp_path)
    fit(model_of(), killed, epochs=2, **arguments)
    assert steps_of(killed) == [0, 1, 2, 4, 7]
    model = model_of()
    fit(model, epochs=1, **arguments)
    resumed = ConflictProbe(x, y, probes=5, log_dir=tmp_path)
    fit(model, resumed, epochs=4, initial_epoch=1, **arguments)
    assert steps_of(resumed) == [0, 1, 2, 4, 8, 13]


@pytest.mark.parametrize("damage", ["older", "cut off", "empty", "no archive"])
def test_a_resumed_training_begins_anew_where_it_cannot_read_the_probes(tmp_path, damage):
    x, y = rows()
    model = model_of()
    fit(model, ConflictProbe(x, y, log_dir=tmp_path), epochs=1)
    path = tmp_path / "probes.npz"
    whole = path.read_bytes()
    path.write_bytes({"cut off": whole[: len(whole) // 2], "no archive": b"soon"}.get(damage, b""))
    if damage == "older":
        np.savez(path, tasks=np.array(["price", "sold"]), products=np.zeros((3, 2, 2)))
    resumed = ConflictProbe(x, y, log_dir=tmp_path)
    fit(model, resumed, epochs=2, initial_epoch=1)
    assert steps_of(resumed)[0] == 5
    assert resumed.summary()["probes"] == len(resumed.probes)


def test_a_resumed_training_with_other_chunks_begins_anew(tmp_path):
    x, y = rows()
    model = model_of()
    fit(model, ConflictProbe(x, y, chunks=8, log_dir=tmp_path), epochs=1)
    for arguments in ({"chunks": 16}, {"chunks": 8, "chunk_rows": 5}):
        resumed = ConflictProbe(x, y, log_dir=tmp_path, **arguments)
        fit(model, resumed, epochs=2, initial_epoch=1)
        assert steps_of(resumed)[0] >= 5
        assert {probe.chunks for probe in resumed.probes} == {arguments["chunks"]}


def test_a_resumed_training_keeps_probes_of_fewer_chunks_than_planned(tmp_path, monkeypatch):
    """As many as the memory allows; with room for more the probes begin anew."""
    x, y = rows()
    model = model_of()
    monkeypatch.setattr("pcgrad.gradient_probe._MAX_BYTES", 1)
    fit(model, ConflictProbe(x, y, log_dir=tmp_path), epochs=1)
    resumed = ConflictProbe(x, y, log_dir=tmp_path)
    fit(model, resumed, epochs=2, initial_epoch=1)
    assert steps_of(resumed)[0] == 0
    assert {probe.chunks for probe in resumed.probes} == {4}
    monkeypatch.undo()
    again = ConflictProbe(x, y, log_dir=tmp_path)
    fit(model, again, epochs=3, initial_epoch=2)
    assert steps_of(again)[0] == 10
    assert {probe.chunks for probe in again.probes} == {32}
