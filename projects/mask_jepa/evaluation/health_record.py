import math
from typing import Dict, List, NamedTuple, Optional, Tuple

HEALTHY = 'healthy'
PARTIAL_COLLAPSE = 'partial collapse'
COLLAPSED = 'collapsed'
NOT_JUDGED = 'not judged yet'


class HealthRule(NamedTuple):
    """A sign of collapse."""

    name: str
    verdict: str  # what a run is called where it holds
    key: str  # value of `check_health` that is compared
    relation: str  # '<' or '>'
    threshold: float
    meaning: str  # what has happened, and what to do

    def holds(self, values: Dict[str, float]) -> bool:
        """Say whether the sign is in some values; never for NaN."""
        value = values[self.key]
        if self.relation == '<':
            return value < self.threshold
        return value > self.threshold


def health_rules(num_channels: int, num_queries: int,
                 start: Dict[str, float]) -> List[HealthRule]:
    """List the signs of collapse, the worst first.

    - *Constant features*: the standard deviation of L2-normalised features
      goes to zero (Chen and He, CVPR 2021, Sec. 4.1). Here: below half of
      that of the initial weights, or below a tenth of isotropic.
    - *Places alike*: the mean cosine between places of different images goes
      to one, the same thing seen from the angles. Here: above 0.95.
    - *Low rank*: dimensional collapse (Jing et al., ICLR 2022), measured by
      the effective rank (RankMe, Garrido et al., ICML 2023). Here: below
      half of that of the initial weights, or below a tenth of the channels of
      F_last.
    - *Leak* (ours): the prediction changes with what is hidden, so that it
      need not predict anything (:func:`prediction_leak`).
    - *Undecided masks*, *one mask* (ours): the prediction is made through the
      masks, so they must divide the image. An entropy above 99 % of ln N is a
      uniform alpha; fewer than 1.5 queries an image, on average, is one mask
      over everything.

    Args:
        num_channels (int): C of F_last.
        num_queries (int): N.
        start (dict[str, float]): :func:`check_health` of the first check.

    Returns:
        list[HealthRule]: In order of weight.
    """
    return [
        HealthRule(
            'constant features', COLLAPSED, 'target_std', '<',
            max(0.1, 0.5 * start['target_std']),
            'the target is nearly the same vector at every place: raise the '
            'weight of loss_regularizer, or lower the learning rate'),
        HealthRule(
            'places alike', COLLAPSED, 'target_cosine_between', '>', 0.95,
            'the target features of different images point the same way: '
            'raise the weight of loss_regularizer, or lower the learning '
            'rate'),
        HealthRule(
            'low rank', PARTIAL_COLLAPSE, 'target_rank', '<',
            max(0.1 * num_channels, 0.5 * start['target_rank']),
            'the target uses few of its channels: raise the weight of '
            'loss_regularizer, or switch the reconstruction on'),
        HealthRule(
            'leak', PARTIAL_COLLAPSE, 'leak', '>', 0.01,
            'the prediction at hidden places depends on what is hidden '
            'there, so nothing has to be predicted: set '
            'model.noise.masked_gamma=0'),
        HealthRule(
            'undecided masks', PARTIAL_COLLAPSE, 'mask_entropy', '>',
            0.99 * math.log(num_queries),
            'every query sees every place alike, so the masks divide '
            'nothing: train longer, or raise '
            'model.prototypes.loss_weight'),
        HealthRule(
            'one mask', PARTIAL_COLLAPSE, 'queries_used', '<',
            1.5 / num_queries,
            'a single query owns all places of an image: raise '
            'model.prototypes.loss_weight, or lower the learning rate'),
    ]


class HealthRecord:
    """Remember the checks of a run, and judge it by the latest ones.

    A rule is true once it has held in ``patience`` checks in a row, and until
    a check at which it does not hold.

    Args:
        num_channels (int): C of F_last.
        num_queries (int): N.
        patience (int): How many checks in a row make a rule true.
        state (dict, optional): :attr:`state` of an interrupted run.
    """

    def __init__(self,
                 num_channels: int,
                 num_queries: int,
                 patience: int,
                 state: Optional[dict] = None) -> None:
        self.num_channels = num_channels
        self.num_queries = num_queries
        self.patience = patience
        self.state = state or dict(
            start=None, latest=None, num_counted=0, streaks={}, warned=[])

    @property
    def rules(self) -> List[HealthRule]:
        """The signs of collapse, the worst first; none before a check."""
        if self.state['start'] is None:
            return []
        return health_rules(self.num_channels, self.num_queries,
                            self.state['start'])

    @property
    def true_rules(self) -> List[HealthRule]:
        """Those that are true now, the worst first."""
        streaks = self.state['streaks']
        return [
            rule for rule in self.rules
            if streaks.get(rule.name, 0) >= self.patience
        ]

    def add(self, values: Dict[str, float], counts: bool) -> List[HealthRule]:
        """Add a check.

        Args:
            values (dict[str, float]): Of :func:`check_health`.
            counts (bool): Whether the rules count already.

        Returns:
            list[HealthRule]: Those that have become true for the first time.
        """
        if self.state['start'] is None:
            self.state['start'] = values
        self.state['latest'] = values
        streaks = self.state['streaks']
        if counts:
            self.state['num_counted'] += 1
            self.state['streaks'] = {
                rule.name:
                streaks.get(rule.name, 0) + 1 if rule.holds(values) else 0
                for rule in self.rules
            }
        found = [
            rule for rule in self.true_rules
            if rule.name not in self.state['warned']
        ]
        self.state['warned'] += [rule.name for rule in found]
        return found

    def verdict(self) -> Tuple[str, str]:
        """Judge the run by its latest checks, and give the reasons.

        The verdict is 'healthy', 'partial collapse' or 'collapsed'; 'not
        judged yet' while fewer than ``patience`` checks have counted.
        """
        num_counted = self.state['num_counted']
        if num_counted < self.patience:
            return NOT_JUDGED, (f'{num_counted} of the {self.patience} checks '
                                'that a verdict takes')
        found = self.true_rules
        names = [rule.name for rule in found]
        verdict = found[0].verdict if found else HEALTHY
        reason = '; '.join(f'{rule.name}: {rule.meaning}' for rule in found)
        reason = reason or 'no sign of collapse in the latest checks'
        earlier = [name for name in self.state['warned'] if name not in names]
        if earlier:
            reason += f'; earlier, no longer: {", ".join(earlier)}'
        return verdict, reason

    def summary(self, iteration: int) -> dict:
        """Sum up for a file, in types that JSON knows.

        Returns:
            dict: Verdict, reason, iteration, the latest values and the state
            of each rule.
        """
        verdict, reason = self.verdict()
        # JSON knows neither NaN nor infinity.
        values = {
            name: value if math.isfinite(value) else None
            for name, value in self.state['latest'].items()
        }
        true_names = [rule.name for rule in self.true_rules]
        rules = [
            dict(
                name=rule.name,
                verdict=rule.verdict,
                condition=f'{rule.key} {rule.relation} {rule.threshold:.4g}',
                value=values[rule.key],
                threshold=rule.threshold,
                fired=rule.name in true_names) for rule in self.rules
        ]
        return dict(
            verdict=verdict,
            reason=reason,
            iteration=iteration,
            values=values,
            rules=rules)
