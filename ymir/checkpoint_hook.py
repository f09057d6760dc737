"""Checkpoints and stages of a training, consistent at every instant (contract sections a.3 and d.2).

The platform ends a training with SIGKILL and then packs what result.yaml names. So after each validation, in this
order:

1. `epoch_N.pth` is written under a temporary name, synced and renamed: the averaged weights and what they are, no more;
   the predictions of the validation, for tables and pictures after the training, go to the folder of the task;
2. result.yaml is replaced: stages `last` and, if they improved, `best` and the further best ones `epoch_M`;
3. training-summary.json is replaced, which says what came of the training so far;
4. files that no stage names any more are deleted;
5. `resume.pth`, which no stage names, is replaced while the training goes on: optimizer, raw weights and counters, for
   `--resume`.

One epoch is one file, however many stages it is. What is kept follows from result.yaml alone, so it survives a restart.
Where an earlier training left a model, it stays until the first stage of the new training takes its place: no file that
result.yaml names is written over (`unused_name`), and it is deleted after result.yaml names others.
mmengine's hook writes in place, deletes before it writes, and saves before it knows the metric.
"""

import json
import logging
import math
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from tmi.errors import DiskFullError, is_disk_full
from tmi.families.base import Family
from tmi.training.metrics import class_precisions, metric_names, named_metrics, validation_result
from tmi.training.training_state import Position, state_of
from ymir.background_save import BackgroundSave, in_main_memory
from ymir.stage_files import is_later_file, named_paths, read_result, stands_in_a_folder, unused_name
from ymir.training_summary import SummaryUpdates
from ymir.validations import Validations
from ymir_exc.atomic import atomic_file, write_text_atomically
from ymir_exc.env import get_current_env
from ymir_exc.training_result import remove_model_stages, write_model_stage
from ymir_exc.util import filter_saved_files, get_merged_config

logger = logging.getLogger('ymir')

WEIGHTS_PATTERN = 'epoch_*.pth'
EPOCH_STAGE = re.compile(r'epoch_(\d+)(_\d+)?')
RESUME_FILE = 'resume.pth'
LAST_CHECKPOINT = 'last_checkpoint'
FOUND_BY_HOOKS = ('plan', 'throughput')  # in the message hub, for the summary
REPLACES_ALL = 'replaces_all'  # in the message hub of a state that was saved before the first stage
ROOM_FOR_OTHERS = 2 << 20  # bytes that stay free for curves, log and progress
RUN_CONFIG = 'run_config.py'  # mmengine writes it over at each start


