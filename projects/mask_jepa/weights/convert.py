from collections import Counter
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from mmengine.config import ConfigDict
from torch import Tensor

from .frameworks import detectron2_table, huggingface_table, rename_to_ours

# What each library calls the head of its Mask2Former, ...
TARGET_LIBRARIES = dict(mmdet='panoptic_head.', mmseg='decode_head.')
# ... and mmdet that of Mask2Former for video instances.
HEAD_PREFIXES = {**TARGET_LIBRARIES, 'mmdet-vis': 'track_head.'}
SOURCES = (*TARGET_LIBRARIES, 'huggingface', 'detectron2')
BRANCHES = ('online', 'target')

ONLINE_HEAD = 'panoptic_head.'
# Where the target's parts lie in the online branch.
TARGET_PARTS = {
    'target.backbone.': 'backbone.',
    'target.neck.': 'neck.',
    'target.pixel_decoder.': ONLINE_HEAD + 'pixel_decoder.'
}
# What can be exported on its own: the first prefix that fits. A neck belongs
# to its backbone.
PARTS = dict(
    backbone=('backbone.', 'neck.'),
    pixel_decoder=ONLINE_HEAD + 'pixel_decoder.',
    transformer_decoder=ONLINE_HEAD)
ALL_PARTS = tuple(PARTS)
LOWEST_SIGMA = 'random_queries.lowest_sigma'

# Left out by design, and why: the first prefix that fits.
LEFT_OUT = {
    ONLINE_HEAD + 'cls_embed.':
    'class predictor: label-free pretraining knows no classes but its own',
    'random.':
    'state of the pretraining\'s random numbers',
    'random_queries.':
    'state of the query noise',
    'mask_tokens.':
    'mask tokens: only pretraining hides features',
    'query_to_map.':
    'projection, auxiliary self-attention and prediction '
    'head: only pretraining predicts features',
    'centering.':
    'mean of the target: only pretraining has a target',
    'prototypes.':
    'prototypes: the classes of the pretraining',
    'reconstruction_head.':
    'reconstruction head: only pretraining predicts pixels',
}
OTHER_BRANCH = dict(
    online='EMA target: --branch target exports from it',
    target='online backbone and pixel decoder: --branch online exports from '
    'them')
UNTRAINED_QUERIES = ('learned queries: with a query noise of sigma = 1 '
                     'throughout they were never used')


class Export(NamedTuple):
    """Weights for a stock model, and what was not taken along."""

    state_dict: Dict[str, Tensor]  # named as the library names them
    left_out: Dict[str, str]  # other keys of the checkpoint, and why
    parts: Tuple[str, ...]  # that were asked for, in the order of PARTS


def export_weights(state_dict: Dict[str, Tensor],
                   library: str,
                   branch: str = 'online',
                   parts: Sequence[str] = ALL_PARTS) -> Export:
    """Name the pretrained weights as a stock Mask2Former does.

    The transformer decoder exists in the online branch only; the target
    branch replaces backbone and pixel decoder.

    Args:
        state_dict (dict[str, Tensor]): Of a
            :class:`~mask_jepa.models.MaskJEPA`.
        library (str): 'mmdet', 'mmseg', or 'mmdet-vis' for Mask2FormerVIS.
        branch (str): 'online' or 'target'.
        parts (Sequence[str]): Which of 'backbone', 'pixel_decoder' and
            'transformer_decoder', the last with all of the head that is not
            the pixel decoder.

    Returns:
        Export: The weights, on the CPU, and what was left out.

    Raises:
        ValueError: If an argument is none of these, or the weights are no
            Mask-JEPA's.
    """
    _check_arguments(state_dict, library, branch, parts)
    exported, left_out = {}, {}
    for key, value in state_dict.items():
        reason = _left_out_reason(key, state_dict, branch, parts)
        if reason is None:
            exported[_stock_name(key, library)] = value.detach().cpu().clone()
        else:
            left_out[key] = reason
    return Export(exported, left_out,
                  tuple(part for part in PARTS if part in parts))


