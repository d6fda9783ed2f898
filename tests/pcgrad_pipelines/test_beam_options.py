"""What the options make of a Beam runner, and which combinations they refuse."""

import socket

import apache_beam
import pytest
from apache_beam.options.pipeline_options import (
    FlinkRunnerOptions,
    GoogleCloudOptions,
    PipelineOptions,
    PortableOptions,
    PrismRunnerOptions,
    SparkRunnerOptions,
    StandardOptions,
    WorkerOptions,
)

from pcgrad_pipelines.beam_options import BEAM_OPTIONS, BeamRunner, check_beam_options
from pcgrad_pipelines.command import build_parser
from pcgrad_pipelines.kubeflow import runner as kubeflow
from pcgrad_pipelines.local.beam_workers import orchestrator
from pcgrad_pipelines.local.runner import FAILED, main

COMPILE = ["--target=kfp", "--image=i", "--pipeline-root=gs://b", "--push-destination=gs://m"]
FLINK = ["--beam-runner=flink", "--flink-master=flink:8081"]
DATAFLOW = [
    "--beam-runner=dataflow", "--dataflow-project=p", "--dataflow-region=r",
    "--dataflow-temp=gs://t", "--beam-image=i",
]  # fmt: skip
EXTERNAL = ["--beam-arg=--environment_type=EXTERNAL", "--beam-arg=--environment_config=pool:50000"]


def parse(arguments):
    args = build_parser().parse_args(["run", *arguments])
    check_beam_options(args)
    return args


def test_all_options_are_of_both_commands():
    compiling = build_parser().parse_args(["compile", "--target=kfp"])
    for name in BEAM_OPTIONS:
        assert getattr(compiling, name) == getattr(parse([]), name)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            [*FLINK, "--flink-version=1.20", "--beam-image=registry/worker:1"],
            {
                StandardOptions: {"runner": "FlinkRunner"},
                FlinkRunnerOptions: {"flink_master": "flink:8081", "flink_version": "1.20"},
                PortableOptions: {
                    "environment_type": "DOCKER", "environment_config": "registry/worker:1",
                },
            },
        ),
        # On this machine workers are in the process that asks.
        (
            ["--beam-runner=flink", "--flink-master=localhost:8081"],
            {PortableOptions: {"environment_type": "LOOPBACK"}},
        ),
        (
            ["--beam-runner=spark", "--spark-master=spark://spark:7077", "--beam-image=i"],
            {
                StandardOptions: {"runner": "SparkRunner"},
                SparkRunnerOptions: {"spark_master_url": "spark://spark:7077"},
                PortableOptions: {"environment_type": "DOCKER", "environment_config": "i"},
            },
        ),
        (
            ["--beam-runner=spark", "--spark-master=local[2]"],
            {PortableOptions: {"environment_type": "LOOPBACK"}},
        ),
        (
            DATAFLOW,
            {
                StandardOptions: {"runner": "DataflowRunner"},
                GoogleCloudOptions: {"project": "p", "region": "r", "temp_location": "gs://t"},
                WorkerOptions: {"sdk_container_image": "i"},
                PortableOptions: {"environment_type": None},
            },
        ),
        (
            ["--beam-runner=prism", "--prism=localhost:8073"],
            {
                StandardOptions: {"runner": "PrismRunner"},
                PortableOptions: {"job_endpoint": "localhost:8073", "environment_type": "LOOPBACK"},
            },
        ),
        (
            ["--beam-runner=prism", "--prism=/opt/prism"],
            {
                PrismRunnerOptions: {"prism_location": "/opt/prism"},
                PortableOptions: {"job_endpoint": None, "environment_type": "LOOPBACK"},
            },
        ),
        # What Beam is told itself counts, and it may be all.
        (
            [*FLINK, *EXTERNAL, "--beam-image=i", "--beam-arg=--flink_master=other:1"],
            {
                FlinkRunnerOptions: {"flink_master": "other:1"},
                PortableOptions: {
                    "environment_type": "EXTERNAL", "environment_config": "pool:50000",
                },
            },
        ),
        (
            ["--beam-runner=FlinkRunner", "--beam-arg=--flink_master=f:1", *EXTERNAL],
            {FlinkRunnerOptions: {"flink_master": "f:1"}},
        ),
        (
            [
                "--beam-runner=apache_beam.runners.portability.flink_runner.FlinkRunner",
                "--beam-arg=--flink_master", "--beam-arg=[local]",
            ],
            {PortableOptions: {"environment_type": "LOOPBACK"}},
        ),
        (
            ["--beam-runner=PortableRunner", "--beam-arg=--job_endpoint=embed"],
            {PortableOptions: {"environment_type": "LOOPBACK"}},
        ),
        ([], {PortableOptions: {"environment_type": None}}),
    ],
)  # fmt: skip
def test_what_beam_is_told(arguments, expected):
    told = PipelineOptions(BeamRunner(parse(arguments)).arguments)
    for group, values in expected.items():
        view = told.view_as(group)
        assert {name: getattr(view, name) for name in values} == values


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--beam-runner=flnk"], "--beam-runner: unknown 'flnk'; did you mean \"flink\"?"),
        (["--beam-runner=DaskRunner"], "DaskRunner loses data silently"),
        (["--beam-runner=flink"], "--beam-runner flink needs --flink-master; add it"),
        (["--beam-runner=spark"], "--beam-runner spark needs --spark-master; add it"),
        (["--beam-runner=portable"], "needs --beam-arg=--job_endpoint=HOST:PORT; add it"),
        (DATAFLOW[:1], "--beam-runner dataflow needs --dataflow-project; add it"),
        (DATAFLOW[:3], "--beam-runner dataflow needs --dataflow-temp; add it"),
        ([*DATAFLOW, "--dataflow-temp=/tmp"], "--dataflow-temp: '/tmp' is no folder at gs://…"),
        (DATAFLOW[:-1], "--beam-runner dataflow: its workers need this package; name a container"),
        (FLINK, "--beam-runner flink: its workers need this package; name a container image"),
        (["--flink-master=f:1"], "--flink-master is for --beam-runner flink; add that"),
        ([*DATAFLOW, "--spark-master=s:1"], "--spark-master is for --beam-runner spark; add that"),
        (["--beam-image=i"], "--beam-image goes with --beam-runner flink, spark, dataflow"),
        (
            [*FLINK, "--beam-arg=--environment_type=LOOPBACK"],
            "--environment_type=LOOPBACK: flink:8081 cannot reach workers in this process",
        ),
        (
            [*FLINK, "--flink-version=1.9", "--beam-image=i"],
            f"Beam {apache_beam.__version__} has no job server for Flink 1.9; there are: 1.",
        ),
        (["--beam-runner=flink", "--beam-arg=--flink_master"], "argument --flink_master: expected"),
    ],
)
@pytest.mark.parametrize(
    ("command", "given"), [(main, []), (kubeflow.main, COMPILE)], ids=["run", "compile"]
)
def test_wrong_combinations_get_one_line(command, given, arguments, expected, capfd):
    assert command([*given, *arguments]) == FAILED
    (line,) = capfd.readouterr().out.splitlines()
    assert expected in line


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (DATAFLOW, "its containers cannot open /"),
        # Nor can those on this machine.
        (["--beam-runner=flink", "--flink-master=localhost:1", "--beam-image=i"], "its containers"),
        ([*FLINK, *EXTERNAL], "its workers at flink:8081 must open /"),
        (["--shared-folders"], "--shared-folders is for a --beam-runner on other machines"),
        (["--beam-runner=prism", "--orchestrator=beam"], "--orchestrator beam: Beam starts a"),
    ],
)
def test_a_run_needs_workers_that_see_its_files(arguments, expected, capfd):
    assert main(arguments) == FAILED
    (line,) = capfd.readouterr().out.splitlines()
    assert expected in line


