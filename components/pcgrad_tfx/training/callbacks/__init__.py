"""What is done after each epoch of a training."""
