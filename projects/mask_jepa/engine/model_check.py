import torch
from torch import nn
from torch.utils.data import Dataset

from ..models import MaskJEPA
from ..utils import evaluating


def try_model(model: nn.Module) -> None:
    """Encode an image of nothing, to see whether the parts fit each other.

    Raises:
        ValueError: If they do not. A model that is no MaskJEPA passes.
    """
    if not isinstance(model, MaskJEPA):
        return
    side = 2 * model.masking.stride
    device = next(model.parameters()).device
    try:
        with evaluating(model), torch.no_grad():
            image = torch.zeros(
                1, model.num_channels, side, side, device=device)
            mask_features, _ = model.encode(image)
            if model.reconstruction_head is not None:
                pixels = model.reconstruction_head(mask_features)
                if pixels.shape != image.shape:
                    raise RuntimeError('the mask features are not of stride '
                                       '4, which model.reconstruction=True '
                                       'needs')
    except (AssertionError, IndexError, RuntimeError, TypeError) as error:
        reason = str(error).split('\n')[0] or type(error).__name__
        raise ValueError(
            'model.backbone, neck and panoptic_head do not fit each other '
            f'({reason}): compare their channels, levels and strides.'
        ) from error


def require_channels(model: nn.Module, dataset: Dataset) -> None:
    """Compare the channels of the images with those of the backbone.

    Raises:
        ValueError: If they differ. A data set that does not know them, and a
            model that is no MaskJEPA, pass.
    """
    found = getattr(dataset, 'num_channels', None)
    expected = getattr(model, 'num_channels', found)
    if found is not None and found != expected:
        raise ValueError(
            f'The images have {found} channel(s), but the backbone takes '
            f'{expected}: write model.backbone.in_channels={found}, '
            'model.data_preprocessor.mean=[127.5], std=[127.5] and '
            f'bgr_to_rgb={found == 3}, or '
            'train_dataloader.dataset.color_type=color.')
