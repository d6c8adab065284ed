"""Two ranks fit the same classifiers as one."""
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

from projects.mask_jepa.evaluation.probe_classifiers import (
    NearestNeighborProbe, RidgeProbe)


def places():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(120, 6, generator=generator)
    targets = torch.softmax(
        3 * features[:, :3] + torch.randn(120, 3, generator=generator), 1)
    return features, targets


def scores(rows):
    """Of all places, by classifiers fitted on some rows."""
    features, targets = places()
    predicted = []
    for probe in (RidgeProbe(), NearestNeighborProbe(5)):
        probe.add(features[rows], targets[rows])
        probe.fit()
        predicted.append(probe.predict(features))
    return predicted


def fit_half(rank, folder):
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    torch.save(scores(slice(rank, None, 2)), f'{folder}/{rank}.pth')
    dist.destroy_process_group()


def test_two_ranks_fit_what_one_fits(tmp_path):
    multiprocessing.spawn(fit_half, (str(tmp_path), ), nprocs=2)
    alone = scores(slice(None))
    half = scores(slice(0, None, 2))
    for rank in range(2):
        together = torch.load(tmp_path / f'{rank}.pth')
        for one, two, part in zip(alone, together, half):
            torch.testing.assert_close(two, one)
            assert not torch.allclose(part, one)
