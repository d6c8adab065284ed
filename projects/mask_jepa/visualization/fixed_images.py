from mmengine.dataset import BaseDataset, pseudo_collate

from ..utils import evenly_spread, fixed_seed


def fixed_batch(dataset: BaseDataset, num_images: int) -> dict:
    """Load images of a dataset; the same whenever it is called.

    The global random generators are left as they were.

    Args:
        dataset (BaseDataset): Whose pipeline ends in ``PackDetInputs``.
        num_images (int): How many, evenly spread over the dataset.

    Returns:
        dict: A batch with ``inputs`` and ``data_samples``.
    """
    with fixed_seed(0):
        return pseudo_collate([
            dataset[index]
            for index in evenly_spread(len(dataset), num_images)
        ])