def _check_arguments(state_dict: Dict[str, Tensor], library: str, branch: str,
                     parts: Sequence[str]) -> None:
    if library not in HEAD_PREFIXES:
        raise ValueError(f'The library must be one of '
                         f'{", ".join(HEAD_PREFIXES)}, but is {library}.')
    if branch not in BRANCHES:
        raise ValueError(f'The branch must be one of {", ".join(BRANCHES)}, '
                         f'but is {branch}.')
    if not parts or set(parts) - PARTS.keys():
        raise ValueError('The parts must be a list of one or more of '
                         f'{", ".join(PARTS)}, but are {parts!r}.')
    found = Counter(key.split('.')[0] for key in state_dict)
    missing = {'backbone', 'panoptic_head', 'target', 'random_queries'
               } - found.keys()
    if missing:
        raise ValueError(
            'This is no Mask-JEPA checkpoint: it holds nothing under '
            f'{", ".join(sorted(missing))}. Give a file that tools/train.py '
            'wrote, such as work_dirs/<config>/iter_<N>.pth.')


def _online_name(key: str) -> str:
    """Name a key of the target as its twin in the online branch."""
    for target_prefix, online_prefix in TARGET_PARTS.items():
        if key.startswith(target_prefix):
            return online_prefix + key[len(target_prefix):]
    return key


def _stock_name(key: str, library: str) -> str:
    key = _online_name(key)
    if key.startswith(ONLINE_HEAD):
        return HEAD_PREFIXES[library] + key[len(ONLINE_HEAD):]
    return key


def _left_out_reason(key: str, state_dict: Dict[str, Tensor], branch: str,
                     parts: Sequence[str]) -> Optional[str]:
    """Say why a key is not exported; None if it is."""
    other_branch = (
        TARGET_PARTS.values() if branch == 'target' else TARGET_PARTS)
    if key.startswith(tuple(other_branch)):
        return OTHER_BRANCH[branch]
    is_untrained = state_dict[LOWEST_SIGMA] == 1
    if is_untrained and key == _learned_queries_key(state_dict):
        return UNTRAINED_QUERIES
    for prefix, reason in LEFT_OUT.items():
        if key.startswith(prefix):
            return reason
    for part, prefix in PARTS.items():
        if _online_name(key).startswith(prefix):
            return None if part in parts else (
                f'{part.replace("_", " ")}: --parts {part} takes it along')
    return None


def _learned_queries_key(state_dict: Dict[str, Tensor]) -> str:
    """Name the learned queries that the query noise takes the place of.

    They are the contents of the queries; of MaskFormer, whose queries have
    none, their positions.
    """
    contents = ONLINE_HEAD + 'query_feat.weight'
    return (contents if contents in state_dict else ONLINE_HEAD +
            'query_embed.weight')


def left_out_reasons(export: Export) -> Counter:
    """Count the tensors that were left out for each reason."""
    return Counter(export.left_out.values())


def is_imported(name: str) -> bool:
    """Whether a pretraining's tensor comes from a trained mask classifier.

    The class predictor does not: the pretraining has classes of its own.
    """
    return (name.startswith(('backbone.', 'neck.', ONLINE_HEAD))
            and not name.startswith(f'{ONLINE_HEAD}cls_embed.'))


def import_weights(weights: Dict[str, Tensor], source: str,
                   model: ConfigDict) -> Tuple[Dict[str, Tensor], List[str]]:
    """Name the weights of a trained mask classifier as a pretraining does.

    Args:
        weights (dict[str, Tensor]): Of the other library.
        source (str): One of :data:`SOURCES`.
        model (ConfigDict): The ``model`` of the pretraining's config.

    Returns:
        tuple: What the pretraining can start from, and the names of what
        stays behind.

    Raises:
        ValueError: If the source is unknown or has no such architecture.
    """
    if source not in SOURCES:
        raise ValueError(f'The source must be one of {", ".join(SOURCES)}, '
                         f'but is {source}.')
    if source == 'huggingface':
        return rename_to_ours(weights, huggingface_table(model))
    if source == 'detectron2':
        return rename_to_ours(weights, detectron2_table(model))
    head = TARGET_LIBRARIES[source]
    ours, left = {}, []
    for name, value in weights.items():
        our_name = name
        if name.startswith(head):
            our_name = ONLINE_HEAD + name.removeprefix(head)
        if is_imported(our_name):
            ours[our_name] = value
        else:
            left.append(name)
    return ours, left
