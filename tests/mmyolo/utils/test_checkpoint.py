"""Checkpoints are read as data: what harmless ones hold is there, what could run code is rejected by name."""

import codecs
import collections
import os
import pickle
import pickletools
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer

from mmyolo.utils.checkpoint import CheckpointError, read_as_data
from mmyolo.utils.checkpoint_content import clean_checkpoint

from .files_of_all_kinds import Call, harmless, hostile_calls, junk

HARMLESS = harmless()
JUNK = junk()


def same(read, value) -> bool:
    if isinstance(value, HistoryBuffer):
        return read.mean() == value.mean() and read.current() == value.current()
    if isinstance(value, (torch.Tensor, np.ndarray)):
        value = pickle.loads(pickle.dumps(value, 2))  # numpy reads other byte orders as the machine's own
        return read.dtype == value.dtype and read.shape == value.shape and str(read) == str(value)
    if isinstance(value, np.generic) and not isinstance(value, (str, bytes)):
        return read.dtype == value.dtype and (read == value or str(read) == str(value))
    return read == value


@pytest.mark.parametrize('new_format', [True, False])
@pytest.mark.parametrize('name', HARMLESS)
def test_what_harmless_checkpoints_hold(tmp_path, name, new_format):
    value = HARMLESS[name]
    torch.save({'weight': torch.ones(2), 'value': value}, tmp_path / 'x.pth', _use_new_zipfile_serialization=new_format)
    content = read_as_data(tmp_path / 'x.pth')
    assert content['weight'].tolist() == [1, 1]
    assert same(content['value'], value)


def test_names_of_numpy_1(tmp_path):
    torch.save({'a': np.arange(3.0), 'b': np.float32(2)}, tmp_path / 'x.pth')
    with zipfile.ZipFile(tmp_path / 'x.pth') as old, zipfile.ZipFile(tmp_path / 'y.pth', 'w') as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b'numpy._core.multiarray', b'numpy.core.multiarray'))
    content = read_as_data(tmp_path / 'y.pth')
    assert content['a'].tolist() == [0, 1, 2] and content['b'] == 2


def test_arrays_are_written_again_as_plain_ones(tmp_path):
    torch.save({'a': np.arange(3.0)}, tmp_path / 'x.pth')
    again = pickle.dumps(read_as_data(tmp_path / 'x.pth')['a'], 2)
    assert not any('mmyolo' in str(argument) for _, argument, _ in pickletools.genops(again))
    assert type(pickle.loads(again)) is np.ndarray and pickle.loads(again).tolist() == [0, 1, 2]


@pytest.mark.parametrize('new_format', [True, False])
@pytest.mark.parametrize('place', ['meta', 'weights', 'key'])
def test_code_is_not_run(tmp_path, place, new_format):
    canary = tmp_path / 'folder' / 'canary'
    canary.parent.mkdir()
    for name, (call, named) in hostile_calls(canary).items():
        content = {
            'meta': {'state_dict': {}, 'meta': {'when': call}},
            'weights': {'state_dict': {'w': call}},
            'key': {'a': (call,)},
        }[place]
        path = tmp_path / 'x.pth'
        torch.save(content, path, _use_new_zipfile_serialization=new_format)
        if named is None:  # harmless: a state of an object of an allowed class
            read_as_data(path)
            continue
        with pytest.raises(CheckpointError, match=f'x.pth holds .*{named}.*not loaded because it could run code'):
            read_as_data(path)
        assert not canary.exists() and canary.parent.exists(), name
    assert HistoryBuffer([1.0, 3.0], [1, 1]).mean() == 2


@pytest.mark.parametrize('name', JUNK)
def test_junk_is_named(tmp_path, name):
    content, message = JUNK[name]
    path = tmp_path / 'x.pth'
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_as_data(path)
    assert message in str(caught.value) and 'x.pth' in str(caught.value)
    assert len(str(caught.value)) < 500 and 'weights_only' not in str(caught.value)
    assert [one.name for one in tmp_path.iterdir()] == ['x.pth']


