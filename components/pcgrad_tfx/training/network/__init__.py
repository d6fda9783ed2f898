"""The layers of the default model, in the order in which a row passes them."""
