"""From the model name of a user to a config file, by rule.

Every detection config `configs/**/*_coco.py` is a model. Its name is the stem of its file; each beginning of that name
down to family and size (`yolov8_n`, `yolov5_s_p6`) is a short name too. Where a short name fits several files, the
recipe that comes first in `_preference` is meant, so `yolov5_x` is the P5 model of release v61 in its fast form and
not, as file-system order decided in older images, the P6 one. Upper case and `-` for `_` do not matter.
"""

import ast
import difflib
import json
import math
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tmi.errors import SettingError, TaskError
from tmi.paths import PROJECT_ROOT
from tmi.zoo.weights import public_checkpoints

CONFIG_ROOT = PROJECT_ROOT / 'configs'

# Not detection, or trained from polygons, which the platform's boxes are not.
EXCLUDED_FOLDERS = frozenset({'_base_', 'deploy', 'razor', 'mask_refine', 'ins_seg', 'pose', 'distillation', 'rotated'})
EXCLUDED_WORDS = ('mask-refine', 'rtmdet-ins')
# Words of a name that stand before the size, so a name that ends with them says too little.
QUALIFIERS = frozenset({'plus', 'v3', 'ins'})


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


def _is_trainable(path: Path) -> bool:
    return not (
        EXCLUDED_FOLDERS.intersection(path.relative_to(CONFIG_ROOT).parts)
        or any(word in path.stem for word in EXCLUDED_WORDS)
    )


def _is_former_name(path: Path) -> bool:
    """Return whether a config is nothing but its base: the name that a recipe had in an earlier release."""
    body = ast.parse(path.read_bytes()).body
    return len(body) == 1 and isinstance(body[0], ast.Assign) and isinstance(body[0].value, ast.Constant)


def _model_configs() -> list[Path]:
    return [path for path in CONFIG_ROOT.rglob('*_coco.py') if _is_trainable(path) and not _is_former_name(path)]


@cache
def _names() -> dict[str, Path]:
    """Return every name, short or full, to its config file."""
    names: dict[str, Path] = {}
    configs = sorted(_model_configs(), key=_preference)
    for path in configs:
        words = _normalize(path.stem).split('_')
        for length in range(2, len(words)):
            if words[length - 1] not in QUALIFIERS:
                names.setdefault('_'.join(words[:length]), path)
    for path in sorted(CONFIG_ROOT.rglob('*.py'), key=_preference):
        if _is_trainable(path):
            names[_normalize(path.stem)] = path  # a full name means its own file, whatever short name it equals
    return names


def models() -> list[ZooModel]:
    """Return the models of the zoo with their shortest names, sorted by name."""
    shortest: dict[Path, str] = {}
    for name, path in sorted(_names().items(), key=lambda item: (len(item[0]), item[0])):
        shortest.setdefault(path, name)
    return sorted((ZooModel(shortest[path], path) for path in _model_configs()), key=lambda model: model.name)


def find_model(name: str) -> ZooModel:
    """Find the model that a user means.

    Args:
        name: A short name, the stem of a config file, or its path relative to the project or to `configs/`.

    Returns:
        The model.

    Raises:
        TaskError: 300001 with the nearest names and the list of all.
    """
    path = _by_path(name) or _names().get(_normalize(name))
    if path is None:
        raise _unknown(name)
    return ZooModel(next((model.name for model in models() if model.config == path), path.stem), path)


def _by_path(name: str) -> 'Path | None':
    """Return a config file given by its path; only below `configs/`, because a config is code."""
    if not name.endswith('.py'):
        return None
    for base in (PROJECT_ROOT, CONFIG_ROOT):
        path = (base / name).resolve()
        if path.is_file() and CONFIG_ROOT in path.parents and _is_trainable(path):
            return path
    return None


def _unknown(name: str) -> TaskError:
    short = [model.name for model in models()]
    near = difflib.get_close_matches(_normalize(name), list(_names()), n=3, cutoff=0.6)
    hint = f' Did you mean {" or ".join(near)}?' if near else ''
    return SettingError(f'Unknown model_name in config.yaml: {name!r}.{hint} Known are: {", ".join(short)}.')


def _published() -> dict[str, dict[str, Any]]:
    """Parameters, input and accuracy from docs/model_zoo.md and checkpoints.tsv: config stem to values."""
    values: dict[str, dict[str, Any]] = {}
    document = PROJECT_ROOT / 'docs' / 'model_zoo.md'
    for line in document.read_text(encoding='utf-8').splitlines() if document.is_file() else ():
        cells = [cell.strip() for cell in line.strip('|').split('|')]
        if line.startswith('| [') and len(cells) >= 3:
            try:
                million = float(cells[2])
            except ValueError:
                continue
            values[cells[0][1:].split(']')[0]] = {'input': cells[1].replace(' ', ''), 'parameters': million}
    for stem, row in public_checkpoints().items():
        words = row.metric.split('=')
        if words[0] == 'COCO box AP':
            values.setdefault(stem, {})['ap'] = float(words[1])
    return values


def main() -> int:
    """Print the models as JSON, by family and size: name, config, family, parameters in millions, COCO AP, input."""
    published = _published()
    rows = [
        {
            'name': model.name,
            'config': model.config.relative_to(PROJECT_ROOT).as_posix(),
            'family': model.config.relative_to(CONFIG_ROOT).parts[0],
            **{key: published.get(model.stem, {}).get(key) for key in ('parameters', 'ap', 'input')},
        }
        for model in models()
    ]
    print(json.dumps(sorted(rows, key=lambda row: (row['family'], row['parameters'] or math.inf, row['name']))))
    return 0


if __name__ == '__main__':
    sys.exit(main())
