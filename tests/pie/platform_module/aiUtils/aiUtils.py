"""The members of the platform's module that a training needs, over a folder: PIE_TEST_STORE/BUCKET/key."""

import hashlib
import io
import os
from pathlib import Path

BUCKET = 'pie-engine-ai'


class Missing(Exception):
    """As boto3 answers where an object is not there."""

    response = {'Error': {'Code': 'NoSuchKey'}, 'ResponseMetadata': {'HTTPStatusCode': 404}}


class FolderClient:
    """What `client.s3` offers."""

    def __init__(self, store):
        self.store = Path(store)

    def list_objects_v2(self, Bucket, Prefix='', MaxKeys=1000, ContinuationToken=''):
        root = self.store / Bucket
        files = sorted(str(path.relative_to(root)) for path in root.rglob('*') if path.is_file())
        keys = [key for key in files if key.startswith(Prefix) and key > ContinuationToken]
        page = keys[:MaxKeys]
        contents = [{'Key': key, 'Size': (root / key).stat().st_size, 'ETag': self.etag(root / key)} for key in page]
        more = {'NextContinuationToken': page[-1]} if len(keys) > MaxKeys else {}
        return {'Contents': contents, 'IsTruncated': bool(more), **more}

    def get_object(self, Bucket, Key):
        path = self.store / Bucket / Key
        if not path.is_file():
            raise Missing(f'no {Key}')
        data = path.read_bytes()
        return {'Body': io.BytesIO(data), 'ContentLength': len(data), 'ETag': self.etag(path)}

    @staticmethod
    def etag(path):
        return f'"{hashlib.md5(path.read_bytes()).hexdigest()}"'


class s3GetImg:
    """The entry of the platform's module."""

    def __init__(self, datasetId=None):
        datasetId = datasetId or os.environ.get('AI_DATASET_ID', 'null')
        self.s3 = FolderClient(os.environ['PIE_TEST_STORE'])
        self.bucketName = BUCKET
        self.path = f's3://{BUCKET}/devel/101/dataset/recognition/{datasetId}/'
