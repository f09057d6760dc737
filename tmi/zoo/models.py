"""From the model name of a user to a config file, by rule.

Every detection config `configs/**/*_coco.py` is a model. Its name is the stem of its file; each beginning of that name
down to family and size (`yolov8_n`, `yolov5_s_p6`) is a short name too. Models that learn masks, for instance
segmentation, are those of `MASK_MODELS`; a task is offered one kind. Where a short name fits several files, the recipe
that comes first in `_preference` is meant, so `yolov5_x` is the P5 model of release v61 in its fast form and not, as
file-system order decided in older images, the P6 one. Upper case and `-` for `_` do not matter.
"""

import ast
import difflib
import json
import math
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tmi.errors import SettingError, settings_file
from tmi.families import added_families
from tmi.paths import CONFIG_ROOT
from tmi.zoo.table import ModelEntry, model_table, public_checkpoints

# Not detection, or trained from polygons, which boxes are not.
EXCLUDED_FOLDERS = frozenset({'_base_', 'deploy', 'razor', 'mask_refine', 'ins_seg', 'pose', 'distillation', 'rotated'})
EXCLUDED_WORDS = ('mask-refine', 'rtmdet-ins')
# The configs of models that learn masks.
MASK_MODELS = ('yolov5/ins_seg/*_fast_8xb16-300e_coco_instance.py', 'rtmdet/rtmdet-ins_*_coco.py')
# Words of a name that stand before the size, so a name that ends with them says too little.
QUALIFIERS = frozenset({'plus', 'v3', 'ins', 'wo', 'neck'})


@dataclass(frozen=True)
class ZooModel:
    """A model that can be trained.

    Args:
        name: The shortest name that means this config.
        config: The config file.
    """

    name: str
    config: Path

    @property
    def stem(self) -> str:
        return self.config.stem


def _normalize(name: str) -> str:
    return name.strip().lower().replace('-', '_')


def _preference(path: Path) -> tuple:
    """Sort key among the configs that share a short name: the plain, fast, published recipe first."""
    words = _normalize(path.stem).split('_')
    return (
        'detect' in words,
        'p6' in words,
        'hyp' in words,
        'fast' not in words,
        path.stem not in public_checkpoints(),
        path.stem,
    )


def _is_trainable(path: Path, masks: bool = False) -> bool:
    relative = path.relative_to(CONFIG_ROOT)
    if masks:
        return any(relative.match(pattern) for pattern in MASK_MODELS)
    return not (EXCLUDED_FOLDERS.intersection(relative.parts) or any(word in path.stem for word in EXCLUDED_WORDS))


def _is_former_name(path: Path) -> bool:
    """Return whether a config is nothing but its base: the name that a recipe had in an earlier release."""
    body = ast.parse(path.read_bytes()).body
    return len(body) == 1 and isinstance(body[0], ast.Assign) and isinstance(body[0].value, ast.Constant)


def _model_configs(masks: bool) -> list[Path]:
    found = CONFIG_ROOT.rglob('*.py' if masks else '*_coco.py')
    return [path for path in found if _is_trainable(path, masks) and not _is_former_name(path)]


@cache
def _names(masks: bool = False) -> dict[str, Path]:
    """Return every name, short or full, to its config file."""
    names: dict[str, Path] = {}
    configs = sorted(_model_configs(masks), key=_preference)
    for path in configs:
        words = _normalize(path.stem).split('_')
        for length in range(2, len(words)):
            if words[length - 1] not in QUALIFIERS:
                names.setdefault('_'.join(words[:length]), path)
    for path in sorted(CONFIG_ROOT.rglob('*.py'), key=_preference):
        if _is_trainable(path, masks):
            names[_normalize(path.stem)] = path  # a full name means its own file, whatever short name it equals
    return names


def models(masks: bool = False) -> list[ZooModel]:
    """Return the models of the zoo with their shortest names, sorted by name.

    Args:
        masks: Those that learn masks, instead of those that detect boxes alone.
    """
    shortest: dict[Path, str] = {}
    for name, path in sorted(_names(masks).items(), key=lambda item: (len(item[0]), item[0])):
        shortest.setdefault(path, name)
    return sorted((ZooModel(shortest[path], path) for path in _model_configs(masks)), key=lambda model: model.name)


def find_model(name: str, masks: bool = False) -> ZooModel:
    """Find the model that a user means.

    Args:
        name: A short name, the stem of a config file, or its path, beginning with `configs/` or below it.
        masks: Whether it is to learn masks, too.

    Returns:
        The model.

    Raises:
        TaskError: 300001 with the nearest names and where all are listed.
    """
    for family in added_families():
        if _normalize(name) in family.configs:
            return ZooModel(_normalize(name), family.configs[_normalize(name)])
    path = _by_path(name, masks) or _names(masks).get(_normalize(name))
    if path is None:
        raise _unknown(name, masks)
    return ZooModel(next((model.name for model in models(masks) if model.config == path), path.stem), path)


def _by_path(name: str, masks: bool) -> 'Path | None':
    """Return a config file given by its path; only below `configs/`, because a config is code."""
    if not name.endswith('.py'):
        return None
    for base in (CONFIG_ROOT.parent, CONFIG_ROOT):
        path = (base / name).resolve()
        if path.is_file() and CONFIG_ROOT in path.parents and _is_trainable(path, masks):
            return path
    return None


def _unknown(name: str, masks: bool) -> SettingError:
    wanted, listed = _normalize(name), models(masks)
    if wanted in _names(not masks) or _by_path(name, not masks):
        kinds = 'learns masks, and this task is detection', 'learns no masks, and this task is instance segmentation'
        return SettingError(
            f'model_name in {settings_file()} is {name!r}, which {kinds[masks]}. Choose another one, such as '
            f'{", ".join(model.name for model in listed[:8])}, or start a task of the other kind.'
        )
    near = difflib.get_close_matches(wanted, [model.name for model in listed]) or difflib.get_close_matches(
        wanted, list(_names(masks))
    )
    families = sorted({_family(model) for model in listed})
    hint = f'the nearest are {", ".join(near)}' if near else 'allowed is a family with a size, e.g. yolov8_n'
    return SettingError(
        f'Unknown model_name in {settings_file()}: {name!r}; {hint}. The families are '
        f'{", ".join(families)}; all models are '
        'listed in the comment above model_name in the template, in docs/training.md and by the command `ymir models`.'
    )


def _family(model: ZooModel) -> str:
    return model.config.relative_to(CONFIG_ROOT).parts[0]


def main() -> int:
    """Print the models as JSON, by family and size: name, config, family, parameters in millions, COCO AP, input, and
    whether they learn masks.
    """
    table = model_table()
    rows = []
    for model in (*models(), *models(masks=True)):
        entry = table.get(model.stem, ModelEntry(model.config))
        rows.append(
            {
                'name': model.name,
                'config': model.config.relative_to(CONFIG_ROOT.parent).as_posix(),
                'family': _family(model),
                'parameters': round(entry.parameters / 1e6, 2) if entry.parameters else None,
                'ap': entry.coco_ap,
                'input': entry.input_size or None,
                'masks': _is_trainable(model.config, masks=True),
            }
        )
    print(json.dumps(sorted(rows, key=lambda row: (row['family'], row['parameters'] or math.inf, row['name']))))
    return 0


if __name__ == '__main__':
    sys.exit(main())
