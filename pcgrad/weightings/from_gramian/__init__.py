"""Methods that make the weights of the Gram matrix."""
