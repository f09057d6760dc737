"""The service of the platform that tells a training script where its data set lies and by which keys it is read.

`GET ADDRESSuploadS3/getS3Params?datasetId=ID` answers `{"data": DATA}`; DATA has accessKey, secretKey, bucketName,
region and keyPrefix.
"""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qs, urlsplit


class DataService:
    """Answers until `stop`.

    Attributes:
        address: What scripts find in the environment variable AI_DATASET; ends with `/`.
        data_sets: id -> the object `data` of the answer; may change while the service runs.
    """

    def __init__(self, data_sets: dict[str, dict[str, str]], port: int = 0) -> None:
        """Start to answer.

        Args:
            data_sets: id -> the object `data` of the answer.
            port: 0: a free one.
        """
        self.data_sets = data_sets
        self._server = ThreadingHTTPServer(('127.0.0.1', port), _handler(self))
        self._server.daemon_threads = True
        self.address = f'http://127.0.0.1:{self._server.server_address[1]}/'
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={'poll_interval': 0.05}, daemon=True)
        self._thread.start()

    def __enter__(self) -> 'DataService':
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(service: DataService) -> type[BaseHTTPRequestHandler]:

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path != '/uploadS3/getS3Params':
                return self._answer(404, {'msg': f'no such address: {parts.path}'})
            asked = parse_qs(parts.query).get('datasetId', [''])[0]
            data = service.data_sets.get(asked)
            self._answer(200, {'data': data} if data else {'msg': f'no data set {asked}'})

        def _answer(self, status: int, content: dict) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header('Content-Type', 'application/json')
            self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing: each training asks once."""

    return Handler
