import json
import os.path as osp
import re
from collections import defaultdict
from glob import escape, glob
from typing import Dict, List, NamedTuple, Optional

from mmengine.config import Config

from ..utils import parse_plain_config

BADGES = {
    'healthy': 'good',
    'partial collapse': 'doubtful',
    'collapsed': 'bad'
}
# The log can be long, and the environment stands at its beginning.
BEGINNING = 200_000  # characters
BLOCK = re.compile(r'^-{20,}\n(System environment:.*?)\n-{20,}$',
                   re.DOTALL | re.MULTILINE)
PROCESSES = re.compile(r'GPU number: (\d+)')
PURPOSES = dict(train='pretrained on', test='pictures and tests', val='probe')
PICTURE_NAME = re.compile(r'(.+)_(\d+)\.png')


class Health(NamedTuple):
    """The verdict on the features, as a hook wrote it."""

    verdict: str  # 'healthy', 'partial collapse' or 'collapsed'
    reason: str  # one sentence
    iteration: Optional[int]  # of the check
    rules: List[Dict]  # each with name, condition, value, fired

    @property
    def badge(self) -> str:
        """How the page colours the verdict."""
        return BADGES.get(self.verdict, 'unknown')


class RunConfig(NamedTuple):
    """What the page needs of the resolved config."""

    name: str = ''  # of the file, without its ending
    text: str = ''  # the whole file
    max_iters: Optional[int] = None  # when the training ends
    batch_size: Optional[int] = None  # images per iteration and process
    images: Dict[str, str] = {}  # where they come from, by what they serve


class Environment(NamedTuple):
    """Where a training ran."""

    text: str = ''  # as mmengine logged it
    num_processes: Optional[int] = None  # over which it was spread


def read_health(work_dir: str) -> Optional[Health]:
    """Read the ``health.json`` of a run; None without a readable one."""
    path = osp.join(work_dir, 'health.json')
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
        content.get('iteration'),
        content.get('rules') or [])


def read_run_config(work_dir: str, sessions: List[str]) -> RunConfig:
    """Read the config that the newest session dumped.

    Args:
        work_dir (str): Of the run; here lies the config under its own name.
        sessions (list[str]): Folders of the sessions, oldest first.

    Returns:
        RunConfig: Empty where no config was dumped; without settings where
        the file is more than plain values, since no foreign file is run.
    """
    named = sorted(glob(osp.join(escape(work_dir), '*.py')), key=osp.getmtime)
    dumped = [
        path for path in (osp.join(session, 'vis_data', 'config.py')
                          for session in sessions) if osp.isfile(path)
    ]
    if not named and not dumped:
        return RunConfig()
    name, _ = osp.splitext(osp.basename((named or dumped)[-1]))
    path = (dumped or named)[-1]
    with open(path, encoding='utf-8', errors='replace') as file:
        text = file.read()
    try:
        settings = parse_plain_config(text)
    except ValueError:  # It would have to be run, and may be of a stranger.
        return RunConfig(name, text)
    training, loader = (
        each if isinstance(each, dict) else {}
        for each in map(settings.get, ('train_cfg', 'train_dataloader')))
    return RunConfig(name, text, training.get('max_iters'),
                     loader.get('batch_size'), find_images(settings))


def find_images(settings: Config) -> Dict[str, str]:
    """Find where the images come from, by what they serve."""
    found = {}
    for split, purpose in PURPOSES.items():
        node = settings.get(f'{split}_dataloader')
        for key in ('dataset', 'data_root'):
            node = node.get(key) if isinstance(node, dict) else None
        sources = [node] if isinstance(node, str) else node or []
        if sources:
            found[purpose] = ', '.join(map(str, sources))
    return found


def read_environment(sessions: List[str]) -> Environment:
    """Read the environment from the newest text log that names it.

    It is empty where no log does; the sessions come oldest first.
    """
    for session in reversed(sessions):
        for path in sorted(glob(osp.join(escape(session), '*.log'))):
            with open(path, encoding='utf-8', errors='replace') as file:
                block = BLOCK.search(file.read(BEGINNING))
            if block:
                processes = PROCESSES.search(block[1])
                return Environment(block[1],
                                   int(processes[1]) if processes else None)
    return Environment()


def find_pictures(session: str) -> Dict[str, Dict[int, str]]:
    """Find the pictures that mmengine's LocalVisBackend saved in a session.

    Returns:
        dict[str, dict[int, str]]: Paths by name and iteration.
    """
    pictures = defaultdict(dict)
    folder = osp.join(escape(session), 'vis_data', 'vis_image')
    for path in glob(osp.join(folder, '*.png')):
        match = PICTURE_NAME.fullmatch(osp.basename(path))
        if match:
            pictures[match[1]][int(match[2])] = path
    return dict(pictures)
