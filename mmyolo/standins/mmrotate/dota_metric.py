"""The metric of DOTA, and files for its evaluation server. It stands in for mmrotate's where that is not installed."""

import logging
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmdet.structures.bbox import get_box_tensor, get_box_type
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger, print_log
from rich.table import Table

from mmyolo.registry import METRICS, stand_in
from mmyolo.standins.mmcv.nms import nms_rotated
from mmyolo.standins.mmrotate.structures import RotatedBoxes
from mmyolo.utils.files import replacing
from mmyolo.utils.terminal import as_text

from .rotated_map import ClassResult, ImageBoxes, evaluate

_PATCH = re.compile(r'(?P<image>.+)__(?P<size>\d+)__(?P<x>-?\d+)___(?P<y>-?\d+)')
_MODES = ('11points', 'area')


@stand_in(METRICS, 'mmrotate').register_module()
class DOTAMetric(BaseMetric):
    """Mean average precision of rotated boxes.

    Args:
        iou_thrs: overlap from which a prediction is right, or several.
        scale_ranges: only None: objects of all sizes count.
        metric: only 'mAP'.
        predict_box_type: type of the predictions, 'rbox' or 'qbox'.
        format_only: write the files for the server instead of evaluating; needs `outfile_prefix`.
        outfile_prefix: folder of the files, `Task1.zip` in it is to be uploaded; None writes none.
        merge_patches: in the files, join the predictions of patches, whose names end in `__<size>__<x>___<y>`, to those
            of their images. What is evaluated are patches either way.
        iou_thr: overlap above which a joined prediction suppresses another one of its class.
        eval_mode: '11points' or 'area', see `average_precision`.
        collect_device: 'cpu' or 'gpu', where processes exchange their results.
        prefix: put before the names of values, 'dota' by default.
    """

    default_prefix: str | None = 'dota'

    def __init__(
        self,
        iou_thrs: float | Sequence[float] = 0.5,
        scale_ranges: Sequence[tuple] | None = None,
        metric: str | Sequence[str] = 'mAP',
        predict_box_type: str = 'rbox',
        format_only: bool = False,
        outfile_prefix: str | None = None,
        merge_patches: bool = False,
        iou_thr: float = 0.1,
        eval_mode: str = '11points',
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if list(metric if isinstance(metric, (list, tuple)) else [metric]) != ['mAP']:
            raise KeyError(f"metric of DOTAMetric is {metric!r}, allowed is 'mAP'")
        if eval_mode not in _MODES:
            raise ValueError(f'eval_mode of DOTAMetric is {eval_mode!r}, allowed are {_MODES}')
        if predict_box_type not in ('rbox', 'qbox'):
            raise ValueError(f"predict_box_type of DOTAMetric is {predict_box_type!r}, allowed are 'rbox' and 'qbox'")
        if scale_ranges is not None:
            raise ValueError('DOTAMetric evaluates objects of all sizes: leave scale_ranges None')
        if format_only and outfile_prefix is None:
            raise ValueError('DOTAMetric(format_only=True) writes files: set outfile_prefix to their folder')
        self.iou_thrs = [iou_thrs] if isinstance(iou_thrs, float) else list(iou_thrs)
        self.metric = metric
        self.predict_box_type = predict_box_type
        self.format_only = format_only
        self.outfile_prefix = outfile_prefix
        self.merge_patches = merge_patches
        self.iou_thr = iou_thr
        self.eval_mode = eval_mode

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep what is needed of a batch.

        Args:
            data_batch: not used.
            data_samples: per image `img_id`, `pred_instances` and, unless `format_only`, `gt_instances` and perhaps
                `ignored_instances`.
        """
        for sample in data_samples:
            pred = sample['pred_instances']
            result = {
                'img_id': sample['img_id'],
                'bboxes': self._rotated(pred['bboxes'], self.predict_box_type),
                'scores': pred['scores'].detach().float().cpu(),
                'labels': pred['labels'].cpu(),
            }
            if not self.format_only:
                truth = [sample.get('gt_instances') or {}, sample.get('ignored_instances') or {}]
                boxes = [self._rotated(part['bboxes'], 'rbox') for part in truth if 'bboxes' in part]
                labels = [part['labels'].cpu() for part in truth if 'bboxes' in part]
                result['gt_bboxes'] = torch.cat([*boxes, torch.zeros(0, 5)])
                result['gt_labels'] = torch.cat([*labels, torch.zeros(0, dtype=torch.long)])
                count = len((sample.get('ignored_instances') or {}).get('labels', ()))
                result['gt_ignored'] = torch.arange(len(result['gt_labels'])) >= len(result['gt_labels']) - count
            self.results.append(result)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Evaluate or write all results.

        Args:
            results: what `process` kept, of all processes.

        Returns:
            `mAP`, the mean over the thresholds, and `AP50` or the like for each; empty if `format_only`. -1 where there
            are not objects.
        """
        logger = MMLogger.get_current_instance()
        if self.outfile_prefix is not None:
            archive = self.write_submission(results)
            print_log(f'{archive} can be uploaded to the evaluation server of DOTA', logger)
        if self.format_only:
            return {}
        names = self.dataset_meta['classes']
        images = [ImageBoxes(**{key: value for key, value in result.items() if key != 'img_id'}) for result in results]
        values, means = {}, []
        for iou_thr in self.iou_thrs:
            classes = evaluate(images, len(names), iou_thr, self.eval_mode)
            precisions = [one.ap for one in classes if one.num_gts]
            means.append(float(np.mean(precisions)) if precisions else -1.0)
            values[f'AP{round(iou_thr * 100):02d}'] = means[-1]
            print_log(f'IoU {iou_thr:g}\n{_table(names, classes, means[-1])}', logger)
        if not any(len(image.gt_labels) for image in images):
            print_log(
                'The validation set has no object: mAP is reported as -1. Check its annotations.',
                logger,
                logging.WARNING,
            )
        return dict(mAP=float(np.mean(means)), **values)

    def write_submission(self, results: list[dict]) -> Path:
        """Write `Task1_<class>.txt`, lines of image, score and corners, and Task1.zip with all of them.

        Args:
            results: `img_id`, `bboxes`, `scores` and `labels` of each image or patch.

        Returns:
            The archive.
        """
        if self.merge_patches:
            results = self.merged(results)
        folder = Path(self.outfile_prefix)
        folder.mkdir(parents=True, exist_ok=True)
        lines: list[list[str]] = [[] for _ in self.dataset_meta['classes']]
        for result in results:
            corners = RotatedBoxes(result['bboxes']).convert_to('qbox').tensor.tolist()
            for box, score, label in zip(corners, result['scores'].tolist(), result['labels'].tolist()):
                points = ' '.join(f'{value:.2f}' for value in box)
                lines[label].append(f'{result["img_id"]} {score:.6f} {points}\n')
        archive = folder / 'Task1.zip'
        with replacing(archive) as temporary, zipfile.ZipFile(temporary, 'w', zipfile.ZIP_DEFLATED) as target:
            for name, content in zip(self.dataset_meta['classes'], lines):
                path = folder / f'Task1_{name}.txt'
                path.write_text(''.join(content), encoding='utf-8')
                target.write(path, path.name)
        return archive

    def merged(self, results: list[dict]) -> list[dict]:
        """Join the predictions of patches to those of their images, each class suppressed by itself.

        Args:
            results: `img_id`, `bboxes`, `scores` and `labels` of each patch; names without a position are whole images.

        Returns:
            The same of each image.
        """
        groups: dict[str, list] = {}
        for result in results:
            match = _PATCH.fullmatch(str(result['img_id']))
            name, x, y = (match['image'], int(match['x']), int(match['y'])) if match else (result['img_id'], 0, 0)
            boxes = result['bboxes'] + torch.tensor([x, y, 0, 0, 0], dtype=torch.float)
            groups.setdefault(name, []).append((boxes, result['scores'], result['labels']))
        joined = []
        for name, parts in groups.items():
            boxes, scores, labels = map(torch.cat, zip(*parts))
            kept = nms_rotated(boxes, scores, self.iou_thr, labels)
            joined.append({'img_id': name, 'bboxes': boxes[kept], 'scores': scores[kept], 'labels': labels[kept]})
        return joined

    @staticmethod
    def _rotated(boxes, box_type: str) -> torch.Tensor:
        """(n, 5) rotated boxes of boxes with a type, or of a tensor of `box_type`, or of what its width says."""
        if isinstance(boxes, torch.Tensor):
            box_type = {4: 'hbox', 5: 'rbox', 8: 'qbox'}.get(boxes.shape[-1], box_type)
            boxes = get_box_type(box_type)[1](boxes)
        return get_box_tensor(boxes.convert_to('rbox')).detach().float().cpu()


def _table(names: Sequence[str], classes: Sequence[ClassResult], mean: float) -> str:
    table = Table('class', 'objects', 'predictions', 'recall', 'AP')
    for name, one in zip(names, classes):
        table.add_row(name, str(one.num_gts), str(one.num_dets), f'{one.recall:.3f}', f'{one.ap:.3f}')
    table.add_row('mAP', '', '', '', f'{mean:.3f}')
    return as_text(table, 100)
