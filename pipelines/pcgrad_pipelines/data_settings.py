"""The table [data] of a configuration: where the data are and how they are written and split."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from pcgrad_tfx.config.dialect import Dialect
from pcgrad_tfx.config.splitting import Splitting


def _resolve(path: str, info: ValidationInfo) -> str:
    """Makes a path absolute that is relative to the TOML file; URIs stay as they are."""
    if "://" in path or info.context is None:
        return path
    return str(info.context["folder"] / Path(path).expanduser())


NonEmpty = Annotated[str, Field(min_length=1)]
ResolvedPath = Annotated[NonEmpty, AfterValidator(_resolve)]


class Data(Dialect, Splitting):
    """Where the data are: a file or a folder of files with the same columns, and how written.

    The files are CSV, Parquet, JSON lines, Arrow or TFRecords of tf.Example (with "tfrecord" in the
    name). A folder with the folders train, eval and test holds data that the user has split. With
    `sql`, they are what the query may read.

    Attributes:
        path: The file or folder.
        package: Instead of `path`: the Python package that ships the file or folder.
        resource: Where it is in `package`.
        missing: Texts that stand for a missing value, besides the empty one, but in TFRecords.
    """

    path: ResolvedPath | None = Field(None, description="a file of data or a folder of them")
    package: NonEmpty | None = Field(None, description="the Python package that ships the data")
    resource: NonEmpty | None = Field(None, description="the file or folder inside the package")
    missing: tuple[NonEmpty, ...] = Field(
        (), description='texts that stand for a missing value, as in ["NA"]'
    )

    @model_validator(mode="after")
    def _check_one_place(self) -> Data:
        if (self.path is None) == (self.package is None and self.resource is None):
            raise ValueError("say where the data are: either `path`, or `package` and `resource`")
        if self.path is None:
            self._find_resource()
        return self

    @property
    def dialect(self) -> Dialect:
        """How CSV files are written."""
        return Dialect.model_validate(self.model_dump(include={*Dialect.model_fields}))

    @property
    def splitting(self) -> Splitting:
        """How the rows are split."""
        return Splitting.model_validate(self.model_dump(include={*Splitting.model_fields}))

    @property
    def location(self) -> str:
        """The file or folder, as an absolute path or a URI."""
        return self.path or self._find_resource()

    def _find_resource(self) -> str:
        if self.package is None or self.resource is None:
            raise ValueError("`package` and `resource` go together; add the other one")
        # Without importing it, which may need more packages than the data do.
        try:
            package = importlib.util.find_spec(self.package)
        except (ModuleNotFoundError, ValueError):
            package = None
        if package is None:
            raise ValueError(f"package {self.package!r} is not installed; install it or use `path`")
        for folder in package.submodule_search_locations or ():
            found = Path(folder) / self.resource
            if found.exists():
                return str(found)
        raise ValueError(
            f"package {self.package!r} ships no {self.resource!r}; correct it or use `path`"
        )
