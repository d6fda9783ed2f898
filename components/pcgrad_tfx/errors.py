"""The error of the package that is meant for the person who owns the data."""


class DataError(ValueError):
    """Data that must not be trained on.

    The message's first line stands alone: it names the file or split, the line and column where
    there is one, and the remedy. Nobody has to read a traceback to act on it.
    """
