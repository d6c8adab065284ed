import inspect
from contextlib import suppress
from difflib import get_close_matches
from importlib import import_module
from typing import (Any, Callable, Dict, Iterable, Iterator, List, Optional,
                    Set, Tuple)

import mmengine.registry
from mmengine.config import Config
from mmengine.hooks import CheckpointHook, Hook
from mmengine.registry import Registry
from mmengine.runner import Runner, set_random_seed
from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.utils.data import DataLoader

from ..models import (BlockMasking, InputNoise, PhotometricChange,
                      PlaceCentering, Prototypes, PseudoInstances)
from .config_pairs import find_wrong_pairs
from .config_values import BOUNDS, Bound, describe, fits

# In the order in which a name is looked up, as few names stand in two.
REGISTRIES = [
    each for each in vars(mmengine.registry).values()
    if isinstance(each, Registry)
]
# What takes the keys of a dict without a type.
TAKERS: Dict[str, Callable] = {
    'model.noise': InputNoise,
    'model.masking': BlockMasking,
    'model.photometric_change': PhotometricChange,
    'model.centering': PlaceCentering,
    'model.prototypes': Prototypes,
    'model.pseudo_instances': PseudoInstances,
    'optim_wrapper.clip_grad': clip_grad_norm_,
    'randomness': set_random_seed,
    'train_dataloader': DataLoader,
    'val_dataloader': DataLoader,
    'test_dataloader': DataLoader,
}
# Of these, and of hooks of ours, one is made and dropped: they are small, and
# say what is wrong. What else they need matters not.
TRIED: Dict[str, Tuple[int, ...]] = {
    'model.noise': (),
    'model.masking': (),
    'model.photometric_change': (),
    'model.centering': (1, ),
    'model.prototypes': (2, 1),
    'model.pseudo_instances': (1, ),
}
# Keys that are taken out before a class is called, or that stock configs have
# and the class ignores.
TAKEN_OUT = {
    'in_index', 'type', '_scope_', 'priority', 'requires_grad',
    'convert_to_iter_based', 'constructor', 'paramwise_cfg',
    'num_batch_per_epoch'
}
# What Runner.from_cfg and the commands of OpenMMLab read beside the arguments
# of Runner. All other keys on top are variables of the config's author.
TOP_KEYS = {
    'activation_checkpointing', 'auto_scale_lr', 'compile', 'custom_imports',
    'find_unused_parameters', 'model_wrapper_cfg', 'runner_type', 'sync_bn'
}
REQUIRED = ('model', 'optim_wrapper', 'train_cfg', 'train_dataloader')
NEEDED_TO_TEST = ('model', 'train_dataloader', 'test_cfg', 'test_dataloader')
PARTS = (*REQUIRED, 'val_cfg', 'val_dataloader', 'test_cfg', 'test_dataloader',
         'default_hooks', 'randomness', 'env_cfg', 'auto_scale_lr')
CLOSE_ON_TOP = 0.88  # in difflib's measure: a letter or two


def check_config(cfg: Config, testing: bool = False) -> None:
    """Look for what cannot be meant in a config, before anything is built.

    Keys and kinds of values come from the signatures of the classes that a
    config names; bounds of numbers from ``BOUNDS``; what has to fit together
    from :func:`find_wrong_pairs`. Keys of a class that takes any, and what a
    config's author keeps on top for himself, are let through.

    Args:
        cfg (Config): The config of a training.
        testing (bool): Whether it is for a test, which needs neither images
            nor weights to train with. Defaults to False.

    Raises:
        ValueError: With a sentence, in a line, for each fault.
    """
    known = {*inspect.signature(Runner).parameters, *TOP_KEYS}
    faults = [
        *find_misspelt_keys(cfg, known), *find_missing_parts(cfg, testing)
    ]
    if faults:
        raise ValueError('\n'.join(faults))
    scope = cfg.get('default_scope') or 'mmengine'
    probe = 'SegmentationProbe' in str((cfg.get('val_cfg') or {}).get('type'))
    for key in sorted(known.intersection(cfg)):
        of_mmseg = probe and key.startswith('val_')
        faults += find_faults(cfg[key], key, 'mmseg' if of_mmseg else scope)
    if not faults:
        # What does not hold by itself need not fit the rest. Of a part of
        # another kind, which no signature forbids, building will tell.
        with suppress(AttributeError, TypeError):
            faults = list(find_wrong_pairs(cfg, testing))
    if faults:
        raise ValueError('\n'.join(dict.fromkeys(faults)))


