"""What is wrong with an output folder: one sentence with file and key."""

from dataclasses import dataclass, field

from ..texts import Text


@dataclass(frozen=True)
class Finding:
    """One violation of the contract.

    Attributes:
        file: Within the output folder, `trainlog.json`; '' for the run as a whole.
        key: Within the file, `epochs[0].valid[0].values.P`; '' for the whole file.
        text: What is wrong, what is allowed, how to fix it.
    """

    file: str
    key: str
    text: Text

    def sentence(self) -> Text:
        """Return file, key and text in both languages."""
        place = ' '.join(part for part in (self.file, self.key) if part)
        return Text(*(f'{place}: {text}' if place else text for text in self.text))


@dataclass(frozen=True)
class ClassOfLabel:
    """A class as the parameter `label` has it.

    Attributes:
        name: `class_name`.
        value: `class_value`, the pixel value in label pictures.
        colour: `class_color`, (red, green, blue) in 0..255.
    """

    name: str
    value: int
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class Expected:
    """What is known of the training whose output is judged; what is not known is not judged.

    Attributes:
        task: 'detection', 'segmentation' or 'change'; '': found out by the metrics and pictures, if they tell it.
        training_id: Of the parameters.
        model_name: Of the parameters.
        classes: Of the parameter `label`, in its order.
        epoch: x of the line `[Process: x/y]` that is judged; 0: no line.
        epochs: y of that line.
        running: Whether the training goes on; None: not known.
    """

    task: str = ''
    training_id: str = ''
    model_name: str = ''
    classes: tuple[ClassOfLabel, ...] = field(default=())
    epoch: int = 0
    epochs: int = 0
    running: bool | None = None


def shorten(value: object, letters: int = 60) -> str:
    """Return how a value looks in a sentence.

    Args:
        value: Of a file.
        letters: How many at most.
    """
    text = repr(value)
    return text if len(text) <= letters else text[: letters - 1] + '…'
