"""The weights of a run, as safetensors: reader and writer."""

from pathlib import Path

import safetensors
import safetensors.torch

from kaggle_hw4.device import is_out_of_memory
from kaggle_hw4.errors import DataError
from kaggle_hw4.models.classifier import SpeakerClassifier


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
