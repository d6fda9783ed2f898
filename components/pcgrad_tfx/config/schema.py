"""Reads the text of a curated schema, with one line for what is wrong with it."""

from __future__ import annotations

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2


def parse_schema(text: str) -> schema_pb2.Schema:
    """Parses a schema.

    Args:
        text: A `tensorflow.metadata.v0.Schema` in protobuf's text format.

    Returns:
        The schema.

    Raises:
        ValueError: If the text is none, or describes no feature; one line that says where.
    """
    try:
        schema = text_format.Parse(text, schema_pb2.Schema())
    except text_format.ParseError as error:
        # Protobuf's message begins with the line and the column: "3:7 : …".
        problem = str(error).rstrip(".").replace(" : ", ": ", 1)
        raise ValueError(f"no schema in text format: {problem}; correct it") from None
    if not schema.feature:
        raise ValueError("the schema describes no feature; add those of the data")
    return schema
