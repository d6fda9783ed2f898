"""Transform's entry point: `preprocessing_fn="pcgrad_tfx.preprocessing.preprocessing_fn"`."""

from pcgrad_tfx.transform.preprocessing import preprocessing_fn

__all__ = ["preprocessing_fn"]
