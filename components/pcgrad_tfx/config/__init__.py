"""What is learned from which data, and how: the configuration that all stages share."""
