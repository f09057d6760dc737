"""Errors that public mmyolo raises by `assert`, under the name that says what they are too.

Code written for public mmyolo catches AssertionError; ValueError and TypeError are what a wrong argument is. Here these
checks hold under `python -O` as well.
"""


class ArgumentValueError(AssertionError, ValueError):
    """An argument has a value that is not allowed."""


class ArgumentTypeError(AssertionError, TypeError):
    """An argument has a type that is not allowed."""
