"""A task in a temporary folder: /in and /out as the platform lays them out, and env.yaml that names them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from ymir_exc import settings

TASK_ID = 't00000420000071f3a9b1700000123'


class Task:
    """The folders of one task.

    Args:
        root: where ``in`` and ``out`` are made.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.assets = root / 'in/assets'
        self.annotations = root / 'in/annotations'
        self.models = root / 'out/models'
        for folder in (self.assets, self.annotations, self.models, root / 'in/models', root / 'out/tensorboard'):
            folder.mkdir(parents=True)
        self.monitor_file = root / 'out/monitor.txt'
        self.result_file = self.models / 'result.yaml'
        self.infer_file = root / 'out/infer-result.json'
        self.mining_file = root / 'out/result.tsv'
        self.config: dict[str, Any] = {
            'class_names': ['cat', 'dog', 'bird'],
            'export_format': 'ark:raw',
            'gpu_id': '',
            'task_id': TASK_ID,
        }
        self.write_config()
        self.write_env()

    def write_env(self, run: str = 'training', **changes: Any) -> None:
        """Write env.yaml; a value of None leaves the key out."""
        where_in, where_out = self.root / 'in', self.root / 'out'
        content: dict[str, Any] = {
            'task_id': TASK_ID,
            'protocol_version': '1.1.0',
            'manifest_file': '/img-man/manifest.yaml',
            'run_training': 'training' in run,
            'run_mining': 'mining' in run,
            'run_infer': 'infer' in run,
            'input': {
                'root_dir': str(where_in),
                'assets_dir': str(self.assets),
                'annotations_dir': str(self.annotations),
                'models_dir': str(where_in / 'models'),
                'config_file': str(where_in / 'config.yaml'),
                'training_index_file': str(where_in / 'train-index.tsv') if 'training' in run else '',
                'val_index_file': str(where_in / 'val-index.tsv') if 'training' in run else '',
                'candidate_index_file': '' if 'training' in run else str(where_in / 'candidate-index.tsv'),
            },
            'output': {
                'root_dir': str(where_out),
                'models_dir': str(self.models),
                'tensorboard_dir': str(where_out / 'tensorboard'),
                'training_result_file': str(self.result_file),
                'mining_result_file': str(self.mining_file),
                'infer_result_file': str(self.infer_file),
                'monitor_file': str(self.monitor_file),
                'executor_log_file': str(where_out / 'ymir-executor-out.log'),
            },
        }
        content.update(changes)
        content = {key: value for key, value in content.items() if value is not None}
        (where_in / 'env.yaml').write_text(yaml.dump(content))

    def write_config(self, **changes: Any) -> None:
        """Write config.yaml with changed hyper-parameters; a value of None leaves the key out."""
        self.config.update(changes)
        self.config = {key: value for key, value in self.config.items() if value is not None}
        (self.root / 'in/config.yaml').write_text(yaml.dump(self.config, allow_unicode=True))

    def write_index(self, split: str, lines: Iterable[str]) -> Path:
        """Write an index file."""
        path = self.root / f'in/{split}-index.tsv'
        path.write_text(''.join(f'{line}\n' for line in lines))
        return path

    def add_image(self, name: str, annotation: str | None = '', size: tuple[int, int] = (100, 80)) -> str:
        """Make an image and, unless it is None, its ark annotation; gives the index line."""
        image = self.assets / name
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', size).save(image)
        label = self.annotations / f'{Path(name).stem}.txt'
        if annotation is not None:
            label.write_bytes(annotation.encode())
        return f'{image}\t{label}'

    def add_model(self, name: str, content: str = 'weights') -> str:
        """Make a file in the models directory; gives its name."""
        path = self.models / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return name


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Task:
    """A training task whose env.yaml is the current one."""
    monkeypatch.setattr(settings, 'DEFAULT_ENV_FILE_PATH', str(tmp_path / 'in/env.yaml'))
    for name in (
        'YMIR_VERSION',
        'PREPROCESS_WEIGHT',
        'TASK_WEIGHT',
        'POSTPROCESS_WEIGHT',
        'WITH_BLANK_AREA',
        'CUDA_VISIBLE_DEVICES',
    ):
        monkeypatch.delenv(name, raising=False)
    return Task(tmp_path)
