"""The folder `output/`, from which the platform takes what an epoch left: pictures, weights and the log."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmyolo.utils.files import replacing, write_json
from pie.description import description_file

if TYPE_CHECKING:
    from torch import Tensor

OUTPUT_VARIABLE = 'PIE_OUTPUT_DIR'


@dataclass(frozen=True)
class Outputs:
    """Where the results of a training go.

    Args:
        folder: `output/` beside train.py.
        stem: Name of the weights file without `.th`.
    """

    folder: Path
    stem: str

    @classmethod
    def of(cls, base: Path, stem: str) -> 'Outputs':
        """Return the outputs beside train.py, or in the folder that PIE_OUTPUT_DIR names."""
        return cls(Path(os.environ.get(OUTPUT_VARIABLE) or base / 'output').resolve(), stem)

    @property
    def log(self) -> Path:
        """The log."""
        return self.folder / 'trainlog.json'

    @property
    def weights(self) -> Path:
        """The weights."""
        return self.folder / 'files' / f'{self.stem}.th'

    def picture(self, name: str) -> Path:
        """Return a picture, e.g. 'pred'."""
        return self.folder / 'picture' / f'{name}.png'

    def prepare(self) -> None:
        """Make the folders, and remove what a killed training left half written."""
        for folder in (self.folder, self.weights.parent, self.picture('pred').parent):
            folder.mkdir(parents=True, exist_ok=True)
            for suffix in ('.json', '.th', '.png', '.py'):
                for path in folder.glob(f'.*-*{suffix}'):
                    path.unlink(missing_ok=True)

    def write_weights(self, state: 'Mapping[str, Tensor]', description: Mapping[str, Any]) -> None:
        """Replace the weights as a whole, a second name for them, and what describes them.

        Args:
            state: The state dict.
            description: What a prediction with them must know besides, see `pie.description`.
        """
        import torch

        plain = {name: value.detach().cpu().contiguous() for name, value in state.items()}
        with replacing(self.weights) as temporary:
            torch.save(plain, temporary)
        _link(self.weights, self.folder / self.weights.name)
        write_json(description_file(self.weights), description, indent=4)


def _link(path: Path, other: Path) -> None:
    """Give a file a second name, or a copy where the disk has no links, replaced as a whole too."""
    with replacing(other) as temporary:
        temporary.unlink()
        try:
            os.link(path, temporary)
        except OSError:
            temporary.write_bytes(path.read_bytes())