def find_misspelt_keys(cfg: Config, known: Set[str]) -> Iterator[str]:
    """Find keys on top that are nearly, but not quite, one that is read."""
    for key in sorted(set(cfg).difference(known)):
        close = nearest(key, known, CLOSE_ON_TOP)
        if close:
            yield f'There is no key {key}: write {close}.'


def find_missing_parts(cfg: Config, testing: bool) -> Iterator[str]:
    """Find parts without which nothing is trained, or tested, or of another
    kind."""
    required = NEEDED_TO_TEST if testing else REQUIRED
    for key in PARTS:
        value = cfg.get(key)
        if value is None and key in required:
            yield (f'{key} is missing: inherit it from a config such as '
                   'configs/mask_jepa_r50_coco.py.')
        elif not isinstance(value, (dict, type(None))):
            yield f'{key}={value!r} must be a dict.'


def find_faults(node: Any, path: str, scope: str) -> Iterator[str]:
    """Find the faults of a part of a config, and of all in it.

    Args:
        node: The part.
        path (str): Its key, with dots.
        scope (str): The library in which names are looked up first.

    Yields:
        str: A sentence.
    """
    if isinstance(node, (list, tuple)):
        for index, each in enumerate(node):
            yield from find_faults(each, f'{path}.{index}', scope)
    if not isinstance(node, dict):
        return
    scope = node.get('_scope_', scope)
    taker = TAKERS.get(path)
    if 'type' in node:
        taker, complaint = find_taker(node['type'], path, scope)
        if complaint:
            yield complaint
    bounded = set()
    for key, value in node.items():
        place = f'{path}.{key}'
        if key in BOUNDS and not allows(value, BOUNDS[key], key, taker):
            bounded.add(key)
            yield (f'{place}={value!r} must be {BOUNDS[key].describe()}'
                   f'{proposal(taker, key)}.')
        yield from find_faults(value, place, scope)
    if taker is None:
        return
    wrong = list(find_wrong_arguments(node, path, taker, bounded))
    yield from wrong
    tried = path in TRIED or is_ours(taker) and is_a(taker, Hook)
    if tried and not wrong and not bounded:
        arguments = {key: node[key] for key in node if key not in TAKEN_OUT}
        try:
            taker(*TRIED.get(path, ()), **arguments)
        except (TypeError, ValueError) as error:
            yield str(error)


def allows(value: Any, bound: Bound, key: str, taker: Callable) -> bool:
    """Tell whether a value is within its bound, or none of a number."""
    if value is None or isinstance(value, (list, tuple, dict)):
        return True  # The signature tells whether this may be.
    if key == 'interval' and value == -1 and is_a(taker, CheckpointHook):
        return True  # never
    return bound.holds(value)


def is_a(taker: Any, kind: type) -> bool:
    """Tell whether something is a class of a kind."""
    return inspect.isclass(taker) and issubclass(taker, kind)


def is_ours(taker: Any) -> bool:
    """Tell whether something is of this package, and so fully annotated."""
    return getattr(taker, '__module__', '').split('.')[0] == 'mask_jepa'


def find_taker(kind: Any, path: str,
               scope: str) -> Tuple[Optional[Callable], str]:
    """Look up what a ``type`` names.

    Returns:
        tuple[Callable | None, str]: It, if it is found, or a complaint, unless
        it is no name at all.
    """
    if path.endswith('.clip_grad'):
        return clip_grad_value_ if kind == 'value' else clip_grad_norm_, ''
    if not isinstance(kind, str):
        return kind if callable(kind) else None, ''
    with suppress(ImportError):
        import_module(f'{scope}.registry')
    known: Set[str] = set()
    for root in REGISTRIES:
        registry = root.children.get(scope, root)
        found = look_up(registry, kind)
        if found is not None:
            return found, ''
        known.update(registry.module_dict, root.module_dict)
    # What another library has alone may be meant.
    for root in REGISTRIES:
        for registry in root.children.values():
            if look_up(registry, kind) is not None:
                return look_up(registry, kind), ''
    close = nearest(kind.split('.')[-1], known)
    if close:
        return None, f'{path}.type={kind!r} is not known: write {close!r}.'
    if path.startswith('model.'):  # Some parts are looked up elsewhere.
        return None, ''
    return None, (f'{path}.type={kind!r} is not known: register it, by '
                  'custom_imports of the module that holds it.')


