"""Choose some of the labelled images, for training with few labels.

The same labels, seed and share give the same images on every machine, and
smaller subsets lie within larger ones.

    make_subset.py data/coco/annotations/instances_train2017.json
    make_subset.py mmseg::_base_/datasets/ade20k.py --shares 1/16 --balanced

SOURCE is an annotation file of COCO's form (instances or panoptic, also those
of Cityscapes and ADE20K for mmdet), or a config of mmseg that trains on one
data set. What is written is an ann_file of the library's own data set, named
after the share and all that is not the default, as the _1-16 configs read it:
instances_train2017_1-16.json beside the whole file, or in the data root
splits/training_1-16.txt, training_1-16_balanced.txt, training_1-16_seed1.txt.

The choice is that of tools/run_experiment.py. A config counts the images of
its data set, so an experiment on it has the same ones. An annotation file
counts all of its images, in the order of their ids, so instances and panoptic
labels of the same images give the same subsets; the data sets of mmdet leave
out images without objects later, and an experiment on them counts the rest.
Tiles of one image (tile_coco.py) count as one and stay together.
"""
import json
import os.path as osp
import re
import sys
from fractions import Fraction
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Set

# `mask_jepa` is found two folders up, also without an installation.
sys.path.insert(0, osp.abspath(osp.join(__file__, '../../..')))

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.fileio import exists
from mmengine.registry import init_default_scope
from mmseg.datasets import BaseSegDataset
from mmseg.registry import DATASETS
from rich.progress import track

from mask_jepa.experiments import SUBSET_ENDING, choose_images
from mask_jepa.utils import (AtomicLocalBackend, exit_on, load_config,
                             make_parser)

# How this tool ends the name of a list of images.
SUBSET = re.compile(rf'(^|/)splits/[^/]+{SUBSET_ENDING}\.txt$')


def require(condition: object, sentence: str) -> None:
    """Refuse what cannot be chosen from, saying what to do."""
    if not condition:
        raise ValueError(sentence)


class CocoAnnotations:
    """Labels in the form of COCO: instances or panoptic.

    Tiles of one image, as tile_coco.py cuts them, stay together, and count as
    one.
    """

    def __init__(self, ann_file: str) -> None:
        self.ann_file = ann_file
        require(
            osp.isfile(ann_file),
            f'There is no annotation file at {ann_file}.')
        try:
            # Of bytes it tells the encoding itself.
            self.content = json.loads(Path(ann_file).read_bytes())
        except ValueError as error:
            raise ValueError(f'{ann_file} is no JSON ({error}): give an '
                             'annotation file in the form of COCO.') from error
        images, self.annotations = (self._records(name, key)
                                    for name, key in (('images', 'id'),
                                                      ('annotations',
                                                       'image_id')))
        require(images, f'{ann_file} has no images to choose from.')
        kinds = {type(image['id']).__name__ for image in images}
        require(
            len(kinds) == 1, f'The ids of the images in {ann_file} are of '
            f'several types ({", ".join(sorted(kinds))}), which have no '
            'order: make them alike.')
        sources = {}
        for image in sorted(images, key=lambda image: image['id']):
            source = image.get('parent') or ('itself', image['id'])
            sources.setdefault(source, []).append(image)
        self.images = list(sources.values())

    def _records(self, name: str, key: str) -> List[dict]:
        records = self.content.get(name) if isinstance(self.content,
                                                       dict) else None
        require(
            isinstance(records, list)
            and all(isinstance(each, dict) for each in records),
            f'{self.ann_file} has no list of "{name}", as the .json files of '
            'COCO do.')
        lacking = sum(each.get(key) is None for each in records)
        require(
            not lacking, f'{lacking} of the "{name}" in {self.ann_file} have '
            f'no {key}: complete or remove them.')
        return records

    def __len__(self) -> int:
        return len(self.images)

    def classes(self) -> List[Set[int]]:
        """Look up the ids of the categories in each image."""
        found = [set() for _ in self.images]
        places = {
            image['id']: classes
            for images, classes in zip(self.images, found)
            for image in images
        }
        for annotation in self.annotations:
            for segment in annotation.get('segments_info', [annotation]):
                require(
                    segment.get('category_id') is not None,
                    f'{self.ann_file} has annotations without a category, '
                    'such as captions: choose without --balanced.')
                # Annotations of other images are not in a subset either.
                classes = places.get(annotation['image_id'], set())
                classes.add(segment['category_id'])
        return found

    def write(self, name: str, indices: Sequence[int],
              folder: Optional[str]) -> str:
        """Write the labels of some images, by default beside those of all."""
        images = [image for index in indices for image in self.images[index]]
        ids = {image['id'] for image in images}
        annotations = [
            each for each in self.annotations if each['image_id'] in ids
        ]
        content = dict(self.content, images=images, annotations=annotations)
        whole = self.ann_file.removesuffix('.json')
        if folder:
            whole = osp.join(folder, osp.basename(whole))
        path = f'{whole}_{name}.json'
        AtomicLocalBackend().put_text(json.dumps(content), path)
        return path


