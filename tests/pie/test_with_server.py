"""Fetching from a real S3 server through the module of the platform: wrong keys, broken answers, a server that dies."""

import os
import random
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pie import storage as module
from pie.storage import THREADS, Storage, connect, split_url
from pie.texts import PieError
from pie_local.platform import start_platform
from pie_local.proxy import Proxy
from pie_local.run import STANDIN
from tests.pie_local.conftest import forget_modules

pytestmark = [pytest.mark.slow, pytest.mark.integration]

ROOT = Path(__file__).resolve().parents[2]
NUM_FILES = 120


@pytest.fixture(scope='module')
def served(tmp_path_factory):
    """A running platform with a data set, and what its files hold by key."""
    folder = tmp_path_factory.mktemp('data')
    (folder / 'train/images').mkdir(parents=True)
    (folder / 'valid').mkdir()
    for index in range(NUM_FILES):
        (folder / f'train/images/{index}.jpg').write_bytes(os.urandom(20000))
    with start_platform(tmp_path_factory.mktemp('s3')) as platform:
        data = platform.add_data(folder, 'detection')
        prefix = split_url(data.path, '')[1]
        yield platform, data, {prefix + str(path.relative_to(folder)): path for path in folder.rglob('*.jpg')}


@pytest.fixture
def opened(served, monkeypatch):
    """Returns a function that opens the data set, at another address of the server if need be."""
    platform, data, _ = served
    monkeypatch.syspath_prepend(str(STANDIN))
    forget_modules()

    def run(endpoint=None, dataset_id=data.dataset_id):
        variables = platform.environment(dataset_id)
        variables['AWS_ENDPOINT_URL_S3'] = endpoint or variables['AWS_ENDPOINT_URL_S3']
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return connect('')

    yield run
    forget_modules()


def fetched(storage, url, folder):
    prefix = split_url(url, '')[1]
    return storage.fetch(storage.list(prefix), prefix, folder)


def assert_whole(places, files):
    assert places.keys() == files.keys()
    assert all(places[key].read_bytes() == path.read_bytes() for key, path in files.items())


def test_all_files_come_whole(opened, served, tmp_path):
    storage, url = opened()
    assert_whole(fetched(storage, url, tmp_path), served[2])


def test_a_wrong_secret_key_or_bucket(opened, served, tmp_path):
    platform, data, _ = served
    known = platform.service.data_sets[data.dataset_id]
    for change, words in (
        ({'secretKey': 'x' * 20}, 'denies .*SignatureDoesNotMatch'),
        ({'accessKey': 'NOBODY'}, 'denies .*InvalidAccessKeyId'),
        ({'bucketName': 'none', 'keyPrefix': 's3://none/x/'}, 'has no s3://none/x/'),
    ):
        platform.service.data_sets['wrong'] = {**known, **change}
        storage, url = opened(dataset_id='wrong')
        with pytest.raises(PieError, match=words):
            fetched(storage, url, tmp_path)
    with pytest.raises(PieError, match='The data set .* cannot be opened'):
        opened(dataset_id='unknown')


def test_answers_that_break_off(opened, served, tmp_path):
    with Proxy(served[0].s3.port) as proxy:
        storage, url = opened(proxy.endpoint)
        prefix = split_url(url, '')[1]
        files = storage.list(prefix)
        proxy.cuts = 40
        assert_whole(storage.fetch(files, prefix, tmp_path), served[2])
        assert proxy.num_cut >= 40


def killed_after_the_first_files(platform, folder, seconds):
    """Kill the server while files arrive, and start it again after a while."""

    def work():
        while len(list(folder.glob('train/images/*.jpg'))) < 10:
            time.sleep(0.01)
        platform.s3.kill()
        if seconds is not None:
            time.sleep(seconds)
            platform.s3.start()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


FETCH = """
import sys
from pathlib import Path
from pie.storage import connect, split_url
storage, url = connect('')
prefix = split_url(url, '')[1]
listed = storage.list(prefix)
print('listed', flush=True)
storage.fetch(listed, prefix, Path(sys.argv[1]))
"""


def test_a_training_that_is_killed_while_it_fetches(opened, served, tmp_path, caplog):
    """At random instants: each file that is there is whole, and is not fetched again but for those just finished."""
    platform, data, files = served
    generator, counts = random.Random(0), []
    with Proxy(platform.s3.port, delay_s=0.15) as proxy:
        variables = {
            **os.environ,
            **platform.environment(data.dataset_id),
            'AWS_ENDPOINT_URL_S3': proxy.endpoint,
            'PYTHONPATH': os.pathsep.join([str(ROOT), str(STANDIN)]),
        }
        for _ in range(30):
            process = subprocess.Popen(
                [sys.executable, '-c', FETCH, tmp_path], env=variables, stdout=subprocess.PIPE, text=True
            )
            assert process.stdout.readline() == 'listed\n'
            time.sleep(generator.uniform(0, 0.5))
            process.kill()
            process.communicate()
            there = list(tmp_path.rglob('*.jpg'))
            prefix = split_url(data.path, '')[1]
            assert all(
                path.read_bytes() == files[prefix + str(path.relative_to(tmp_path))].read_bytes() for path in there
            )
            counts.append(len(there))
            if len(there) > NUM_FILES // 2:
                break
    assert counts == sorted(counts) and 0 < counts[-1] < NUM_FILES
    with caplog.at_level('INFO', 'pie'):
        assert_whole(fetched(*opened(), tmp_path), files)
    assert int(re.search(r'(\d+) files are in', caplog.text)[1]) >= counts[-1] - THREADS


def test_a_server_that_dies_for_30_seconds(opened, served, tmp_path):
    platform, _, files = served
    with Proxy(platform.s3.port, delay_s=0.2) as proxy:  # slow enough to be killed while files arrive
        storage, url = opened(proxy.endpoint)
        thread = killed_after_the_first_files(platform, tmp_path, 30)
        begun = time.monotonic()
        assert_whole(fetched(storage, url, tmp_path), files)
        assert time.monotonic() - begun > 30
        thread.join()


def test_a_server_that_dies_for_good(opened, served, tmp_path, monkeypatch):
    """It ends with a sentence, keeps what it has, and a second attempt fetches the rest alone."""
    platform, _, files = served
    with Proxy(platform.s3.port, delay_s=0.2) as proxy:
        storage, url = opened(proxy.endpoint)
        storage.patience = 3
        thread = killed_after_the_first_files(platform, tmp_path, None)
        with pytest.raises(PieError, match='The storage has not answered for'):
            fetched(storage, url, tmp_path)
        thread.join()
    platform.s3.start()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob('train/images/*.jpg')}
    assert len(kept) >= 10
    storage, url = opened()
    assert_whole(fetched(storage, url, tmp_path), files)
    known = module._read_journal(tmp_path / module.JOURNAL)
    assert len(known) == NUM_FILES
    assert sum(path.stat().st_mtime_ns == changed for path, changed in kept.items()) >= 10


def test_a_client_of_its_own(opened):
    """The platform's client tries 20 times for minutes; ours has the same keys and place, and no retries."""
    storage, _ = opened()
    config = storage.client.meta.config
    assert isinstance(storage, Storage) and config.retries['total_max_attempts'] == 1
    assert config.read_timeout == module.TIMEOUT