def test_a_job_server_in_java_needs_java(monkeypatch, capfd):
    monkeypatch.setenv("PATH", "")
    assert main([*FLINK, *EXTERNAL, "--shared-folders"]) == FAILED
    (line,) = capfd.readouterr().out.splitlines()
    assert "Beam's job server needs Java, which is not installed" in line


def test_a_job_server_that_is_not_there_is_named_at_once(capfd):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        place = f"localhost:{free.getsockname()[1]}"
    assert main(["--beam-runner=prism", f"--prism={place}"]) == FAILED
    (line,) = capfd.readouterr().out.splitlines()
    assert line.startswith(f"no job server of Beam answers at {place} (")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "beam"),
        (["--beam-runner=prism", "--prism=localhost:8073"], "beam"),
        (["--beam-runner=prism"], "local"),
        (["--beam-runner=flink", "--flink-master=[local]"], "local"),
    ],
)
def test_the_orchestrator_lets_beam_start_a_server(arguments, expected):
    assert orchestrator(parse(arguments)) == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], False),
        (["--beam-runner=DirectRunner"], False),
        (["--beam-runner=FnApiRunner"], False),
        (["--beam-runner=prism"], False),
        (["--beam-runner=prism", *EXTERNAL], True),
        ([*FLINK, "--beam-image=i"], True),
        (DATAFLOW, True),
        (["--beam-runner=my.package.Runner"], True),
    ],
)
def test_which_beam_runners_have_workers_elsewhere(arguments, expected):
    assert BeamRunner(parse(arguments)).is_distributed == expected
