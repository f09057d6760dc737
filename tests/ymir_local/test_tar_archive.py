"""Archives that are cut, damaged or made to harm: one sentence, nothing left behind, nothing written elsewhere."""

import gzip
import io
import os
import random
import tarfile
import tracemalloc

import pytest
import yaml
from typer.testing import CliRunner

from ymir_local.cli import app
from ymir_local.platform import tar_archive
from ymir_local.platform.package import PackageError, read_package, unpack

STAGE = {'stage_name': 'a', 'files': ['w.pth', 'c.py'], 'timestamp': 1700000500, 'mAP': 0.4}
INFO = {
    'package_version': '2.0.0',
    'object_type': 2,
    'best_stage_name': 'a',
    'executor_config': {'class_names': ['cat']},
    'task_context': {},
    'stages': {'a': STAGE},
    'attachments': {},
    'evaluate_config': {},
}
WEIGHTS = random.Random(0).randbytes(3000)


def member(name, content=b'', **values):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for key, value in values.items():
        setattr(info, key, value)
    return info, content


def tar_of(*members, before=()):
    """The bytes of a plain archive: ymir-info.yaml, the files of its stage, and what is given."""
    stream = io.BytesIO()
    good = [
        member('ymir-info.yaml', yaml.safe_dump(INFO).encode()),
        member('a/w.pth', WEIGHTS),
        member('a/c.py', b'x = 1'),
    ]
    with tarfile.open(fileobj=stream, mode='w', format=tarfile.GNU_FORMAT) as archive:
        for info, content in (*before, *good, *members):
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def header(**values):
    info, _ = member('extra', **values)
    return info.tobuf(tarfile.GNU_FORMAT)


