"""Measurements behind every claim of speed or quality; each script says what it measures."""
