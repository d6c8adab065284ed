"""Write the index of the configs that mim reads.

A wheel is built where torch and mmengine need not be installed. So a model is
described by the path of its config, and by its row in docs/configs.md, if any,
which tools/analysis_tools/describe_configs.py writes.
"""
import argparse
import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAME = 'Mask-JEPA'
PAPER = 'https://arxiv.org/abs/2407.10733'
# Of each of these the first key that is part of the path counts.
TASKS = {
    '/mmseg/': 'Semantic Segmentation',
    '-panoptic': 'Panoptic Segmentation',
    '/mmdet/maskformer': 'Panoptic Segmentation',
    '_youtubevis': 'Video Instance Segmentation',
    '/mmdet/': 'Instance Segmentation',
}
DATASETS = {
    'coco': 'COCO',
    '_ade20k': 'ADE20K',
    '_cityscapes': 'Cityscapes',
    '_youtubevis2021': 'YouTube-VIS 2021',
    '_camvid': 'CamVid',
    '_nuclei': 'Nuclei',
    '_custom': 'Custom',
    '_in1k': 'ImageNet-1k',
    '_tiny': ['CamVid', 'COCO'],
}
BACKBONES = {
    '_swin-': 'Swin Transformer',
    '_convnext-': 'ConvNeXt',
    '_vit-': 'Vision Transformer',
    '_dinov2-': 'DINOv2',
    '_dinov3-': 'DINOv3',
    '_efficientnet-': 'EfficientNet',
    '_r': 'ResNet',
}
HEADS = {'maskformer': 'MaskFormer', 'mask': 'Mask2Former'}
ROW = re.compile(
    r'^\| (\S+) \| (\S+) M \| \d+ \| (?:(\S+) G|not counted) \| \d+ '
    r'\| (\d+) \| (\d+) (\w+) \|$', re.MULTILINE)


def describe(path: str, table: str) -> dict:
    """Make the entry of a config, given by its path in the repository."""
    task, data, backbone, head = (
        next((value for key, value in values.items() if key in path), None)
        for values in (TASKS, DATASETS, BACKBONES, HEADS))
    metadata = {
        'Task': task,
        'Training Data': data,
        'Architecture': [part for part in (backbone, head) if part]
    }
    batch = re.search(r'(\d+)xb(\d+)', path)  # GPUs and images a GPU
    if batch:
        metadata['Batch Size'] = int(batch[1]) * int(batch[2])
    name = Path(path).stem
    for row in ROW.findall(table):
        if row[0] == name:
            metadata['Parameters (M)'] = float(row[1])
            metadata['FLOPs (G)'] = row[2] and float(row[2])
            metadata['Batch Size'] = int(row[3])
            metadata[row[5].capitalize()] = int(row[4])
    return {
        'Name': name,
        'In Collection': NAME,
        'Config': path,
        'Metadata': {
            key: value
            for key, value in metadata.items() if value
        }
    }


def main() -> None:
    """Write the index."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('out', help='such as model-index.yml')
    args = parser.parse_args()
    table = (ROOT / 'docs' / 'configs.md').read_text()
    configs = ROOT / 'configs'
    paths = sorted([*configs.glob('*.py'), *configs.glob('finetune/*/*.py')])
    index = dict(
        Collections=[dict(Name=NAME, Paper=PAPER)],
        Models=[
            describe(path.relative_to(ROOT).as_posix(), table)
            for path in paths
        ])
    # JSON is YAML, and needs no package.
    Path(args.out).write_text(json.dumps(index, indent=1))


if __name__ == '__main__':
    main()
