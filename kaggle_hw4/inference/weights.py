"""The weights of a run, as safetensors: reader and writer."""

from collections import defaultdict
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from kaggle_hw4.device import is_out_of_memory
from kaggle_hw4.errors import DataError
from kaggle_hw4.models.classifier import SpeakerClassifier
from kaggle_hw4.models.parallel import ParallelNetworks


def weights_bytes(model: SpeakerClassifier) -> bytes:
    """The model's weights and buffers in the format of safetensors."""
    tensors = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
    return safetensors.torch.save(tensors)


def read_weights(path: Path, model: SpeakerClassifier) -> None:
    """Fill `model` from `path`; DataError where they are not the weights of its recipe."""
    try:
        model.load_state_dict(safetensors.torch.load_file(path))
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        if is_out_of_memory(error):
            raise
        raise DataError(f"{path}: not the weights of this recipe ({error})") from error


def load_weights(data: bytes, model: SpeakerClassifier) -> None:
    """Fill `model` with what `weights_bytes` returned."""
    model.load_state_dict(safetensors.torch.load(data))


def encoders_bytes(model: ParallelNetworks[Any]) -> bytes:
    """The weights and buffers of the networks' encoders alone, in the format of safetensors."""
    return safetensors.torch.save(
        {
            f"{number}.{name}": value.cpu().contiguous()
            for number, network in enumerate(model.networks)
            for name, value in network.encoder.state_dict().items()
        }
    )


def initialise_encoders(model: ParallelNetworks[Any], path: Path) -> None:
    """Let the encoders of `model` be those in `path`, which `encoders_bytes` wrote: each takes the
    next one of its shapes, from the first again where there are fewer. Nothing else changes.

    DataError where there is none of its shapes.
    """
    encoders = _read_encoders(path)
    takes = {shapes: cycle([e for e in encoders if _shapes(e) == shapes])
             for shapes in map(_shapes, encoders)}  # fmt: skip
    for network in model.networks:
        shapes = _shapes(network.encoder.state_dict())
        if shapes not in takes:
            raise DataError(
                f"{path}: no encoder of this shape: {_difference(shapes, takes)}",
                "pretrain a variant with the same networks",
            )
        network.encoder.load_state_dict(next(takes[shapes]))


def _read_encoders(path: Path) -> list[dict[str, Tensor]]:
    try:
        tensors = safetensors.torch.load_file(path)
    except (OSError, safetensors.SafetensorError) as error:
        raise DataError(f"{path}: not the encoders of a pretraining ({error})") from error
    encoders: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in tensors.items():
        number, _, key = name.partition(".")
        encoders[number][key] = tensor
    return [encoders[number] for number in sorted(encoders, key=int)]


Shapes = tuple[tuple[str, tuple[int, ...]], ...]


def _shapes(tensors: Mapping[str, Tensor]) -> Shapes:
    return tuple(sorted((name, tuple(tensor.shape)) for name, tensor in tensors.items()))


def _difference(wanted: Shapes, written: Mapping[Shapes, object]) -> str:
    """The first keys that differ between an encoder and the one in the file most like it."""
    nearest = max(written, key=lambda shapes: len(set(shapes) & set(wanted)))
    parts = []
    for where, a, b in (("here", wanted, nearest), ("there", nearest, wanted)):
        only = [f"{name} {list(shape)}" for name, shape in a if (name, shape) not in b]
        parts.append(f"{where} {', '.join(only[:2]) or 'nothing more'}")
    return "; ".join(parts)
