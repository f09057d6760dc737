"""The S3 storage of the platform: listed once, and fetched once into a cache with many threads.

`aiUtils` of the platform gives a client with credentials. It reads one object after another, asks twice for each, and
its retries wait for minutes on a storage that is gone; so a client with the same credentials and other limits is used.
Each file is checked by its length and its MD5 and put in its place whole, so what a killed run has fetched counts.
"""

import errno
import hashlib
import itertools
import json
import os
import queue
import re
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pie.causes import network_cause
from pie.texts import PieError, Words, say

THREADS = 16
PATIENCE = 120.0  # seconds without a whole answer before the storage counts as gone
FEWEST_ATTEMPTS = 3
FIRST_WAIT, LONGEST_WAIT = 0.25, 5.0  # seconds between two attempts
TIMEOUT = 20  # seconds for one answer
LEFTOVER = 3600  # seconds since the last byte of a file that nobody fetches any more
CHUNK = 1 << 20
NOTICE = 3.0  # seconds between two lines about the progress
MD5 = re.compile('[0-9a-f]{32}')
MAX_NAME_BYTES = 255
JOURNAL = 'fetched.jsonl'
# Answers that no repetition changes.
DENIED = ('AccessDenied', 'InvalidAccessKeyId', 'SignatureDoesNotMatch', 'ExpiredToken', 'InvalidToken', 'Forbidden')
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
ABSENT = ('NoSuchKey', 'NoSuchBucket', 'NotFound')


@dataclass(frozen=True)
class StoredFile:
    """One object of the storage.

    Args:
        key: Without the bucket.
        size: Bytes.
        etag: Of its content.
    """

    key: str
    size: int
    etag: str


def split_url(url: str, bucket: str) -> tuple[str, str]:
    """Return bucket and key of `s3://bucket/key`; what is no URL is a key of `bucket`."""
    if '://' not in url:
        return bucket, url.lstrip('/')
    own, _, key = url.split('://', 1)[1].partition('/')
    return own, key


