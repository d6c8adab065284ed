import re
from typing import Dict, List, NamedTuple, Tuple

from .run_records import Row

NOT_DRAWN = {'iter', 'step', 'epoch'}


class ChartGroup(NamedTuple):
    """Keys of the log that belong into one chart."""

    title: str
    note: str  # what it shows, in one sentence
    # Regular expression of the keys; what its first group matches, if it has
    # one, is the label.
    pattern: str
    # 'log' for values that differ by orders of magnitude, 'zero' where the
    # distance from zero counts, else ''
    axis: str = ''


TRAINING_GROUPS = (
    ChartGroup(
        'Losses', 'The sum that the training minimises and its terms, '
        'each times its weight.', r'loss_(\w+)|loss'),
    ChartGroup(
        'Effective rank', 'How many directions the features use; a '
        'fall towards 1 is a collapse.', r'(target|online)_rank', 'zero'),
    ChartGroup(
        'Spread of the features', 'Standard deviation over places: 1 '
        'is even in all directions, 0 is collapsed.', r'(target|online)_std',
        'zero'),
    ChartGroup(
        'Cosine similarity', 'Between places of one image (within) '
        'and of different ones (between); 1 means that they are all '
        'alike.', r'((?:target|online)_cosine_\w+)', 'zero'),
    ChartGroup('Size of the features', 'Mean norm; it should neither vanish '
               'nor grow without end.', r'(target|online)_norm', 'zero'),
    ChartGroup(
        'Mask entropy', 'In nats, over the queries: 0 means one query '
        'for each place, the highest value that all see the same.',
        r'(mask_entropy)', 'zero'),
    ChartGroup(
        'Queries and places', 'Shares: queries that own a place, '
        'places inside some mask, logits above zero.',
        r'(queries_used|places_covered|logits_above_zero)', 'zero'),
    ChartGroup(
        'Leak', 'How far the prediction changes with what is hidden '
        'from it; it should be 0.', r'(leak)', 'zero'),
    ChartGroup(
        'Gradient norms', 'Of the whole model, before clipping, and of '
        'its parts, after it; logarithmic.', r'gradient_(\w+)|grad_norm',
        'log'),
    ChartGroup(
        'Update ratios', 'Size of a step against the size of the '
        'weights; logarithmic.', r'update_ratio_(\w+)', 'log'),
    ChartGroup(
        'Learning rate', 'Of the first parameter group (lr), which '
        'after release 0.1.0 is that before multipliers (base_lr).',
        r'((?:base_)?lr)'),
    ChartGroup('Query noise', 'Share of noise in the random queries, sigma.',
               r'(sigma)'),
    ChartGroup('Momentum of the target', '1 means that the target stands '
               'still.', r'(momentum)'),
    ChartGroup('Seconds per iteration', 'All of it (time), and waiting for '
               'data (data_time).', r'((?:data_)?time)', 'zero'),
    ChartGroup('Memory', 'In MB: of the GPU (memory) and of the host.',
               r'(memory|peak_host_memory)', 'zero'),
    ChartGroup('Share of monitoring', 'Wall time spent on probe, health '
               'checks and pictures.', r'(monitoring_share)', 'zero'),
    ChartGroup('Other', 'Values of the log without a chart of their own.',
               r'(.+)'))
PROBE_GROUPS = (ChartGroup(
    'Probe', 'mIoU in per cent of classifiers on frozen features; '
    'dotted: the initial weights.',
    r'probe/((?:initial_)?(?:linear|knn))_mIoU'),
                ChartGroup(
                    'Probe by level',
                    'mIoU in per cent of other levels of the '
                    'features; dotted: the initial weights.',
                    r'probe/(.+)_mIoU'),
                ChartGroup(
                    'Other validation results',
                    'Values of the validation without '
                    'a chart of their own.', r'(.+)'))


def group_keys(
        rows: Dict[int, Row],
        groups: Tuple[ChartGroup,
                      ...]) -> List[Tuple[ChartGroup, Dict[str, str]]]:
    """Sort the keys of a log into charts; the first group that fits wins.

    Returns:
        list[tuple[ChartGroup, dict[str, str]]]: Charts that have keys, and
        their keys with labels, in order of the log.
    """
    keys = dict.fromkeys(
        key for row in rows.values() for key, value in row.items()
        if key not in NOT_DRAWN and isinstance(value, (int, float)))
    charts = [(group, {}) for group in groups]
    for key in keys:
        for group, labels in charts:
            match = re.fullmatch(group.pattern, key)
            if match:
                labels[key] = match.group(match.lastindex or 0)
                break
    return [(group, labels) for group, labels in charts if labels]
