"""The device that a tool runs on."""

import torch


def choose_device(device: str) -> str:
    """Return the device, or 'cpu' with a message if it is a GPU and there is none."""
    if device.startswith('cuda') and not torch.cuda.is_available():
        print(f'There is no CUDA device for --device {device}: running on the CPU')
        return 'cpu'
    return device
