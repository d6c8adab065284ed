"""The target: how it follows the model, and two ranks that agree."""
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import nn

from mask_jepa.evaluation import encode_levels
from mask_jepa.models import (Mask2FormerAdapter, PlaceCentering, Prototypes,
                              TargetEncoder)

BATCH_NORM = {
    'backbone.norm_cfg': dict(
        _delete_=True, type='BN', requires_grad=True)
}


@pytest.fixture
def model(make_model):
    """With batch norm in the backbone, so that there are buffers."""
    return make_model(BATCH_NORM)


def pairs(model):
    """Target tensor and online tensor by name: parameters, buffers."""
    for kind in ('named_parameters', 'named_buffers'):
        online = {
            **{f'backbone.{name}': tensor
               for name, tensor in getattr(model.backbone, kind)()},
            **{f'pixel_decoder.{name}': tensor for name, tensor in getattr(
                model.panoptic_head.pixel_decoder, kind)()}
        }
        target = dict(getattr(model.target, kind)())
        assert target.keys() == online.keys() != set()
        yield [(name, target[name], online[name]) for name in target]


def change_online(model):
    """Let the online weights and buffers go elsewhere."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter))
    model.train()
    model.backbone(torch.randn(2, 3, 64, 64))


def test_equals_the_online_branch_after_init_weights(model):
    for kind in pairs(model):
        for name, target, online in kind:
            assert torch.equal(target, online), name
            assert target.data_ptr() != online.data_ptr(), name


@pytest.mark.parametrize('momentum', [0.0, 0.25, 0.996, 1.0])
def test_update_equals_the_formula(model, momentum):
    change_online(model)
    parameters, _ = pairs(model)
    expected = {
        name: momentum * target.double() + (1 - momentum) * online.double()
        for name, target, online in parameters
    }
    before = {name: target.clone() for name, target, _ in parameters}
    model.update_target(momentum)
    for name, target, online in parameters:
        torch.testing.assert_close(target, expected[name].float())
        if momentum == 0:
            assert torch.equal(target, online), name
        if momentum == 1:
            assert torch.equal(target, before[name]), name


def test_update_copies_buffers_and_leaves_the_online_branch(model):
    change_online(model)
    _, buffers = pairs(model)
    assert any(not torch.equal(target, online)
               for _, target, online in buffers)
    online = {name: value.clone() for name, value in
              model.state_dict().items() if not name.startswith('target.')}
    model.update_target(0.9)
    for name, target, source in buffers:
        assert torch.equal(target, source), name
    for name, value in online.items():
        assert torch.equal(value, model.state_dict()[name]), name


def test_update_follows_a_model_that_moved(model):
    """Its buffers are others then."""
    model.update_target(0.5)
    model.double()
    with torch.no_grad():
        model.backbone.conv1.weight.add_(1)
        model.backbone.bn1.running_mean.add_(1)
    model.update_target(0.0)
    for kind in pairs(model):
        for name, target, online in kind:
            assert target.dtype in (torch.float64, torch.int64)
            assert torch.equal(target, online), name


def test_stays_in_eval_mode(model):
    model.train()
    assert model.backbone.training
    assert not any(module.training for module in model.target.modules())
    model.target.train()
    assert not any(module.training for module in model.target.modules())


def test_batch_statistics_do_not_move_in_the_forward_pass(model, images):
    model.train()
    before = [buffer.clone() for buffer in model.target.buffers()]
    model.target(images, (8, 8))
    assert all(map(torch.equal, before, model.target.buffers()))


def test_has_no_gradient(model, images):
    assert not model.target(images.requires_grad_(), (8, 8)).requires_grad
    assert not any(weight.requires_grad
                   for weight in model.target.parameters())


def test_equals_the_online_encoder_in_eval_mode(model, images):
    change_online(model)
    model.update_target(0.0)
    model.eval()
    online, target = (encode_levels(model, images, branch)
                      for branch in ('online', 'target'))
    assert online.keys() == target.keys() > {'F_1', 'F_last'}
    assert all(map(torch.equal, online.values(), target.values()))
    assert torch.equal(model.target(images, (8, 8)), online['F_last'])


def encoder(names, size=3):
    module = nn.Module()
    for name in names:
        module.add_module(name, nn.Linear(size, size))
    return module


@pytest.mark.parametrize('online, named', [
    (encoder(['a']), 'b.bias, b.weight'),
    (encoder(['a', 'b', 'c']), 'c.bias, c.weight'),
    (encoder(['a', 'b'], size=4), 'a.bias|b.weight'),
])
def test_mismatch_is_named(online, named):
    target = TargetEncoder(Mask2FormerAdapter, encoder(['a', 'b']),
                           nn.Identity(), encoder(['d']), ['F_last'])
    before = target.backbone.a.weight.clone()
    with pytest.raises(ValueError, match=f'backbone .*({named})'):
        target.update(online, nn.Identity(), encoder(['d']), 0.5)
    assert torch.equal(before, target.backbone.a.weight)


def test_mismatch_of_buffers_is_named():
    target = TargetEncoder(Mask2FormerAdapter, encoder(['a']), nn.Identity(),
                           encoder(['d']), ['F_last'])
    online = encoder(['a'])
    online.register_buffer('mean', torch.zeros(2))
    with pytest.raises(ValueError, match='backbone .* mean'):
        target.update(online, nn.Identity(), encoder(['d']), 0.5)


def test_starts_from_a_detector_that_has_no_target(model):
    weights = {
        name: torch.full_like(value, 3)
        for name, value in model.state_dict().items()
        if name.startswith(('backbone.', 'panoptic_head.'))
    }
    model.load_state_dict(weights, strict=False)
    for kind in pairs(model):
        for name, target, _ in kind:
            assert (target == 3).all(), name


def test_is_loaded_as_it_was_saved(model):
    """A pretraining's own target is not overwritten by the online weights."""
    weights = {
        name: torch.full_like(value, 5 if name.startswith('target.') else 3)
        for name, value in model.state_dict().items()
    }
    model.load_state_dict(weights)
    for kind in pairs(model):
        for name, target, online in kind:
            assert (target == 5).all() and (online == 3).all(), name


# Two ranks with half a batch each move the target's statistics as one.


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


@pytest.mark.slow
def test_two_ranks_move_as_one(tmp_path):
    multiprocessing.spawn(work, (str(tmp_path), ), nprocs=2)
    together = [torch.load(tmp_path / f'{rank}.pth') for rank in range(2)]
    for name, value in together[0].items():
        assert torch.equal(value, together[1][name]), name
    alone, half = statistics(slice(None)), statistics(slice(0, None, 2))
    for name, value in alone.items():
        torch.testing.assert_close(together[0][name], value, msg=name)
        assert not torch.allclose(half[name], value), name
