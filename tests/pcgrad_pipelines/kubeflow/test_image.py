"""The Dockerfile as it is, built without Docker; the steps of a pipeline run in its image."""

import subprocess
from pathlib import Path

import pytest

from kfp_launcher import Cluster
from kubeflow_runs import compile_for

ROOT = Path(__file__).parents[3]
IMAGES = ROOT / ".images"


def buildah(*command):
    storage = ["--storage-driver=overlay", f"--root={IMAGES}/store", f"--runroot={IMAGES}/run"]
    process = subprocess.run(
        ["buildah", *storage, *command], stdout=subprocess.PIPE, text=True, check=True
    )
    return process.stdout.strip()


@pytest.fixture
def image():
    build = [ROOT / "tools" / "build_image.sh", "tfx-pcgrad-test"]
    process = subprocess.run(build, text=True, capture_output=True, check=False)
    if process.returncode == 75:
        pytest.skip(process.stderr)
    assert process.returncode == 0, process.stderr[-2000:]
    container = buildah("from", "localhost/tfx-pcgrad-test")
    yield Path(buildah("mount", container))
    buildah("rm", container)


@pytest.mark.slow
def test_every_step_of_the_taxi_pipeline_runs_in_the_image(image, tmp_path):
    destination = tmp_path / "volume" / "taxi"
    compiled = compile_for(
        "kfp",
        tmp_path / "taxi.yaml",
        f"--volume=models={tmp_path / 'volume'}",
        f"--push-destination={destination}",
        "--epochs=2",
    )
    steps = Cluster(compiled, tmp_path, image=image).run()
    last = list(steps.values())[-1]
    assert last.exit_code == 0, last.log
    assert len(steps) > 10
    (version,) = destination.iterdir()
    assert (version / "saved_model.pb").is_file()
    assert version.stat().st_uid == 1000
