"""ExampleGens that check their data and split them the same way each time."""
