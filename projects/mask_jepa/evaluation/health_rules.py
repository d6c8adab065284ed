import math
from typing import Dict, List, NamedTuple

PARTIAL_COLLAPSE = 'partial collapse'
COLLAPSED = 'collapsed'


class HealthRule(NamedTuple):
    """A sign of collapse.

    Attributes:
        name (str): What it is a sign of.
        verdict (str): What a run is called where it holds.
        key (str): Value of :func:`check_health` that is compared.
        relation (str): '<' or '>'.
        threshold (float): What it is compared with.
        meaning (str): What has happened, and what to do, as a sentence.
    """

    name: str
    verdict: str
    key: str
    relation: str
    threshold: float
    meaning: str

    def holds(self, values: Dict[str, float]) -> bool:
        """Say whether the sign is there; never for NaN.

        Args:
            values (dict[str, float]): Of :func:`check_health`.
        """
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
      half of that of the initial weights, or below a tenth of the channels.
    - *Leak* (ours): the prediction changes with what is hidden, so that it
      need not predict anything (:func:`prediction_leak`).
    - *Undecided masks*, *one mask* (ours): the prediction is made through the
      masks, so they must divide the image. An entropy above 99 % of ln N is a
      uniform alpha; fewer than 1.5 queries an image, on average, is one mask
      over everything.

    Args:
        num_channels (int): C of the features.
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
