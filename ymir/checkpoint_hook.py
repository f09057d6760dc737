"""Checkpoints and stages of a training, consistent at every instant (contract sections a.3 and d.2).

The platform ends a training with SIGKILL and then packs what result.yaml names. So after each validation, in this order:

1. `epoch_N.pth` is written under a temporary name, synced and renamed: the averaged weights and what they are, no more;
2. result.yaml is replaced: stages `last` and, if they improved, `best` and the further best ones `epoch_M`;
3. `resume.pth`, which no stage names, is replaced: optimizer, raw weights and counters, for `--resume`;
4. files that no stage names any more are deleted.

One epoch is one file, however many stages it is. What is kept follows from result.yaml alone, so it survives a restart.
mmengine's hook writes in place, deletes before it writes, and saves before it knows the metric.
"""
import math
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import torch
import yaml
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import weights_to_cpu

from ymir_exc.atomic import atomic_file, write_text_atomically
from ymir_exc.env import get_current_env
from ymir_exc.training_result import remove_model_stages, write_model_stage
from ymir_exc.util import filter_saved_files, get_merged_config

WEIGHTS_PATTERN = 'epoch_*.pth'
RESUME_FILE = 'resume.pth'
METRIC_KEY = 'coco/bbox_mAP'
METRIC_PREFIX = 'coco/bbox_'


