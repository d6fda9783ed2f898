"""Boosted trees on the same rows: whether the network is any good."""
