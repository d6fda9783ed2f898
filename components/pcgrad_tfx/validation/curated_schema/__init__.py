"""Brings a curated schema into the pipeline; see `component.CuratedSchema`."""

from pcgrad_tfx.validation.curated_schema.component import CuratedSchema

__all__ = ["CuratedSchema"]
