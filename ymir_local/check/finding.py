"""What a rule is, what it finds, and how a catalogue of rules is put to what is to be checked.

A rule is data (name, contract section, severity, texts) and a small generator that yields a `Hit` for every violation.
It raises `NotApplicable` where there is nothing for it to look at, which the facts it reads usually do for it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

LANGUAGES = ('en', 'zh')
ERROR = 'error'  # the platform fails the task, or loses or mistakes what was written
WARNING = 'warning'  # it works, but harms: the user, the next tool, the official verifier
MAX_HITS = 5  # of one rule; what is beyond is counted

Words = str | tuple[str, str]  # the same in every language, or English and Chinese


class NotApplicable(Exception):
    """A rule has nothing to look at."""


class Hit(NamedTuple):
    """One violation: where, and what stands there."""

    place: str
    found: Words = ''


class Text(NamedTuple):
    """A rule in one language: what must hold and why, and how to fix it where it does not."""

    must: str
    mend: str


@dataclass(frozen=True)
class Rule:
    """One demand of the contract.

    Args:
        name: stable, `subject/short-name`.
        section: of the contract.
        severity: ERROR or WARNING.
        texts: by language.
        check: takes the facts and gives the hits.
    """

    name: str
    section: str
    severity: str
    texts: Mapping[str, Text]
    check: Callable[[Any], Iterable[Hit]]


@dataclass(frozen=True)
class Finding:
    """What came of one rule; a rule that is broken in several places gives several.

    Args:
        rule: its name.
        ok: True: holds; False: broken; None: not applicable.
        place: file, line and key; '' unless broken.
        message: what must hold and what was found, in English.
        mend: what to do, in English; '' unless broken.
        severity, section: as the rule has them.
        texts: message and mend by language.
    """

    rule: str
    ok: bool | None
    place: str = ''
    message: str = ''
    mend: str = ''
    severity: str = ERROR
    section: str = ''
    texts: Mapping[str, tuple[str, str]] = field(default_factory=dict, compare=False, repr=False)

    def text(self, language: str) -> tuple[str, str]:
        """Return message and mend.

        Args:
            language: 'en' or 'zh'.
        """
        return self.texts.get(language, (self.message, self.mend))

    def as_dict(self) -> dict[str, Any]:
        """Return what a script wants to know, as plain values."""
        values = asdict(self)
        texts = values.pop('texts')
        return dict(
            values,
            status={True: 'passed', False: 'failed', None: 'not applicable'}[self.ok],
            message_zh=texts.get('zh', (self.message, ''))[0],
            mend_zh=texts.get('zh', ('', self.mend))[1],
        )


class Catalogue:
    """Rules in the order in which they were written down."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []

    def rule(self, name: str, section: str, severity: str, en: tuple[str, str], zh: tuple[str, str]) -> Callable:
        """Make a rule of a function.

        Args:
            name: as `Rule` has it.
            section: as `Rule` has it.
            severity: as `Rule` has it.
            en: what must hold, and how to fix it.
            zh: the same in Chinese.
        """

        def add(check: Callable[[Any], Iterable[Hit]]) -> Callable[[Any], Iterable[Hit]]:
            self.rules.append(Rule(name, section, severity, {'en': Text(*en), 'zh': Text(*zh)}, check))
            return check

        return add

    def evaluate(self, facts: Any) -> list[Finding]:
        """Put every rule to the facts; raise nothing whatever they are.

        Args:
            facts: what the rules of this catalogue read.
        """
        return [finding for rule in self.rules for finding in findings_of(rule, facts)]


def findings_of(rule: Rule, facts: Any) -> list[Finding]:
    """Return what comes of one rule: one finding, or several if it is broken in several places.

    Args:
        rule: the rule.
        facts: what it reads.
    """
    hits: list[Hit] = []
    more = 0
    try:
        for hit in rule.check(facts):
            if len(hits) < MAX_HITS:
                hits.append(hit)
            else:
                more += 1
    except NotApplicable:
        if not hits:
            return [_without_hit(rule, None)]
    except Exception as error:  # a file can be strange in ways that no rule foresees: this is a finding too
        name = type(error).__name__
        hits.append(
            Hit(
                rule.name,
                (
                    f'the check itself stopped with {name}: {printable(str(error))[:200]}',
                    f'检查本身因 {name} 中断：{printable(str(error))[:200]}',
                ),
            )
        )
    if not hits:
        return [_without_hit(rule, True)]
    return [_failed(rule, hit, more if hit is hits[-1] else 0) for hit in hits]


def printable(text: str) -> str:
    """Return a text that every console and file takes: no control characters, no lone surrogates.

    Args:
        text: any text.
    """
    text = text.encode('utf-8', 'backslashreplace').decode('utf-8')
    return ''.join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _without_hit(rule: Rule, ok: bool | None) -> Finding:
    return Finding(
        rule.name,
        ok,
        message=rule.texts['en'].must,
        severity=rule.severity,
        section=rule.section,
        texts={language: (text.must, '') for language, text in rule.texts.items()},
    )


def _failed(rule: Rule, hit: Hit, more: int) -> Finding:
    found = dict(zip(LANGUAGES, (hit.found, hit.found) if isinstance(hit.found, str) else hit.found))
    endings = {'en': ('Found: {}.', ' ({} more places like it.)'), 'zh': ('实际：{}。', '（同类问题还有 {} 处。）')}
    texts = {}
    for language, text in rule.texts.items():
        sentence, ending = endings[language]
        gap = ' ' if language == 'en' else ''
        words = printable(found[language]).rstrip('.。')
        message = text.must + (gap + sentence.format(words) if words else '')
        texts[language] = (message + (ending.format(more) if more else ''), text.mend)
    return Finding(rule.name, False, printable(hit.place), *texts['en'], rule.severity, rule.section, texts)