@HOOKS.register_module()
class YmirCheckpointHook(Hook):
    """Write weights, the state to resume from, and result.yaml after each validation.

    Args:
        config_file: The dumped model config in the models directory, part of each stage.
        model_name: The name that the user chose the model by.
        img_size: (width, height) of the input.
        max_keep_ckpts: How many of the best epochs are kept, `best` included.
        evaluate_config: Thresholds of the validation.
        metric_prefix: What the names of the metrics that count begin with: those of boxes or of masks.
        meta: What a task that is started again has to know (`ymir.restart`).
        unused: Options of mmengine's CheckpointHook; they are reported to have no effect.
    """

    priority = 'VERY_LOW'  # after EMAHook has put the raw weights back

    def __init__(
        self,
        config_file: str,
        model_name: str,
        img_size: Sequence[int],
        max_keep_ckpts: int = 1,
        evaluate_config: dict[str, float] | None = None,
        metric_prefix: str = Family.metric_prefix,
        meta: dict[str, Any] | None = None,
        **unused: Any,
    ) -> None:
        self.config_file = config_file
        self.model_name = model_name
        self.img_size = tuple(img_size)
        self.max_keep_ckpts = max_keep_ckpts
        self.evaluate_config = evaluate_config or {}
        self.metric_prefix = metric_prefix
        self.main_metric = next(iter(metric_names(metric_prefix).values()))
        self.meta = json.loads(json.dumps(meta or {}))  # not mappings of a config
        self.unused = unused
        self.models_dir = Path(get_current_env().output.models_dir)
        self.summary = SummaryUpdates(Path(get_current_env().output.root_dir))
        self.replace_all = False
        self.reported: set[str] = set()
        self.warned_of_room = False
        self.saving = BackgroundSave()
        self.validations = Validations(Path(get_current_env().output.root_dir))

    @master_only
    def before_train(self, runner) -> None:
        """Find out whether this is a new training, whose first stage takes the place of all that are there."""
        self.replace_all = runner.iter == 0 or bool(runner.message_hub.runtime_info.get(REPLACES_ALL))
        for name in FOUND_BY_HOOKS:  # of the training that is resumed
            runner.message_hub.pop_info(name)
        self.summary.add_environment()
        if self.unused:
            runner.logger.warning('Options of the checkpoint hook without effect here: %s', ', '.join(self.unused))

    @master_only
    def after_val_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        """Save the epoch that was just validated.

        Args:
            runner: The runner; its epoch counts the finished ones.
            metrics: What the evaluator found; empty if there was nothing to evaluate.
        """
        self.saving.wait()  # so that no stage is two epochs ahead of it
        evaluation = named_metrics(metrics or {}, self.metric_prefix)
        checkpoint = self._checkpoint(runner, **{self.main_metric: evaluation[self.main_metric]})
        weights = unused_name(self.models_dir, f'epoch_{runner.epoch}.pth')
        small = {'meta': checkpoint['meta'], 'state_dict': checkpoint['state_dict']}
        _save(small, self.models_dir / weights)
        self.validations.keep(Path(weights).stem, validation_result(runner.val_evaluator))
        earlier = named_paths(self.models_dir) if self.replace_all else set()
        is_best = self._write_stages(weights, evaluation, earlier)
        precisions = class_precisions(runner.val_evaluator)
        info = runner.message_hub.runtime_info
        changes = {**info.get('plan', {}), 'throughput': info.get('throughput', {})}
        self.summary.add_validation(runner.epoch, evaluation, precisions, is_best, changes)
        if self.replace_all:  # what an earlier training could be resumed from belongs to none of these stages
            for name in (LAST_CHECKPOINT, RESUME_FILE):
                (self.models_dir / name).unlink(missing_ok=True)
            self.replace_all = False
        self._delete_unnamed(earlier)
        self.validations.keep_only({path.stem for path in named_paths(self.models_dir)})
        checkpoint, work_dir = in_main_memory(checkpoint), Path(runner.work_dir)
        self.saving.start(lambda: self._save_for_resumption(checkpoint, work_dir))

    @master_only
    def after_train(self, runner) -> None:
        """Wait for what is still being written."""
        self.saving.wait()

    def _save_for_resumption(self, checkpoint: dict[str, Any], work_dir: Path) -> None:
        """Write what a training could be resumed from; without room for it, the training goes on all the same."""
        try:
            check_room(checkpoint, self.models_dir / RESUME_FILE)
            _save(checkpoint, self.models_dir / RESUME_FILE)
        except DiskFullError as error:
            if not self.warned_of_room:
                self.warned_of_room = True
                logger.warning(
                    '%s The training goes on and its weights are kept; if it is interrupted, it cannot be resumed from '
                    'epoch %d or later.',
                    error,
                    checkpoint['meta']['epoch'],
                )
            return
        write_text_atomically(work_dir / LAST_CHECKPOINT, str(self.models_dir / RESUME_FILE))

    @master_only
    def save_state(self, runner, position: Position) -> None:
        """Save the state of a training that was asked to stop, within an epoch.

        Args:
            runner: The runner.
            position: Where in its epoch it is.

        Raises:
            TaskError: DiskFullError if there is no room for it.
        """
        self.saving.wait()
        checkpoint = self._checkpoint(runner, position)
        check_room(checkpoint, self.models_dir / RESUME_FILE)
        _save(checkpoint, self.models_dir / RESUME_FILE)
        write_text_atomically(Path(runner.work_dir) / LAST_CHECKPOINT, str(self.models_dir / RESUME_FILE))

    def _checkpoint(self, runner, position: Position = Position(), **meta: Any) -> dict[str, Any]:
        """Everything that a restart needs, with what the weights are."""
        runner.message_hub.update_info(REPLACES_ALL, self.replace_all and bool(position.length))
        checkpoint = state_of(runner, position)
        checkpoint['meta'].update(
            cfg=(self.models_dir / self.config_file).read_text(encoding='utf-8'),
            class_names=list(checkpoint['meta']['dataset_meta']['classes']),
            model_name=self.model_name,
            img_size=self.img_size,
            **self.meta,
            **meta,
        )
        return checkpoint

    def _write_stages(self, weights: str, evaluation: dict[str, float], earlier: set[Path]) -> bool:
        """Name the new weights in result.yaml before any other file may go; return whether they are the best."""
        files = [weights, *self._other_files(earlier)]
        metric = self.main_metric
        known = {} if self.replace_all else _read_stages(metric)
        best_before = known.get('best', {}).get(metric, -math.inf)
        # The stage that is written last wins among equals: `best` comes after `last`.
        names = ['last', 'best'] if evaluation[metric] >= best_before else ['last']
        ranking = {name: stage[metric] for name, stage in known.items() if EPOCH_STAGE.fullmatch(name)}
        if 'best' in names and 'best' in known and self.max_keep_ckpts > 1:
            former = known['best']
            name = Path(former['files'][0]).stem
            self._write_stage(name, former['files'], {metric: former[metric]})
            ranking[name] = former[metric]
        elif 'best' not in names and self.max_keep_ckpts > 1:
            names.insert(0, Path(weights).stem)
            ranking[names[0]] = evaluation[metric]
        for name in names:
            self._write_stage(name, files, evaluation, replace_all=self.replace_all and name == names[0])
        surplus = sorted(ranking, key=lambda name: (ranking[name], int(name.split('_')[1])), reverse=True)
        remove_model_stages(surplus[self.max_keep_ckpts - 1 :])
        return 'best' in names

    def _write_stage(
        self, name: str, files: list[str], evaluation: dict[str, float], replace_all: bool = False
    ) -> None:
        write_model_stage(name, files, evaluation, evaluate_config=self.evaluate_config, replace_all=replace_all)

    def _other_files(self, earlier: set[Path]) -> list[str]:
        """Return the config, and, where the user gave patterns, the fitting files instead; weights are always kept.

        Of the fitting files those are left out that belong to an earlier training or would be taken for one of its
        files.
        """
        cfg = get_merged_config()
        if not str(cfg.param.get('ymir_saved_file_patterns') or '').strip():
            return [self.config_file]
        names = [
            name
            for name in filter_saved_files(cfg, [])
            if Path(name).suffix != '.pth' and name != RUN_CONFIG and not is_later_file(name)
        ]
        own = [name for name in names if name == self.config_file]  # the first config is the one that is read
        own += [name for name in names if name != self.config_file and self.models_dir.resolve() / name not in earlier]
        hidden = [name for name in own if stands_in_a_folder(self.models_dir, name)]
        if not self.reported.issuperset(hidden):
            self.reported.update(hidden)
            logger.warning(
                'Not part of the model, because folders below %s hold files of the same name, which would be '
                'stored instead: %s. Start with an empty output folder.',
                self.models_dir,
                ', '.join(hidden),
            )
        return [name for name in own if name not in hidden]

    def _delete_unnamed(self, earlier: set[Path]) -> None:
        named = named_paths(self.models_dir)
        models_dir = self.models_dir.resolve()
        own = {*models_dir.glob(WEIGHTS_PATTERN), *filter(lambda path: is_later_file(path.name), models_dir.iterdir())}
        for path in earlier.union(own) - named:
            if not path.is_dir():
                path.unlink(missing_ok=True)


