"""Fast reading of the TFRecords of tf.Example that Transform writes.

A dataset of `fn_args.data_accessor` goes through Arrow and, to be shuffled, row by row. Here the
serialized rows are shuffled, to be parsed a batch at a time: benchmarks/pipeline/input_rate.py.
Nothing is lost: `data_accessor` has datasets of gzipped TFRecords only.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf

# Rows among which the next one is drawn: bounds the memory whatever the number of rows.
_SHUFFLED_ROWS = 20_000

_BUFFER_BYTES = 1 << 20


def example_files(patterns: Sequence[str]) -> list[str]:
    """The files that match patterns, in the order of their names.

    Raises:
        ValueError: No file matches, or one is not a gzipped TFRecord.
    """
    files = sorted({file for pattern in patterns for file in tf.io.gfile.glob(pattern)})
    if not files:
        raise ValueError(f"there is no file {', '.join(patterns)}; check the path")
    for file in files:
        if not file.endswith(".gz"):
            raise ValueError(
                f"{file} is not a gzipped TFRecord (.gz); give ExampleGen CSV files or TFRecords, "
                "then Transform writes such files"
            )
    return files


def count_rows(files: Sequence[str]) -> int:
    """The number of rows in gzipped TFRecords."""
    return int(_records(files).batch(_SHUFFLED_ROWS).reduce(np.int64(0), _add_size).numpy())


def read_batches(files: Sequence[str], batch_size: int, every: int = 1) -> tf.data.Dataset:
    """All rows once, in the order of the files.

    Args:
        files: Gzipped TFRecords.
        batch_size: Rows of a batch.
        every: Only one of so many successive rows.

    Returns:
        Batches of serialized rows, [N] strings.
    """
    return _records(files).shard(every, 0).batch(batch_size)


def read_shuffled_batches(
    files: Sequence[str], batch_size: int, seed: tf.Tensor
) -> tf.data.Dataset:
    """All rows once, in an order that is a function of the seed.

    Our ExampleGens have shuffled the rows once for all, so it is enough to shuffle blocks of
    20,000 successive rows, each by itself.

    Args:
        files: Gzipped TFRecords.
        batch_size: Rows of a batch.
        seed: [2], int64.

    Returns:
        Batches of serialized rows, [N] strings.
    """

    def shuffled(number: tf.Tensor, block: tf.Tensor) -> tf.Tensor:
        own = tf.random.experimental.stateless_fold_in(seed, number)
        order = tf.random.experimental.stateless_shuffle(tf.range(tf.size(block)), own)
        return tf.gather(block, order)

    blocks = _records(files).batch(_SHUFFLED_ROWS).enumerate().map(shuffled)
    return blocks.rebatch(batch_size)


def check_whole(files: Iterable[str]) -> None:
    """Reads gzip files to their ends, where a checksum and the length stand.

    TensorFlow's reader and Beam's look at neither: of the places where a file can be cut off, some
    make it a shorter one without a word. Whatever reads many rows checks its files first; that
    takes a tenth of the time of an epoch of the smallest model, once.

    Args:
        files: Paths, on any file system that TFX can open.

    Raises:
        ValueError: A file is cut off or damaged.
    """
    for file in files:
        try:
            read_to_the_end(file)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError(
                f"{file} is damaged ({error}); restore it, or run the pipeline with another "
                "output folder"
            ) from None


def read_to_the_end(file: str) -> None:
    """Unpacks a gzip file, of one member or several, and compares its checksums and lengths.

    Raises:
        EOFError: The file is cut off.
        zlib.error: It is damaged.
        gzip.BadGzipFile: It is damaged, or no gzip file.
    """
    with tf.io.gfile.GFile(file, "rb") as packed, gzip.GzipFile(fileobj=packed) as unpacked:
        while unpacked.read(_BUFFER_BYTES):
            pass
        # For Python a file of 0 bytes is whole, but nobody writes one.
        if not packed.size():
            raise EOFError("0 bytes")


def _add_size(rows: tf.Tensor, batch: tf.Tensor) -> tf.Tensor:
    return rows + tf.size(batch, tf.int64)


def _records(files: Sequence[str]) -> tf.data.Dataset:
    return tf.data.TFRecordDataset(list(files), "GZIP", _BUFFER_BYTES)
