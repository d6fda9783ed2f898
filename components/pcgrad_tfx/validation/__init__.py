"""The schema, and the gate that stops a pipeline whose data do not match it."""
