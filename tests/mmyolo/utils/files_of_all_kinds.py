"""Files that are taken for weights: harmless ones, hostile ones and others, for tests of all that reads them."""

import argparse
import builtins
import collections
import datetime
import io
import os
import pathlib
import pickle
import runpy
import shutil
import subprocess
import tarfile
import zipfile

import numpy as np
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler import OneCycleLR
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler


class Call:
    """Pickles to a call."""

    def __init__(self, function, *arguments, state=None):
        self.parts = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self):
        return self.parts


def hostile_calls(canary):
    """Calls that would make, or remove, what lies at `canary`: name to what is pickled and what the message names."""
    text = str(canary)
    return {
        'system': (Call(os.system, f'touch {text}'), 'os.system'),
        'popen': (Call(subprocess.Popen, ['touch', text]), 'subprocess.Popen'),
        'eval': (Call(eval, f'open({text!r}, "w")'), 'eval'),
        'exec': (Call(exec, f'open({text!r}, "w")'), 'exec'),
        'open': (Call(open, text, 'w'), 'open'),
        'import': (Call(__import__, 'antigravity'), '__import__'),
        'mkdir': (Call(os.mkdir, text), 'os.mkdir'),
        'rmtree': (Call(shutil.rmtree, str(canary.parent)), 'shutil.rmtree'),
        'run_path': (Call(runpy.run_path, text), 'runpy.run_path'),
        'getattr': (Call(getattr, dict, 'clear'), 'getattr'),
        'getattr of a class': (Call(getattr, HistoryBuffer, '__init__'), 'getattr'),
        'getattr of a scheduler': (Call(getattr, OneCycleParamScheduler, 'build_iter_from_epoch'), 'getattr'),
        'setattr': (Call(setattr, HistoryBuffer, 'mean', None), 'setattr'),
        'load': (Call(torch.load, text), 'torch'),
        'nested': (
            Call(torch.storage._load_from_bytes, pickle.dumps(Call(os.system, f'touch {text}'))),
            'torch.storage._load_from_bytes',
        ),
        'import by name': (Call(pickle.loads, pickle.dumps(Call(os.system, f'touch {text}'))), 'loads'),
        'path': (Call(builtins.getattr, pathlib.Path(text), 'touch'), 'getattr'),
        'state of a class': (Call(collections.OrderedDict, state={'a': 1}), None),
    }


def harmless(tmp_path=None):
    """What public checkpoints hold besides tensors: name to value."""
    record = np.dtype([('x', 'f4'), ('name', 'U5'), ('inner', [('y', 'i8')])])
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=10)
    values = {f'numpy {code}': np.array([0, 1, 1]).astype(code) for code in '?bhilqBHILQefdgFDG'}
    values.update({f'scalar {code}': np.array([1]).astype(code)[0] for code in '?bhilqBHILQefdgFDG'})
    values.update(
        {
            'str_': np.str_('grün'),
            'bytes_': np.bytes_(b'ab'),
            'empty str_': np.str_(''),
            'texts': np.array(['a', 'grün']),
            'bytes array': np.array([b'a', b'bcd']),
            'datetime64': np.datetime64('2024-02-29T12:00', 'm'),
            'timedelta64': np.timedelta64(3, 'D'),
            'dates': np.array(['2024-02-29', 'NaT'], dtype='M8[D]'),
            '25 s': np.array([3], dtype='m8[25s]'),
            'record': np.array([(1, 'a', (2,))], dtype=record),
            'one record': np.array([(1, 'a', (2,))], dtype=record)[0],
            'objects': np.array(['a', None, 3], dtype=object),
            'big endian': np.arange(3, dtype='>i4'),
            'columns first': np.asfortranarray(np.arange(6.0).reshape(2, 3)),
            'no rows': np.zeros((0, 4)),
            '0-d': np.array(2.5),
            'date': datetime.date(2024, 2, 29),
            'time': datetime.datetime(2024, 2, 29, 12, 30),
            'zone': datetime.datetime(2024, 2, 29, tzinfo=datetime.timezone.utc),
            'delta': datetime.timedelta(seconds=3),
            'path': pathlib.PosixPath('/data/coco'),
            'pure path': pathlib.PurePosixPath('a/b'),
            'windows path': pathlib.PureWindowsPath('C:\\data'),
            'defaultdict': collections.defaultdict(list, {'a': [1]}),
            'defaultdict of int': collections.defaultdict(int, a=1),
            'defaultdict of dict': collections.defaultdict(dict, a={}),
            'ordered': collections.OrderedDict(b=1, a=2),
            'counter': collections.Counter('aab'),
            'namespace': argparse.Namespace(lr=0.1, data=pathlib.PosixPath('x')),
            'set': {1, 2},
            'frozenset': frozenset([1]),
            'bytes': b'ab',
            'complex': 1 + 2j,
            'slice': slice(1, 3),
            'large': 10**30,
            'nan': [float('inf')],
            'config': ConfigDict(a={'b': [1, ConfigDict(c=2)]}),
            'size': torch.Size([1, 2]),
            'dtype': torch.float16,
            'device': torch.device('cuda:1'),
            'history': HistoryBuffer([1.0, 3.0], [1, 1]),
            'optimizer': optimizer.state_dict(),
            'scheduler': schedule.state_dict(),
            'parameter': torch.nn.Parameter(torch.ones(2)),
            'half': torch.ones(2).half(),
            'bfloat16': torch.ones(2).bfloat16(),
            'annealing': OneCycleLR._annealing_cos,
            'annealing of torch': type(schedule)._annealing_linear,
        }
    )
    return values


