"""A Config whose text is formatted once and not each time that a training asks for it."""

from mmengine.config import Config

_formatted: dict[str, str] = {}  # the last text, as mmengine writes it and as yapf formats it


class FormattedOnce(Config):
    """mmengine's Config; its text costs a second, and a training asks for the same one five times.

    Args:
        config: What it holds; the two share their values.
    """

    def __init__(self, config: Config) -> None:
        self.__dict__.update(config.__dict__)

    @property
    def pretty_text(self) -> str:
        """The text that mmengine gives."""
        formats = self._format_python_code
        self.__dict__['_format_python_code'] = False
        try:
            plain = super().pretty_text
        finally:
            self.__dict__['_format_python_code'] = formats
        if not formats:
            return plain
        if plain not in _formatted:
            _formatted.clear()
            _formatted[plain] = super().pretty_text
        return _formatted[plain]
