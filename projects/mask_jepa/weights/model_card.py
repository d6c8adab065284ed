import json
import os.path as osp
from typing import Dict, Optional, Sequence

from mmengine.config import Config

from ..utils import AtomicLocalBackend, printable
from ..version import __version__

CARD = '''---
library_name: transformers
pipeline_tag: image-segmentation
tags:
- mask-jepa
- self-supervised-learning
---

# {name}

{architecture}, pretrained on images without labels by Mask-JEPA ([arXiv
2407.10733](https://arxiv.org/abs/2407.10733)). It knows no classes: the class
predictor begins anew when it is fine-tuned.

```python
import transformers

# The number of labels is that of your task.
model = transformers.{model_class}.from_pretrained('FOLDER', num_labels=150)
```

| | |
|---|---|
{rows}

The licence of the weights, and of the images that they learned from, is not
known to the program that wrote this card: say it here.

<details><summary>The whole config</summary>

```python
{config}
```

</details>
'''


def write_model_card(folder: str, checkpoint: dict, path: str, cfg: Config,
                     branch: str, parts: Sequence[str]) -> None:
    """Describe weights in ``README.md``, as Hugging Face's hub shows a model.

    Args:
        folder (str): Of the exported weights.
        checkpoint (dict): Of the pretraining.
        path (str): Where that lies; beside it may be the list of the images.
        cfg (Config): Of the pretraining.
        branch (str): That was exported.
        parts (Sequence[str]): That were exported.
    """
    with open(osp.join(folder, 'config.json')) as file:
        model_class, = json.load(file)['architectures']
    meta = checkpoint.get('meta') or {}
    backbone = cfg.model.backbone
    depth = backbone.get('depth')
    architecture = (f'{cfg.model.panoptic_head.type.split(".")[-1]} on '
                    f'{backbone.type.split(".")[-1]}'
                    f'{f"-{depth}" if depth else ""}')
    rows = {
        'data': _data(cfg, path),
        'recipe': meta.get('experiment_name'),
        'length': _length(meta, cfg),
        'weights': f'{branch} branch: {", ".join(parts)}',
        'code': _versions(meta),
    }
    card = CARD.format(
        name=_cell(osp.basename(osp.dirname(osp.abspath(path)))),
        architecture=architecture,
        model_class=model_class,
        rows='\n'.join(f'| {name} | {_cell(value)} |'
                       for name, value in rows.items() if value),
        config=cfg.pretty_text.strip())
    AtomicLocalBackend().put_text(card, osp.join(folder, 'README.md'))


def _data(cfg: Config, path: str) -> str:
    """Name the images, and count them where the run has left their list."""
    loader = cfg.get('train_dataloader') or {}
    roots = (loader.get('dataset') or {}).get('data_root') or 'not known'
    data = roots if isinstance(roots, str) else ', '.join(map(str, roots))
    listing = osp.join(osp.dirname(path), 'image_list.txt')
    if osp.isfile(listing):
        with open(listing, errors='replace') as file:
            data += f' ({sum(bool(line.strip()) for line in file):,} images)'
    return data


def _length(meta: Dict[str, object], cfg: Config) -> Optional[str]:
    batch = (cfg.get('train_dataloader') or {}).get('batch_size')
    if meta.get('iter') is None:
        return None
    return (f'{meta["iter"]:,} iterations, each of {batch} images in each '
            'process')


def _versions(meta: Dict[str, object]) -> str:
    trained = meta.get('mask_jepa_version', 'of unknown version')
    return (f'trained by Mask-JEPA {trained}, MMEngine '
            f'{meta.get("mmengine_version", "of unknown version")}; exported '
            f'by Mask-JEPA {__version__}')


def _cell(value: object) -> str:
    """Make a text fit for a cell of a table."""
    return printable(str(value)).replace('|', '\\|')
