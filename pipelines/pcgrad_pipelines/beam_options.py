"""Which Beam runner the data components use: the options that all runners of the pipeline share."""

from __future__ import annotations

import argparse
import dataclasses
import re

from pcgrad_pipelines.config import ConfigError
from pcgrad_tfx.config.validation_messages import nearest

# Beam's "DirectRunner" is not one engine: it may download and start another one.
IN_PROCESS_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"

LOOPBACK, DOCKER = "LOOPBACK", "DOCKER"


@dataclasses.dataclass(frozen=True)
class _Engine:
    """A runner of Beam's that we know.

    Attributes:
        name: Beam's name of it.
        flags: Beam's option for each of ours.
        address: Beam's option that says where it is.
        needed: Beam's options that it cannot do without.
        is_java: Whether Beam starts a job server in Java for it, unless there is one.
    """

    name: str
    flags: dict[str, str] = dataclasses.field(default_factory=dict)
    address: str = "job_endpoint"
    needed: tuple[str, ...] = ()
    is_java: bool = False


_ENGINES = {
    "flink": _Engine(
        "FlinkRunner",
        {"--flink-master": "flink_master", "--flink-version": "flink_version"},
        "flink_master",
        ("flink_master",),
        is_java=True,
    ),
    "spark": _Engine(
        "SparkRunner",
        {"--spark-master": "spark_master_url"},
        "spark_master_url",
        ("spark_master_url",),
        is_java=True,
    ),
    "dataflow": _Engine(
        "DataflowRunner",
        {
            "--dataflow-project": "project",
            "--dataflow-region": "region",
            "--dataflow-temp": "temp_location",
        },
        "region",
        ("project", "region", "temp_location"),
    ),
    "prism": _Engine("PrismRunner", {"--prism": "job_endpoint"}),
    "portable": _Engine("PortableRunner", needed=("job_endpoint",)),
}
_IN_PROCESS = ("direct", "fnapi")
_KNOWN = [*_ENGINES, *_IN_PROCESS]

# Beam's options from which workers get the packages that they need.
_PACKAGES = (
    "sdk_container_image", "extra_package", "extra_packages", "setup_file", "requirements_file",
)  # fmt: skip
_OTHERS = ("environment_type", "environment_config", "prism_location", "flink_job_server_jar")

_HOST_AND_PORT = re.compile(r"\[?[\w.:-]+\]?:\d+")
# Beam's words for what it starts itself, and this machine's addresses.
_HERE = re.compile(
    r"embed|\[local\]|\[auto\]|local(\[.*\])?"
    r"|(https?://|spark://)?(localhost|127\.[\d.]+|\[?::1\]?)(:\d+)?(/.*)?"
)

# What argparse calls the options of `add_beam_options`.
BEAM_OPTIONS = (
    "beam_runner", "beam_arg", "beam_image", "flink_master", "flink_version", "spark_master",
    "dataflow_project", "dataflow_region", "dataflow_temp", "prism",
)  # fmt: skip


def add_beam_options(parser: argparse._ActionsContainer) -> None:
    """Adds `--beam-runner`, the options of each runner, and `--beam-arg`."""
    parser.add_argument(
        "--beam-runner", metavar="NAME",
        help=f"runner of the data components: {', '.join(_ENGINES)}, or the name of a class "
        "(default: Beam's in-process runner); see docs/scaling.md",
    )  # fmt: skip
    parser.add_argument("--flink-master", metavar="HOST:PORT", help="of Flink's REST interface")
    parser.add_argument(
        "--flink-version", metavar="VERSION", help="of the cluster (default: the newest Beam knows)"
    )
    parser.add_argument("--spark-master", metavar="URL", help="of Spark, as spark://HOST:7077")
    parser.add_argument("--dataflow-project", metavar="NAME", help="of Google Cloud")
    parser.add_argument("--dataflow-region", metavar="NAME", help="of Google Cloud")
    parser.add_argument("--dataflow-temp", metavar="URI", help="folder of temporary files, gs://…")
    parser.add_argument(
        "--prism", metavar="PLACE",
        help="HOST:PORT of a running Prism, or its program (default: Beam downloads it)",
    )  # fmt: skip
    parser.add_argument(
        "--beam-image", metavar="IMAGE",
        help="container image of the runner's workers: Beam's SDK harness and this package",
    )  # fmt: skip
    parser.add_argument(
        "--beam-arg", metavar="ARG", action="append", default=[],
        help="an option of Beam's, as --beam-arg=--NAME=VALUE, which overrides ours; may be "
        "repeated",
    )  # fmt: skip


