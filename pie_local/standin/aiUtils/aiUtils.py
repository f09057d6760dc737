"""Reads data sets and weights of PIE-Engine AI from S3, with the names and the behaviour of the platform's own module.

For machines that the platform does not run on. It needs boto3; GDAL only for `.gdal`. Every method takes a key or a
full `s3://bucket/key` address.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

IMAGE_MARKS = ('.jpg', '.tif', '.tiff', '.png', '.TIF', '.bmp')  # anywhere in the key, as the platform looks for them
TRIES = 3
TIMEOUT_S = 30


class s3GetImg:  # noqa: N801 - the platform's name
    """The data set of a training, and the S3 storage it lies in.

    Attributes:
        path: `s3://bucket/.../`, the folder of the data set.
        bucketName: The bucket.
        s3: The boto3 client.
    """

    def __init__(self, datasetId=None):
        """Ask the service of data sets for the keys of the storage.

        Args:
            datasetId: Default: the environment variable AI_DATASET_ID.

        Raises:
            RuntimeError: The service does not answer, or knows no such data set.
        """
        if datasetId is None:
            datasetId = os.environ.get('AI_DATASET_ID', 'null')
        access = _get_s3_params(datasetId)
        self.path = access['keyPrefix']
        self.bucketName = access['bucketName']
        self._access = access
        self.s3 = boto3.client(
            's3',
            aws_access_key_id=access['accessKey'],
            aws_secret_access_key=access['secretKey'],
            region_name=access.get('region') or 'cn-northwest-1',
            config=Config(
                signature_version='s3v4',
                max_pool_connections=200,
                retries={'max_attempts': 20},
                request_checksum_calculation='when_required',
                response_checksum_validation='when_required',
            ),
        )

    @property
    def gdal(self):
        """The module gdal, which reads `/vsis3/bucket/key` with the keys of the data set."""
        from osgeo import gdal

        gdal.SetConfigOption('AWS_ACCESS_KEY_ID', self._access['accessKey'])
        gdal.SetConfigOption('AWS_SECRET_ACCESS_KEY', self._access['secretKey'])
        gdal.SetConfigOption('AWS_REGION', self._access.get('region') or 'cn-northwest-1')
        endpoint = os.environ.get('AWS_ENDPOINT_URL_S3')
        if endpoint:
            gdal.SetConfigOption('AWS_S3_ENDPOINT', urllib.parse.urlsplit(endpoint).netloc)
            gdal.SetConfigOption('AWS_HTTPS', 'YES' if endpoint.startswith('https') else 'NO')
            gdal.SetConfigOption('AWS_VIRTUAL_HOSTING', 'FALSE')
        return gdal

    def getImages(self, path, is_xml=False):
        """List the pictures whose keys begin with a text.

        Args:
            path: The beginning of the keys; `train/images` also lists `train/images2/`.
            is_xml: Whether the labels, `.xml`, are wanted instead.

        Returns:
            Keys without the bucket, in their order.

        Raises:
            RuntimeError: There is none.
        """
        marks = ('.xml',) if is_xml else IMAGE_MARKS
        keys = [key for key in self._list(path) if any(mark in key for mark in marks)]
        if not keys:
            raise RuntimeError('Found 0 images in subfolders of: ' + path)
        return keys

    def getFileList(self, path):
        """List all keys that begin with a text.

        Args:
            path: The beginning of the keys.
        """
        return self._list(path)

    def getImgXmlArray(self, key):
        """Read a picture or a label.

        Args:
            key: Of the object.

        Returns:
            Its bytes.

        Raises:
            RuntimeError: There is no such object, or it cannot be read.
        """
        key = _key_of(key)
        try:
            self.s3.head_object(Bucket=self.bucketName, Key=key)
        except (ClientError, BotoCoreError) as error:
            raise RuntimeError(f'S3 not have data path: {key} ({error})') from error
        try:
            return self.s3.get_object(Bucket=self.bucketName, Key=key)['Body'].read()
        except (ClientError, BotoCoreError) as error:
            raise RuntimeError(f'Not get S3 Imag data: {key} ({error})') from error

    getImgXMLArray = getImgXmlArray  # the spelling of the platform's documents

    def downS3Weight(self, file_name, upload_key):
        """Download weights.

        Args:
            file_name: The local file.
            upload_key: The key in S3.

        Returns:
            Whether the key exists; nothing is raised if not.
        """
        bucket, key = self._bucket_and_key(upload_key)
        if not self._exists(bucket, key):
            other_bucket, other_key = self._bucket_and_key(file_name)
            if not self._exists(other_bucket, other_key):
                return False
            print(
                'downS3Weight: the arguments are in the wrong order; write downS3Weight(local file, key in S3) / '
                '参数顺序颠倒,应为 downS3Weight(本地文件, S3 的 key)',
                file=sys.stderr,
            )
            file_name, bucket, key = upload_key, other_bucket, other_key
            if os.path.isdir(file_name):
                file_name = os.path.join(file_name, key.split('/')[-1])
        self.s3.download_file(bucket, key, file_name)
        return True

    def pullImage(self, folder, key=None):
        """Download `train/` and `valid/` of a data set.

        Args:
            folder: Where to; files keep their names below the data set.
            key: The folder of the data set; default: `path`.
        """
        root = _key_of(key or self.path).rstrip('/') + '/'
        keys = [name for part in ('train/', 'valid/') for name in self._list(root + part) if not name.endswith('/')]

        def pull(name):
            target = os.path.join(folder, *name[len(root) :].split('/'))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            self.s3.download_file(self.bucketName, name, target)

        with ThreadPoolExecutor(20) as pool:
            list(pool.map(pull, keys))

    def getObjectSize(self, key):
        """Return the size of an object in bytes.

        Args:
            key: Of the object.
        """
        return self.s3.head_object(Bucket=self.bucketName, Key=_key_of(key))['ContentLength']

    def _list(self, path):
        pages = self.s3.get_paginator('list_objects_v2').paginate(
            Bucket=self.bucketName, Prefix=_key_of(path), PaginationConfig={'PageSize': 1000}
        )
        return [entry['Key'] for page in pages for entry in page.get('Contents', ())]

    def _bucket_and_key(self, path):
        if path.startswith('s3://'):
            bucket, _, key = path[len('s3://') :].partition('/')
            return bucket, key
        return self.bucketName, path

    def _exists(self, bucket, key):
        try:
            self.s3.head_object(Bucket=bucket, Key=key)
        except ClientError:
            return False
        return True


def _key_of(path):
    return '/'.join(path.split('/')[3:]) if path.startswith('s3://') else path


def _get_s3_params(dataset_id):
    service = os.environ.get('AI_DATASET', '')
    if not service:
        raise RuntimeError('Not get S3 params: the environment variable AI_DATASET is not set')
    address = service.rstrip('/') + '/uploadS3/getS3Params?' + urllib.parse.urlencode({'datasetId': dataset_id})
    cause, failure = 'no data', None
    for attempt in range(TRIES):
        try:
            with urllib.request.urlopen(address, timeout=TIMEOUT_S) as answer:
                data = json.loads(answer.read().decode('utf-8')).get('data')
            if data:
                return data
            break
        except (urllib.error.URLError, OSError, ValueError) as error:
            cause, failure = str(error), error
            if attempt < TRIES - 1:
                time.sleep(1)
    raise RuntimeError(f'Not get S3 params of data set {dataset_id} from {service}: {cause}') from failure
