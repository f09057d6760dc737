"""Packing a training and reading the package again."""

import errno
import gzip
import io
import random
import tarfile
import zipfile

import pytest
import yaml

from ymir_local.platform import tar_archive
from ymir_local.platform.package import PackageError, pack, read_info, read_package, sha1_of, unpack

STAGES = {
    name: {'stage_name': name, 'files': [f'{name}.pth', 'cfg.py'], 'timestamp': 1700000000 + number, 'mAP': number / 10}
    for number, name in enumerate(('epoch_1', 'epoch_2'), 1)
}


@pytest.fixture
def run(tmp_path):
    """Folder of a training with two stages that share a file, and an attachment."""
    models = tmp_path / 'run/out/models'
    (models / 'epoch_2').mkdir(parents=True)
    (models / 'epoch_1.pth').write_bytes(b'one')
    (models / 'epoch_2/epoch_2.pth').write_bytes(b'two')
    (models / 'cfg.py').write_text('cfg')
    (models / 'attachments/plots').mkdir(parents=True)
    (models / 'attachments/plots/pr.png').write_bytes(b'png')
    document = {
        'best_stage_name': 'epoch_2',
        'mAP': 0.2,
        'model_stages': STAGES,
        'attachments': {'plots': ['pr.png']},
        'evaluate_config': {'conf_thr': 0.5},
    }
    (models / 'result.yaml').write_text(yaml.safe_dump(document))
    (tmp_path / 'run/in').mkdir()
    config = {'class_names': ['cat', 'дом'], 'object_type': 2, 'max_epochs': 2}
    (tmp_path / 'run/in/config.yaml').write_text(yaml.safe_dump(config, allow_unicode=True))
    return tmp_path / 'run'


def test_layout_and_description(run, tmp_path):
    file = pack(run, tmp_path / 'model.tar', executor='some/image:tag', producer='someone')
    assert file.read_bytes()[:2] == b'\x1f\x8b'
    with tarfile.open(file) as archive:
        assert archive.getnames() == [
            'epoch_1/epoch_1.pth',
            'epoch_1/cfg.py',
            'epoch_2/epoch_2.pth',
            'epoch_2/cfg.py',
            'attachments/plots/pr.png',
            'ymir-info.yaml',
        ]
        info = yaml.safe_load(archive.extractfile('ymir-info.yaml'))
        assert archive.extractfile('epoch_2/epoch_2.pth').read() == b'two'
    assert info == {
        'package_version': '2.0.0',
        'object_type': 2,
        'best_stage_name': 'epoch_2',
        'executor_config': {'class_names': ['cat', 'дом'], 'object_type': 2, 'max_epochs': 2},
        'task_context': {'executor': 'some/image:tag', 'producer': 'someone'},
        'stages': STAGES,
        'attachments': {'plots': ['pr.png']},
        'evaluate_config': {'conf_thr': 0.5},
        'model_hash': '',
        'stage_name': '',
    }


def test_same_files_same_bytes(run, tmp_path):
    first = pack(run, tmp_path / 'a.tar')
    (run / 'out/models/cfg.py').touch()
    assert sha1_of(first) == sha1_of(pack(run / 'out', tmp_path / 'b.tar'))


def test_packing_an_extracted_package_gives_the_same(run, tmp_path):
    document = yaml.safe_load((run / 'out/models/result.yaml').read_text())
    document['model_stages'] = dict(reversed(document['model_stages'].items()))  # the order does not matter
    document['model_stages']['epoch_1']['files'] = ['epoch_1.pth', 'cfg.py', './cfg.py']  # nor does a repeated name
    (run / 'out/models/result.yaml').write_text(yaml.safe_dump(document, sort_keys=False))
    first = pack(run, tmp_path / 'a.tar', executor='some/image:tag')
    unpack(first, tmp_path / 'unpacked')
    assert pack(tmp_path / 'unpacked', tmp_path / 'b.tar').read_bytes() == first.read_bytes()


@pytest.mark.parametrize('source', ['package', 'unpacked', 'run', 'out'])
def test_a_stage_is_read_from_everywhere(run, tmp_path, source):
    pack(run, tmp_path / 'model.tar')
    unpack(tmp_path / 'model.tar', tmp_path / 'unpacked')
    path = {'package': tmp_path / 'model.tar', 'unpacked': tmp_path / 'unpacked', 'run': run, 'out': run / 'out'}[
        source
    ]
    best = read_package(path, tmp_path / 'best')
    assert (best.name, best.metric, best.timestamp) == ('epoch_2', 0.2, 1700000002)
    assert [file.read_bytes() for file in best.files] == [b'two', b'cfg']
    assert best.training_config['class_names'] == ['cat', 'дом']
    other = read_package(f'{path}@epoch_1', tmp_path / 'other')
    assert [file.read_bytes() for file in other.files] == [b'one', b'cfg']
    with pytest.raises(PackageError, match='no stage epoch_9; it has epoch_1, epoch_2'):
        read_package(f'{path}@epoch_9', tmp_path / 'third')