class BeamRunner:
    """The runner that the options ask for.

    Attributes:
        name: What was given, in short: "flink" for "FlinkRunner" and for the class's full name.
        arguments: Beam's command line.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        """Reads the options of `add_beam_options`.

        Raises:
            ConfigError: If an option of Beam's has no value.
        """
        # Beam takes all of these spellings, too.
        self._given = args.beam_runner
        self.name = (args.beam_runner or "").rpartition(".")[2].lower().removesuffix("runner")
        self._engine = _ENGINES.get(self.name)
        runner = args.beam_runner or IN_PROCESS_RUNNER
        if self._engine and "." not in runner:
            runner = self._engine.name
        given = _parse(args.beam_arg)
        ours = self._places(args)
        self._options = {**ours, **given}
        # A type of environment and its configuration go together.
        if "environment_type" not in given:
            ours |= self._workers(args.beam_image)
        self._options = {**ours, **given}
        told = [f"--{option}={value}" for option, value in ours.items()]
        self.arguments = [f"--runner={runner}", *told, *args.beam_arg]

    def option(self, name: str) -> str | None:
        """The value of an option of Beam's that matters here."""
        return self._options.get(name)

    @property
    def job_endpoint(self) -> str | None:
        """HOST:PORT of the job server to use; None if Beam starts one, or needs none."""
        return self.option("job_endpoint")

    @property
    def address(self) -> str | None:
        """Where the runner is; None if it is started on this machine."""
        return self.option(self._engine.address if self._engine else "") or self.job_endpoint

    @property
    def is_here(self) -> bool:
        """Whether the runner is on this machine."""
        return self.address is None or _HERE.fullmatch(self.address) is not None

    @property
    def environment(self) -> str | None:
        """How workers run, as Beam calls it: LOOPBACK, DOCKER, EXTERNAL …; None: Beam decides."""
        found = self.option("environment_type")
        return found.upper() if found else None

    @property
    def is_distributed(self) -> bool:
        """Whether workers may not see the files of the process that asks the runner."""
        if self._given is None or self.name in _IN_PROCESS:
            return False
        return self.environment != LOOPBACK

    @property
    def has_containers(self) -> bool:
        """Whether the workers are containers, which see no folder of a machine."""
        return self._engine is not None and self.environment in (None, DOCKER)

    @property
    def starts_java(self) -> bool:
        """Whether Beam starts a job server in Java on this machine."""
        return self._engine is not None and self._engine.is_java and self.job_endpoint is None

    @property
    def starts_server(self) -> bool:
        """Whether Beam starts a job server on this machine."""
        return self.starts_java or (self.name == "prism" and self.job_endpoint is None)

    def _places(self, args: argparse.Namespace) -> dict[str, str]:
        """Beam's options that ours stand for."""
        found = {}
        for flag, option in self._engine.flags.items() if self._engine else ():
            value = _given(args, flag)
            if value is not None:
                is_file = flag == "--prism" and not _HOST_AND_PORT.fullmatch(value)
                found["prism_location" if is_file else option] = value
        return found

    def _workers(self, image: str | None) -> dict[str, str]:
        """Beam's options that say how workers run."""
        if self.name == "dataflow":
            return {"sdk_container_image": image} if image else {}
        if image:
            return {"environment_type": DOCKER, "environment_config": image}
        return {"environment_type": LOOPBACK} if self._engine and self.is_here else {}


