import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import PackDetInputs as MMDETPackDetInputs

from mmyolo.datasets.transforms import PackDetInputs
from tests.mmyolo.datasets.samples import add_masks, make_results

KEYS = ('ori_shape', 'img_shape')


@pytest.mark.parametrize('flags', [[False, False], [False, True], [True, True]])
def test_packs_as_mmdet_does(flags):

    def results():
        seg_map = np.zeros((90, 120), np.uint8)
        return dict(add_masks(make_results(0)), gt_ignore_flags=np.array(flags), gt_seg_map=seg_map)

    packed, expected = PackDetInputs(KEYS)(results()), MMDETPackDetInputs(KEYS)(results())
    assert packed['inputs'].is_contiguous() and (packed['inputs'] == expected['inputs']).all()
    sample, reference = packed['data_samples'], expected['data_samples']
    assert sample.metainfo == reference.metainfo
    for name in ('gt_instances', 'ignored_instances'):
        ours, theirs = getattr(sample, name), getattr(reference, name)
        assert ours.bboxes.tensor.tolist() == theirs.bboxes.tensor.tolist()
        assert (ours.labels == theirs.labels).all() and len(ours.masks) == len(theirs.masks)
    assert (sample.gt_sem_seg.sem_seg == reference.gt_sem_seg.sem_seg).all()


@pytest.mark.parametrize('shape', [(6, 4), (6, 4, 1), (6, 4, 3)])
def test_images_of_any_channels_and_layout(shape):
    image = np.arange(int(np.prod(shape)), dtype=np.uint8).reshape(shape)[:, ::-1]
    inputs = PackDetInputs(())({'img': image})['inputs']
    assert (inputs.numpy() == image.reshape(6, 4, -1).transpose(2, 0, 1)).all()
    assert inputs.is_contiguous()


def test_extra_annotations_and_missing_keys():
    results = make_results(0, gt_keypoints=torch.zeros(2, 17, 2), gt_keypoints_visible=np.ones((2, 17)))
    results['gt_panoptic_seg'] = torch.ones(1, 22, 30)
    sample = PackDetInputs(KEYS)(results)['data_samples']
    assert sample.gt_instances.keypoints.shape == (2, 17, 2)
    assert sample.gt_instances.keypoints_visible.sum() == 34
    assert sample.gt_panoptic_seg.pan_seg.shape == (1, 22, 30)
    with pytest.raises(AssertionError, match='flip_direction'):
        PackDetInputs(('flip_direction',))(make_results(0))
