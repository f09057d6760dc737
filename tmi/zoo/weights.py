"""Which weights a task starts from: a fixed order of sources, never a guess by similar names or by file times.

Training: the file that the option load_from names, else the model package that the user chose, else the public
checkpoint of exactly this model if the image holds it, else that of its backbone, else none. Mining and inference: the
model package. A platform lists the files of one stage
in the order in which the stage named them, so the first fitting file is the one meant.
"""

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tmi.errors import ModelError
from tmi.setting_names import advice
from tmi.zoo.table import file_name_of, model_table, sha256_head_of

logger = logging.getLogger('tmi')

CHECKPOINT_SUFFIXES = ('.pth', '.pt')
BEST_PREFIXES = ('best_', 'bbox_mAP_')  # names that other executors give to the best of several files of a stage
WEIGHTS_DIR_VARIABLE = 'YMIR_WEIGHTS_DIR'


@dataclass(frozen=True)
class InitialWeights:
    """Where a training starts.

    Args:
        checkpoint: The file, None for random weights.
        source: 'option', 'package', 'public', 'backbone' or 'scratch'.
        reason: One sentence for the log.
    """

    checkpoint: Path | None
    source: str
    reason: str

    @property
    def is_detector(self) -> bool:
        """Whether a training starts from a trained detector."""
        return self.source in ('option', 'package', 'public')


@dataclass(frozen=True)
class InferenceModel:
    """A trained model to infer with.

    Args:
        checkpoint: Weights.
        config: The config that stood beside them in the package, None if there was none.
    """

    checkpoint: Path
    config: Path | None


def weights_dir() -> Path:
    """Return the folder of public checkpoints that the image was built with."""
    return Path(os.environ.get(WEIGHTS_DIR_VARIABLE, '/weights'))


def sha256_head_fits(path: Path, head: str) -> bool:
    """Return whether the sha256 of a file begins with `head`."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest().startswith(head)


def _existing(paths: Sequence[str], root: Path) -> list[Path]:
    """Return the files of the list that exist, in its order; relative ones lie below `root`."""
    return [path for path in (root / item for item in paths) if os.path.isfile(path)]


def choose_training_weights(
    paths: Sequence[str],
    config_stem: str,
    use_public: bool = True,
    models_dir: str = '/in/models',
    load_from: str | None = None,
) -> InitialWeights:
    """Choose what a training starts from, and log it.

    Args:
        paths: `pretrained_model_params`, the files of the stage that the user chose.
        config_stem: Stem of the config file of the model to train.
        use_public: Whether the image's public checkpoints may be used.
        models_dir: Folder of relative `paths`.
        load_from: File that the option of this name names, which counts before all others.

    Returns:
        The choice.

    Raises:
        TaskError: 300004 if the user chose a model but no weight file of it is there, or a public file is damaged.
    """
    if load_from:
        choice = InitialWeights(Path(load_from), 'option', f'{load_from}, which load_from names.')
    else:
        choice = _choose_training_weights(paths, config_stem, use_public, Path(models_dir))
    logger.info('Initial weights: %s', choice.reason)
    return choice


def _choose_training_weights(paths: Sequence[str], stem: str, use_public: bool, models_dir: Path) -> InitialWeights:
    if paths:
        found = _checkpoints(paths, models_dir)
        return InitialWeights(found[0], 'package', f'{found[0]}, from the pre-trained model of the task.')
    if not use_public:
        return InitialWeights(None, 'scratch', 'none (pretrained is none), training from scratch.')
    row = model_table().get(stem)
    url, backbone_url = (row.url, row.backbone_url) if row else ('', '')
    whole = weights_dir() / file_name_of(url)
    backbone = weights_dir() / file_name_of(backbone_url)
    if url and whole.is_file():
        _check_hash(whole, url)
        return InitialWeights(whole, 'public', f'{whole}, the public checkpoint of {stem} ({row}).')
    if backbone_url and backbone.is_file():
        _check_hash(backbone, backbone_url)
        return InitialWeights(backbone, 'backbone', f'{backbone}, of the backbone alone, trained on ImageNet.')
    if not url:
        lacking = f', nor {backbone}' if backbone_url else ''
        return InitialWeights(
            None, 'scratch', f'none, there is no public checkpoint of {stem}{lacking}; training from scratch.'
        )
    return InitialWeights(None, 'scratch', f'none, this image holds no {whole}; training from scratch.')


def _check_hash(path: Path, url: str) -> None:
    head = sha256_head_of(url)
    if not sha256_head_fits(path, head):
        raise ModelError(
            f'{path} is damaged: its sha256 does not begin with {head}. Fetch it again and '
            f'{advice("rebuild the image", "set {pretrained} to none")}.'
        )


def _checkpoints(paths: Sequence[str], models_dir: Path) -> list[Path]:
    """Return the weight files among the files of a stage, its best first.

    Raises:
        TaskError: 300004 if there is none.
    """
    found = [path for path in _existing(paths, models_dir) if path.suffix.lower() in CHECKPOINT_SUFFIXES]
    if not found:
        raise ModelError(
            f'No weight file ({" or ".join(CHECKPOINT_SUFFIXES)}) of the chosen model exists; it lists: '
            f'{", ".join(map(str, paths)) or "nothing"}. Choose a model that this image can load.'
        )
    return sorted(found, key=lambda path: not path.name.startswith(BEST_PREFIXES))  # stable: else the list's order


def choose_inference_model(paths: Sequence[str], models_dir: str = '/in/models') -> InferenceModel:
    """Choose weights and config of the model to infer with.

    Args:
        paths: `model_params_path`, the files of the stage that the user chose.
        models_dir: Folder of relative `paths`.

    Returns:
        The first weight file, and the first config beside it.

    Raises:
        TaskError: 300004 if there is no weight file.
    """
    checkpoint = _checkpoints(paths, Path(models_dir))[0]
    configs = [path for path in _existing(paths, Path(models_dir)) if path.suffix.lower() == '.py']
    return InferenceModel(checkpoint, configs[0] if configs else None)
