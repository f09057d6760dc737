"""The texts of the command `pie`: each exists in English and Chinese, in `texts.yaml`."""

import os
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from report_pages.text import LANGUAGES
from report_pages.text import Text as PageText


class Text(PageText):
    """A text in English and in Chinese, which prints in the language of the user."""

    __slots__ = ()

    def __str__(self) -> str:
        return self.in_language(user_language())


def say(key: str, /, **values: Any) -> Text:
    """Return a text in both languages.

    Args:
        key: `section.name` of texts.yaml.
        **values: For its gaps; a Text gives each language its own.
    """
    section, name = key.split('.')
    text = _catalogue()[section][name]
    return Text(*PageText(*(text[language] for language in LANGUAGES)).format(**values))


def user_language() -> str:
    """Return 'zh' where the environment asks for Chinese (PIE_LANG, LC_ALL, LC_MESSAGES, LANG), else 'en'."""
    names = ('PIE_LANG', 'LC_ALL', 'LC_MESSAGES', 'LANG')
    wanted = next((os.environ[name] for name in names if os.environ.get(name)), '')
    return 'zh' if wanted.lower().startswith('zh') else 'en'


class PieError(Exception):
    """What the user has to change, in both languages."""

    def __init__(self, key: str, /, **values: Any) -> None:
        """Fill a text.

        Args:
            key: Of `say`.
            **values: Of `say`.
        """
        self.text = say(key, **values)
        super().__init__(self.text.en)


@cache
def _catalogue() -> dict[str, dict[str, dict[str, str]]]:
    content = (Path(__file__).parent / 'texts.yaml').read_text(encoding='utf-8')
    return yaml.load(content, getattr(yaml, 'CSafeLoader', yaml.SafeLoader))
