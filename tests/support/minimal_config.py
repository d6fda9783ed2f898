"""A configuration with nothing but what it must have."""

MINIMAL = """
name = "trips"
[data]
path = "trips.csv"
[[tasks]]
name = "fare"
kind = "regression"
column = "fare"
[features]
numeric = ["miles"]
categorical = []
"""
