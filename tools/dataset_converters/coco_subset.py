import json
import os.path as osp
from typing import Dict, List, Set

from mmengine.fileio import get_file_backend

from projects.mask_jepa.utils import ATOMIC_LOCAL


class CocoAnnotations:
    """Labels in the form of COCO: instances or panoptic.

    Args:
        ann_file (str): The .json file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no annotation file of COCO's form.
    """

    def __init__(self, ann_file: str) -> None:
        if not osp.isfile(ann_file):
            raise FileNotFoundError(f'There is no annotation file at '
                                    f'{ann_file}.')
        try:
            with open(ann_file) as file:
                self.content = json.load(file)
            # In the order of their ids, so that the instances and the
            # panoptic labels of the same images give the same subsets.
            self.images = sorted(
                self.content['images'], key=lambda image: image['id'])
            self.annotations = self.content['annotations']
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f'{ann_file} holds no "images" and "annotations" '
                             'as the .json files of COCO do.') from error
        self.stem = osp.splitext(ann_file)[0]

    def __len__(self) -> int:
        return len(self.images)

    def classes(self) -> List[Set[int]]:
        """Look up what is in each image.

        Returns:
            list[set[int]]: Ids of the categories.

        Raises:
            ValueError: If annotations are of no category.
        """
        found: Dict[int, Set[int]] = {
            image['id']: set()
            for image in self.images
        }
        for annotation in self.annotations:
            segments = annotation.get('segments_info', [annotation])
            if any('category_id' not in segment for segment in segments):
                raise ValueError(
                    f'{self.stem}.json has annotations without a category, '
                    'such as captions: choose without --balanced.')
            # Annotations of other images are not in a subset either.
            if annotation['image_id'] in found:
                categories = {segment['category_id'] for segment in segments}
                found[annotation['image_id']].update(categories)
        return [found[image['id']] for image in self.images]

    def write(self, name: str, indices: List[int]) -> str:
        """Write the labels of some images, whole or not at all.

        Args:
            name (str): Name of the subset.
            indices (list[int]): Of the images.

        Returns:
            str: The file, beside the whole one.
        """
        images = [self.images[index] for index in sorted(indices)]
        ids = {image['id'] for image in images}
        content = dict(
            self.content,
            images=images,
            annotations=[
                annotation for annotation in self.annotations
                if annotation['image_id'] in ids
            ])
        path = f'{self.stem}_{name}.json'
        backend = get_file_backend(backend_args=dict(backend=ATOMIC_LOCAL))
        backend.put_text(json.dumps(content), path)
        return path
