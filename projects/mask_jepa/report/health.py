import json
import os.path as osp
from typing import Dict, List, NamedTuple, Optional

FILE_NAME = 'health.json'
BADGES = {
    'healthy': 'good',
    'partial collapse': 'doubtful',
    'collapsed': 'bad'
}


class Health(NamedTuple):
    """The verdict on the features, as a hook wrote it.

    Attributes:
        verdict (str): 'healthy', 'partial collapse' or 'collapsed'.
        reason (str): One sentence.
        iteration (int, optional): Of the check.
        rules (list[dict]): Each with name, condition, value, fired.
    """

    verdict: str
    reason: str
    iteration: Optional[int]
    rules: List[Dict]

    @property
    def badge(self) -> str:
        """How the page colours the verdict."""
        return BADGES.get(self.verdict, 'unknown')


def read_health(work_dir: str) -> Optional[Health]:
    """Read the verdict.

    Args:
        work_dir (str): Of the run.

    Returns:
        Health, optional: None where there is no readable one.
    """
    path = osp.join(work_dir, FILE_NAME)
    if not osp.isfile(path):
        return None
    with open(path, encoding='utf-8') as file:
        try:
            content = json.load(file)
        except ValueError:
            return None
    if not isinstance(content, dict) or 'verdict' not in content:
        return None
    return Health(
        str(content['verdict']), str(content.get('reason', '')),
        content.get('iteration'), content.get('rules') or [])
