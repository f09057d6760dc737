"""A storage in memory with the answers of boto3, and with faults."""

import hashlib
import io


class Fault(Exception):
    """An answer that boto3 raises as an error."""

    def __init__(self, code, status):
        super().__init__(code)
        self.response = {'Error': {'Code': code}, 'ResponseMetadata': {'HTTPStatusCode': status}}


class Store:
    """Objects by key.

    Args:
        objects: Key -> bytes.
        page: Keys on a page of the list.
    """

    def __init__(self, objects, page=1000):
        self.objects, self.page = objects, page
        self.gets = []
        self.faults = []  # what the next gets raise, or functions that make a body of the right one
        self.etags = {}

    def etag(self, key):
        return self.etags.get(key) or hashlib.md5(self.objects[key]).hexdigest()

    def list_objects_v2(self, Bucket, Prefix='', MaxKeys=1000, ContinuationToken=''):
        keys = sorted(key for key in self.objects if key.startswith(Prefix) and key > ContinuationToken)
        shown = keys[: min(self.page, MaxKeys)]
        more = {'NextContinuationToken': shown[-1]} if len(keys) > len(shown) else {}
        contents = [{'Key': key, 'Size': len(self.objects[key]), 'ETag': f'"{self.etag(key)}"'} for key in shown]
        return {'IsTruncated': bool(more), **({'Contents': contents} if contents else {}), **more}

    def get_object(self, Bucket, Key):
        self.gets.append(Key)
        body = self.objects.get(Key)
        if body is None:
            raise Fault('NoSuchKey', 404)
        length = len(body)
        if self.faults:
            fault = self.faults.pop(0)
            if isinstance(fault, Exception):
                raise fault
            body = fault(body)
        return {'Body': io.BytesIO(body), 'ContentLength': length, 'ETag': f'"{self.etag(Key)}"'}
