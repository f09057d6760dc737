"""Whether the names of a task belong to the outputs of its model.

A platform may copy class_names from the model package, whose description may have been written or edited by hand, while
most checkpoints keep the names that they were trained with. Names that stand at other places than there would label
boxes wrongly.
"""

from collections.abc import Sequence
from pathlib import Path

from tmi.errors import ModelError, settings_file

MAX_NAMED = 8


def listing(names: Sequence[str]) -> str:
    """Name some of many.

    Args:
        names: Of classes.

    Returns:
        The first ones, separated by commas.
    """
    return ', '.join(names[:MAX_NAMED]) + (', ...' if len(names) > MAX_NAMED else '')


def match_class_names(own: Sequence[str] | None, wanted: Sequence[str], source: Path) -> tuple[list[int], str]:
    """Find out which name of the task each output of a model has.

    Names are equal but for case and outer blanks, as platforms take them. The same names in another order are
    taken as the checkpoint has them; other names at their places are taken for new ones.

    Args:
        own: Names in the checkpoint, in the order of the outputs; None if it does not say.
        wanted: class_names of the task, as many as the model has outputs.
        source: The checkpoint, for messages.

    Returns:
        For each output its position in `wanted`, and a warning, which is empty if there is nothing to warn of.

    Raises:
        TaskError: 300004 if names that both have stand at other places, and do so beside names that only one has.
    """
    as_they_are = list(range(len(wanted)))
    if not own:
        return as_they_are, ''
    own_keys, wanted_keys = ([name.strip().lower() for name in names] for names in (own, wanted))
    if own_keys == wanted_keys:
        return as_they_are, ''
    if len(own) != len(wanted) or len(set(own_keys)) < len(own_keys):
        return as_they_are, (
            f'{source} names {len(own)} classes ({listing(own)}) and has {len(wanted)} outputs: they are '
            f'taken for class_names of {settings_file()} in that order ({listing(wanted)})'
        )
    if sorted(own_keys) == sorted(wanted_keys):
        return [wanted_keys.index(key) for key in own_keys], (
            f'class_names in {settings_file()} have another order ({listing(wanted)}) than the classes of {source} '
            f'({listing(own)}), which decides: each box gets the name that it was trained with'
        )
    for there, key in enumerate(own_keys):
        here = wanted_keys.index(key) if key in wanted_keys else there
        if here != there:
            raise ModelError(
                f'class_names in {settings_file()} ({listing(wanted)}) contradict the classes that '
                f'{source} was trained with '
                f'({listing(own)}): {key} is number {there + 1} there and number {here + 1} in '
                f'{settings_file()}. Import the '
                'model again with its own class names, in their order.'
            )
    renamed = [f'{old} is {new}' for old, new in zip(own, wanted) if old.strip().lower() != new.strip().lower()]
    return as_they_are, (
        f'class_names in {settings_file()} differ from the classes that {source} was trained with, and are taken '
        f'for new names of them: {listing(renamed)}. If that is wrong, all these boxes are labelled wrongly: '
        'import the model again with its own class names'
    )
