"""Every name of the public package, at every path from which executors import it, with the arguments that they give."""

import importlib
import inspect

import pytest

from ymir_exc import monitor, util
from ymir_exc.util import YmirStageWeight

# module: its names as the contract lists them (section g), one a line; functions with their arguments
NAMES = {
    'code': """
        ExecutorState
        ExecutorReturnCode""",
    'settings': """
        DEFAULT_ENV_FILE_PATH
        DEFAULT_CONFIG_FILE_PATH""",
    'env': """
        DatasetType
        EnvInputConfig
        EnvOutputConfig
        EnvConfig
        get_current_env()
        get_executor_config()""",
    'dataset_reader': """
        item_paths(dataset_type)
        items_count(dataset_type)
        images_count(cfg, split)
        bboxes_count(cfg, split)
        filter_broken_images(image_files)""",
    'monitor': """
        YmirTask
        write_monitor_logger(percent, state=2, return_code=0)
        write_monitor_logger_for_multiple_tasks(cfg, task, percent, order='tmi')
        write_monitor_logger_for_mutiple_tasks(cfg, task, percent, order='tmi')
        write_tensorboard_text(text, tag=None)
        write_final_executor_log(tag=None)""",
    'result_writer': """
        Box
        Annotation
        multiple_model_stages_supportable()
        write_model_stage(stage_name, files, evaluation_result={}, mAP=None, timestamp=None, attachments=None, \
            evaluate_config=None)
        write_training_result(stage_name, files, evaluation_result={}, timestamp=None, attachments=None, \
            evaluate_config=None)
        write_mining_result(mining_result)
        write_infer_result(infer_result, algorithm='detection')""",
    'executor': """
        Executor(apps=None)""",
    'sysinfo': """
        get_gpu_memory(device='cuda:0')""",
    'util': """
        find_free_port()
        YmirTask
        YmirStage
        YmirStageWeight(weights=None)
        get_ymir_process(stage, p, task_idx=0, task_num=1, weights=None)
        get_merged_config()
        get_weight_files(cfg, suffix=('.pt', '.pth'))
        get_bool(cfg, key, default_value=True)
        filter_saved_files(cfg, files)
        format_saved_files(cfg, files)
        write_ymir_training_result(cfg, files, id, map50=None, evaluation_result={}, evaluate_config=None, \
            attachments=None)
        write_ymir_monitor_process(cfg, task, naive_stage_percent, stage, stage_weights=None, task_order='tmi')""",
    'dataset_convert': """
        convert_ymir_to_coco(cat_id_from_zero=False)
        convert_ymir_to_yolov5(cfg, out_dir=None)
        find_blank_area_in_dataset(ymir_cfg, max_sample_num=100)""",
    'dataset_convert.ymir2coco': """
        convert_ymir_to_coco(cat_id_from_zero=False)""",
    'dataset_convert.ymir2yolov5': """
        convert_ymir_to_yolov5(cfg, out_dir=None)""",
    'dataset_convert.ymir2mmseg': """
        find_blank_area_in_dataset(ymir_cfg, max_sample_num=100)
        train_with_black_area_or_not(ymir_cfg, max_sample_num=100)""",
}
CASES = [(module, line.strip()) for module, lines in NAMES.items() for line in lines.strip().splitlines()]


@pytest.mark.parametrize('module, line', CASES, ids=lambda value: value.split('(')[0])
def test_name_and_arguments(module, line):
    name, is_function, _ = line.partition('(')
    found = getattr(importlib.import_module(f'ymir_exc.{module}'), name)
    if not is_function:
        return
    scope = {}
    exec(f'def {line}: pass', scope)  # of the table above
    wanted = list(inspect.signature(scope[name]).parameters.values())
    given = list(inspect.signature(found).parameters.values())
    known, added = given[: len(wanted)], given[len(wanted) :]
    assert [parameter.name for parameter in known] == [parameter.name for parameter in wanted]
    for parameter, other in zip(known, wanted):
        assert (parameter.default is parameter.empty) == (other.default is other.empty)
        assert parameter.default == other.default or not (parameter.default or other.default)  # None for {}
    assert all(parameter.default is not parameter.empty for parameter in added)


def test_methods():
    assert callable(util.YmirStageWeight().get_stage_process)
    assert list(inspect.signature(importlib.import_module('ymir_exc.executor').Executor.start).parameters) == ['self']


def test_members():
    from ymir_exc.env import DatasetType

    assert {member.name: int(member) for member in DatasetType} == {
        'UNKNOWN': 1,
        'TRAINING': 2,
        'VALIDATION': 3,
        'CANDIDATE': 4,
    }
    assert {member.name: int(member) for member in monitor.YmirTask} == {'TRAINING': 1, 'MINING': 2, 'INFER': 3}
    assert {member.name: int(member) for member in util.YmirStage} == {'PREPROCESS': 1, 'TASK': 2, 'POSTPROCESS': 3}


@pytest.mark.parametrize(
    'weights',
    [
        (0.25, 0.5, 0.25),
        [0.25, 0.5, 0.25],
        YmirStageWeight((0.25, 0.5, 0.25)),
        YmirStageWeight(YmirStageWeight((0.25, 0.5, 0.25))),
    ],
)
def test_weights_of_stages_are_numbers_or_an_object(task, weights):
    assert YmirStageWeight(weights).get_stage_process('task', 0.5) == 0.5
    assert util.get_ymir_process(util.YmirStage.POSTPROCESS, 0.5, weights=weights) == 0.875
    util.write_ymir_monitor_process(
        util.get_merged_config(), util.YmirTask.TRAINING, 1.0, util.YmirStage.PREPROCESS, weights
    )
    assert monitor.read_monitor().percent == 0.25


def test_objects_have_the_methods_of_both_majors_of_pydantic(task):
    from ymir_exc import env
    from ymir_exc.result_writer import Annotation, Box

    item = Annotation(class_name='cat', score=0.5, box=Box(x=1, y=2, w=3, h=4))
    plain = {'class_name': 'cat', 'score': 0.5, 'box': {'x': 1, 'y': 2, 'w': 3, 'h': 4}}
    assert item.dict() == item.model_dump() == plain and item.json() == item.model_dump_json()
    assert Annotation.parse_obj(plain) == Annotation.model_validate(plain) == Annotation(**plain) == item
    other = item.copy(deep=True)
    other.box.x = 9
    assert (item.box.x, other != item, item.copy().box is item.box) == (1, True, True)
    assert env.EnvConfig(**env.get_current_env().dict()) == env.get_current_env()
    assert repr(item.box) == 'Box(x=1, y=2, w=3, h=4)'