def _read_stages(metric: str) -> dict[str, dict[str, Any]]:
    stages = read_result().get('model_stages')
    return (
        {
            name: stage
            for name, stage in stages.items()
            if isinstance(stage, dict)
            and isinstance(stage.get('files'), list)
            and isinstance(stage.get(metric), (int, float))
        }
        if isinstance(stages, dict)
        else {}
    )


def _save(checkpoint: dict[str, Any], path: Path) -> None:
    try:
        with atomic_file(path, 'wb') as stream:
            torch.save(checkpoint, stream)
    except Exception as error:
        if is_disk_full(error):
            raise no_room(checkpoint, path) from error
        raise


def check_room(checkpoint: dict[str, Any], path: Path) -> None:
    """See that a checkpoint fits on the disk before it is written: a disk that it fills fails other writers meanwhile.

    Args:
        checkpoint: What is to be written.
        path: Where; what stands there stays until the new file is whole.

    Raises:
        TaskError: DiskFullError if it does not fit.
    """
    if shutil.disk_usage(path.parent).free < size_on_disk(checkpoint) + ROOM_FOR_OTHERS:
        raise no_room(checkpoint, path)


def no_room(checkpoint: dict[str, Any], path: Path) -> DiskFullError:
    """Return the error of a disk that has no room for a checkpoint; it says how much is missing."""
    needed, free = size_on_disk(checkpoint) + ROOM_FOR_OTHERS, shutil.disk_usage(path.parent).free
    return DiskFullError(
        f'No space is left on the disk for {path}: it takes {needed / 1e6:.0f} MB, {free / 1e6:.0f} MB are free; '
        f'free {max(needed - free, 1e6) / 1e6:.0f} MB or more.'
    )


def size_on_disk(value: Any) -> int:
    """Return the bytes of all tensors in mappings, lists and tuples, each of which is written once.

    Args:
        value: What a checkpoint holds.
    """
    sizes: dict[int, int] = {}
    pending = [value]
    while pending:
        item = pending.pop()
        if torch.is_tensor(item):
            sizes[item.untyped_storage().data_ptr()] = item.untyped_storage().nbytes()
        elif isinstance(item, Mapping):
            pending.extend(item.values())
        elif isinstance(item, (list, tuple)):
            pending.extend(item)
    return sum(sizes.values())
