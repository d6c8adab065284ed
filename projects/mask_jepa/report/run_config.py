import os.path as osp
from glob import escape, glob
from typing import List, NamedTuple, Optional

from mmengine.config import Config


class RunConfig(NamedTuple):
    """What the page needs of the resolved config.

    Attributes:
        name (str): File name without its ending.
        text (str): The whole file.
        max_iters (int, optional): When the training ends.
        batch_size (int, optional): Images per iteration and process.
    """

    name: str = ''
    text: str = ''
    max_iters: Optional[int] = None
    batch_size: Optional[int] = None


def read_run_config(work_dir: str, sessions: List[str]) -> RunConfig:
    """Read the config that the newest session dumped.

    Args:
        work_dir (str): Of the run; here lies the config under its own name.
        sessions (list[str]): Folders of the sessions, oldest first.

    Returns:
        RunConfig: Empty where no config was dumped; without settings where
        the file is no config.
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
    with open(path, encoding='utf-8') as file:
        text = file.read()
    try:
        settings = Config.fromfile(path, import_custom_modules=False)
    except Exception:  # A config is a program: anything may go wrong in it.
        return RunConfig(name, text)
    training = settings.get('train_cfg') or {}
    loader = settings.get('train_dataloader') or {}
    return RunConfig(name, text, training.get('max_iters'),
                     loader.get('batch_size'))
