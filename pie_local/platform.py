"""The S3 server with its data sets and the service that names them: what `pie serve` and `pie run` start."""

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from process_guard.guard import Guard

from .data_service import DataService
from .s3_server import REGION, S3Server

BUCKET = 'pie-engine-ai'
TASK_FOLDERS = {'detection': 'recognition', 'segmentation': 'segmentation', 'change': 'change'}  # within dataset/

PARTS = ('train', 'valid')


@dataclass(frozen=True)
class ServedData:
    """A data set in the S3 server.

    Attributes:
        dataset_id: The id by which scripts ask for it.
        path: `s3://bucket/.../`.
        files: How many files it has.
    """

    dataset_id: str
    path: str
    files: int


class Platform:
    """A running S3 server and data set service.

    Attributes:
        s3: The server.
        service: The service of data sets.
        mark: `NAME=value`, in the environment of every process that ends with the platform.
    """

    def __init__(self, s3: S3Server, service: DataService, mark: str) -> None:
        self.s3 = s3
        self.service = service
        self.mark = mark

    def add_data(self, folder: Path, task: str, dataset_id: str | None = None) -> ServedData:
        """Put a data set into the server.

        Args:
            folder: With `train/` and `valid/`.
            task: A key of `TASK_FOLDERS`.
            dataset_id: Default: a new one.
        """
        dataset_id = dataset_id or str(uuid.uuid4())
        prefix = f'devel/101/dataset/{TASK_FOLDERS[task]}/{dataset_id}/'
        files = sum(self.s3.upload(BUCKET, f'{prefix}{part}/', Path(folder) / part) for part in PARTS)
        path = f's3://{BUCKET}/{prefix}'
        self.service.data_sets[dataset_id] = {
            'accessKey': self.s3.access_key,
            'secretKey': self.s3.secret_key,
            'bucketName': BUCKET,
            'region': REGION,
            'keyPrefix': path,
        }
        return ServedData(dataset_id, path, files)

    def add_weights(self, file: Path, training_id: str) -> str:
        """Put weights into the server, as the platform keeps those of a training.

        Args:
            file: `MODEL.th`.
            training_id: Of the training that wrote them.

        Returns:
            The folder, as `resume_path` names it: `s3://bucket/.../`.
        """
        prefix = f'devel/101/training/{training_id}/'
        self.s3.client().put_object(Bucket=BUCKET, Key=prefix + file.name, Body=file.read_bytes())
        return f's3://{BUCKET}/{prefix}'

    def environment(self, dataset_id: str) -> dict[str, str]:
        """Return the variables that a script of the platform is started with.

        Args:
            dataset_id: The data set mounted in a notebook.
        """
        return {
            'AI_DATASET': self.service.address,
            'AI_DATASET_ID': dataset_id,
            'AWS_ENDPOINT_URL_S3': self.s3.endpoint,
        }


@contextlib.contextmanager
def start_platform(folder: Path) -> Iterator[Platform]:
    """Run server and service within a block; what they and trainings started ends with it, or when it is killed.

    Args:
        folder: Of the server's files.
    """
    mark = f'PIE_LOCAL_PLATFORM={uuid.uuid4().hex}'
    guard = Guard(mark)
    try:
        with S3Server(folder, mark=mark) as s3, DataService({}) as service:
            s3.make_bucket(BUCKET)
            yield Platform(s3, service, mark)
    finally:
        guard.end()
