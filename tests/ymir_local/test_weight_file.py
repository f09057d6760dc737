"""Classes of a weight file, read without torch: from every form of checkpoint, and from hostile and broken files."""

import fnmatch
import os
import pickle
import random
import re
import resource
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer

from tmi.mining.stats import MINING_STATS_FILE
from ymir_local.platform.package import MINING_STATS_FILES, PackageError, read_package
from ymir_local.platform.weight_file import class_names_in

NAMES = ['cat', 'dog', '猫']
STATE = OrderedDict(a=torch.rand(3), b=torch.zeros(2, 2, dtype=torch.bfloat16))


def save(path, content, old_form=False):
    torch.save(content, path, _use_new_zipfile_serialization=not old_form)
    return path


@pytest.mark.parametrize('old_form', [False, True])
@pytest.mark.parametrize(
    'meta, names',
    [
        ({'class_names': NAMES, 'dataset_meta': {'classes': ('x',)}}, NAMES),
        ({'dataset_meta': {'classes': tuple(NAMES), 'palette': [(1, 2, 3)]}}, NAMES),
        ({'dataset_meta': {'CLASSES': tuple(NAMES)}}, NAMES),
        ({'CLASSES': NAMES, 'cfg': 'model = dict()'}, NAMES),
        (OrderedDict(dataset_meta=OrderedDict(classes=tuple(NAMES))), NAMES),
        (ConfigDict(dataset_meta={'classes': NAMES}), NAMES),
        ({'dataset_meta': {'classes': 'cat'}}, ['cat']),
        ({'dataset_meta': {'classes': (' Cat ', 'dog')}}, ['Cat', 'dog']),
        ({'dataset_meta': {'classes': ()}}, None),
        ({'dataset_meta': {'classes': ('cat', 'Cat')}}, None),
        ({'dataset_meta': {'classes': ('cat', '')}}, None),
        ({'dataset_meta': {'classes': (1, 2)}}, None),
        ({'dataset_meta': None}, None),
        ({'epoch': 3}, None),
        (3, None),
    ],
)
def test_names_of_a_checkpoint(tmp_path, meta, names, old_form):
    content = {
        'meta': meta,
        'state_dict': STATE,
        'message_hub': {'loss': HistoryBuffer([1.0, 2.0], [1, 1]), 'kind': np.float32(1)},
        'optimizer': {'state': {0: {'step': torch.tensor(1.0)}}, 'param_groups': [{'lr': np.float64(0.1)}]},
        'more': {torch.float16: {1, 2}},
    }
    assert class_names_in(save(tmp_path / 'a.pth', content, old_form)) == names


@pytest.mark.parametrize('content', [STATE, {'state_dict': STATE}, [1], torch.nn.Linear(1, 1), None])
def test_weights_that_do_not_say(tmp_path, content):
    assert class_names_in(save(tmp_path / 'a.pth', content)) is None


class Hostile:
    """Makes a file when a pickle that holds it is loaded in the usual way."""

    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize('old_form', [False, True])
def test_nothing_that_a_file_names_is_run(tmp_path, old_form):
    mark = tmp_path / 'mark'
    calls = [
        Hostile(os.mkdir, str(mark)),
        Hostile(eval, f'open({str(mark)!r}, "w")'),
        Hostile(os.system, f'touch {mark}'),
        Hostile(getattr, Hostile(__import__, 'os'), 'mkdir'),
    ]
    path = save(
        tmp_path / 'a.pth',
        {'meta': {'dataset_meta': {'classes': NAMES}, 'calls': calls}, 'state_dict': STATE},
        old_form,
    )
    assert class_names_in(path) == NAMES
    assert not mark.exists()


def test_a_file_that_says_that_it_has_many_objects(tmp_path):
    """A few bytes with a high number for one object; room for all below it would be gigabytes."""
    with zipfile.ZipFile(tmp_path / 'a.pth', 'w') as archive:
        archive.writestr('a/data.pkl', b'\x80\x02}r' + (1 << 26).to_bytes(4, 'little') + b'.')
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert class_names_in(tmp_path / 'a.pth') is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + (200 << 10)


