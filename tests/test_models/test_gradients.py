"""What gets a gradient in every ablation, and what never does."""
import itertools

import pytest
import torch

SWITCHES = ('reconstruction', 'denoising', 'auxiliary_self_attention')
SETTINGS = list(itertools.product([True, False], repeat=3))


def backward(model, images):
    losses = model(images, mode='loss')
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    return losses


def name_of(setting):
    return '+'.join(itertools.compress(SWITCHES, setting)) or 'none'


@pytest.mark.parametrize('extra_losses', [True, False],
                         ids=['all_losses', 'jepa_loss_alone'])
@pytest.mark.parametrize('setting', SETTINGS, ids=name_of)
def test_every_trained_parameter_gets_one(make_model, images, setting,
                                          extra_losses):
    """So that DDP needs no `find_unused_parameters`."""
    options = dict(zip(SWITCHES, setting))
    if extra_losses:
        options.update(
            loss_mask_level=dict(_delete_=True, type='MaskLevelLoss'))
    else:
        options.update(loss_regularizer=None, prototypes=None)
    model = make_model(options)
    losses = backward(model, images)
    assert ('loss_reconstruction' in losses) == options['reconstruction']
    assert ('loss_mask_level' in losses) == extra_losses
    assert ('loss_regularizer' in losses) == extra_losses
    assert ('loss_prototype_cls' in losses) == extra_losses
    without = [name for name, parameter in model.named_parameters()
               if parameter.requires_grad and parameter.grad is None]
    assert without == []
    for name, parameter in model.named_parameters():
        is_class = name.startswith('panoptic_head.cls_embed.')
        if name.startswith('target.') or (is_class and not extra_losses):
            assert not parameter.requires_grad, name
        else:
            assert parameter.requires_grad, name
            assert parameter.grad.isfinite().all(), name


def is_dead_at_the_start(name):
    """Behind a weight that the stock initialisation sets to zero."""
    residual = name.startswith('backbone.layer') and (
        '.conv' in name or '.gn1.' in name)
    return residual or name.endswith(
        ('level_encoding.weight', 'sampling_offsets.weight',
         'attention_weights.weight'))


def test_no_other_gradient_is_zero(make_model, images):
    model = make_model(dict(query_sigma=0.5))
    backward(model, images)
    zero = [
        name for name, parameter in model.named_parameters()
        if parameter.requires_grad and not parameter.grad.any()
        and not is_dead_at_the_start(name)
    ]
    assert zero == []


def test_learned_queries_are_trained_below_sigma_one_only(make_model, images):
    for sigma, trained in ((1.0, False), (0.9, True)):
        model = make_model(dict(query_sigma=sigma))
        backward(model, images)
        gradient = model.panoptic_head.query_feat.weight.grad
        assert gradient.any() == trained


def test_target_changes_by_ema_alone(tiny_model, images):
    model = tiny_model
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    before = {name: value.clone()
              for name, value in model.state_dict().items()}
    backward(model, images)
    optimizer.step()
    after = model.state_dict()
    for name, value in before.items():
        if name.startswith('target.'):
            assert torch.equal(after[name], value), name
    assert not torch.equal(after['backbone.conv1.weight'],
                           before['backbone.conv1.weight'])
    assert all(weight.grad is None for weight in model.target.parameters())
    model.update_target(0.5)
    assert not torch.equal(model.state_dict()['target.backbone.conv1.weight'],
                           before['target.backbone.conv1.weight'])