def without_end(data):
    return data[: data.rstrip(b'\0').__len__() // 512 * 512 + 512]


GOOD = tar_of()
PACKED = gzip.compress(GOOD)
OPEN_END = without_end(GOOD)
PAX_BOMB = header(type=tarfile.XHDTYPE, size=1 << 33)
HARMFUL = {
    'cut after ymir-info.yaml': (GOOD[:1024], 'it is cut off'),
    'cut within a header': (GOOD[:1300], 'it is cut off'),
    'cut within a file': (GOOD[:3000], 'unexpected end of data'),
    'cut before its end': (OPEN_END, 'it is cut off'),
    'a header that is broken': (GOOD[:1024] + b'x' * 512 + GOOD[1536:], 'a header in it is broken'),
    'something behind its end': (GOOD + b'junk', 'something stands behind its end'),
    'another archive behind its end': (GOOD + GOOD, 'something stands behind its end'),
    'gzip cut in half': (PACKED[: len(PACKED) // 2], 'damaged'),
    'gzip cut in its checksum': (PACKED[:-6], 'Compressed file ended'),
    'gzip without its length': (PACKED[:-1], 'Compressed file ended'),
    'gzip with a wrong checksum': (PACKED[:-8] + b'\1\2\3\4' + PACKED[-4:], 'CRC check failed'),
    'gzip with a wrong length': (PACKED[:-4] + b'\1\2\3\4', 'Incorrect length'),
    'junk behind gzip': (PACKED + b'junk', 'Not a gzipped file'),
    'gzip of a cut archive': (gzip.compress(GOOD[:1024]), 'it is cut off'),
    'a bomb': (gzip.compress(tar_of(member('zeros', bytes(64 << 20)))), 'made to fill a disk'),
    'a bomb that says so': (gzip.compress(OPEN_END + header(size=1 << 45) + bytes(5 << 20)), 'more than are free'),
    'a bomb behind the end': (gzip.compress(GOOD + bytes(64 << 20)), 'made to fill a disk'),
    'a bomb in a header': (
        gzip.compress(OPEN_END + PAX_BOMB + bytes(5 << 20)),
        'a header in it holds 8589934592 bytes',
    ),
    'a long name of 5 MB': (tar_of(before=[member('n' * (5 << 20))]), 'a header in it holds'),
    'many files': (tar_of(*[member(f'{number}') for number in range(200)]), 'holds more than 100 files'),
    'holes': (OPEN_END + header(type=tarfile.GNUTYPE_SPARSE, size=0) + bytes(1024), 'a file with holes'),
    'a negative size': (OPEN_END + header(size=-5) + bytes(1024), 'a header in it holds -5 bytes'),
    'a link': (tar_of(member('l', type=tarfile.SYMTYPE, linkname='/etc/passwd')), 'a link'),
    'a hard link': (tar_of(member('l', type=tarfile.LNKTYPE, linkname='a/w.pth')), 'a link'),
    'a link and a file below it': (
        tar_of(member('l', type=tarfile.SYMTYPE, linkname='..'), member('l/evil', b'x')),
        'a link',
    ),
    'a device': (tar_of(member('d', type=tarfile.BLKTYPE)), 'a device or pipe'),
    'a pipe': (tar_of(member('d', type=tarfile.FIFOTYPE)), 'a device or pipe'),
    'a file above': (tar_of(member('../evil', b'x')), 'outside of the folder'),
    'an absolute file': (tar_of(member('/evil', b'x')), 'outside of the folder'),
    'a file for Windows': (tar_of(member('..\\evil', b'x')), 'outside of the folder'),
    'a file twice': (tar_of(member('a/w.pth', b'x')), "'a/w.pth' stands in it twice"),
    'a file twice by other words': (tar_of(member('./a//w.pth', b'x')), "'a/w.pth' stands in it twice"),
    'a file below a file': (tar_of(member('a/w.pth/x', b'x')), 'cannot be unpacked|stands in it twice'),
    'a folder in the place of a file': (tar_of(member('a/w.pth', type=tarfile.DIRTYPE)), 'stands in it twice'),
    'a name that is too long': (tar_of(member('n' * 3000, b'x')), 'cannot be unpacked: File name too long'),
    'nothing': (b'', 'something else, or damaged'),
    'text': (b'hello' * 1000, 'something else, or damaged'),
}


@pytest.mark.parametrize('kind', HARMFUL)
@pytest.mark.parametrize('read', [unpack, read_package])
def test_harmful_archives(kind, read, tmp_path, monkeypatch):
    monkeypatch.setattr(tar_archive, 'ALWAYS_ALLOWED', 10 << 20)
    monkeypatch.setattr(tar_archive, 'MAX_MEMBERS', 100)
    data, words = HARMFUL[kind]
    folder = tmp_path / 'folder'
    folder.mkdir()
    (folder / 'x.tar').write_bytes(data)
    with pytest.raises(PackageError, match=words) as rejected:
        read(folder / 'x.tar', folder / 'new/target')
    assert '\n' not in str(rejected.value) and len(str(rejected.value)) < 600
    assert os.listdir(folder) == ['x.tar'] and os.listdir(tmp_path) == ['folder']


@pytest.mark.parametrize('pack', [bytes, gzip.compress])
def test_no_cut_goes_unnoticed(pack, tmp_path):
    """A plain archive may lack zeros at its end, and nothing else."""
    data = pack(GOOD)
    whole = len(OPEN_END) + 512 if pack is bytes else len(data)
    chance = random.Random(0)
    for length in [*range(0, len(data), 512), *(chance.randrange(len(data)) for _ in range(60)), whole - 1]:
        if length >= whole:
            continue
        (tmp_path / 'x.tar').write_bytes(data[:length])
        with pytest.raises(PackageError):
            unpack(tmp_path / 'x.tar', tmp_path / 'target')
        assert os.listdir(tmp_path) == ['x.tar']


@pytest.mark.parametrize(
    'data',
    [
        GOOD,
        PACKED,
        OPEN_END + bytes(1024),
        PACKED + bytes(512),
        tar_of(member('a', type=tarfile.DIRTYPE)),
        tar_of(before=[member('.', type=tarfile.DIRTYPE)]),
        tar_of(member('n' * 200, b'x')),
    ],
)
def test_what_is_whole_is_unpacked(data, tmp_path):
    (tmp_path / 'x.tar').write_bytes(data)
    assert unpack(tmp_path / 'x.tar', tmp_path / 'new/target').best == 'a'
    assert (tmp_path / 'new/target/a/w.pth').read_bytes() == WEIGHTS
    assert sorted(os.listdir(tmp_path)) == ['new', 'x.tar'] and os.listdir(tmp_path / 'new') == ['target']


@pytest.mark.parametrize('file', ['w.pth', 'c.py'])
def test_files_that_a_stage_names_must_be_there(file, tmp_path):
    stages = {'a': STAGE, 'b': dict(STAGE, stage_name='b', files=[file])}
    info = yaml.safe_dump(dict(INFO, stages=stages)).encode()
    others = [name for name in STAGE['files'] if name != file]
    with tarfile.open(tmp_path / 'x.tar', 'w:gz') as archive:
        for name, content in [('ymir-info.yaml', info), *((f'a/{name}', b'x') for name in others)]:
            archive.addfile(*[(item, io.BytesIO(data)) for item, data in [member(name, content)]][0])
    with pytest.raises(PackageError, match=f'names {file}, which is not in the package'):
        unpack(tmp_path / 'x.tar', tmp_path / 'target')
    assert os.listdir(tmp_path) == ['x.tar']


def test_weights_that_are_an_archive_are_not_read_to_know_it(tmp_path):
    """A header that says that a gigabyte of further headers follows."""
    huge = tarfile.TarInfo('x')
    huge.type, huge.size = tarfile.XHDTYPE, 1 << 30
    (tmp_path / 'x.pth').write_bytes(gzip.compress(huge.tobuf(tarfile.USTAR_FORMAT) + bytes(64 << 20)))
    assert tar_archive.is_tar(tmp_path / 'x.pth') and not tar_archive.is_tar(tmp_path)
    tracemalloc.start()
    with pytest.raises(PackageError, match='holds 1073741824 bytes'):
        read_package(tmp_path / 'x.pth', tmp_path / 'target')
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


def test_a_description_of_many_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr('ymir_exc.reading.package_info.MAX_INFO', 20)
    (tmp_path / 'x.tar').write_bytes(tar_of())
    with pytest.raises(PackageError, match='ymir-info.yaml holds .* bytes; at most 20 are read'):
        unpack(tmp_path / 'x.tar', tmp_path / 'target')
    assert os.listdir(tmp_path) == ['x.tar']


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / 'x.tar')
    with pytest.raises(PackageError, match='not a regular file'):
        unpack(tmp_path / 'x.tar', tmp_path / 'target')


def test_the_user_may_allow_more(tmp_path, monkeypatch):
    monkeypatch.setattr(tar_archive, 'ALWAYS_ALLOWED', 1 << 20)
    (tmp_path / 'x.tar').write_bytes(gzip.compress(tar_of(member('zeros', bytes(8 << 20)))))
    rejected = CliRunner().invoke(app, ['unpack', str(tmp_path / 'x.tar'), str(tmp_path / 'target'), '--json'])
    assert rejected.exit_code != 0 and '--max-gib' in rejected.output and not (tmp_path / 'target').exists()
    done = CliRunner().invoke(app, ['unpack', str(tmp_path / 'x.tar'), str(tmp_path / 'target'), '--max-gib', '1'])
    assert done.exit_code == 0, done.output
    assert (tmp_path / 'target/zeros').stat().st_size == 8 << 20
