"""A look at the data before anything runs."""
