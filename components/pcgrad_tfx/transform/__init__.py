"""The `preprocessing_fn` and what it leaves."""
