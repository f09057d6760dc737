"""Which methods somebody else has replaced: then the plain way, which calls them, is taken and no short cut."""

from typing import Any

# The packages whose methods a short cut stands for.
_OWN = ('mmyolo.', 'mmdet.', 'mmengine.')


def is_original(obj: Any, *names: str) -> bool:
    """Return whether methods are those of this package.

    Args:
        obj: an object.
        *names: its methods; those that it lacks count as original.

    Returns:
        False if a class outside this package, or an assignment to the object, put another function in place of one.
    """
    methods = (getattr(obj, name, None) for name in names)
    return all(method is None or str(getattr(method, '__module__', '')).startswith(_OWN) for method in methods)
