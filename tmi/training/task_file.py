"""What a training is about as a file, for its processes that make its config again for another length."""

from pathlib import Path

from pydantic import TypeAdapter

from tmi.training.config import TrainingTask


def write_task(path: Path, task: TrainingTask) -> None:
    """Write a task as JSON; of its parameters those of the core.

    Args:
        path: The file.
        task: What to write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(TypeAdapter(TrainingTask).dump_json(task))


def read_task(path: Path) -> TrainingTask:
    """Read what `write_task` wrote."""
    return TypeAdapter(TrainingTask).validate_json(path.read_bytes())