def look_up(registry: Registry, kind: str) -> Optional[Callable]:
    """Look up a name in a library and in what that builds upon."""
    try:
        return registry.get(kind)
    except RuntimeError:  # A name with dots, which no module has.
        return None


def nearest(name: str,
            known: Iterable[str],
            cutoff: float = 0.75) -> Optional[str]:
    """Find the known name that is most like a misspelt one, if any is."""
    by_letters = {each.lower(): each for each in sorted(known)}
    close = get_close_matches(name.lower(), by_letters, 1, cutoff)
    return by_letters[close[0]] if close else None


def parameters_of(taker: Callable) -> Optional[Dict[str, inspect.Parameter]]:
    """Collect what a class or function takes by name.

    Of a class that passes on its ``kwargs``, also what those above take; an
    argument ``**`` of another name goes elsewhere, and may be any.

    Returns:
        dict[str, inspect.Parameter]: By name; None if it takes any.
    """
    if not inspect.isclass(taker):
        signatures = [inspect.signature(taker)]
    else:
        signatures = [
            inspect.signature(each.__init__) for each in taker.__mro__
            if '__init__' in vars(each) and each not in (object, nn.Module)
        ]
        if is_a(taker, CheckpointHook):
            signatures.append(inspect.signature(Runner.save_checkpoint))
    found: Dict[str, inspect.Parameter] = {}
    for signature in signatures:
        parameters = signature.parameters
        for name, parameter in parameters.items():
            found.setdefault(name, parameter)
        rest = [
            name for name, parameter in parameters.items()
            if parameter.kind == inspect.Parameter.VAR_KEYWORD
        ]
        if not rest:
            return found
        if rest != ['kwargs']:
            return None
    # Modules of torch end in one that takes none.
    return found if is_a(taker, nn.Module) else None


def find_wrong_arguments(node: dict, path: str, taker: Callable,
                         bounded: Set[str]) -> Iterator[str]:
    """Compare keys, and kinds of values, with what is called with them."""
    try:
        parameters = parameters_of(taker)
    except (TypeError, ValueError):  # Written in C, it has no signature.
        return
    if parameters is None:
        return
    # It may hand on what it does not know to something else than its bases.
    loose = any(each.kind == inspect.Parameter.VAR_KEYWORD
                for each in parameters.values())
    for key, value in node.items():
        if key in TAKEN_OUT or key in bounded:
            continue
        parameter = parameters.get(key)
        if parameter is None:
            close = nearest(key, names(parameters), 0.75 if loose else 0.6)
            hint = (f'write {close}' if close else
                    f'{taker.__name__} takes {", ".join(names(parameters))}')
            if close or not loose:
                yield f'There is no key {path}.{key}: {hint}.'
        elif not fits(value, parameter, strict=is_ours(taker)):
            yield (f'{path}.{key}={value!r} must be '
                   f'{describe(parameter.annotation)}'
                   f'{proposal(taker, key)}.')


def names(parameters: Dict[str, inspect.Parameter]) -> List[str]:
    """List what can be given by name."""
    return [
        name for name, parameter in parameters.items()
        if name != 'self' and parameter.kind not in (
            inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    ]


def proposal(taker: Optional[Callable], key: str) -> str:
    """Propose the default value, if it has one."""
    try:
        parameter = (parameters_of(taker) or {}).get(key)
    except (TypeError, ValueError):
        return ''
    default = getattr(parameter, 'default', None)
    if default in (None, inspect.Parameter.empty
                   ) or key in BOUNDS and (not BOUNDS[key].holds(default)):
        return ''
    return f', such as {default!r}'
