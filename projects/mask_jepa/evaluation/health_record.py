import math
from typing import Dict, List, Optional, Tuple

from .health_rules import HealthRule, health_rules

HEALTHY = 'healthy'
NOT_JUDGED = 'not judged yet'


class HealthRecord:
    """Remember the checks of a run, and judge it by the latest ones.

    A rule is true once it has held in ``patience`` checks in a row, and until
    a check at which it does not hold.

    Args:
        num_channels (int): C of the features.
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
        """list[HealthRule]: The worst first; empty before the first check."""
        if self.state['start'] is None:
            return []
        return health_rules(self.num_channels, self.num_queries,
                            self.state['start'])

    @property
    def true_rules(self) -> List[HealthRule]:
        """list[HealthRule]: Those that are true now, the worst first."""
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
            list[HealthRule]: Rules that have become true for the first time.
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
        """Judge the run by its latest checks.

        Returns:
            tuple[str, str]: 'healthy', 'partial collapse' or 'collapsed',
            and the reasons; 'not judged yet' while fewer than ``patience``
            checks have counted.
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
        earlier = [
            name for name in self.state['warned'] if name not in names
        ]
        if earlier:
            reason += f'; earlier, no longer: {", ".join(earlier)}'
        return verdict, reason

    def summary(self, iteration: int) -> dict:
        """Sum up for a file.

        Args:
            iteration (int): Iterations done.

        Returns:
            dict: Verdict, reason, iteration, the latest values and the state
            of each rule, in types that JSON knows.
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
