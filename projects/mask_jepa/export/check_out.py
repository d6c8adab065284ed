import os.path as osp


def check_out(path: str, source: str, is_folder: bool = False) -> None:
    """Refuse a place that cannot be written to, before there is any work.

    Args:
        path (str): What will be written.
        source (str): What will be read.
        is_folder (bool): Whether it is a folder of files, not a file.
            Defaults to False.

    Raises:
        ValueError: If the source or something of another kind is in that
            place, or no folder above.
    """
    if osp.exists(path) and osp.exists(source) and osp.samefile(path, source):
        raise ValueError(f'{path} is what is read, and would be lost: give '
                         'another --out.')
    if is_folder and osp.lexists(path) and not osp.isdir(path):
        raise ValueError(f'{path} is a file, but a folder will be written: '
                         'give another --out.')
    if not is_folder and (osp.isdir(path) or not osp.basename(path)):
        raise ValueError(f'{path} is a folder, but a file will be written: '
                         'give its name, too, by --out.')
    above = osp.dirname(osp.abspath(path))
    while not osp.lexists(above):
        above = osp.dirname(above)
    if not osp.isdir(above):
        raise ValueError(f'{path} cannot be written, since {above} is no '
                         'folder: give another --out.')
