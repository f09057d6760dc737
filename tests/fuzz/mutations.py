"""How the inputs of a whole task are made bad: each function changes files of one kind and returns what it did."""

import copy
import gzip
import io
import json
import os
import random
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import yaml

from tests.damaged_images import KINDS, png_chunk
from tests.mmyolo.utils.files_of_all_kinds import hostile_calls, junk, no_weights
from tests.ymir.infer.test_hostile_packages import calls
from tests.ymir_exc.test_mutated_annotations import changed as changed_document
from tests.ymir_exc.test_mutated_annotations import places
from tests.ymir_local.datasets.test_mutations import mutated
from ymir_local.platform.prepare import Task

from .materials import VALUES

CANARY = 'canary'
YAMLS = (
    b'',
    b'\n\n',
    b'---\n...\n---\na: 1\n',
    b'- a\n- b\n',
    b'just text',
    b'42',
    b'a: [\n',
    b'\ta: 1\n',
    b'\xff\xfe' + 'a: 1\n'.encode('utf-16-le'),
    b'\xef\xbb\xbfa: 1\n',
    b'a: \x80\n',
    b'a: "\\ud800"\n',
    b'a: ' + b'9' * 5000,
    b'a: 2020-13-40\n',
    b'? [1, 2]\n: x\n',
    b'[' * 5000,
    b'{a: ' * 300 + b'}' * 300,
    b'a: &x [*x]\n',
    b'<<: [{a: 1}, 3]\n',
    b'a: !!python/object/apply:os.system ["touch canary"]\n',
    b'a: !!python/name:os.system\n',
    b'!!binary "x"\n',
    b'a: &a [1]\n'
    + b''.join(b'%c: &%c [%s]\n' % (98 + n, 98 + n, b','.join([b'*%c' % (97 + n)] * 30)) for n in range(9)),
)
XMLS = (
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "x">'
    + b''.join(b'<!ENTITY %c "%s">' % (98 + n, b'&%c;' % (97 + n) * 30) for n in range(9))
    + b']><annotation>&j;</annotation>',
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "/etc/passwd">]><annotation>&x;</annotation>',
    b'<a>' * 20000,
    b'<?xml version="1.0" encoding="utf-16"?><annotation/>',
    b'<?xml version="1.0" encoding="nothing"?><annotation/>',
    b'<annotation><object/></annotation>',
    b'<html></html>',
)
JSONS = (b'[' * 100_000, b'{"a":' * 50_000, b'NaN', b'1e999', b'"\\ud800"', b'{"images": ' + b'9' * 10_000 + b'}')


def replaced(path: Path, draw: random.Random) -> str:
    """Put something else in the place of a file; returns what."""
    content = path.read_bytes() if path.is_file() else b''
    path.unlink()
    options: dict[str, Callable[[], object]] = {
        'missing': lambda: None,
        'empty': path.touch,
        'a folder': path.mkdir,
        'a pipe': lambda: os.mkfifo(path),
        'a link to nothing': lambda: path.symlink_to('nowhere'),
        'a link to itself': lambda: path.symlink_to(path.name),
        'a device': lambda: path.symlink_to('/dev/zero'),
        'a terminal': lambda: path.symlink_to('/dev/tty'),
        'cut': lambda: path.write_bytes(content[: draw.randrange(len(content) + 1)]),
        'doubled': lambda: path.write_bytes(content * 2),
        'zeros': lambda: path.write_bytes(bytes(len(content))),
        'noise': lambda: path.write_bytes(draw.randbytes(draw.choice((1, 100, 10_000)))),
        'other bytes': lambda: path.write_bytes(with_other_bytes(content, draw)),
        'UTF-16': lambda: path.write_bytes(content.decode('latin-1').encode('utf-16')),
        'with BOM': lambda: path.write_bytes(b'\xef\xbb\xbf' + content),
        'CRLF': lambda: path.write_bytes(content.replace(b'\n', b'\r\n')),
        'packed': lambda: path.write_bytes(gzip.compress(content)),
        'one long line': lambda: path.write_bytes(b'x' * 5_000_000),
        'unreadable': lambda: (path.write_bytes(content), path.chmod(0)),
        'the same link': lambda: (path.with_suffix('.kept').write_bytes(content), path.symlink_to(f'{path.stem}.kept')),
    }
    name = draw.choice(list(options))
    options[name]()
    return f'{path.name}: {name}'