def test_a_weight_file(run, tmp_path):
    inside = read_package(run / 'out/models/epoch_1.pth', tmp_path / 'x')
    assert inside.training_config['class_names'] == ['cat', 'дом']
    assert [file.name for file in inside.files] == ['epoch_1.pth', 'cfg.py']
    (tmp_path / 'alone.pth').write_bytes(b'x')
    assert read_package(tmp_path / 'alone.pth', tmp_path / 'x', ['a']).training_config == {'class_names': ['a']}
    with pytest.raises(PackageError, match='--classes'):
        read_package(tmp_path / 'alone.pth', tmp_path / 'x')


def package_of(path, info, members=(), mode='w'):
    with tarfile.open(path, mode) as archive:
        for name, content in (*members, *([('ymir-info.yaml', yaml.safe_dump(info).encode())] if info else [])):
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
            else:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return path


OLD = {'models': ['a.params', 'b.json'], 'executor_config': {'class_names': ['cat']}, 'task_context': {'mAP': 0.4}}


def test_version_1_1_0(tmp_path):
    path = package_of(tmp_path / 'old.tar', OLD, [('a.params', b'a'), ('b.json', b'b')])
    stage = read_package(path, tmp_path / 'x')
    assert (stage.name, stage.metric, stage.training_config) == ('default_best_stage', 0.4, {'class_names': ['cat']})
    assert [file.read_bytes() for file in stage.files] == [b'a', b'b']


def special(name, kind, target=''):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    'name, content, words',
    [
        ('../evil', b'x', 'outside'),
        ('/tmp/evil', b'x', 'outside'),
        ('a/../../evil', b'x', 'outside'),
        ('link', special('link', tarfile.SYMTYPE, '/etc/passwd'), 'a link'),
        ('hard', special('hard', tarfile.LNKTYPE, 'a.params'), 'a link'),
        ('device', special('device', tarfile.CHRTYPE), 'a device or pipe'),
        ('pipe', special('pipe', tarfile.FIFOTYPE), 'a device or pipe'),
        ('a.params', b'again', 'twice'),
    ],
)
def test_unsafe_members_are_rejected(tmp_path, name, content, words):
    path = package_of(tmp_path / 'bad.tar', OLD, [('a.params', b'a'), ('b.json', b'b'), (name, content)])
    with pytest.raises(PackageError, match=words):
        unpack(path, tmp_path / 'folder/target')
    assert list(tmp_path.iterdir()) == [path]  # nothing is left behind
    assert not (tmp_path / 'evil').exists()


@pytest.mark.parametrize(
    'info, words',
    [
        (None, 'no ymir-info.yaml'),
        (dict(OLD, package_version='3.0.0', stages={}), 'package_version is 3.0.0'),
        (dict(OLD, models=None), 'package_version: 2.0.0'),
        (dict(OLD, executor_config={}), 'class_names'),
        (dict(OLD, package_version='2.0.0', stages={}, best_stage_name='a'), "best_stage_name is 'a'"),
        (dict(OLD, task_context={'mAP': 'good'}), "mAP is 'good', a number is needed"),
        (dict(OLD, task_context='me'), "task_context is 'me'"),
        (dict(OLD, package_version='2.0.0', stages={'a': {}}, best_stage_name=['a']), 'best_stage_name is'),
        (dict(OLD, package_version='2.0.0', stages={'a': {}}, best_stage_name='a'), 'no stage_name and no files'),
        (
            dict(
                OLD,
                package_version='2.0.0',
                stages={'a': {'stage_name': 'a', 'files': 'a.pth', 'timestamp': 0}},
                best_stage_name='a',
            ),
            "files is 'a.pth', a list is needed",
        ),
        (
            dict(
                OLD,
                package_version='2.0.0',
                stages={'a': {'stage_name': 'a', 'files': [], 'timestamp': 0}},
                best_stage_name='a',
                object_type='det',
            ),
            "object_type is 'det'",
        ),
    ],
)
def test_descriptions_that_do_not_hold(tmp_path, info, words):
    with pytest.raises(PackageError, match=words):
        unpack(package_of(tmp_path / 'bad.tar', info, [('x', b'x')]), tmp_path / 'target')


def test_no_package_at_all(tmp_path):
    (tmp_path / 'x.tar').write_bytes(b'no tar')
    (tmp_path / 'cut.tar').write_bytes(gzip.compress(b'x' * 2000)[:-9])
    (tmp_path / 'folder.tar').mkdir()
    with zipfile.ZipFile(tmp_path / 'x.zip', 'w') as archive:
        archive.writestr('ymir-info.yaml', 'a')
    for name, words in (
        ('x.tar', 'something else, or damaged'),
        ('cut.tar', 'something else, or damaged'),
        ('x.zip', 'a tar file, this is a zip archive'),
        ('folder.tar', 'Is a directory'),
        ('y.tar', 'does not exist'),
    ):
        with pytest.raises(PackageError, match=words) as rejected:
            unpack(tmp_path / name, tmp_path / 'target')
        assert '\n' not in str(rejected.value) and not (tmp_path / 'target').exists()


