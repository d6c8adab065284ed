import hashlib
import os
import os.path as osp
from collections import defaultdict
from typing import Dict, List, NamedTuple

import torch
from mmengine.runner import save_checkpoint
from torch import Tensor, nn

from ..utils import ATOMIC_LOCAL, load_without_objects, require_finite
from ..version import __version__
from .convert import PARTS, Export


def load_checkpoint(path: str) -> dict:
    """Load a checkpoint of OpenMMLab's kind, and build no object.

    Returns:
        dict: With ``state_dict``, and whatever else the file holds.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such checkpoint, not all of one, or not finite.
    """
    checkpoint = load_without_objects(path)
    weights = checkpoint.get('state_dict') if isinstance(checkpoint,
                                                         dict) else None
    if not isinstance(weights, dict):
        raise ValueError(f'{path} holds no "state_dict", as the checkpoints '
                         'of OpenMMLab do.')
    require_finite(checkpoint, path)
    return checkpoint


def parts_left_out(checkpoint: dict) -> List[str]:
    """Name the parts that the export in a checkpoint was not asked for.

    None if the file does not say which parts it holds.
    """
    meta = checkpoint.get('meta')
    parts = meta.get('parts', PARTS) if isinstance(meta, dict) else PARTS
    return [part for part in PARTS if part not in parts]


def save_export(export: Export, path: str, library: str, branch: str,
                source: str) -> None:
    """Save exported weights, whole or not at all.

    The file holds tensors and plain types only, so that it loads with
    ``weights_only=True``; with them library, branch and source (where the
    weights come from), for the record.
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


def move_named_by_content(path: str, folder: str) -> str:
    """Move a file into a folder, under a name that ends as in OpenMMLab's zoo.

    That is with eight digits of its SHA-256, which ``torch.hub`` compares
    after a download.

    Returns:
        str: Where it is now.
    """
    with open(path, 'rb') as file:
        digest = hashlib.sha256(file.read()).hexdigest()[:8]
    name, ending = osp.splitext(osp.basename(path))
    moved = osp.join(folder, f'{name}-{digest}{ending}')
    os.replace(path, moved)
    return moved


def check_out(path: str, source: str, is_folder: bool = False) -> None:
    """Refuse a place that cannot be written to, before there is any work.

    Args:
        path (str): What will be written.
        source (str): What will be read.
        is_folder (bool): Whether it is a folder of files, not a file.

    Raises:
        ValueError: If the source or something of another kind is in that
            place, or no folder above.
    """
    if osp.exists(path) and osp.exists(source) and osp.samefile(path, source):
        raise ValueError(f'{path} is what is read, and would be lost: give '
                         'another --out.')
    if is_folder and osp.lexists(path) and not osp.isdir(path):
        raise ValueError(f'{path} is a file, but a folder will be written: '
                         'give another --out.')
    if not is_folder and (osp.isdir(path) or not osp.basename(path)):
        raise ValueError(f'{path} is a folder, but a file will be written: '
                         'give its name, too, by --out.')
    above = osp.dirname(osp.abspath(path))
    while not osp.lexists(above):
        above = osp.dirname(above)
    if not osp.isdir(above):
        raise ValueError(f'{path} cannot be written, since {above} is no '
                         'folder: give another --out.')


class ModuleCoverage(NamedTuple):
    """How many tensors of a module came from a file."""

    module: str  # two levels deep, such as 'decode_head.mask_embed'
    expected: int  # that the file promises to the module
    loaded: int  # of these, those that the model has in that shape
    equal: int  # of these, those that are equal to the file, bit for bit
    other: int  # that the file does not hold


def coverage_report(model: nn.Module,
                    weights: Dict[str, Tensor]) -> List[ModuleCoverage]:
    """Compare a model, after ``init_weights``, with a file's state dict.

    Returns:
        list[ModuleCoverage]: One for each module, in order of name.
    """
    own = model.state_dict()
    counts = defaultdict(lambda: [0, 0, 0, 0])
    for key, value in weights.items():
        count = counts[_module_of(key)]
        count[0] += 1
        if key in own and own[key].shape == value.shape:
            count[1] += 1
            count[2] += torch.equal(own[key].cpu(), value.to(own[key].dtype))
    for key in own.keys() - weights.keys():
        counts[_module_of(key)][3] += 1
    return [ModuleCoverage(name, *counts[name]) for name in sorted(counts)]


def _module_of(key: str) -> str:
    """Name the first two levels; the backbone counts as one module."""
    parts = key.split('.')[:-1]
    return parts[0] if parts[0] == 'backbone' else '.'.join(parts[:2])
