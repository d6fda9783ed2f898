"""Data from the web, for `tfx-pcgrad init`."""

from __future__ import annotations

import urllib.parse
from pathlib import Path

import fsspec
import tensorflow as tf

from pcgrad_tfx.errors import DataError, root_message

_PAGE = (b"<!doctype html", b"<html")


def is_remote(data: str) -> bool:
    """Whether data have to be downloaded: TensorFlow, with which a run reads, cannot open them."""
    scheme, is_url, _ = data.partition("://")
    return bool(is_url) and scheme not in tf.io.gfile.get_registered_schemes()


def file_name(url: str) -> str:
    """The name of the file at an address; one without an ending is taken for CSV.

    Raises:
        DataError: It names no file.
    """
    name = Path(urllib.parse.unquote(urllib.parse.urlsplit(url).path)).name
    if not name:
        raise DataError(f"{url}: this address names no file; give that of the file itself")
    return name if Path(name).suffix else f"{name}.csv"


def download(url: str, folder: Path) -> Path:
    """Copies a file from the web, so that runs need no network and always see the same rows.

    Args:
        url: A file's address: `https://…`, or another one that fsspec can open, such as `s3://…`
            where s3fs is installed.
        folder: Where to; the file keeps its name.

    Returns:
        The file.

    Raises:
        DataError: The address is wrong or no file's, or the file is there already.
    """
    file = folder / file_name(url)
    if file.exists():
        raise DataError(
            f"{file} exists and is not overwritten; look at it by `tfx-pcgrad init {file}`, or "
            "delete it"
        )
    part = file.with_name(f"{file.name}.part")
    print(f"downloading {url} …", flush=True)
    try:
        filesystem, path = fsspec.core.url_to_fs(url)
        filesystem.get_file(path, str(part))
    except FileNotFoundError:
        raise DataError(f"{url}: there is no such file") from None
    # Each kind of address has a library of its own, with exceptions of its own.
    except Exception as error:
        raise DataError(f"{url} cannot be downloaded: {root_message(error)}") from None
    else:
        _check_no_page(part, url)
        part.rename(file)
    finally:
        part.unlink(missing_ok=True)
    return file


def _check_no_page(file: Path, url: str) -> None:
    with file.open("rb") as opened:
        if opened.read(200).lstrip().lower().startswith(_PAGE):
            raise DataError(
                f"{url} is a web page and no data; give the address of the file itself (on GitHub "
                'that of the button "Raw")'
            )