def check_beam_options(args: argparse.Namespace) -> None:
    """Refuses what cannot work, or is known to give wrong results.

    Args:
        args: The options of `add_beam_options`.

    Raises:
        ConfigError: If a runner is unknown or loses data, an option is missing or is another
            runner's, or workers would be without this package or could not come back.
    """
    runner = BeamRunner(args)
    if "dask" in runner.name:
        raise ConfigError(
            "--beam-runner: Beam's DaskRunner loses data silently; choose another runner"
        )
    given = args.beam_runner or ""
    if given and "runner" not in given.lower() and runner.name not in _KNOWN:
        raise ConfigError(f"--beam-runner: unknown {given!r}; {nearest(runner.name, _KNOWN)}")
    for owner, engine in _ENGINES.items():
        for flag in engine.flags:
            if _given(args, flag) is not None and owner != runner.name:
                raise ConfigError(f"{flag} is for --beam-runner {owner}; add that, or remove it")
    if runner.name in _ENGINES:
        _check_places(runner, _ENGINES[runner.name])
        _check_workers(runner)
    elif args.beam_image:
        raise ConfigError(f"--beam-image goes with --beam-runner {', '.join(_ENGINES)}; remove it")


def _check_places(runner: BeamRunner, engine: _Engine) -> None:
    ours = {option: flag for flag, option in engine.flags.items()}
    # A job server that runs knows its cluster.
    for option in engine.needed if runner.job_endpoint is None else ():
        if runner.option(option) is None:
            missing = ours.get(option, f"--beam-arg=--{option}=HOST:PORT")
            raise ConfigError(f"--beam-runner {runner.name} needs {missing}; add it")
    temporary = runner.option("temp_location")
    if runner.name == "dataflow" and temporary and not temporary.startswith("gs://"):
        raise ConfigError(f"--dataflow-temp: {temporary!r} is no folder at gs://…")
    version = runner.option("flink_version")
    if version and runner.option("flink_job_server_jar") is None:
        import apache_beam  # noqa: PLC0415, it takes seconds
        from apache_beam.options.pipeline_options import FlinkRunnerOptions  # noqa: PLC0415, the same

        known = FlinkRunnerOptions.PUBLISHED_FLINK_VERSIONS
        if version not in known:
            raise ConfigError(
                f"--flink-version: Beam {apache_beam.__version__} has no job server for Flink "
                f"{version}; there are: {', '.join(known)}"
            )


def _check_workers(runner: BeamRunner) -> None:
    if runner.environment == LOOPBACK and not runner.is_here:
        raise ConfigError(
            f"--beam-arg=--environment_type=LOOPBACK: {runner.address} cannot reach workers in "
            "this process; give --beam-image, or another type"
        )
    packages = [option for option in _PACKAGES if runner.option(option)]
    if runner.environment is None and not packages:
        raise ConfigError(
            f"--beam-runner {runner.name}: its workers need this package; name a container image "
            "that has it by --beam-image, or say by --beam-arg=--environment_type=… where they run"
        )


def _given(args: argparse.Namespace, flag: str) -> str | None:
    found: str | None = getattr(args, flag.removeprefix("--").replace("-", "_"))
    return found


def _parse(arguments: list[str]) -> dict[str, str]:
    """The options of Beam's that matter here, as Beam reads them."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    engines = _ENGINES.values()
    places = {option for engine in engines for option in (engine.address, *engine.flags.values())}
    for option in sorted({*places, *_PACKAGES, *_OTHERS}):
        parser.add_argument(f"--{option}")
    try:
        found, _ = parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise ConfigError(f"--beam-arg: {error}") from error
    return {option: value for option, value in vars(found).items() if value is not None}
