import os.path as osp
import pickle
from typing import List

import torch
from mmengine.runner import save_checkpoint

from ..utils import ATOMIC_LOCAL
from ..version import __version__
from .convert import PARTS, Export
from .tensors_only import TENSORS_ONLY


def load_checkpoint(path: str) -> dict:
    """Load a checkpoint on the CPU without unpickling any object.

    Args:
        path (str): File. Of one that the stock tools of mmengine 0.10 wrote,
            the tensors and plain containers are loaded.

    Returns:
        dict: With ``state_dict``, and whatever else the file holds.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no checkpoint of tensors and plain types.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(f'There is no checkpoint at {path}.')
    try:
        try:
            checkpoint = torch.load(
                path, map_location='cpu', weights_only=True)
        except pickle.UnpicklingError:
            checkpoint = torch.load(
                path,
                map_location='cpu',
                weights_only=False,
                pickle_module=TENSORS_ONLY)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise ValueError(
            f'{path} is no checkpoint of tensors and plain types: give a '
            'file that tools/train.py or tools/export_pretrained.py of '
            'Mask-JEPA wrote, or a published one.') from error
    weights = checkpoint.get('state_dict') if isinstance(
        checkpoint, dict) else None
    if not isinstance(weights, dict):
        raise ValueError(f'{path} holds no "state_dict", as the checkpoints '
                         'of OpenMMLab do.')
    return checkpoint


def parts_left_out(checkpoint: dict) -> List[str]:
    """Name the parts that an export was not asked for.

    Args:
        checkpoint (dict): As loaded by :func:`load_checkpoint`.

    Returns:
        list[str]: Of :data:`~projects.mask_jepa.export.PARTS`; none if the
        file does not say which parts it holds.
    """
    meta = checkpoint.get('meta')
    parts = meta.get('parts', PARTS) if isinstance(meta, dict) else PARTS
    return [part for part in PARTS if part not in parts]


def save_export(export: Export, path: str, library: str, branch: str,
                source: str) -> None:
    """Save exported weights, whole or not at all.

    The file holds tensors and plain types only, so that it loads with
    ``weights_only=True``.

    Args:
        export (Export): As made by :func:`export_weights`.
        path (str): File to write.
        library (str): 'mmdet' or 'mmseg'.
        branch (str): 'online' or 'target'.
        source (str): Where the weights come from, for the record.
    """
    save_checkpoint(
        dict(
            state_dict=export.state_dict,
            meta=dict(
                mask_jepa_version=__version__,
                library=library,
                branch=branch,
                parts=list(export.parts),
                source=source)),
        path,
        backend_args=dict(backend=ATOMIC_LOCAL))
