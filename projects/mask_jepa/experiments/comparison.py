from statistics import mean, stdev
from typing import Dict, List, NamedTuple, Optional, Tuple

from scipy.stats import sem
from scipy.stats import t as student_t


class Difference(NamedTuple):
    """An arm against another one, paired by seed."""

    mean: float
    # 95 % interval of the mean, by Student's t; None with a single seed
    interval: Optional[Tuple[float, float]]
    wins: int  # seeds in which the arm is better
    count: int  # seeds that both arms have


class ArmScores(NamedTuple):
    """All scores of an arm at one task and number of labels."""

    arm: str
    scores: Dict[int, float]  # by seed

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return mean(self.scores.values())

    @property
    def std(self) -> Optional[float]:
        """Sample standard deviation; None with a single seed."""
        if len(self.scores) < 2:
            return None
        return stdev(self.scores.values())

    def minus(self, other: 'ArmScores') -> Optional[Difference]:
        """Compare with another arm of the cell; None without common seeds."""
        seeds = sorted(self.scores.keys() & other.scores.keys())
        if not seeds:
            return None
        differences = [
            self.scores[seed] - other.scores[seed] for seed in seeds
        ]
        interval = None
        if len(seeds) > 1:
            half = student_t.ppf(0.975, len(seeds) - 1) * sem(differences)
            interval = (mean(differences) - half, mean(differences) + half)
        return Difference(
            mean(differences), interval,
            sum(difference > 0 for difference in differences), len(seeds))


class Cell(NamedTuple):
    """One task with one number of labels."""

    task: str
    labels: int
    metric: str
    arms: List[ArmScores]  # in the experiment's order

    def find(self, arm: str) -> Optional[ArmScores]:
        """Look up an arm by its name; None if it has no score here."""
        return next((each for each in self.arms if each.arm == arm), None)


def group_scores(results: List[dict]) -> List[Cell]:
    """Sort results of fine-tunings by task, labels and arm.

    They are as :class:`RunStore` keeps them, in the experiment's order; the
    tasks keep their order, each with few labels first.
    """
    grouped: Dict[tuple, Dict[str, Dict[int, float]]] = {}
    for result in results:
        key = result['task'], result['labels'], result['metric']
        arms = grouped.setdefault(key, {})
        arms.setdefault(result['arm'], {})[result['seed']] = result['score']
    tasks = list(dict.fromkeys(result['task'] for result in results))
    order = sorted(grouped, key=lambda key: (tasks.index(key[0]), key[1]))
    return [
        Cell(*key,
             [ArmScores(arm, scores) for arm, scores in grouped[key].items()])
        for key in order
    ]
