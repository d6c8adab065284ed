"""Which files a run reads, so that results of other data are told apart."""
import hashlib
import json
import os
import os.path as osp
import re

# How tools/dataset_converters/make_subset.py ends the names of what it writes,
# by default beside the data.
SUBSET_ENDING = r'_(\d+-\d+|\d+-images)(_balanced)?(_seed\d+)?'
SUBSET = re.compile(
    rf'(/splits/[^/]+{SUBSET_ENDING}\.txt|{SUBSET_ENDING}\.json)$')


def data_root() -> str:
    """Name the folder of the data."""
    return os.environ.get('MASK_JEPA_DATA', '../shared/data')


def digest_files(content: object) -> str:
    """Name the files below the data root that a config, or a command, names.

    Their places below it and their sizes count, wherever the root lies. Lists
    of some of the data, that lie beside them, do not.

    Returns:
        str: Ten hexadecimal digits; '' if there are none.
    """
    root = data_root()
    start = re.escape(json.dumps(root)[:-1])
    # A value: a key may have the name of the folder.
    values = re.findall(f'{start}(?:/[^"]*)?"(?!:)',
                        json.dumps(content, default=str))
    files = set()
    for path in map(json.loads, set(values)):
        files.update([path] if osp.isfile(path) else (
            osp.join(folder, name)
            for folder, _, names in os.walk(path, followlinks=True)
            for name in names if not SUBSET.search(osp.join(folder, name))))
    sizes = sorted(
        (osp.relpath(path, root), osp.getsize(path)) for path in files)
    if not sizes:
        return ''
    return hashlib.sha256(json.dumps(sizes).encode()).hexdigest()[:10]