class Storage:
    """A bucket.

    Args:
        client: Of boto3, or another with its `list_objects_v2` and `get_object`.
        bucket: The bucket.
        patience: Seconds without a whole answer before the storage counts as gone.
    """

    def __init__(self, client: Any, bucket: str, patience: float = PATIENCE) -> None:
        self.client = impatient_client(client)
        self.bucket = bucket
        self.patience = patience
        self.alive = time.monotonic()  # when something arrived whole
        self.etag_is_md5: bool | None = None  # not known before the first file

    def list(self, prefix: str, bucket: str | None = None) -> list[StoredFile]:
        """Return all objects below a prefix, in the order of their keys, without folder markers."""
        found, token = [], {}
        bucket = bucket or self.bucket
        self.alive = time.monotonic()
        while True:
            arguments = {'Bucket': bucket, 'Prefix': prefix, 'MaxKeys': 1000, **token}
            page = self._persist(
                lambda arguments=arguments: self.client.list_objects_v2(**arguments), f's3://{bucket}/{prefix}'
            )
            for entry in page.get('Contents') or ():
                if not entry['Key'].endswith('/'):
                    found.append(StoredFile(entry['Key'], int(entry['Size']), str(entry.get('ETag') or '').strip('"')))
            following = page.get('NextContinuationToken')
            if not page.get('IsTruncated') or not following:
                return sorted(found, key=lambda one: one.key)
            token = {'ContinuationToken': following}

    def fetch(
        self, files: Sequence[StoredFile], prefix: str, folder: Path, bucket: str | None = None, threads: int = THREADS
    ) -> dict[str, Path]:
        """Fetch files into a folder; those that are there already, whole and unchanged, stay.

        Args:
            files: What to fetch.
            prefix: What is left out of the keys in the names of the local files.
            folder: Where they go.
            bucket: Another than the one of this object.
            threads: How many files are fetched at a time.

        Returns:
            Key -> local file.

        Raises:
            PieError: The storage denies them, has not got one, or is gone for too long.
        """
        folder.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
        places = {one.key: folder.joinpath(*local_name(one.key, prefix)) for one in files}
        known = _read_journal(folder / JOURNAL)
        missing = [one for one in files if not _is_there(places[one.key], one, known)]
        if len(files) > len(missing):
            say('cached', count=len(files) - len(missing), folder=folder)
        if missing:
            self._fetch_missing(missing, places, folder / JOURNAL, bucket or self.bucket, threads)
        return places

    def _fetch_missing(
        self, missing: Sequence[StoredFile], places: dict[str, Path], journal: Path, bucket: str, threads: int
    ) -> None:
        waiting: queue.SimpleQueue = queue.SimpleQueue()
        done: queue.SimpleQueue = queue.SimpleQueue()
        stop = threading.Event()
        self.alive = time.monotonic()
        for one in missing:
            waiting.put(one)

        def work() -> None:
            while not stop.is_set():
                try:
                    one = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    self._fetch_one(one, places[one.key], bucket)
                    done.put((one, None))
                except BaseException as error:
                    done.put((one, error))
                    return

        # Daemons: a thread that waits for an answer does not keep a task alive that was stopped.
        workers = [threading.Thread(target=work, daemon=True) for _ in range(min(threads, len(missing)))]
        started = said = time.monotonic()
        total, size = len(missing), 0
        try:
            for worker in workers:
                worker.start()
            with journal.open('a', buffering=1, encoding='utf-8') as lines:  # a line counts although we are killed
                for count in range(1, total + 1):
                    one, error = done.get()
                    if error is not None:
                        raise error
                    size += one.size
                    lines.write(json.dumps([one.key, one.size, one.etag]) + '\n')
                    if time.monotonic() - said > NOTICE or count == total:
                        said = time.monotonic()
                        rate = count / max(said - started, 1e-3)
                        say('fetched', count=count, total=total, megabytes=f'{size / 1e6:.1f}', rate=f'{rate:.0f}')
        finally:
            stop.set()

    def _fetch_one(self, one: StoredFile, place: Path, bucket: str) -> None:
        seen: set[str] = set()
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_name(f'.{os.getpid()}-{threading.get_ident()}.part')

        def attempt() -> None:
            answer = self.client.get_object(Bucket=bucket, Key=one.key)
            etag = str(answer.get('ETag') or '').strip('"')
            digest, length = hashlib.md5(usedforsecurity=False), 0
            # Not synced to the disk: a file that a power cut empties has another size than the journal says.
            try:
                with temporary.open('wb') as file:
                    while block := answer['Body'].read(CHUNK):
                        digest.update(block)
                        length += len(block)
                        file.write(block)
                if length != int(answer.get('ContentLength', one.size)):
                    raise IncompleteError('transfer_length', found=length, wanted=answer.get('ContentLength'))
                self._check_digest(digest.hexdigest(), etag, answer, seen)
                temporary.replace(place)
            finally:
                temporary.unlink(missing_ok=True)

        self._persist(attempt, f's3://{bucket}/{one.key}')

    def _check_digest(self, digest: str, etag: str, answer: dict[str, Any], seen: set[str]) -> None:
        """Compare with the ETag where it is an MD5.

        Some servers give another hash of 32 digits: as long as no file had its MD5 there, two equal transfers count.
        """
        if self.etag_is_md5 is False or not MD5.fullmatch(etag) or 'kms' in str(answer.get('ServerSideEncryption')):
            return
        if digest == etag:
            self.etag_is_md5 = True
            return
        if digest in seen and self.etag_is_md5 is None:
            self.etag_is_md5 = False
            return
        seen.add(digest)
        raise IncompleteError('transfer_digest')

    def _persist(self, action: Any, url: str) -> Any:
        """Do something until it works, is denied, or the storage is silent for too long."""
        wait = FIRST_WAIT
        for attempt in itertools.count(1):
            try:
                result = action()
                self.alive = time.monotonic()
                return result
            except OSError as error:
                if error.filename is not None or error.errno in DISK_ERRORS:  # not of the network
                    raise
                self._judge(error, url, attempt)
            except Exception as error:
                self._judge(error, url, attempt)
            time.sleep(wait)
            wait = min(2 * wait, LONGEST_WAIT)

    def _judge(self, error: Exception, url: str, attempt: int) -> None:
        """Raise the error that is final."""
        answer = getattr(error, 'response', None)
        detail = answer.get('Error', {}) if isinstance(answer, dict) else {}
        status = answer.get('ResponseMetadata', {}).get('HTTPStatusCode') if isinstance(answer, dict) else None
        code = str(detail.get('Code', ''))
        reason = code or network_cause(error) or getattr(error, 'words', None) or f'{type(error).__name__}: {error}'
        if code in ABSENT or status == 404:
            raise PieError('storage_absent', url=url, reason=reason) from error
        if code in DENIED or status in (401, 403):
            raise PieError('storage_denied', url=url, reason=reason) from error
        if type(error).__name__ in ('NoCredentialsError', 'ParamValidationError', 'InvalidEndpointError'):
            raise PieError('storage_denied', url=url, reason=reason) from error
        silent = time.monotonic() - self.alive
        if silent > self.patience and attempt >= FEWEST_ATTEMPTS:  # a large file may take longer than that
            raise PieError('storage_gone', url=url, seconds=f'{silent:.0f}', reason=reason) from error


