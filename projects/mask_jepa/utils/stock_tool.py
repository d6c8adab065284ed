import os.path as osp
from importlib.util import find_spec


def stock_tool(library: str, name: str) -> str:
    """Find a tool that an installed library ships.

    Args:
        library (str): 'mmdet', 'mmseg' or 'mmpretrain'.
        name (str): File name, such as 'train.py'.

    Returns:
        str: Path.
    """
    package = osp.dirname(find_spec(library).origin)
    return osp.join(package, '.mim', 'tools', name)
