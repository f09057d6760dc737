"""States and return codes of monitor.txt (contract sections d.1 and h)."""

from __future__ import annotations

from enum import IntEnum


class ExecutorState(IntEnum):
    """Column 4 of monitor.txt: the states that an executor itself writes."""

    ES_RUNNING = 2
    ES_ERROR = 4


class ExecutorReturnCode(IntEnum):
    """Column 5 of monitor.txt: what the platform shows to the user when the task fails."""

    RC_EXEC_NO_ERROR = 0
    RC_EXEC_CONFIG_ERROR = 300001
    RC_EXEC_DATASET_ERROR = 300002
    RC_EXEC_UNKNOWN_IMAGE_FORMAT = 300003
    RC_EXEC_MODEL_ERROR = 300004
    RC_EXEC_OBJECT_TYPE_ERROR = 300005
    RC_EXEC_CUDA_GPU_ERROR = 300101
    RC_EXEC_NO_GPU = 300102
    RC_EXEC_OOM = 300103
    RC_EXEC_NAN_ERROR = 300201
    RC_EXEC_NETWORK_ERROR = 300301
    RC_CMD_CONTAINER_ERROR = 160004


class PlatformCode(IntEnum):
    """What the platform itself shows where it cannot read what a task left (contract section a.6)."""

    MONITOR_UNREADABLE = 150404
    RESULT_REJECTED = 160011
    INTERNAL_ERROR = 169999
