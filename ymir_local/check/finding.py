"""What a rule is, what it finds, and how a catalogue of rules is put to what is to be checked.

A rule is data (name, contract section, severity, texts) and a small generator that yields a `Hit` for every violation.
It raises `NotApplicable` where there is nothing for it to look at, which the facts it reads usually do for it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..texts import Text, as_text, t

ERROR = 'error'  # the platform fails the task, or loses or mistakes what was written
WARNING = 'warning'  # it works, but harms: the user, the next tool, the official verifier
MAX_HITS = 5  # of one rule; what is beyond is counted

Words = str | Text  # the same in every language, or English and Chinese


class NotApplicable(Exception):
    """A rule has nothing to look at."""


class Hit(NamedTuple):
    """One violation: where, and what stands there."""

    place: str
    found: Words = ''


@dataclass(frozen=True)
class CheckRule:
    """One demand of the contract; what must hold and how to fix it stand in the section `rules` of the texts.

    Args:
        name: stable, `subject/short-name`.
        section: of the contract.
        severity: ERROR or WARNING.
        check: takes the facts and gives the hits.
    """

    name: str
    section: str
    severity: str
    check: Callable[[Any], Iterable[Hit]]

    @property
    def must(self) -> Text:
        """What must hold, and why."""
        return t(f'rules.{self.name}.must')

    def finding(self, ok: bool | None, place: str = '', message: Text | None = None) -> 'Finding':
        """Make a finding of this rule.

        Args:
            ok: as `Finding` has it.
            place: as `Finding` has it.
            message: default: what must hold.
        """
        fix = t(f'rules.{self.name}.fix') if ok is False else Text('', '')
        return Finding(self.name, ok, place, (message or self.must, fix), self.severity, self.section)


@dataclass(frozen=True)
class Finding:
    """What came of one rule; a rule that is broken in several places gives several.

    Args:
        rule: its name.
        ok: True: holds; False: broken; None: not applicable.
        place: file, line and key; '' unless broken.
        texts: what must hold and what was found; what to do, empty unless broken.
        severity, section: as the rule has them.
    """

    rule: str
    ok: bool | None
    place: str = ''
    texts: tuple[Text, Text] = field(default=(Text('', ''), Text('', '')), compare=False, repr=False)
    severity: str = ERROR
    section: str = ''

    @property
    def message(self) -> str:
        """What must hold and what was found, in English."""
        return self.texts[0].en

    @property
    def fix(self) -> str:
        """What to do, in English; '' unless broken."""
        return self.texts[1].en

    def text(self, language: str) -> tuple[str, str]:
        """Return what must hold and what was found, and what to do.

        Args:
            language: 'en' or 'zh'.
        """
        return self.texts[0].in_language(language), self.texts[1].in_language(language)

    def as_dict(self) -> dict[str, Any]:
        """Return what a script wants to know, as plain values."""
        return {
            'rule': self.rule,
            'ok': self.ok,
            'place': self.place,
            'message': self.message,
            'fix': self.fix,
            'severity': self.severity,
            'section': self.section,
            'status': {True: 'passed', False: 'failed', None: 'not applicable'}[self.ok],
            'message_zh': self.texts[0].zh,
            'fix_zh': self.texts[1].zh,
        }


class Catalogue:
    """Rules in the order in which they were written down."""

    def __init__(self) -> None:
        self.rules: list[CheckRule] = []

    def rule(self, name: str, section: str, severity: str) -> Callable:
        """Make a rule of a function.

        Args:
            name: as `CheckRule` has it.
            section: as `CheckRule` has it.
            severity: as `CheckRule` has it.
        """

        def add(check: Callable[[Any], Iterable[Hit]]) -> Callable[[Any], Iterable[Hit]]:
            self.rules.append(CheckRule(name, section, severity, check))
            return check

        return add

    def evaluate(self, facts: Any) -> list[Finding]:
        """Put every rule to the facts; raise nothing whatever they are.

        Args:
            facts: what the rules of this catalogue read.
        """
        return [finding for rule in self.rules for finding in findings_of(rule, facts)]


# Filled by the files of rules: for what a task leaves in `out`, for an image, for tasks tried in it.
OUT, IMAGE, RUNS = Catalogue(), Catalogue(), Catalogue()


def findings_of(rule: CheckRule, facts: Any) -> list[Finding]:
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
            return [rule.finding(None)]
    except Exception as error:  # a file can be strange in ways that no rule foresees: this is a finding too
        found = t('check.the check itself stopped', name=type(error).__name__, error=printable(str(error))[:200])
        hits.append(Hit(rule.name, found))
    if not hits:
        return [rule.finding(True)]
    return [_failed(rule, hit, more if hit is hits[-1] else 0) for hit in hits]


def printable(text: str) -> str:
    """Return a text that every console and file takes: no control characters, no lone surrogates.

    Args:
        text: any text.
    """
    text = text.encode('utf-8', 'backslashreplace').decode('utf-8')
    return ''.join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _failed(rule: CheckRule, hit: Hit, more: int) -> Finding:
    found = Text(*(printable(words).rstrip('.。') for words in as_text(hit.found)))
    message = t('check.must and found', must=rule.must, found=found) if found.en else rule.must
    if more:
        message = Text(*map(''.join, zip(message, t('check.more places', more))))
    return rule.finding(False, printable(hit.place), message)