class MMSegImages:
    """The labelled training images of a config of mmseg."""

    def __init__(self, config: Config) -> None:
        init_default_scope('mmseg')
        dataset = find_dataset(config)
        load_labels = [
            step for step in dataset.get('pipeline', [])
            if step['type'] == 'LoadAnnotations'
        ] or [dict(type='LoadAnnotations')]
        # Only a list that is not serialised may be empty.
        self.dataset = DATASETS.build(
            dict(dataset, pipeline=load_labels, serialize_data=False))
        require(
            len(self.dataset),
            f'There are no images *{self.dataset.img_suffix} in '
            f'{self.dataset.data_prefix["img_path"]}.')

    def __len__(self) -> int:
        return len(self.dataset)

    def classes(self) -> List[Set[int]]:
        """Look up the classes in each image, but for what is ignored."""
        ignored = {self.dataset.ignore_index}
        return [
            set(np.unique(self.dataset[index]['gt_seg_map']).tolist()) -
            ignored for index in track(range(len(self)), 'Reading labels')
        ]

    def write(self, name: str, indices: Sequence[int],
              out: Optional[str]) -> str:
        """List some images, by default in ``splits`` of the data root, as an
        ``ann_file`` of mmseg."""
        folder = self.dataset.data_prefix['img_path']
        text = ''
        for index in indices:
            path = self.dataset.get_data_info(index)['img_path']
            image = osp.relpath(path, folder)
            text += image.removesuffix(self.dataset.img_suffix) + '\n'
        split = osp.basename(osp.normpath(folder))
        out = out or osp.join(self.dataset.data_root or '', 'splits')
        path = osp.join(out, f'{split}_{name}.txt')
        AtomicLocalBackend().put_text(text, path)
        return path


def find_dataset(config: Config) -> ConfigDict:
    """Find the one data set of mmseg that a config trains on."""
    dataset = (config.get('train_dataloader') or {}).get('dataset')
    while dataset and 'dataset' in dataset:  # Repeated.
        dataset = dataset['dataset']
    require(
        dataset, 'The config has no train_dataloader with a data set: give a '
        'config of mmseg that trains.')
    require(
        'datasets' not in dataset,
        'The config joins several data sets, while a list of images is read '
        'by one: give a config of mmseg that trains on one of them.')
    kind = dataset['type']
    if isinstance(kind, str):
        kind = DATASETS.get(kind)
    ann_file = dataset.get('ann_file') or ''
    # Parts of configs have no scope, and mmdet has a CityscapesDataset too.
    of_coco = ann_file.endswith('.json')
    name = getattr(dataset['type'], '__name__', dataset['type'])
    require(
        kind and issubclass(kind, BaseSegDataset) and not of_coco,
        f'The config trains on {name}, which is no data set of mmseg for '
        "semantic segmentation: for labels of COCO's form give the annotation "
        'file.')
    # Without a folder the list has whole paths.
    images = dataset.get('data_prefix', {}).get('img_path') or ''
    for kind, path in (('list', ann_file), ('folder', images)):
        path = path and osp.join(dataset.get('data_root') or '', path)
        require(
            not SUBSET.search(path),
            f'The config trains on {path}, which is a subset itself: give a '
            'config that trains on the whole data set.')
        require(
            not path or exists(path, dataset.get('backend_args')),
            f'There is no {kind} of images at {path}, where the config has '
            'it: correct its data_root, ann_file or data_prefix.')
    return dataset


def name_shares(num_images: int, shares: Sequence[str],
                counts: Sequence[int]) -> Dict[str, Fraction]:
    """Name the subsets: '1-16' for a share, '100-images' for a number."""
    named = {}
    for text in shares:
        try:
            share = Fraction(text)
        except (ValueError, ZeroDivisionError):
            share = Fraction(0)
        require(
            0 < share < 1, 'A share must be a fraction between 0 and 1, such '
            f'as 1/16, but is {text}.')
        named[f'{share.numerator}-{share.denominator}'] = share
    for count in counts:
        require(
            1 <= count <= num_images,
            f'There are {num_images} images: {count} of them cannot be '
            'chosen.')
        named[f'{count}-images'] = Fraction(count, num_images)
    return named


def main() -> None:
    """Choose."""
    parser = make_parser(__doc__)
    parser.add_argument('source', metavar='SOURCE')
    parser.add_argument(
        '--shares',
        nargs='*',
        default=['1/2', '1/4', '1/8', '1/16'],
        help='of the images; by default 1/2 1/4 1/8 1/16')
    parser.add_argument(
        '--num-images', nargs='*', type=int, default=[], help='as well')
    parser.add_argument(
        '--balanced', action='store_true', help='prefer rare classes')
    parser.add_argument('--seed', type=int, default=0, help='of the choice')
    parser.add_argument(
        '--out',
        help='folder for what is written, where that of the data is not to be '
        'changed')
    args = parser.parse_args()
    with exit_on(FileNotFoundError, ValueError):
        require(args.seed >= 0, f'The seed {args.seed} must be 0 or more.')
        source = (
            CocoAnnotations(args.source) if args.source.endswith('.json') else
            MMSegImages(load_config(args.source)))
        shares = name_shares(len(source), args.shares, args.num_images)
        classes = source.classes() if args.balanced else None
    # So no choice takes the place of another's file, which configs may read.
    suffix = '_balanced' if args.balanced else ''
    suffix += f'_seed{args.seed}' if args.seed else ''
    for name, share in shares.items():
        images = choose_images(len(source), share, args.seed, classes)
        path = source.write(name + suffix, images, args.out)
        print(f'{len(images)} of {len(source)} images: {path}')


if __name__ == '__main__':
    main()
