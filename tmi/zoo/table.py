"""The table of all models: what the metafile.yml of each folder of configs says of them.

It stands beside the configs, so a checkout, the image and an installed wheel have it. `Input Size`, `Parameters` and
`FLOPs` are measured by tools/misc/model_zoo.py; accuracies and weights are those that public mmyolo published.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from tmi.paths import CONFIG_ROOT

LISTS = ('Models', 'Unpublished')  # with and without published weights
SHA256_HEAD = re.compile(r'-([0-9a-f]{8})\.pth$')
LOADER = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)  # the same result in an eighth of the time


@dataclass(frozen=True)
class ModelEntry:
    """One model of the table.

    Args:
        config: The config file.
        input_size: Height x width of the input, as '640x640'; '' if it was not measured.
        parameters: Of the deployed form; None if they were not counted.
        dataset: What the published weights were trained on; '' without any.
        metrics: Name of a metric to its published value.
        url: Where the published weights are; '' without any.
        backbone_url: Where weights of its backbone are, trained on ImageNet, that its recipe starts from; '' without
            any.
    """

    config: Path
    input_size: str = ''
    parameters: int | None = None
    dataset: str = ''
    metrics: tuple[tuple[str, float], ...] = ()
    url: str = ''
    backbone_url: str = ''

    @property
    def file_name(self) -> str:
        """Name of the published file."""
        return file_name_of(self.url)

    @property
    def sha256_head(self) -> str:
        """The first 8 hex digits of its sha256, with which its name ends; '' for a name without them."""
        return sha256_head_of(self.url)

    @property
    def coco_ap(self) -> float | None:
        """Published AP of boxes on COCO."""
        return dict(self.metrics).get('box AP') if self.dataset == 'COCO' else None

    def __str__(self) -> str:
        return f'{self.dataset} {", ".join(f"{name} {value}" for name, value in self.metrics)}'


def file_name_of(url: str) -> str:
    """Return the name of the file at an address."""
    return url.rsplit('/', 1)[-1]


def sha256_head_of(url: str) -> str:
    """Return the hex digits of its sha256 that the name of a file ends with; '' where it tells none.

    Projects other than OpenMMLab publish no hash; their files are taken as they come.
    """
    found = SHA256_HEAD.search(url)
    return found[1] if found else ''


@cache
def model_table() -> dict[str, ModelEntry]:
    """Read the table: stem of a config file to its entry."""
    entries = {}
    for path in sorted(CONFIG_ROOT.glob('*/metafile.yml')):
        document = yaml.load(path.read_text(encoding='utf-8'), LOADER)
        for row in (row for name in LISTS for row in document.get(name) or ()):
            metadata, results = row.get('Metadata', {}), row.get('Results', [])
            entry = ModelEntry(
                config=CONFIG_ROOT.parent / row['Config'],
                input_size=metadata.get('Input Size', ''),
                parameters=metadata.get('Parameters'),
                dataset=results[0]['Dataset'] if results else '',
                metrics=tuple(pair for result in results for pair in result['Metrics'].items()),
                url=row.get('Weights', ''),
                backbone_url=row.get('Backbone Weights', ''),
            )
            entries[entry.config.stem] = entry
    return entries


def public_checkpoints() -> dict[str, ModelEntry]:
    """Return the models with published weights: stem of a config file to its entry."""
    return {stem: entry for stem, entry in model_table().items() if entry.url}
