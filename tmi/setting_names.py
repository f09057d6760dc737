"""What the users of a platform call the settings of the core, for the advice in messages.

Settings have the names of `tmi.settings` here; another platform may have other words for them, and lack some. Its
adapter says so in an environment variable, which the processes of a task share.
"""

import json
import os
from collections.abc import Mapping

SETTING_NAMES_VARIABLE = 'TMI_SETTING_NAMES'


def write_setting_names(names: Mapping[str, str]) -> None:
    """Say what the settings of this task are called, in this process and those below it.

    Args:
        names: Name in the core -> name for users; a setting that is not among them cannot be set.
    """
    os.environ[SETTING_NAMES_VARIABLE] = json.dumps(names)


def setting_name(name: str) -> str:
    """Return what users call a setting, '' if they cannot set it.

    Args:
        name: In the core.
    """
    names = os.environ.get(SETTING_NAMES_VARIABLE)
    return json.loads(names).get(name, '') if names else name


def advice(*ways: str) -> str:
    """Return what users can do, as the end of a sentence.

    Args:
        *ways: What to do, where `{a|b}` stands for the settings a and b. Those that users cannot set are left out, and
            so is a way of which no setting is left.

    Returns:
        The ways, joined by commas and `or`.
    """

    class Names(dict):
        def __missing__(self, key: str) -> str:
            found = [called for name in key.split('|') if (called := setting_name(name))]
            if not found:
                raise LookupError(key)
            return ' or '.join(filter(None, [', '.join(found[:-1]), found[-1]]))

    possible = []
    for way in ways:
        try:
            possible.append(way.format_map(Names()))
        except LookupError:
            continue
    return ', or '.join(filter(None, [', '.join(possible[:-1]), possible[-1]])) if possible else ''
