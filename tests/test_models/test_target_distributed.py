"""Two ranks with half a batch each move the target's statistics as one."""
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

from projects.mask_jepa.models import PlaceCentering, Prototypes

CHANNELS, SIZE, NUM = 4, 6, 5


def draw(seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(4, CHANNELS, SIZE, SIZE, generator=generator)


def statistics(images):
    """Centre and cluster some images of two batches."""
    centering = PlaceCentering(CHANNELS, SIZE)
    prototypes = Prototypes(NUM, CHANNELS)
    # From where all are in use: one that is not moves to a place of rank 0.
    prototypes.centers.copy_(draw(9)[0].flatten(1).T[:NUM])
    prototypes.shares.fill_(1)
    for seed in range(2):
        prototypes(centering(draw(seed)[images]))
    return dict(
        mean=centering.mean,
        centers=prototypes.centers,
        shares=prototypes.shares)


def idle_prototypes(rank):
    prototypes = Prototypes(NUM, CHANNELS)
    prototypes(draw(rank))
    return prototypes.centers


def work(rank, folder):
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    found = statistics(slice(rank, None, 2))
    found['revived'] = idle_prototypes(rank)
    torch.save(found, f'{folder}/{rank}.pth')
    dist.destroy_process_group()


def test_two_ranks_move_as_one(tmp_path):
    multiprocessing.spawn(work, (str(tmp_path), ), nprocs=2)
    together = [torch.load(tmp_path / f'{rank}.pth') for rank in range(2)]
    for name, value in together[0].items():
        assert torch.equal(value, together[1][name]), name
    alone, half = statistics(slice(None)), statistics(slice(0, None, 2))
    for name, value in alone.items():
        torch.testing.assert_close(together[0][name], value, msg=name)
        assert not torch.allclose(half[name], value), name
