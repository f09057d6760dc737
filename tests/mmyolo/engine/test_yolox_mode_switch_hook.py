"""The last epochs of YOLOX: when they begin, also for a resumed training, and what changes."""

from types import SimpleNamespace

import pytest
from mmengine.config import ConfigDict
from mmengine.registry import DATASETS

from mmyolo.engine import YOLOXModeSwitchHook


@DATASETS.register_module()
class ModeSwitchData:
    METAINFO = {}

    def __init__(self, pipeline, datasets=()):
        self.pipeline = pipeline
        self.datasets = datasets

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return index


@DATASETS.register_module()
class ModeSwitchConcat:
    def __init__(self, datasets):
        self.datasets = [DATASETS.build(one) for one in datasets]

    def __len__(self):
        return 8


FIRST, LAST = [{'type': 'Mosaic'}], [{'type': 'Resize'}]


def runner(epoch, dataset={'type': 'ModeSwitchData', 'pipeline': FIRST}):
    loader = ConfigDict(
        batch_size=2, num_workers=0, sampler={'type': 'DefaultSampler', 'shuffle': True}, dataset=dataset
    )
    return SimpleNamespace(
        epoch=epoch,
        max_epochs=300,
        seed=7,
        cfg=ConfigDict(train_dataloader=loader),
        train_loop=SimpleNamespace(dataloader='first'),
        model=SimpleNamespace(bbox_head=SimpleNamespace(use_bbox_aux=False)),
    )


@pytest.mark.parametrize('epoch, switched', [(0, False), (283, False), (284, True), (290, True), (299, True)])
def test_epoch_of_the_switch(epoch, switched):
    run = runner(epoch)
    YOLOXModeSwitchHook(num_last_epochs=15, new_train_pipeline=LAST).before_train_epoch(run)
    assert run.model.bbox_head.use_bbox_aux is switched
    if switched:
        assert run.train_loop.dataloader.dataset.pipeline == LAST
        assert run.train_loop.dataloader.sampler.seed == 7
        assert run.cfg.train_dataloader.dataset.pipeline == FIRST
    else:
        assert run.train_loop.dataloader == 'first'


def test_it_switches_once():
    run, hook = runner(284), YOLOXModeSwitchHook(15, LAST)
    hook.before_train_epoch(run)
    loader = run.train_loop.dataloader
    run.epoch = 285
    hook.before_train_epoch(run)
    assert run.train_loop.dataloader is loader


def test_data_sets_within_wrappers_are_found():
    inner = {'type': 'ModeSwitchData', 'pipeline': FIRST}
    run = runner(284, {'type': 'ModeSwitchConcat', 'datasets': [inner, inner]})
    YOLOXModeSwitchHook(15, LAST).before_train_epoch(run)
    assert [one.pipeline for one in run.train_loop.dataloader.dataset.datasets] == [LAST, LAST]


def test_without_a_pipeline_the_loader_stays():
    run = runner(284)
    YOLOXModeSwitchHook(15).before_train_epoch(run)
    assert run.train_loop.dataloader == 'first' and run.model.bbox_head.use_bbox_aux


def test_a_data_set_that_is_built_already():
    run = runner(284, ModeSwitchData(FIRST))
    run.seed = None
    YOLOXModeSwitchHook(15, LAST).before_train_epoch(run)
    assert run.train_loop.dataloader.dataset.pipeline == LAST
    assert run.cfg.train_dataloader.dataset.pipeline == FIRST
