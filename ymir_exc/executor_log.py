"""Text in tensorboard, among it the executor's own log (contract sections d.6 and g)."""

from __future__ import annotations

import functools
import os
import time
from typing import Any

from . import env
from .log import warn_once

# Tensorboard keeps a text in memory and sends it to the browser whole.
MAX_LOG_BYTES = 1 << 20


@functools.lru_cache(maxsize=None)
def _event_writer(tensorboard_dir: str, process_id: int) -> Any:
    """One event file per directory and process; a forked child must not share its parent's."""
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    return EventFileWriter(tensorboard_dir, filename_suffix='.text')


def write_tensorboard_text(text: str, tag: str | None = None) -> None:
    """Show a text in tensorboard; where the package ``tensorboard`` is not installed, warn instead.

    Args:
        text: shown as it is, in a code block.
        tag: the name that it has there; None is ``default``. Texts of one tag are ordered by the time of writing.

    Raises:
        OSError: the tensorboard directory is not writable.
    """
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.compat.proto.types_pb2 import DT_STRING
        from tensorboard.plugins.text.metadata import PLUGIN_NAME
    except ImportError as error:
        warn_once('tensorboard', f'no text is written for tensorboard: {error}; it is in the package tensorboard')
        return

    now = time.time()
    tensor = TensorProto(dtype=DT_STRING, string_val=[f'```\n{text}\n```'.encode('utf-8', 'replace')])
    metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name=PLUGIN_NAME))
    value = Summary.Value(tag=tag or 'default', metadata=metadata, tensor=tensor)
    writer = _event_writer(env.get_current_env().output.tensorboard_dir, os.getpid())
    writer.add_event(Event(wall_time=now, step=int(now * 1000), summary=Summary(value=[value])))
    writer.flush()


def write_final_executor_log(tag: str | None = None) -> None:
    """Show the executor's log in tensorboard; of a log over 1 MiB, its end.

    Args:
        tag: see :func:`write_tensorboard_text`.

    Raises:
        FileNotFoundError: there is no log: it is written by the platform, not by a local run.
    """
    path = env.get_current_env().output.executor_log_file
    with open(path, 'rb') as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - MAX_LOG_BYTES))
        text = stream.read().decode('utf-8', 'replace')
    if size > MAX_LOG_BYTES:
        text = f'... the first {size - MAX_LOG_BYTES} bytes are left out\n{text}'
    write_tensorboard_text(text, tag)
