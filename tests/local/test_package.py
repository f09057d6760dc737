"""Packing a training and reading the package again."""
import gzip
import io
import tarfile

import pytest
import yaml

from ymir.local.package import PackageError, pack, read_info, read_package, sha1_of, unpack

STAGES = {
    name: dict(stage_name=name, files=[f'{name}.pth', 'cfg.py'], timestamp=1700000000 + number, mAP=number / 10)
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
    document = dict(best_stage_name='epoch_2', mAP=0.2, model_stages=STAGES, attachments=dict(plots=['pr.png']),
                    evaluate_config=dict(conf_thr=0.5))
    (models / 'result.yaml').write_text(yaml.safe_dump(document))
    (tmp_path / 'run/in').mkdir()
    config = dict(class_names=['cat', 'дом'], object_type=2, max_epochs=2)
    (tmp_path / 'run/in/config.yaml').write_text(yaml.safe_dump(config, allow_unicode=True))
    return tmp_path / 'run'


def test_layout_and_description(run, tmp_path):
    file = pack(run, tmp_path / 'model.tar', executor='some/image:tag', producer='someone')
    assert file.read_bytes()[:2] == b'\x1f\x8b'
    with tarfile.open(file) as archive:
        assert archive.getnames() == [
            'epoch_1/epoch_1.pth', 'epoch_1/cfg.py', 'epoch_2/epoch_2.pth', 'epoch_2/cfg.py',
            'attachments/plots/pr.png', 'ymir-info.yaml'
        ]
        info = yaml.safe_load(archive.extractfile('ymir-info.yaml'))
        assert archive.extractfile('epoch_2/epoch_2.pth').read() == b'two'
    assert info == dict(package_version='2.0.0',
                        object_type=2,
                        best_stage_name='epoch_2',
                        executor_config=dict(class_names=['cat', 'дом'], object_type=2, max_epochs=2),
                        task_context=dict(executor='some/image:tag', producer='someone'),
                        stages=STAGES,
                        attachments=dict(plots=['pr.png']),
                        evaluate_config=dict(conf_thr=0.5),
                        model_hash='',
                        stage_name='')


def test_same_files_same_bytes(run, tmp_path):
    first = pack(run, tmp_path / 'a.tar')
    (run / 'out/models/cfg.py').touch()
    assert sha1_of(first) == sha1_of(pack(run / 'out', tmp_path / 'b.tar'))


@pytest.mark.parametrize('source', ['package', 'unpacked', 'run', 'out'])
def test_a_stage_is_read_from_everywhere(run, tmp_path, source):
    pack(run, tmp_path / 'model.tar')
    unpack(tmp_path / 'model.tar', tmp_path / 'unpacked')
    path = dict(package=tmp_path / 'model.tar', unpacked=tmp_path / 'unpacked', run=run, out=run / 'out')[source]
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
    assert read_package(tmp_path / 'alone.pth', tmp_path / 'x', ['a']).training_config == dict(class_names=['a'])
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


OLD = dict(models=['a.params', 'b.json'], executor_config=dict(class_names=['cat']), task_context=dict(mAP=0.4))


def test_version_1_1_0(tmp_path):
    path = package_of(tmp_path / 'old.tar', OLD, [('a.params', b'a'), ('b.json', b'b')])
    stage = read_package(path, tmp_path / 'x')
    assert (stage.name, stage.metric, stage.training_config) == ('default_best_stage', 0.4, dict(class_names=['cat']))
    assert [file.read_bytes() for file in stage.files] == [b'a', b'b']


def special(name, kind, target=''):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize('name, content, words', [
    ('../evil', b'x', 'outside'),
    ('/tmp/evil', b'x', 'outside'),
    ('a/../../evil', b'x', 'outside'),
    ('link', special('link', tarfile.SYMTYPE, '/etc/passwd'), 'a link'),
    ('hard', special('hard', tarfile.LNKTYPE, 'a.params'), 'a link'),
    ('device', special('device', tarfile.CHRTYPE), 'a device or pipe'),
    ('pipe', special('pipe', tarfile.FIFOTYPE), 'a device or pipe'),
    ('a.params', b'again', 'twice'),
])
def test_unsafe_members_are_refused(tmp_path, name, content, words):
    path = package_of(tmp_path / 'bad.tar', OLD, [('a.params', b'a'), ('b.json', b'b'), (name, content)])
    with pytest.raises(PackageError, match=words):
        unpack(path, tmp_path / 'folder/target')
    assert list((tmp_path / 'folder').iterdir()) == []  # nothing is left behind
    assert not (tmp_path / 'evil').exists()


@pytest.mark.parametrize('info, words', [
    (None, 'no ymir-info.yaml'),
    (dict(OLD, package_version='3.0.0', stages={}), 'package_version is 3.0.0'),
    (dict(OLD, models=None), 'package_version: 2.0.0'),
    (dict(OLD, executor_config={}), 'class_names'),
    (dict(OLD, package_version='2.0.0', stages={}, best_stage_name='a'), "best_stage_name is 'a'"),
])
def test_descriptions_that_do_not_hold(tmp_path, info, words):
    with pytest.raises(PackageError, match=words):
        unpack(package_of(tmp_path / 'bad.tar', info, [('x', b'x')]), tmp_path / 'target')


def test_no_package_at_all(tmp_path):
    (tmp_path / 'x.tar').write_bytes(b'no tar')
    (tmp_path / 'cut.tar').write_bytes(gzip.compress(b'x' * 2000)[:-9])
    for name, words in (('x.tar', 'cannot be read'), ('cut.tar', 'cannot be read'), ('y.tar', 'does not exist')):
        with pytest.raises(PackageError, match=words):
            unpack(tmp_path / name, tmp_path / 'target')


def test_an_existing_folder_is_not_touched(run, tmp_path):
    pack(run, tmp_path / 'model.tar')
    with pytest.raises(PackageError, match='exists already'):
        unpack(tmp_path / 'model.tar', run)


def test_a_failed_packing_leaves_the_old_file(run, tmp_path):
    file = pack(run, tmp_path / 'model.tar')
    before = file.read_bytes()
    (run / 'out/models/epoch_1.pth').unlink()
    with pytest.raises(PackageError, match='epoch_1.pth is no regular file'):
        pack(run, file)
    assert file.read_bytes() == before and sorted(path.name for path in tmp_path.iterdir()) == ['model.tar', 'run']
    (run / 'out/models/epoch_1.pth').symlink_to(run / 'in/config.yaml')
    with pytest.raises(PackageError, match='is a link'):
        pack(run, file)
    assert file.read_bytes() == before


def test_without_the_config_of_the_training(run, tmp_path):
    (run / 'in/config.yaml').unlink()
    with pytest.raises(PackageError, match='class_names'):
        pack(run, tmp_path / 'model.tar')


def test_what_the_platform_needs_of_the_description(run, tmp_path):
    unpack(pack(run, tmp_path / 'model.tar'), tmp_path / 'target')
    assert read_info(tmp_path / 'target').stages == STAGES
