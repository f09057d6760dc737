"""Every text that exists in English and Chinese: one file per language, with the same keys in all of them.

`t('cli.done', task='training', seconds='3 s')` gives both languages; a key is `section.name` of en.yaml and zh.yaml.
"""

from functools import cache
from pathlib import Path
from typing import Any

from report_pages.text import LANGUAGES, Text, as_text

__all__ = ['LANGUAGES', 'Text', 'as_text', 'catalogue', 't']


def t(key: str, *values: Any, **names: Any) -> Text:
    """Return a text in both languages.

    Args:
        key: `section.name`.
        *values: for its gaps, as `str.format` takes them; a Text gives each language its own.
        **names: the same, for gaps with names.
    """
    text = Text(*(catalogue(language)[key] for language in LANGUAGES))
    return text.format(*values, **names) if values or names else text


@cache
def catalogue(language: str) -> dict[str, str]:
    """Read all texts of a language by their keys.

    Args:
        language: 'en' or 'zh'.
    """
    import yaml  # here, so that `ymir --help` answers at once

    content = (Path(__file__).parent / f'{language}.yaml').read_text(encoding='utf-8')
    # libyaml, where PyYAML has it, takes a tenth of the time.
    return dict(_flat('', yaml.load(content, getattr(yaml, 'CSafeLoader', yaml.SafeLoader))))


def _flat(prefix: str, tree: dict[Any, Any]) -> list[tuple[str, str]]:
    return [
        pair
        for name, value in tree.items()
        for pair in (_flat(f'{prefix}{name}.', value) if isinstance(value, dict) else [(f'{prefix}{name}', value)])
    ]