def _zip(**entries):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _tar():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w') as archive:
        archive.addfile(tarfile.TarInfo('storages'), io.BytesIO())
    return stream.getvalue()


def _saved(content=None, **options):
    stream = io.BytesIO()
    torch.save({'state_dict': {'w': torch.ones(999)}} if content is None else content, stream, **options)
    return stream.getvalue()


def _script():
    stream = io.BytesIO()
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), stream)
    return stream.getvalue()


def _bomb():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('archive/data.pkl', bytes(1 << 27))
    return stream.getvalue()


def junk():
    """What is not a checkpoint: name to content and what the message says."""
    saved = _saved()
    array = io.BytesIO()
    np.save(array, np.ones(3))
    arrays = io.BytesIO()
    np.savez(arrays, a=np.ones(3))
    return {
        'nothing': (b'', 'an empty file'),
        'zeros': (bytes(5000), 'a file of zero bytes'),
        'text': (b'these are my weights', 'a text file'),
        'config': (b'model = dict(type="YOLODetector")\n', 'a text file'),
        'html': (b'\n<!DOCTYPE html><html><body>Log in</body></html>', 'an HTML page'),
        'xml': (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', 'an XML file'),
        'json': (b'{"message": "Not Found"}', 'a JSON file'),
        'lfs': (b'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n', 'a git-lfs pointer'),
        'tar': (_tar(), 'a tar archive'),
        'gzip': (b'\x1f\x8b\x08' + bytes(9), 'a gzip file'),
        'zip': (_zip(weights=b'1'), 'a zip archive that torch.save did not write'),
        'path in a zip': (_zip(**{'../../data.txt': b'1'}), 'a zip archive that torch.save did not write'),
        'cut zip': (saved[:-100], 'a zip archive that is cut'),
        'half a zip': (saved[: len(saved) // 2], 'a zip archive that is cut'),
        'zip of odd names': (b'x' + saved[1:].replace(b'/data/0', b'/data/\x8e'), 'a zip archive that is cut'),
        'zip head': (b'PK\x03\x04 half a zip', 'a zip archive that is cut'),
        'bomb': (_bomb(), 'would become 134,217,728'),
        'script': (_script(), 'a TorchScript file'),
        'npy': (array.getvalue(), 'a numpy array (.npy)'),
        'npz': (arrays.getvalue(), 'a numpy archive (.npz)'),
        'onnx': (b'\x08\x08\x12\x07pytorch\x1a\x052.1.0:\x80\x01' + bytes(99), 'an ONNX file'),
        'safetensors': ((64).to_bytes(8, 'little') + b'{"w":{"dtype":"F32"}}' + bytes(64), 'a safetensors file'),
        'hdf5': (b'\x89HDF\r\n\x1a\n' + bytes(99), 'an HDF5 file'),
        'png': (b'\x89PNG\r\n\x1a\n' + bytes(99), 'a PNG image'),
        'jpeg': (b'\xff\xd8\xff\xe0' + bytes(99), 'a JPEG image'),
        'pickle': (pickle.dumps({'w': [1, 2]}), 'damaged or'),
        'pickle 2': (pickle.dumps({'w': [1, 2]}, 2), 'damaged or'),
        'noise': (np.random.default_rng(0).bytes(5000), 'damaged or'),
        'protocol 4': (_saved(pickle_protocol=4), 'pickle protocol above 3'),
        'cut old': (_saved(_use_new_zipfile_serialization=False)[:-500], 'damaged or'),
    }


def no_weights():
    """What torch.save wrote, but holds no weights: name to content and what the message says."""
    return {
        'list': ([torch.ones(1)], 'holds a list and no weights'),
        'tensor': (torch.ones(3), 'holds a Tensor and no weights'),
        'number': (3, 'holds a int and no weights'),
        'None': (None, 'holds a NoneType and no weights'),
        'text': ('weights', 'holds a str and no weights'),
        'no dict': ({'state_dict': [torch.ones(1)]}, 'its state_dict is a list'),
        'empty': ({'state_dict': {}}, 'there is no tensor'),
        'no tensors': ({'state_dict': {'a': 1, 'b': 'x'}}, 'there is no tensor'),
        'numbers for names': ({'state_dict': {0: torch.ones(1)}}, 'has a int for a name'),
        'sparse': ({'state_dict': {'a': torch.eye(2).to_sparse()}}, 'a is a sparse tensor'),
        'quantized': (
            {'state_dict': {'a': torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)}},
            'a is a quantized tensor',
        ),
        'without content': ({'state_dict': {'a': torch.ones(2, device='meta')}}, 'a is a tensor without content'),
        'complex': ({'state_dict': {'a': torch.ones(2, dtype=torch.complex64)}}, 'a is a complex tensor'),
        'tuples for names': ({'state_dict': {('a', 1): torch.ones(1)}}, 'has a tuple for a name'),
    }