def test_damage_is_told_in_one_sentence(run, tmp_path):
    good = pack(run, tmp_path / 'model.tar').read_bytes()
    for number in range(300):
        chance = random.Random(number)
        data = bytearray(good if number % 2 else gzip.decompress(good))
        data[chance.randrange(len(data))] = chance.randrange(256)
        (tmp_path / 'x.tar').write_bytes(data[: chance.randrange(len(data))] if number % 3 == 0 else data)
        try:
            read_package(tmp_path / 'x.tar', tmp_path / f'target{number}')
        except PackageError as rejected:
            assert '\n' not in str(rejected)
            assert not (tmp_path / f'target{number}').exists() or 'which is not in the package' in str(rejected)


def test_a_package_that_is_larger_than_the_disk(tmp_path, monkeypatch):
    huge = tarfile.TarInfo('huge')
    huge.size = 1 << 50
    (tmp_path / 'huge.tar').write_bytes(huge.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(PackageError, match='huge holds 1125899906842624 bytes, more than are free'):
        unpack(tmp_path / 'huge.tar', tmp_path / 'target')

    def full(*_):
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(tar_archive.shutil, 'copyfileobj', full)  # others may fill the disk meanwhile
    with pytest.raises(PackageError, match='cannot be unpacked: No space left on device'):
        unpack(package_of(tmp_path / 'old.tar', OLD, [('a.params', b'a')]), tmp_path / 'target')
    assert not (tmp_path / 'target').exists()


STAGE = {'stage_name': 'final', 'files': ['final.pth', 'final.py'], 'timestamp': 1700000500, 'mAP': 0.44}
INFO = {
    'package_version': '2.0.0',
    'object_type': 2,
    'best_stage_name': 'final',
    'executor_config': {'class_names': ['forklift', 'pallet']},
    'task_context': {'executor': 'registry/img:tag', 'producer': 'someone'},
    'stages': {'final': STAGE},
    'attachments': {},
    'evaluate_config': {},
    'model_hash': '',
    'stage_name': '',
}


@pytest.mark.parametrize('version', ['2.0.0', '2.0.1', '2.0.2'])
@pytest.mark.parametrize('mode', ['w', 'w:gz', 'w:bz2'])
@pytest.mark.parametrize('prefix', ['final/', '', './'], ids=['stage folder', 'root', 'tar of a folder'])
def test_packages_of_the_platform(tmp_path, version, mode, prefix):
    """As contract section k has them; `tar -C folder -c .` begins every name with `./`."""
    path = package_of(
        tmp_path / 'model.tar.gz',
        dict(INFO, package_version=version),
        [(f'{prefix}final.pth', b'weights'), (f'{prefix}final.py', b'config')],
        mode,
    )
    stage = read_package(f'{path}@final', tmp_path / 'x')
    assert (stage.name, stage.metric, stage.timestamp) == ('final', 0.44, 1700000500)
    assert stage.training_config['class_names'] == ['forklift', 'pallet']
    assert [file.read_bytes() for file in stage.files] == [b'weights', b'config']


def test_an_existing_folder_is_not_touched(run, tmp_path):
    pack(run, tmp_path / 'model.tar')
    with pytest.raises(PackageError, match='exists already'):
        unpack(tmp_path / 'model.tar', run)


def test_a_failed_packing_leaves_the_old_file(run, tmp_path):
    file = pack(run, tmp_path / 'model.tar')
    before = file.read_bytes()
    (run / 'out/models/epoch_1.pth').unlink()
    with pytest.raises(PackageError, match='epoch_1.pth is not a regular file'):
        pack(run, file)
    assert file.read_bytes() == before and sorted(path.name for path in tmp_path.iterdir()) == ['model.tar', 'run']
    (run / 'out/models/epoch_1.pth').symlink_to(run / 'in/config.yaml')
    with pytest.raises(PackageError, match='is a link'):
        pack(run, file)
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    'files, words',
    [
        ([], 'stage a has no files'),
        (['b.pth'], 'b.pth, which is not in the package'),
        (['../x'], "'../x' of a stage does not lie inside"),
    ],
)
def test_stages_that_name_no_file_of_the_package(tmp_path, files, words):
    stage = {'stage_name': 'a', 'files': files, 'timestamp': 0}
    info = dict(OLD, package_version='2.0.0', stages={'a': stage}, best_stage_name='a')
    with pytest.raises(PackageError, match=words):
        read_package(package_of(tmp_path / 'bad.tar', info, [('x', b'x')]), tmp_path / 'target')


def test_a_package_that_was_packed_with_its_folder(tmp_path):
    path = package_of(tmp_path / 'bad.tar', None, [('model/ymir-info.yaml', b'a')])
    with pytest.raises(PackageError, match='there is one in model/'):
        unpack(path, tmp_path / 'target')


def test_without_the_config_of_the_training(run, tmp_path):
    (run / 'in/config.yaml').unlink()
    with pytest.raises(PackageError, match='class_names'):
        pack(run, tmp_path / 'model.tar')


def test_what_the_platform_needs_of_the_description(run, tmp_path):
    unpack(pack(run, tmp_path / 'model.tar'), tmp_path / 'target')
    assert read_info(tmp_path / 'target').stages == STAGES