def with_other_bytes(content: bytes, draw: random.Random) -> bytes:
    """Bytes with some overwritten, left out or put in."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 3, 20))):
        at = draw.randrange(len(data) + 1)
        action = draw.randrange(3)
        if action == 0:
            data[at : at + draw.choice((1, 4, 50))] = draw.randbytes(draw.choice((1, 4)))
        elif action == 1:
            del data[at : at + draw.choice((1, 4, 50))]
        else:
            data[at:at] = draw.choice((b'\0', b'\xff' * 4, b'\x7f\xff\xff\xff', draw.randbytes(8)))
    return bytes(data)


def changed_value(document: Any, draw: random.Random, values: tuple = VALUES) -> tuple[Any, str]:
    """A copy of a mapping with one key dropped, doubled or of another value; and what was done."""
    document = copy.deepcopy(document)
    above = [path for path in places(document) if isinstance(_at(document, path), dict)]
    node = _at(document, draw.choice(above))
    key = draw.choice([*node, *VALUES[1:6], 'unknown'])
    if draw.random() < 0.1:
        node.pop(key, None)
        return document, f'{key!r} dropped'
    value = node[key] = draw.choice(values)
    return document, f'{key!r}: {value!r}'[:200]


def _at(document: Any, path: tuple) -> Any:
    for key in path:
        document = document[key]
    return document


def changed_yaml(path: Path, draw: random.Random, values: tuple = VALUES) -> str:
    """Change a file of YAML; returns what was done."""
    chance = draw.random()
    if chance < 0.1:
        return replaced(path, draw)
    if chance < 0.2:
        content = draw.choice(YAMLS)
        whole = path.read_bytes() if draw.random() < 0.5 else b''
        path.write_bytes(whole + content)
        return f'{path.name}: {content[:60]!r} {"behind it" if whole else "alone"}'
    if chance < 0.35:
        content = mutated(path.read_text(), draw)
        path.write_bytes(content)
        return f'{path.name}: other text'
    document, notes = yaml.safe_load(path.read_bytes()), []
    for _ in range(draw.choice((1, 1, 2))):
        document, note = changed_value(document, draw, values)
        notes.append(note)
    text = yaml.dump(document, allow_unicode=draw.random() < 0.5)
    path.write_bytes(text.encode('utf-8', 'surrogatepass'))
    return f'{path.name}: {"; ".join(notes)}'


def bad_env(task: Task, draw: random.Random) -> str:
    """env.yaml."""
    root = task.work_dir
    paths = (
        '/',
        '.',
        '~/x',
        str(task.in_dir),
        str(task.in_dir / 'config.yaml'),
        str(root / 'elsewhere'),
        str(root / 'elsewhere/file.txt'),
        str(task.out_dir / '../elsewhere/file.txt'),
        str(task.out_dir),
        str(task.out_dir / 'a/b/c/d'),
        str(task.out_dir / 'models'),
        str(task.monitor_file),
        str(task.monitor_file / 'below'),
        str(task.out_dir / ('x' * 300)),
        str(task.out_dir / 'ü\n\t'),
    )
    return changed_yaml(task.in_dir / 'env.yaml', draw, VALUES + paths * 2)


def bad_config(task: Task, draw: random.Random) -> str:
    """config.yaml."""
    return changed_yaml(task.in_dir / 'config.yaml', draw)


def bad_index(task: Task, draw: random.Random) -> str:
    """A list of images."""
    names = ('train-index.tsv', 'val-index.tsv', 'candidate-index.tsv')
    path = draw.choice([task.in_dir / name for name in names if (task.in_dir / name).is_file()])
    if draw.random() < 0.15:
        return replaced(path, draw)
    lines = path.read_bytes().splitlines()
    notes = []
    for _ in range(draw.choice((1, 2, 5))):
        at = draw.randrange(len(lines) + 1)
        line = lines[at] if at < len(lines) else b'/nowhere/x.jpg'
        options = {
            'again': line,
            'no annotation': line.split(b'\t')[0],
            'three columns': line + b'\tx',
            'relative': os.path.basename(line.split(b'\t')[0]),
            'an address': b'http://127.0.0.1:9/x.jpg\ts3://a/b',
            'no UTF-8': line.replace(b'/', b'/\xff\xfe', 1),
            'NUL': line.replace(b'/', b'/\0', 1),
            'blank': b'   ',
            'tabs': b'\t\t',
            'long': b'/' + b'x' * 5000,
            'far too long': b'/x' * 500_000,
            'quoted': b'"' + line + b'"',
            'carriage return': line + b'\r',
            'a folder': os.fsencode(task.in_dir) + b'\t' + os.fsencode(task.in_dir),
            'a device': b'/dev/zero\t/dev/zero',
            'of the system': b'/proc/self/mem\t/proc/self/environ',
            'above': line.replace(b'/in/', b'/in/../in/'),
            'a formula': b'=cmd|x\t<b>',
            'annotation as image': line.split(b'\t')[-1] * 1 + b'\t' + line.split(b'\t')[0],
        }
        name = draw.choice(list(options))
        notes.append(name)
        lines[at : at + draw.randrange(2)] = [options[name]]
    path.write_bytes(b'\n'.join(lines) + b'\n' * draw.randrange(3))
    return f'{path.name}: {", ".join(notes)}'


def bad_annotations(task: Task, draw: random.Random) -> str:
    """One or all annotation files of a training."""
    files = sorted(path for path in (task.in_dir / 'annotations').rglob('*') if path.is_file())
    chosen = files if draw.random() < 0.3 else [draw.choice(files)]
    notes = []
    for path in chosen:
        chance = draw.random()
        text = path.read_text()
        special = {'.xml': XMLS, '.json': JSONS}.get(
            path.suffix, (b'0,' * 100_000, b'0 1 2 3 4\n', b'0, 1, 2, nan, inf\n')
        )
        if chance < 0.15:
            notes.append(replaced(path, draw))
            continue
        if chance < 0.3:
            content = draw.choice(special)
        elif chance < 0.4:
            content = with_other_bytes(text.encode(), draw)
        elif path.suffix == '.json' and chance < 0.85:
            content = json.dumps(changed_coco(json.loads(text), draw)).encode()
        else:
            content = mutated(text, draw)
        path.write_bytes(content)
        notes.append(f'{path.name}: {content[:60]!r}')
    return '; '.join(notes)[:300]


def changed_coco(document: Any, draw: random.Random) -> Any:
    """A COCO document with masks, some of whose values are others."""
    for annotation in document['annotations']:
        x, y, w, h = annotation['bbox']
        polygon = [[x, y, x + w, y, x + w, y + h]]
        annotation['segmentation'] = draw.choice((polygon, {'size': [48, 64], 'counts': [0, 3072]}))
    for _ in range(draw.choice((1, 1, 3))):
        document = changed_document(document, draw) if isinstance(document, dict) else document
    return document


def pixel_bomb(side: int) -> bytes:
    """A small PNG of many pixels."""
    row = bytes(1 + side // 8)
    packer = zlib.compressobj(9)
    data = b''.join([*(packer.compress(row) for _ in range(side)), packer.flush()])
    header = struct.pack('>IIBBBBB', side, side, 1, 0, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + png_chunk(b'IHDR', header) + png_chunk(b'IDAT', data) + png_chunk(b'IEND', b'')


def bad_images(task: Task, draw: random.Random) -> str:
    """One or more images."""
    files = sorted(path for path in (task.work_dir / 'asset_cache').rglob('*') if path.is_file())
    notes = []
    for path in draw.sample(files, draw.choice((1, 1, 2, len(files)))):
        chance = draw.random()
        path.unlink()
        if chance < 0.02:
            name, content = 'bomb', pixel_bomb(draw.choice((8000, 16000, 40000)))
        elif chance < 0.12:
            path.write_bytes(KINDS['plain.jpg'])
            notes.append(replaced(path, draw))
            continue
        else:
            name, content = draw.choice(list(KINDS.items()))
            if chance < 0.5:
                name, content = f'{name} with other bytes', with_other_bytes(content, draw)
        path.write_bytes(content)
        notes.append(f'{path.name[-8:]}: {name}')
    return '; '.join(notes)[:300]


def bad_weights(task: Task, draw: random.Random) -> str:
    """The weight file of a model."""
    path = next((task.in_dir / 'models').rglob('*.pth'))
    chance = draw.random()
    content: Any
    if chance < 0.15:
        return replaced(path, draw)
    if chance < 0.3:
        name, (data, _) = draw.choice(list(junk().items()))
        path.write_bytes(data)
    elif chance < 0.4:
        name, (content, _) = draw.choice(list(no_weights().items()))
        torch.save(content, path)
    elif chance < 0.55:
        name, (call, _) = draw.choice(list(hostile_calls(task.out_dir / CANARY).items()))
        content = torch.load(path, weights_only=True)
        place = draw.choice(('meta', 'optimizer', 'state_dict'))
        content[place] = call if draw.random() < 0.3 else {**content.get(place, {}), 'x': call}
        torch.save(content, path)
    elif chance < 0.7:
        name, data = 'other bytes', with_other_bytes(path.read_bytes(), draw)
        path.write_bytes(data)
    else:
        content = torch.load(path, weights_only=True)
        name = changed_weights(content, draw)
        torch.save(content, path)
    return f'weights: {name}'


def changed_weights(content: dict[str, Any], draw: random.Random) -> str:
    """Change a loaded checkpoint; returns what was done."""
    state = content['state_dict']
    chosen = draw.sample(list(state), draw.choice((1, 1, 5, len(state))))
    big = torch.ones(1).expand(1 << 34)
    options: dict[str, Callable[[str, torch.Tensor], Any]] = {
        'dropped': lambda key, value: state.pop(key),
        'renamed': lambda key, value: state.update({draw.choice((f'module.{key}', 'x', '', key * 99)): state.pop(key)}),
        'cut': lambda key, value: state.update({key: value[:1]}) if value.dim() else None,
        'more dimensions': lambda key, value: state.update({key: value[None].clone()}),
        'no items': lambda key, value: state.update({key: value.new_empty(0)}),
        'of one number': lambda key, value: state.update({key: torch.ones(()).expand(value.shape)}),
        'huge': lambda key, value: state.update({key: big}),
        'nan': lambda key, value: value.fill_(float('nan')) if value.is_floating_point() else None,
        'infinite': lambda key, value: value.fill_(float('inf')) if value.is_floating_point() else None,
        'large': lambda key, value: value.mul_(1e18) if value.is_floating_point() else None,
        'zero': lambda key, value: value.zero_(),
        'negative': lambda key, value: value.neg_(),
        'half': lambda key, value: state.update({key: value.half()}),
        'whole numbers': lambda key, value: state.update({key: value.to(torch.int8)}),
        'doubles': lambda key, value: state.update({key: value.double()}),
        'text': lambda key, value: state.update({key: 'x'}),
        'a list': lambda key, value: state.update({key: value.reshape(-1)[:3].tolist()}),
        'nothing': lambda key, value: state.update({key: None}),
        'complex': lambda key, value: state.update({key: value.to(torch.complex64)}),
        'sparse': lambda key, value: state.update({key: value.to_sparse()}),
    }
    if draw.random() < 0.25:
        place = draw.choice(('meta', 'state_dict', 'ema_state_dict', 'optimizer', 'message_hub'))
        content[place] = value = draw.choice([*VALUES, {'cfg': 'x'}, {'cfg': 3}, {'dataset_meta': {'classes': 3}}])
        return f'{place}: {value!r}'[:100]
    name = draw.choice(list(options))
    for key in chosen:
        options[name](key, state[key])
    return f'{len(chosen)} tensors {name}'


def bad_package(task: Task, draw: random.Random) -> str:
    """Config or statistics of a model."""
    folder = next((task.in_dir / 'models').rglob('*.pth')).parent
    path = draw.choice([folder / 'model.py'] * 3 + [folder / 'mining_stats.npz'])
    chance = draw.random()
    if path.suffix == '.npz':
        if chance < 0.5:
            return replaced(path, draw)
        path.write_bytes(with_other_bytes(path.read_bytes(), draw))
        return f'{path.name}: other bytes'
    if chance < 0.15:
        return replaced(path, draw)
    text = path.read_text()
    config: dict[str, Any] = {}
    exec(text, {}, config)  # written by the materials
    if chance < 0.25:
        path.write_bytes(mutated(text, draw))
        return 'model.py: other text'
    if chance < 0.35:
        code = draw.choice(
            (f'open({CANARY!r}, "w")', 'import os\nos.mkdir("x")', '[].__class__', 'a = b = c', '_base_ = "x.py"')
        )
        path.write_text(draw.choice((f'{text}\n{code}\n', f'{code}\n{text}')))
        return f'model.py: {code}'
    above = [place for place in places(config) if place and (place[0] in ('model', 'test_pipeline', 'test_dataloader'))]
    *outer, last = draw.choice(above)
    hostile = calls(task.out_dir / CANARY)
    value = draw.choice([*VALUES, *hostile.values(), {'type': 'SiLU'}, {'type': 'x'}])
    _at(config, tuple(outer))[last] = value
    path.write_text(''.join(f'{key} = {item!r}\n' for key, item in config.items()), errors='surrogatepass')
    return f'model.py: {".".join(map(str, [*outer, last]))} = {value!r}'[:300]


PREDICTIONS = ('plan.json', 'images.jsonl', 'rank_0.jsonl', 'done', 'skipped.jsonl', 'x.tmp')
STATES = ('resume.pth', 'resume_earlier.pth', 'last_checkpoint', 'result.yaml', 'epoch_1.pth')
LEFT = (
    *(f'predictions/{name}' for name in PREDICTIONS),
    *(f'models/{name}' for name in STATES),
    *(f'ymir_training/{name}' for name in ('done.json', 'task.json', 'run_config.py', 'initial_weights.pth')),
    *('ymir_dataset/ymir_train.json', 'preflight.csv', 'skipped-images.tsv', 'training-summary.json', 'monitor.txt'),
    *('result.tsv', 'infer-result.json', 'mining-summary.json', 'ymir_temp/x', '.monitor.txt.0.tmp', 'predictions'),
)
SHORT = (b'', b'{}', b'[]', b'null', b'{"a": 1}\n', b'1\n', b'\xff\0')


def bad_output(task: Task, draw: random.Random) -> str:
    """What an earlier run, or somebody else, may have left in the output folder."""
    notes = []
    for name in draw.sample(LEFT, draw.choice((1, 1, 3))):
        path = task.out_dir / name
        if path.exists() or not path.parent.is_dir() and path.parent.exists():
            continue
        path.parent.mkdir(exist_ok=True)
        weights, (call, _) = io.BytesIO(), draw.choice(list(hostile_calls(task.out_dir / CANARY).values()))
        torch.save({'state_dict': {}, 'meta': {'epoch': 1, 'x': call}}, weights)
        words = (
            b'',
            b'{}',
            b'[]',
            b'null',
            b'{"a": 1}\n',
            b'1\n',
            b'\xff\0',
            str(task.in_dir).encode(),
            draw.randbytes(99),
        )
        path.write_bytes(draw.choice((*words, weights.getvalue(), *YAMLS, *JSONS)))
        notes.append(name if draw.random() < 0.7 else replaced(path, draw))
    return f'left in the output folder: {", ".join(notes)}'


def bad_archive(task: Task, draw: random.Random) -> str:
    """A packed model."""
    path = task.in_dir / 'model.tar'
    files: dict[str, Any] = {
        f'epoch_1/{file.name}': file.read_bytes()
        for file in (task.in_dir / 'models').rglob('*')
        if file.parent.name == 'epoch_1'
    }
    info = yaml.safe_load((task.in_dir / 'models/ymir-info.yaml').read_bytes())
    note = 'as it was'
    if draw.random() < 0.4:
        info, note = changed_value(info, draw)
    files['ymir-info.yaml'] = yaml.dump(info).encode('utf-8', 'surrogatepass')
    if draw.random() < 0.1:
        files['ymir-info.yaml'], note = draw.choice(YAMLS), 'another ymir-info.yaml'
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=draw.choice(('w', 'w:gz', 'w:bz2', 'w:xz'))) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        if draw.random() < 0.5:
            member, more = bad_member(task, draw)
            note += f', {more}'
            archive.addfile(member, io.BytesIO(bytes(max(member.size, 0))) if member.isreg() else None)
    data = stream.getvalue()
    if draw.random() < 0.3:
        data, note = with_other_bytes(data, draw), f'{note}, other bytes'
    path.write_bytes(data)
    if draw.random() < 0.15:
        note = replaced(path, draw)
    return f'package: {note}'


def bad_member(task: Task, draw: random.Random) -> tuple[tarfile.TarInfo, str]:
    """A member that belongs into no package."""
    names = (
        '../x',
        '/tmp/x',
        'a/../../x',
        'epoch_1/epoch_1.pth',
        'x' * 300,
        'a\\b',
        '.',
        '',
        'C:/x',
        'epoch_1',
        'ü/\udcff',
    )
    member = tarfile.TarInfo(draw.choice((*names, str(task.out_dir / 'x'))))
    member.type = draw.choice((b'0', b'1', b'2', b'3', b'4', b'5', b'6', b'7', b'S', b'x', b'Z'))
    member.linkname = draw.choice(('/etc/passwd', '../../x', 'epoch_1/epoch_1.pth', ''))
    member.mode, member.mtime = draw.choice((0o644, 0o4755, 0)), draw.choice((0, 1 << 33))
    if member.isreg():
        member.size = draw.choice((0, 10, 1 << 20))
    return member, f'a member {member.name[:40]!r} of type {member.type!r}'
