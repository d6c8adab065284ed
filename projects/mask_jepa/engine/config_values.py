"""Which values a key of a config may have."""
import inspect
import math
from typing import Any, NamedTuple, Optional, Set, Union, get_args, get_origin


class Bound(NamedTuple):
    """What a number must be, wherever its key stands."""

    lowest: float
    above: bool = False  # the lowest itself is not allowed
    whole: bool = False
    highest: float = math.inf

    def describe(self) -> str:
        """Say it after 'must be'."""
        kind = 'a whole number' if self.whole else 'a number'
        bound = 'above' if self.above else 'of at least'
        limit = f' and at most {self.highest:g}' * (self.highest < math.inf)
        return f'{kind} {bound} {self.lowest:g}{limit}'

    def holds(self, value: Any) -> bool:
        """Tell whether a value is such a number."""
        kinds = int if self.whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds):
            return False
        return (value >= self.lowest and value <= self.highest
                and not (self.above and value == self.lowest))


COUNT = Bound(1, whole=True)
BOUNDS = dict(
    accumulative_counts=COUNT,
    base_batch_size=COUNT,
    batch_size=COUNT,
    beta=Bound(0, above=True),
    clean_share=Bound(0, highest=1),
    crop_size=COUNT,
    embed_dims=COUNT,
    eta_min=Bound(0),
    feat_channels=COUNT,
    feedforward_channels=COUNT,
    interval=COUNT,
    loss_weight=Bound(0),
    lr=Bound(0, above=True),
    max_bad_fraction=Bound(0, highest=1),
    max_iters=Bound(1),  # 1e5 is fine
    max_norm=Bound(0, above=True),
    max_pixels=COUNT,
    num_feats=COUNT,
    num_heads=COUNT,
    num_layers=COUNT,
    num_points=COUNT,
    num_queries=COUNT,
    num_things_classes=Bound(0, whole=True),
    num_stuff_classes=Bound(0, whole=True),
    num_workers=Bound(0, whole=True),
    prediction_stride=COUNT,
    query_sigma=Bound(0, highest=1),
    start_factor=Bound(0, above=True, highest=1),
    stride=COUNT,
    val_interval=COUNT,
    weight_decay=Bound(0))

KINDS = {
    int: 'a whole number',
    float: 'a number',
    bool: 'True or False',
    str: 'text',
    type(None): 'None',
    list: 'a list',
    dict: 'a dict'
}


def kinds_of(annotation: Any) -> Optional[Set[type]]:
    """Reduce an annotation to plain kinds of values; None: it may be any."""
    origin = get_origin(annotation) or annotation
    if origin is Union:
        parts = [kinds_of(each) for each in get_args(annotation)]
        return None if None in parts else set().union(*parts)
    if origin in (int, float, bool, str, type(None)):
        return {origin}
    if inspect.isclass(origin) and issubclass(origin, dict):
        return {dict}
    if inspect.isclass(origin) and origin is not object and (issubclass(
            list, origin) or origin is tuple):
        return {list}
    return None


def describe(annotation: Any) -> str:
    """Say which values an annotation allows."""
    return ' or '.join(KINDS[kind] for kind in KINDS
                       if kind in kinds_of(annotation))


def fits(value: Any, parameter: inspect.Parameter, strict: bool) -> bool:
    """Tell whether a value is of the kind that a signature asks for.

    Args:
        value: The value.
        parameter (inspect.Parameter): With its annotation, if any.
        strict (bool): Whether annotations are to be trusted that are more than
            a plain kind; those of other libraries are often not.
    """
    kinds = kinds_of(parameter.annotation)
    if kinds is None or value is None and (parameter.default is None
                                           or not strict):
        return True
    if isinstance(value, (list, tuple)):
        kind = list
    elif isinstance(value, dict):
        kind = dict
    else:
        kind = type(value)
    if kind is int and float in kinds or kind not in KINDS:
        return True
    numbers = {int, float, bool}
    if not strict and (kind in (list, dict) or not kinds <= {str, *numbers}
                       or {kind, *kinds} <= numbers):
        return True
    return kind in kinds
