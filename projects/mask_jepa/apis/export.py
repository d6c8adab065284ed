import os
import os.path as osp
from collections import Counter
from tempfile import TemporaryDirectory
from typing import Optional, Sequence, Tuple

from ..weights import (BACKBONE_ALONE, FRAMEWORKS, HEAD_PREFIXES, PARTS,
                       Export, Written, check_out, export_weights,
                       load_checkpoint, load_pretraining_config,
                       move_named_by_content, pretraining_config, save_export,
                       write_model_card)

LIBRARIES = (*HEAD_PREFIXES, *FRAMEWORKS)


def export(checkpoint: str,
           to: str = 'mmdet',
           out: Optional[str] = None,
           branch: str = 'online',
           parts: Optional[Sequence[str]] = None,
           config: Optional[str] = None) -> str:
    """Export pretrained weights for mmdet, mmseg or another framework.

    ``tools/export_pretrained.py`` is this call.

    Args:
        checkpoint (str): Of a pretraining.
        to (str): What will load the weights: 'mmdet', 'mmseg', 'mmdet-vis',
            'huggingface', 'detectron2', 'timm' or 'torchvision'.
        out (str, optional): What to write. Defaults to None: beside the
            checkpoint, a folder ``mask_jepa_huggingface``, or a file such as
            ``mask_jepa_mmdet-1a2b3c4d.pth``, with eight digits of its SHA-256
            as in OpenMMLab's zoo.
        branch (str): 'online', or 'target', its moving average.
        parts (Sequence[str], optional): Some of 'backbone', 'pixel_decoder'
            and 'transformer_decoder'. Defaults to None: all that the library
            has.
        config (str, optional): Of the pretraining, for other frameworks.
            Defaults to None: the one in the checkpoint.

    Returns:
        str: The file, or for huggingface the folder, that was written.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If an argument is none of these, the checkpoint no whole
            Mask-JEPA's, or the framework has no such model.
    """
    return write_export(checkpoint, to, out, branch, parts, config)[2]


def write_export(checkpoint: str, to: str, out: Optional[str], branch: str,
                 parts: Optional[Sequence[str]],
                 config: Optional[str]) -> Tuple[Export, Written, str]:
    """As :func:`export`, with what was exported, and what of it was written
    since the library has a place for it."""
    checkpoint = os.fspath(checkpoint)
    out = out and os.fspath(out)
    if to not in LIBRARIES:
        raise ValueError(
            f'to must be one of {", ".join(LIBRARIES)}, but is {to!r}.')
    possible = ('backbone', ) if to in BACKBONE_ALONE else tuple(PARTS)
    parts = tuple(parts or possible)
    if to in BACKBONE_ALONE and parts != possible:
        raise ValueError(f'{to} has a place for the backbone alone: '
                         'leave out --parts.')
    write, ending = FRAMEWORKS.get(to, (None, '.pth'))
    # A few parts do not replace the file with all of them.
    some = [part for part in PARTS if part in parts]
    some = some if len(some) < len(PARTS) else []
    beside = osp.dirname(checkpoint)
    name = '_'.join(['mask_jepa', to, *some]) + ending
    if out is None and not ending:
        out = osp.join(beside, name)
    if out:
        check_out(out, checkpoint, is_folder=not ending)
    cfg = load_pretraining_config(config) if config else None
    content = load_checkpoint(checkpoint)
    # Of all parts, what writes a backbone alone tells what has no place.
    exported = export_weights(content['state_dict'], 'mmdet' if write else to,
                              branch,
                              tuple(PARTS) if to in BACKBONE_ALONE else parts)
    cfg = (cfg or pretraining_config(content)) if write else None

    def write_to(path: str) -> Written:
        if write:
            return write(exported.state_dict, cfg.model, path)
        save_export(exported, path, to, branch, checkpoint)
        return Written(exported.state_dict, Counter())

    if out is None:
        with TemporaryDirectory(dir=beside or None) as folder:
            written = write_to(osp.join(folder, name))
            out = move_named_by_content(osp.join(folder, name), beside)
    else:
        written = write_to(out)
    if to == 'huggingface':
        write_model_card(out, content, checkpoint, cfg, branch, exported.parts)
    return exported, written, out
