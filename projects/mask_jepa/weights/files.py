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
from .convert import HEAD_PREFIXES, LOWEST_SIGMA, PARTS, Export


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
    if is_folder and osp.isdir(path) and os.listdir(path) and not (osp.exists(
            osp.join(path, 'model.safetensors'))):
        raise ValueError(f'{path} holds other files: give another --out.')
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


def explain_shortfall(model: nn.Module, weights: Dict[str, Tensor]) -> str:
    """Say why weights do not arrive in a model, and what to do: the file is
    none that was exported, or for another library, or of another network."""
    if LOWEST_SIGMA in weights:
        return ('The file is a checkpoint of the pretraining, not an exported '
                'one: give what tools/export_pretrained.py makes of it, or '
                'mask_jepa_mmdet.pth or mask_jepa_mmseg.pth beside it.')
    own = model.state_dict()
    of_file, of_model = (
        next((library for library, prefix in HEAD_PREFIXES.items() if any(
            key.startswith(prefix) for key in keys)), None)
        for keys in (weights, own))
    if of_file and of_model and of_file != of_model:
        return (f'The file is for {of_file}, but the config is one for '
                f'{of_model}: export the checkpoint of the pretraining by '
                f'--to {of_model}.')
    for key, value in weights.items():
        if key not in own:
            return ('The config describes another network than the one that '
                    f'was pretrained: it has no {key}. Compare the modules '
                    'above that fall short.')
        if own[key].shape != value.shape:
            return ('The config describes another network than the one that '
                    f'was pretrained: {key} is {tuple(value.shape)} in the '
                    f'file, but {tuple(own[key].shape)} in the model. Compare '
                    'number of queries, channels and layers.')
    return ('The weights were changed on their way into the model: does the '
            'config initialise parts of it by an init_cfg of their own?')


def _module_of(key: str) -> str:
    """Name the first two levels; the backbone counts as one module."""
    parts = key.split('.')[:-1]
    return parts[0] if parts[0] == 'backbone' else '.'.join(parts[:2])