@HOOKS.register_module()
class YmirCheckpointHook(Hook):
    """Write weights, the state to resume from, and result.yaml after each validation.

    Args:
        config_file: The dumped model config in the models directory, part of each stage.
        model_name: The name that the user chose the model by.
        img_size: (width, height) of the input.
        max_keep_ckpts: How many of the best epochs are kept, `best` included.
        evaluate_config: Thresholds of the validation.
        unused: Options of mmengine's CheckpointHook; they are reported to have no effect.
    """

    priority = 'VERY_LOW'  # after EMAHook has put the raw weights back

    def __init__(self,
                 config_file: str,
                 model_name: str,
                 img_size: Sequence[int],
                 max_keep_ckpts: int = 1,
                 evaluate_config: Optional[Dict[str, float]] = None,
                 **unused: Any) -> None:
        self.config_file = config_file
        self.model_name = model_name
        self.img_size = tuple(img_size)
        self.max_keep_ckpts = max_keep_ckpts
        self.evaluate_config = evaluate_config or {}
        self.unused = unused
        self.models_dir = Path(get_current_env().output.models_dir)

    @master_only
    def before_train(self, runner) -> None:
        if self.unused:
            runner.logger.warning('Options of the checkpoint hook without effect here: %s', ', '.join(self.unused))

    @master_only
    def after_val_epoch(self, runner, metrics: Optional[Dict[str, float]] = None) -> None:
        """Save the epoch that was just validated.

        Args:
            runner: The runner; its epoch counts the finished ones.
            metrics: What the evaluator found; empty if there was nothing to evaluate.
        """
        evaluation = clean_metrics(metrics or {})
        checkpoint = self._checkpoint(runner, evaluation['mAP'])
        weights = f'epoch_{runner.epoch}.pth'
        small = {'meta': checkpoint['meta'], 'state_dict': checkpoint['state_dict']}
        _save(small, self.models_dir / weights)
        self._write_stages(runner.epoch, weights, evaluation)
        _save(checkpoint, self.models_dir / RESUME_FILE)
        write_text_atomically(Path(runner.work_dir) / 'last_checkpoint', str(self.models_dir / RESUME_FILE))
        self._delete_unnamed()

    def _checkpoint(self, runner, mean_ap: float) -> Dict[str, Any]:
        """Everything that a restart needs; `state_dict` holds the averaged weights, as hooks of the runner put them."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        dataset_meta = dict(runner.train_dataloader.dataset.metainfo)
        checkpoint = {
            'meta': {
                'epoch': runner.epoch,
                'iter': runner.iter,
                'seed': runner.seed,
                'experiment_name': runner.experiment_name,
                'cfg': (self.models_dir / self.config_file).read_text(encoding='utf-8'),
                'dataset_meta': dataset_meta,
                'class_names': list(dataset_meta['classes']),
                'model_name': self.model_name,
                'img_size': self.img_size,
                'mAP': mean_ap,
            },
            'state_dict': weights_to_cpu(model.state_dict()),
            'message_hub': runner.message_hub.state_dict(),
            'optimizer': runner.optim_wrapper.state_dict(),
            'param_schedulers': [scheduler.state_dict() for scheduler in runner.param_schedulers or ()],
        }
        runner.call_hook('before_save_checkpoint', checkpoint=checkpoint)
        return checkpoint

    def _write_stages(self, epoch: int, weights: str, evaluation: Dict[str, float]) -> None:
        """Name the new weights in result.yaml before any other file may go."""
        files = [weights, *self._other_files()]
        known = _read_stages()
        best_before = known.get('best', {}).get('mAP', -math.inf)
        # The stage that is written last wins among equals: `best` comes after `last`.
        names = ['last', 'best'] if evaluation['mAP'] >= best_before else ['last']
        ranking = {name: stage['mAP'] for name, stage in known.items() if name.startswith('epoch_')}
        if 'best' in names and 'best' in known and self.max_keep_ckpts > 1:
            former = known['best']
            name = Path(former['files'][0]).stem
            self._write_stage(name, former['files'], {'mAP': former['mAP']})
            ranking[name] = former['mAP']
        elif 'best' not in names and self.max_keep_ckpts > 1:
            names.insert(0, f'epoch_{epoch}')
            ranking[f'epoch_{epoch}'] = evaluation['mAP']
        for name in names:
            self._write_stage(name, files, evaluation)
        surplus = sorted(ranking, key=lambda name: (ranking[name], int(name.split('_')[1])), reverse=True)
        remove_model_stages(surplus[self.max_keep_ckpts - 1:])

    def _write_stage(self, name: str, files: List[str], evaluation: Dict[str, float]) -> None:
        write_model_stage(name, files, evaluation, evaluate_config=self.evaluate_config)

    def _other_files(self) -> List[str]:
        """The config, and, where the user gave patterns, the fitting files instead; weights are always kept."""
        cfg = get_merged_config()
        if not str(cfg.param.get('ymir_saved_file_patterns') or '').strip():
            return [self.config_file]
        return [name for name in filter_saved_files(cfg, []) if Path(name).suffix != '.pth']

    def _delete_unnamed(self) -> None:
        named = _named_files()
        for path in self.models_dir.glob(WEIGHTS_PATTERN):
            if path.name not in named:
                path.unlink()


def clean_metrics(metrics: Dict[str, float]) -> Dict[str, float]:
    """Bring the evaluator's metrics into the platform's bounds.

    Args:
        metrics: E.g. `coco/bbox_mAP_50` to value; -1 and NaN where there was nothing to evaluate.

    Returns:
        `mAP` always, from 0 to 1, and the other box metrics under their short names.
    """
    cleaned = {'mAP': 0.0}
    for key, value in metrics.items():
        number = float(value)
        if key.startswith(METRIC_PREFIX) and math.isfinite(number) and 0 <= number <= 1:
            cleaned[key[len(METRIC_PREFIX):]] = number
    return cleaned


def _read_result() -> Dict[str, Any]:
    path = Path(get_current_env().output.training_result_file)
    return yaml.safe_load(path.read_text(encoding='utf-8')) or {} if path.is_file() else {}


def _read_stages() -> Dict[str, Dict[str, Any]]:
    return _read_result().get('model_stages') or {}


def _named_files() -> set:
    """Every file that result.yaml names, in its form for any protocol version."""
    result = _read_result()
    named = set(result.get('model') or ())
    for stage in (result.get('model_stages') or {}).values():
        named.update(stage['files'])
    return named


def _save(checkpoint: Dict[str, Any], path: Path) -> None:
    with atomic_file(path, 'wb') as stream:
        torch.save(checkpoint, stream)


def clear_models_dir(models_dir: Path, keep: bool) -> None:
    """Take away what an earlier run in the same folder left: broken temporary files, and its results.

    Args:
        models_dir: /out/models.
        keep: Whether the earlier run is resumed, so that its results stay.
    """
    for path in models_dir.glob('.*.tmp'):
        path.unlink()
    if not keep:
        result = Path(get_current_env().output.training_result_file)
        for path in [result, *models_dir.glob(WEIGHTS_PATTERN), models_dir / RESUME_FILE, models_dir / 'last_checkpoint']:
            path.unlink(missing_ok=True)