def test_broken_files_say_nothing(tmp_path):
    path = save(tmp_path / 'a.pth', {'meta': {'dataset_meta': {'classes': NAMES}}, 'state_dict': STATE})
    whole, rng = path.read_bytes(), random.Random(0)
    broken = [b'', b'text', whole[:100], whole[:-100], pickle.dumps(3), pickle.dumps({'meta': 1}), b'\x80\x02' * 50]
    for _ in range(300):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 20)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        broken.append(bytes(data))
    for data in broken:
        path.write_bytes(data)
        names = class_names_in(path)
        assert names is None or all(isinstance(name, str) for name in names)
    assert class_names_in(tmp_path / 'missing.pth') is None and class_names_in(tmp_path) is None


def test_a_small_zip_that_becomes_large_is_not_read(tmp_path):
    path = tmp_path / 'a.pth'
    with zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('a/data.pkl', pickle.dumps({'meta': {'CLASSES': NAMES}}))
    assert class_names_in(path) is None


def test_the_file_decides_and_a_training_needs_no_names(tmp_path):
    named = save(tmp_path / 'named.PTH', {'meta': {'dataset_meta': {'classes': NAMES}}, 'state_dict': STATE})
    bare = save(tmp_path / 'bare.pth', STATE)
    for given in (None, ['a'], NAMES):
        assert read_package(named, tmp_path / 'x', given).training_config == {'class_names': NAMES}
    assert read_package(bare, tmp_path / 'x', ['a', 'b']).training_config == {'class_names': ['a', 'b']}
    assert read_package(bare, tmp_path / 'x', to_train=True).training_config == {}
    with pytest.raises(PackageError, match='does not say which classes it knows.*--classes'):
        read_package(bare, tmp_path / 'x')
    (tmp_path / 'run/in').mkdir(parents=True)
    (tmp_path / 'run/out/models').mkdir(parents=True)
    (tmp_path / 'run/in/config.yaml').write_text('class_names: [x, y, z]\n')
    for file, expected in ((named, NAMES), (bare, ['x', 'y', 'z'])):
        moved = tmp_path / 'run/out/models' / file.name
        moved.write_bytes(file.read_bytes())
        assert read_package(moved, tmp_path / 'x').training_config == {'class_names': expected}


def files_with(path):
    return [file.name for file in read_package(path, path.parent / 'x', NAMES).files]


def test_what_lies_beside_the_file_comes_with_it(tmp_path):
    assert re.fullmatch(fnmatch.translate(MINING_STATS_FILES), MINING_STATS_FILE)
    path = save(tmp_path / 'a.pth', STATE)
    for name in (MINING_STATS_FILE, 'a.py', 'other.npz'):
        (tmp_path / name).touch()
    assert files_with(path) == ['a.pth', 'a.py', MINING_STATS_FILE]
    (tmp_path / 'mining_stats_2.npz').touch()  # nothing says which of the two belongs to the weights
    assert files_with(path) == ['a.pth', 'a.py']
    (tmp_path / 'mining_stats_2.npz').unlink()
    save(tmp_path / 'b.pth', STATE)  # nor does anything say that the statistics are not of these
    assert files_with(path) == ['a.pth', 'a.py']
    (tmp_path / 'b.py').touch()
    assert files_with(path) == ['a.pth']


def test_what_the_stage_of_its_run_names_comes_with_it(tmp_path):
    models = tmp_path / 'run/out/models'
    (models / 'best').mkdir(parents=True)
    (tmp_path / 'run/in').mkdir()
    (tmp_path / 'run/in/config.yaml').write_text('class_names: [x, y]\n')
    for name in ('a.pth', 'a.py', 'b.py', 'mining_stats.npz', 'mining_stats_2.npz'):
        (models / name).write_bytes(b'x')
    (models / 'best/b.pth').write_bytes(b'x')
    named = {'a': ['a.pth', 'a.py', 'mining_stats.npz'], 'best': ['b.pth', 'b.py', 'mining_stats_2.npz']}
    stages = {
        name: {'stage_name': name, 'files': files, 'timestamp': 1700000000, 'mAP': 0.5} for name, files in named.items()
    }
    result = yaml.safe_dump({'best_stage_name': 'best', 'model_stages': stages})
    (models / 'result.yaml').write_text(result)
    assert files_with(models / 'a.pth') == named['a']
    assert files_with(models / 'best/b.pth') == named['best']
    (models / 'result.yaml').write_text('broken: [')  # the weights can be used all the same
    assert files_with(models / 'a.pth') == ['a.pth']