class IncompleteError(PieError):
    """A transfer that has to be repeated."""


def _access_cause(error: Exception) -> Words | str:
    """Return why aiUtils gives no access."""
    found = network_cause(error)
    if found is None and str(error).startswith('Not get S3 params'):  # so the platform's module says it
        return Words('access_refused')
    return found or f'{type(error).__name__}: {error}'


def impatient_client(client: Any) -> Any:
    """Return a client with the credentials and the place of another, short time limits and no retries of its own.

    Args:
        client: Of boto3; any other is returned as it is.
    """
    credentials = getattr(getattr(client, '_request_signer', None), '_credentials', None)
    if credentials is None:
        return client
    import boto3
    from botocore.config import Config

    wanted = {
        'retries': {'total_max_attempts': 1},
        'connect_timeout': TIMEOUT,
        'read_timeout': TIMEOUT,
        'max_pool_connections': THREADS,
        'signature_version': 's3v4',
        # Older servers know nothing of the checksums that newer versions of boto3 add.
        'request_checksum_calculation': 'when_required',
        'response_checksum_validation': 'when_required',
    }
    if client.meta.config.s3:
        wanted['s3'] = client.meta.config.s3
    keys = credentials.get_frozen_credentials()
    return boto3.session.Session().client(
        's3',
        region_name=client.meta.region_name,
        endpoint_url=client.meta.endpoint_url,
        aws_access_key_id=keys.access_key,
        aws_secret_access_key=keys.secret_key,
        aws_session_token=keys.token,
        config=Config(**{name: value for name, value in wanted.items() if name in Config.OPTION_DEFAULTS}),
    )


def local_name(key: str, prefix: str) -> tuple[str, ...]:
    """Return the parts of the local name of a key, none of which leads out of the folder.

    Raises:
        PieError: The key cannot be a file name.
    """
    parts = PurePosixPath(key.removeprefix(prefix).lstrip('/')).parts
    if not parts or any(
        part in ('.', '..') or '\0' in part or '\\' in part or len(part.encode()) > MAX_NAME_BYTES - 20
        for part in parts
    ):
        raise PieError('odd_key', key=repr(key)[:200])
    return parts


def _remove_leftovers(folder: Path) -> None:
    """Remove what killed trainings left half fetched, and nothing of one that shares the cache and runs."""
    for path in folder.rglob('.*.part'):
        try:
            if time.time() - path.stat().st_mtime > LEFTOVER:
                path.unlink()
        except FileNotFoundError:
            pass


def _read_journal(path: Path) -> dict[str, tuple[int, str]]:
    """Return size and ETag of the files that earlier runs fetched; the last line may be cut."""
    known = {}
    try:
        lines: Iterable[str] = path.read_text(encoding='utf-8', errors='replace').splitlines()
    except FileNotFoundError:
        return known
    for line in lines:
        try:
            key, size, etag = json.loads(line)
        except ValueError:
            continue
        known[str(key)] = (size, etag)
    return known


def _is_there(place: Path, one: StoredFile, known: dict[str, tuple[int, str]]) -> bool:
    try:
        return known.get(one.key) == (one.size, one.etag) and place.stat().st_size == one.size
    except OSError:
        return False


def connect(dataset_id: str) -> tuple[Storage, str]:
    """Open the storage of a data set through the platform's module aiUtils.

    Args:
        dataset_id: '' for the one that the environment names.

    Returns:
        The storage, and the URL of the data set with a slash at its end.

    Raises:
        PieError: There is no aiUtils, or it gets no access.
    """
    try:
        from aiUtils import aiUtils
    except ImportError as error:
        name = error.name if isinstance(error, ModuleNotFoundError) else None
        reason = Words('module_absent', name=name) if name else error
        raise PieError('no_ai_utils', reason=reason) from error
    try:
        client = aiUtils.s3GetImg(dataset_id or None)
        storage, url = Storage(client.s3, client.bucketName), str(client.path)
    except Exception as error:
        raise PieError('no_access', dataset=dataset_id or 'AI_DATASET_ID', reason=_access_cause(error)) from error
    return storage, url if url.endswith('/') else url + '/'
