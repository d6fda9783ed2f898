"""What a network learns from: `from pcgrad_tfx.features import Features`."""

from pcgrad_tfx.config.features import Features, check_features, required_columns

__all__ = ["Features", "check_features", "required_columns"]
