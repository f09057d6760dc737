"""The entry script of the network package: checks Python and what must be installed, then trains.

Predict.py and PredictModel.py begin in the same way. All parse with Python 3.6, so that an old interpreter gets a
sentence and not a syntax error. What they need lies beside them (an uploaded package), around them (a checkout) or
among the installed packages.
"""

import importlib
import importlib.util
import os
import sys

BASE = os.path.dirname(os.path.abspath(__file__))
OLDEST, NEWEST = (3, 10), (3, 12)
# Module -> what pip calls it.
NEEDED = (
    ('torch', 'torch'),
    ('mmengine', 'onedl-mmengine'),
    ('mmcv', 'onedl-mmcv'),
    ('mmdet', 'onedl-mmdetection'),
    ('numpy', 'numpy'),
    ('cv2', 'opencv-python-headless'),
    ('PIL', 'pillow'),
    ('yaml', 'PyYAML'),
    ('pydantic', 'pydantic'),
    ('pycocotools', 'pycocotools'),
    ('faster_coco_eval', 'faster-coco-eval'),
    ('rich', 'rich'),
    ('tensorboard', 'tensorboard'),
)
ROOMS = ('pie', 'tmi', 'mmyolo', 'vidt')


def find_code(base=BASE):
    """Put the folder of our own packages first on the import path; return it, '' for installed packages.

    A checkout starts this file as `python pie/train.py`, which puts pie/ itself on the path, where its modules would be
    found under second names.
    """
    for folder in (base, os.path.dirname(base)):
        if all(os.path.isdir(os.path.join(folder, name)) for name in ROOMS):
            inside = os.path.join(folder, 'pie')
            others = [path for path in sys.path if os.path.abspath(path or '.') not in (folder, inside)]
            sys.path[:] = [folder, *others]
            return folder
    if os.path.isfile(os.path.join(base, 'epoch_hook.py')):  # a copy of pie/ alone, whose modules have other names
        sys.path[:] = [path for path in sys.path if os.path.abspath(path or '.') != base]
    return ''


def missing_parts(version=None, needed=NEEDED):
    """Return what keeps this interpreter from training in Chinese and in English, None if nothing does."""
    version = tuple(version or sys.version_info)[:2]
    if not OLDEST <= version <= NEWEST:
        found, allowed = '{}.{}'.format(*version), '{}.{} - {}.{}'.format(*OLDEST, *NEWEST)
        return (
            f'需要 Python {allowed}，当前是 {found}（{sys.executable}）。请选择更新的镜像或环境。',
            f'Python {allowed} is needed, this is {found} ({sys.executable}). Choose a newer image or environment.',
        )
    packages = [package for module, package in needed if importlib.util.find_spec(module) is None]
    if packages:
        command = ' '.join(['pip install', *packages])
        return f'缺少依赖库，请在终端执行：{command}', f'Packages are missing; run in a terminal: {command}'
    absent = [name for name in ROOMS if importlib.util.find_spec(name) is None]
    if absent:
        return (
            f'train.py 旁边缺少文件夹 {"、".join(absent)}，请重新打包上传。',
            f'Beside train.py the folders {", ".join(absent)} are missing; build the package again.',
        )
    return None


def main(module='pie.main', more=()):
    """Train, or do what another script of the package does; the exit status is 0 only if that came to its end.

    `module` has the function that does it, `more` is what it needs besides, as in NEEDED.
    """
    find_code()
    missing = missing_parts(needed=NEEDED + more)
    if missing:
        sys.stderr.write('错误: {}\nError: {}\n'.format(*missing))
        return 1
    return importlib.import_module(module).run(BASE, sys.argv[1:])


def leave(status):
    """End at once: threads that wait for the storage are not waited for."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == '__main__':
    leave(main())