def test_a_folder_and_a_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match='is a folder'):
        read_as_data(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_as_data(tmp_path / 'x.pth')


class Layout:
    """Pickles to an array whose layout of memory is what the file says."""

    def __init__(self, dtype_state, data, code='O8'):
        self.dtype = Call(np.dtype, code, False, True, state=dtype_state)
        self.data = data

    def __reduce__(self):
        return np.empty(0).__reduce__()[0], (np.ndarray, (0,), b'b'), (1, (1,), self.dtype, False, self.data)


@pytest.mark.parametrize(
    'state, data, code',
    [
        ((3, '|', None, None, None, -1, -1, 0), b'\x41' * 8, 'O8'),  # an object at an address of the file
        ((3, '|', None, ('a',), {'a': (np.dtype('O'), 0)}, 8, 1, 0), b'\x41' * 8, 'V8'),
        ((3, '|', None, None, None, -1, -1, 63), b'\x41' * 8, 'O8'),
        ((3, '<', None, None, None, -1, -1, 0), b'\x41' * 7, 'f8'),
    ],
)
def test_addresses_of_a_file_are_not_believed(tmp_path, state, data, code):
    torch.save({'w': Layout(state, data, code)}, tmp_path / 'x.pth')
    with pytest.raises(CheckpointError, match='x.pth'):
        read_as_data(tmp_path / 'x.pth')


def test_a_file_that_asks_for_more_memory_than_it_needs(tmp_path):
    torch.save({'w': torch.arange(4)}, tmp_path / 'x.pth', _use_new_zipfile_serialization=False)
    content = (tmp_path / 'x.pth').read_bytes()
    huge = b'\x8a\x07' + (1 << 50).to_bytes(7, 'little')
    changed = content.replace(b'cpuq\x06K\x04', b'cpuq\x06' + huge)
    assert changed != content
    (tmp_path / 'x.pth').write_bytes(changed)
    with pytest.raises(CheckpointError, match='asks for far more memory than its'):
        read_as_data(tmp_path / 'x.pth')


def test_nothing_else_reads_pickles():
    """Who needs to read one calls the reader, or its relative for the files of other projects."""
    root = Path(__file__).resolve().parents[3]
    reading = re.compile(
        r'torch\.load\(|(?<!_)pickle\.loads?\(|np\.load\(|allow_pickle|joblib|torch\.jit\.load|Unpickler\('
    )
    found = {
        str(path.relative_to(root))
        for folder in ('mmyolo', 'ymir', 'ymir_exc', 'tools', 'demo')
        for path in (root / folder).rglob('*.py')
        if reading.search(re.sub(r'np\.load\(\w+, allow_pickle=False\)', '', path.read_text(encoding='utf-8')))
    }
    assert found == {'mmyolo/utils/checkpoint.py', 'mmyolo/tools/converters/checkpoints/reading.py'}


GREEDY = {
    'set': Call(set, Call(range, 10**10)),
    'frozenset': Call(frozenset, Call(range, 10**10)),
    'deque': Call(collections.deque, Call(range, 10**10)),
    'counter': Call(collections.Counter, Call(range, 10**10)),
    'size': Call(torch.Size, Call(range, 10**10)),
    'numbers': Call(torch.Tensor, Call(range, 10**10)),
    'bytearray': Call(bytearray, 10**11),
    'encode': Call(codecs.encode, 'ü' * 9, 'punycode'),
    'texts': Call(
        np.empty(0).__reduce__()[0],
        np.ndarray,
        (0,),
        b'b',
        state=(1, (10**10,), Call(np.dtype, 'V0', False, True), False, b''),
    ),
}


@pytest.mark.parametrize('new_format', [True, False])
@pytest.mark.parametrize('name', GREEDY)
def test_a_few_bytes_that_would_become_many(tmp_path, name, new_format):
    torch.save({'w': torch.ones(2), 'x': GREEDY[name]}, tmp_path / 'x.pth', _use_new_zipfile_serialization=new_format)
    with pytest.raises(CheckpointError, match='x.pth (is damaged or holds more than weights|holds range)'):
        read_as_data(tmp_path / 'x.pth')
    torch.save({'w': bytearray(b'ab')}, tmp_path / 'x.pth')
    assert read_as_data(tmp_path / 'x.pth')['w'] == b'ab'
    assert torch.load(tmp_path / 'x.pth', weights_only=True)['w'] == b'ab'  # torch's own list is as it was


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'x.pth')
    with pytest.raises(CheckpointError, match='is not a regular file'):
        read_as_data(tmp_path / 'x.pth')


ODD_TENSORS = {
    'expanded': (torch.zeros(1).expand(10**6, 10**6), 'stands for 4,000,000,000,000 bytes, of which the file holds 4'),
    'float8': (torch.ones(3).to(torch.float8_e4m3fn), 'w is a tensor of torch.float8_e4m3fn'),
}


@pytest.mark.parametrize('name', ODD_TENSORS)
def test_tensors_that_no_model_takes(tmp_path, name):
    value, message = ODD_TENSORS[name]
    torch.save({'state_dict': {'w': value}}, tmp_path / 'x.pth')
    with pytest.raises(CheckpointError, match='x.pth') as caught:
        clean_checkpoint(read_as_data(tmp_path / 'x.pth'), tmp_path / 'x.pth')
    assert message in str(caught.value)


def test_attributes_of_tensors_are_left_out(tmp_path):
    value = torch.ones(2)
    value.to = value.clone = 5
    torch.save({'state_dict': {'w': value}}, tmp_path / 'x.pth')
    state = clean_checkpoint(read_as_data(tmp_path / 'x.pth'), 'x')['state_dict']
    assert state['w'].clone().to(torch.float64).tolist() == [1, 1]
