"""A text in English and Chinese, in HTML as two elements of which the style sheet shows one."""

from typing import NamedTuple

from markupsafe import Markup, escape

LANGUAGES = ('en', 'zh')


class Text(NamedTuple):
    """A text in English and in Chinese; a template of HTML prints it as two elements of which one is visible."""

    en: str
    zh: str

    def in_language(self, language: str) -> str:
        """Return one of both, 'en' or 'zh'."""
        return self[LANGUAGES.index(language)]

    def format(self, *values: object, **names: object) -> 'Text':
        """Fill both languages as `str.format` does; values that are Texts give each language its own."""

        def fill(index: int) -> str:

            def pick(value: object) -> object:
                return value[index] if isinstance(value, Text) else value

            return self[index].format(*map(pick, values), **{name: pick(value) for name, value in names.items()})

        return Text(fill(0), fill(1))

    def __html__(self) -> Markup:
        return self._both('<span class="en" lang="en">{}</span><span class="zh" lang="zh">{}</span>')

    def svg(self) -> Markup:
        """Return the text inside an SVG `<text>`."""
        return self._both('<tspan class="en">{}</tspan><tspan class="zh">{}</tspan>')

    def title(self) -> Markup:
        """Return the text as a `<title>`, which holds one language at a time; the page's script exchanges it."""
        if self.en == self.zh:
            return Markup('<title>{}</title>').format(self.en)
        return Markup('<title data-text-en="{0}" data-text-zh="{1}">{0}</title>').format(self.en, self.zh)

    def attribute(self, name: str) -> Markup:
        """Return an attribute of an element, whose value the page's script exchanges with the language.

        Args:
            name: 'alt', 'aria-label', ...
        """
        return Markup('{0}="{1}" data-{0}-en="{1}" data-{0}-zh="{2}"').format(name, self.en, self.zh)

    def _both(self, elements: str) -> Markup:
        return escape(self.en) if self.en == self.zh else Markup(elements).format(self.en, self.zh)


def as_text(value: object) -> Text:
    """Return a Text as it is, and anything else as one that is the same in both languages."""
    return value if isinstance(value, Text) else Text(str(value), str(value))
