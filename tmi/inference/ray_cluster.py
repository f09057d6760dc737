"""A Ray cluster: connecting to it, and finding out whether its machines can predict. Imports Ray only when needed."""

import logging
import queue
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tmi.errors import SettingError, TaskError, UnknownError, as_task_error, one_line
from tmi.inference.plan import PredictionPlan
from tmi.inference.ray_node import Lookout, fault_of
from tmi.setting_names import setting_name

logger = logging.getLogger('tmi')

REACH_SECONDS = 20  # for a port to answer
CONNECT_SECONDS = 90
LOOK_SECONDS = 180  # for a machine to start a process and answer


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Connect this process to a cluster, of which this machine is a part.

    Args:
        address: HOST:PORT, or 'auto'.

    Raises:
        TaskError: SettingError if that is not possible within some time.
    """
    host, _, port = address.rpartition(':')
    if host:
        try:
            socket.create_connection((host.strip('[]'), int(port)), REACH_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise _address_error(address, f'{getattr(error, "strerror", None) or error}') from error
    outcome: queue.Queue[Exception | None] = queue.Queue()

    def connect() -> None:
        try:
            import ray

            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=True)
            outcome.put(None)
        except Exception as error:  # raised in the thread that waits
            outcome.put(error)

    # In a thread, as Ray would wait for ever for some ports, and take over SIGTERM from the main thread.
    threading.Thread(target=connect, daemon=True).start()
    try:
        error = outcome.get(timeout=CONNECT_SECONDS)
    except queue.Empty:
        raise _address_error(address, f'no Ray cluster answers there within {CONNECT_SECONDS} seconds') from None
    if error is not None:
        raise _address_error(address, f'{type(error).__name__}: {error}') from error
    import ray

    try:
        yield
    finally:
        ray.shutdown()


def _address_error(address: str, reason: str) -> TaskError:
    return SettingError(
        f'The Ray cluster {address} cannot be used ({one_line(reason)[:400]}): '
        f'{setting_name("ray_address") or "its address"} is HOST:PORT of its head (ray start --head --port=6379), and '
        'this machine must be one of its machines (ray start --address=HOST:PORT), with the same versions of Ray and '
        'Python.'
    )


def cluster_error(address: str, error: Exception) -> TaskError:
    """Return what an error of Ray means for a task.

    Args:
        address: Of the cluster.
        error: What was caught.
    """
    known = as_task_error(error)
    if type(known) is not UnknownError:
        return known
    return UnknownError(f'The Ray cluster {address} failed: {type(error).__name__}: {one_line(str(error))[:600]}')


def usable_nodes(plan: PredictionPlan) -> list[dict[str, Any]]:
    """Return the machines of the cluster that can predict, as Ray describes them.

    Args:
        plan: Of the task.

    Raises:
        TaskError: SettingError if there is none.
    """
    import ray

    kind = 'GPU' if plan.gpu_ids else 'CPU'
    alive = [node for node in ray.nodes() if node['Alive']]
    found = [node for node in alive if min(node['Resources'].get(kind, 0), node['Resources'].get('CPU', 0)) >= 1]
    if not found:
        raise SettingError(
            f'None of the {len(alive)} machines of the Ray cluster {plan.ray_address} offers a {kind}: start its '
            f'machines with {"--num-gpus and " if plan.gpu_ids else ""}--num-cpus.'
        )
    return found


def check_nodes(
    nodes: Sequence[Mapping[str, Any]], token: str, sizes: Mapping[str, int], packages: Mapping[str, str]
) -> None:
    """See that the machines share the storage and have the same code; one that is lost meanwhile is left out.

    Args:
        nodes: As Ray describes them.
        token: A new file in the folder of all blocks.
        sizes: Of files that must be there, in bytes.
        packages: The `fingerprint` of this machine.

    Raises:
        TaskError: SettingError naming machine and fault.
    """
    import ray
    import ray.cloudpickle
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    from tmi.inference import ray_node

    ray.cloudpickle.register_pickle_by_value(ray_node)  # the machine may lack this code
    try:
        lookouts, asked = [], {}
        for node in nodes:
            place = NodeAffinitySchedulingStrategy(node['NodeID'], soft=False)
            lookouts.append(ray.remote(Lookout).options(num_cpus=0, scheduling_strategy=place).remote())
            asked[lookouts[-1].look.remote(token, sizes)] = node
        ready, late = ray.wait(list(asked), num_returns=len(asked), timeout=LOOK_SECONDS)
    finally:
        ray.cloudpickle.unregister_pickle_by_value(ray_node)
    faults = [f'{_name(asked[item])} does not answer within {LOOK_SECONDS} seconds' for item in late]
    for item in ready:
        try:
            fault = fault_of(ray.get(item), packages)
        except Exception as error:
            logger.warning('%s of the Ray cluster cannot be asked: %s', _name(asked[item]), one_line(str(error)))
            continue
        if fault:
            faults.append(f'{_name(asked[item])} cannot be used: {fault}')
    for lookout in lookouts:
        ray.kill(lookout)  # else it would wait for further work
    if faults:
        raise SettingError(
            f'{"; ".join(faults[:3])}{f", and {len(faults) - 3} more" if len(faults) > 3 else ""}. All machines of the '
            'Ray cluster need the same version of this code and its packages, and the folders of the task, the images '
            'and the model under the same paths as here.'
        )


def _name(node: Mapping[str, Any]) -> str:
    return f'The machine {node["NodeManagerAddress"]}'


def describe_resources() -> str:
    """Return what the cluster has, and how much of it is free, in words."""
    import ray

    nodes = [node for node in ray.nodes() if node['Alive']]
    free = ray.available_resources()
    kinds = [
        f'{free.get(kind, 0):g} of {ray.cluster_resources().get(kind, 0):g} {kind}s free' for kind in ('CPU', 'GPU')
    ]
    return f'{len(nodes)} machines, {", ".join(kinds)}'
