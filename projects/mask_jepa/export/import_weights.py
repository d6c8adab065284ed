from typing import Dict, List, Tuple

from mmengine.config import ConfigDict
from torch import Tensor

from .convert import ONLINE_HEAD, TARGET_LIBRARIES
from .frameworks import detectron2_table, huggingface_table, rename_to_ours

SOURCES = (*TARGET_LIBRARIES, 'huggingface', 'detectron2')


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
        tuple[dict[str, Tensor], list[str]]: What the pretraining can start
        from, and the names of what stays behind.

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
