"""Registering the modules of mmyolo registers every stand-in, in a process that has imported nothing else."""

import subprocess
import sys
from pathlib import Path

import mmyolo.standins


def test_each_module_is_imported():
    folder = Path(mmyolo.standins.__file__).parent
    wanted = {
        '.'.join(('mmyolo.standins', *path.relative_to(folder).with_suffix('').parts)).removesuffix('.__init__')
        for path in folder.rglob('*.py')
    }
    code = (
        'import sys; from mmyolo.utils import register_all_modules; register_all_modules();'
        'import mmyolo.evaluation, mmyolo.visualization;'
        'print(*(name for name in sys.modules if name.startswith("mmyolo.standins")))'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert wanted - set(done.stdout.split()) == set()
