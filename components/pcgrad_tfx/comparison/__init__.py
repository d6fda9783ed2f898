"""Does surgery help: the same model trained in several ways, with several seeds."""
