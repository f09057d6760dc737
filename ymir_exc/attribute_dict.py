"""A dict whose string keys are attributes too: ``cfg.param.max_epochs`` and ``cfg.param.get('max_epochs', 100)``."""

from __future__ import annotations

from typing import Any


def _wrap(value: Any) -> Any:
    if isinstance(value, dict) and not isinstance(value, AttributeDict):
        return AttributeDict(value)
    if isinstance(value, (list, tuple)):
        return type(value)([_wrap(item) for item in value])
    return value


class AttributeDict(dict):
    """A dict with attribute access; dicts inside it, also within lists, become the same."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.update(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f'no key {name!r}; there are: {", ".join(map(str, self)) or "none"}') from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError:
            raise AttributeError(f'no key {name!r}') from None

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, _wrap(value))

    def setdefault(self, key: Any, default: Any = None) -> Any:
        """As ``dict.setdefault``."""
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *args: Any, **kwargs: Any) -> None:
        """As ``dict.update``."""
        for key, value in dict(*args, **kwargs).items():
            self[key] = value
