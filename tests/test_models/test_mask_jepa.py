import pytest
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmengine.model import ImgDataPreprocessor
from mmseg.models import SegDataPreProcessor

from mask_jepa.datasets import UnlabeledImageDataset
from mask_jepa.engine import require_channels, try_model
from mask_jepa.evaluation.health_check import check_health
from mask_jepa.losses import JEPALoss
from mask_jepa.models import MaskJEPA
from mask_jepa.models.reconstruction_head import ReconstructionHead
from mask_jepa.visualization import draw_pretraining
from mask_jepa.visualization.pictures import to_picture


def total(losses):
    return sum(value for name, value in losses.items() if 'loss' in name)


def test_keys_of_a_step_are_all_finite(tiny_model, images):
    losses = tiny_model(images, mode='loss')
    assert losses.keys() == {
        'loss_jepa', 'loss_reconstruction', 'loss_regularizer',
        'loss_prototype_cls', 'loss_prototype_mask', 'loss_prototype_dice'
    }
    for name, value in losses.items():
        assert value.ndim == 0 and value.isfinite(), name


def test_mask_features_that_cannot_become_the_image_are_refused(make_model):
    model = make_model({})
    channels = model.reconstruction_head.projection.in_channels
    model.reconstruction_head = ReconstructionHead(channels, stride=8)
    with pytest.raises(ValueError, match='the mask features are not of '
                       'stride 4, which model.reconstruction=True needs'):
        try_model(model)
    model.reconstruction_head = None
    try_model(model)


@pytest.mark.parametrize('channels, preprocessor', [
    (1, dict(type='DetDataPreprocessor', mean=[127.5], std=[60.0])),
    (4, dict(type='mmseg.SegDataPreProcessor', mean=[127.5] * 4,
             std=[60.0] * 4, size_divisor=1))
])
def test_network_follows_the_channels(make_model, channels, preprocessor):
    """Losses and pictures of images that are not in three colours."""
    if channels == 4 and issubclass(SegDataPreProcessor, ImgDataPreprocessor):
        # docs/operations.md, on that stack, says so too.
        pytest.skip('onedl-mmsegmentation 1.4.2 takes 1 or 3 channels only')
    model = make_model({
        'backbone.in_channels': channels,
        'data_preprocessor': dict(preprocessor, _delete_=True),
        'pseudo_instances': dict(),
        'panoptic_head.num_things_classes': 17,
        'panoptic_head.loss_cls.class_weight': [1.0] * 17 + [0.1],
    })
    try_model(model)
    pixels = [torch.randint(256, (channels, 64, 64)).float()
              for _ in range(2)]
    batch = dict(inputs=pixels, data_samples=[DetDataSample()] * 2)
    prepared = model.data_preprocessor(batch, training=True)
    assert torch.equal(prepared['inputs'][0], (pixels[0] - 127.5) / 60)
    losses = model(**prepared, mode='loss')
    assert total(losses).isfinite()
    assert check_health(model, prepared['inputs'])
    samples = model.eval().test_step(
        dict(inputs=pixels, data_samples=[DetDataSample() for _ in pixels]))
    assert samples[0].reconstruction.shape == (channels, 64, 64)
    mean, std = model.data_preprocessor.mean, model.data_preprocessor.std
    sheet, _ = draw_pretraining(samples, mean, std)
    assert sheet.ndim == 3
    shown = to_picture(samples[0].clean_image, mean, std)
    colours = [2, 1, 0] if channels == 4 else [0, 0, 0]
    torch.testing.assert_close(
        torch.from_numpy(255 * shown).permute(2, 0, 1), pixels[0][colours])


def test_images_of_other_channels_are_refused(image_folder, tiny_model):
    load = [dict(type='LoadUnlabeledImage')]
    colour = UnlabeledImageDataset(str(image_folder), load)
    require_channels(tiny_model, colour)
    grey = UnlabeledImageDataset(
        str(image_folder), load, color_type='grayscale')
    with pytest.raises(ValueError, match='images have 1 .*in_channels=1'):
        require_channels(tiny_model, grey)


def test_only_losses_enter_the_objective(tiny_model, images):
    """What is watched, of which nothing is a loss, is logged by hooks."""
    losses = tiny_model(images, mode='loss')
    parsed, logged = tiny_model.parse_losses(losses)
    terms = [losses[f'loss_{name}'] for name in (
        'jepa', 'reconstruction', 'regularizer', 'prototype_cls',
        'prototype_mask', 'prototype_dice')]
    torch.testing.assert_close(parsed, sum(terms))
    assert logged.keys() == losses.keys() | {'loss'}
    assert not any('loss' in name
                   for name in check_health(tiny_model, images))


def test_losses_are_those_of_the_predicted_step(make_model, images):
    """Each loss sees what its name says; recomputed from `predict`."""
    tiny_model = make_model(dict(centering=None)).eval()
    samples = tiny_model(images, [DetDataSample() for _ in images], 'predict')
    losses = tiny_model(images, mode='loss')

    def stack(name):
        return torch.stack([sample.get(name) for sample in samples])

    hidden = stack('hidden')[:, None]
    torch.testing.assert_close(
        losses['loss_jepa'].detach(),
        JEPALoss()(stack('prediction'), stack('target_on_grid'), hidden))
    error = (stack('reconstruction') - images).square().mean()
    torch.testing.assert_close(losses['loss_reconstruction'].detach(), error)
    pooled = F.avg_pool2d(stack('target_features'), 2)
    torch.testing.assert_close(stack('target_on_grid'), pooled)


def test_prototypes_label_the_centred_target(tiny_model, images, monkeypatch):
    """The head learns the clusters of what the JEPA loss compares with."""
    tiny_model(images, mode='loss')
    tiny_model.eval()
    step = tiny_model.predict_target(images)
    target = F.layer_norm(
        F.avg_pool2d(step.target_features, 2).movedim(1, -1), (32, ))
    target = target.movedim(-1, 1) - tiny_model.centering.mean
    torch.testing.assert_close(step.target_on_grid, target)

    seen = []
    monkeypatch.setattr(
        tiny_model.loss_masks, 'forward',
        lambda scores, logits, labels, generator: seen.append(labels) or
        dict(mask=torch.tensor(2.0)))
    losses = tiny_model(images, mode='loss')
    assert losses['loss_prototype_mask'] == pytest.approx(0.03 * 2)
    centers = tiny_model.prototypes.centers
    for features, instances in zip(target, seen[0].instances()):
        nearest = (features[None] - centers[..., None, None]).norm(
            dim=1).argmin(0)
        for label, mask in zip(instances.labels, instances.masks):
            assert torch.equal(mask, (nearest == label).float())


def test_prototypes_with_the_losses_of_the_stock_head(make_model, images,
                                                      monkeypatch):
    """At points, hence by random numbers, which are those of the step."""
    model = make_model({'prototypes.stock_losses': True})
    assert not hasattr(model, 'loss_masks')
    seen = []
    mask_losses = model.adapter.mask_losses
    monkeypatch.setattr(
        model.adapter, 'mask_losses',
        lambda *arguments: seen.append(mask_losses(*arguments)) or seen[-1])
    losses = model(images, mode='loss')
    assert len(seen) == 1 and seen[0].keys() == {'cls', 'mask', 'dice'}
    for kind, value in seen[0].items():
        torch.testing.assert_close(losses[f'loss_prototype_{kind}'],
                                   0.03 * value)
    dense = make_model()(images, mode='loss')
    assert dense.keys() == losses.keys()
    # Equal on average at the start, where no mask is decided.
    torch.testing.assert_close(
        losses['loss_prototype_cls'], dense['loss_prototype_cls'], rtol=0.05,
        atol=0)


def test_the_online_branch_sees_another_light(make_model, images):
    model = make_model(dict(
        photometric_change=dict(contrast=0.0, brightness=3.0, color=0.0)))
    step = model.predict_target(images)
    shift = (step.view - images).flatten(1)
    assert (shift.std(1) < 1e-5).all() and (shift[:, 0].abs() > 0.01).all()
    assert shift[0, 0] != shift[1, 0]
    torch.testing.assert_close(
        step.target_features, model.target(images, (8, 8)))
    visible = ~step.hidden_on_grid.repeat_interleave(
        8, 2).repeat_interleave(8, 3).expand_as(images)
    view, noisy = step.view[visible], step.noisy_image[visible]
    assert torch.corrcoef(torch.stack([view, noisy]))[0, 1] > 0.7


def test_tensor_mode_is_backbone_and_pixel_decoder(tiny_model, images):
    tiny_model.eval()
    mask_features, memory = tiny_model(images, mode='tensor')
    stock = tiny_model.panoptic_head.pixel_decoder(tiny_model.backbone(images))
    assert torch.equal(mask_features, stock[0])
    assert all(map(torch.equal, memory, stock[1]))


def test_prediction_fields_and_their_shapes(tiny_model, images):
    tiny_model.eval()
    samples = tiny_model(images, [DetDataSample() for _ in images], 'predict')
    shapes = dict(
        clean_image=(3, 64, 64),
        noisy_image=(3, 64, 64),
        reconstruction=(3, 64, 64),
        hidden=(8, 8),
        mask_features=(32, 16, 16),
        target_features=(32, 16, 16),
        target_on_grid=(32, 8, 8),
        prediction=(32, 8, 8),
        prototypes=(8, 8),
        predicted_prototypes=(16, 16),
        mask_weights=(10, 8, 8))
    for image, sample in zip(images, samples):
        assert {name: tuple(sample.get(name).shape)
                for name in sample.all_keys() if name != 'memory'} == shapes
        assert torch.equal(sample.clean_image, image)
        assert sample.hidden.sum() == 32
        torch.testing.assert_close(
            sample.mask_weights.sum(0), torch.ones(8, 8))
        # Fresh from initialisation, either encoder gives the same.
        assert torch.equal(sample.mask_features, sample.target_features)
        visible = ~sample.hidden.repeat_interleave(
            8, 0).repeat_interleave(8, 1)
        assert not torch.equal(sample.noisy_image[:, visible],
                               image[:, visible])


def test_memory_is_that_of_the_clean_image(tiny_model, images):
    tiny_model.eval()
    samples = tiny_model(images, [DetDataSample() for _ in images], 'predict')
    _, memory = tiny_model.encode(images)
    for index, sample in enumerate(samples):
        assert [tuple(level.shape) for level in sample.memory] == [
            (32, 2, 2), (32, 4, 4), (32, 8, 8)
        ]
        for level, expected in zip(sample.memory, memory):
            assert torch.equal(level, expected[index])


def test_predicted_prototypes_are_read_off_the_masks(tiny_model, images):
    """As mmseg reads a class map off the same masks."""
    tiny_model(images, mode='loss')  # Before it, all prototypes are zero.
    tiny_model.eval()
    step = tiny_model.predict_target(images)
    samples = tiny_model.predict(images, [DetDataSample() for _ in images])
    scores = step.class_scores[-1].softmax(-1)[..., :-1]
    masks = step.mask_logits[-1].sigmoid()
    for index, sample in enumerate(samples):
        votes = torch.tensordot(scores[index].T, masks[index], dims=1)
        assert torch.equal(sample.predicted_prototypes, votes.argmax(0))
        centers = tiny_model.prototypes.centers[..., None, None]
        distances = (step.target_on_grid[index] - centers).norm(dim=1)
        assert torch.equal(sample.prototypes, distances.argmin(0))
        assert len(sample.prototypes.unique()) > 2


def test_corrupted_images_are_those_of_the_step(tiny_model, images):
    tiny_model.eval()
    step = tiny_model.predict_target(images)
    view, hidden, noisy_image = tiny_model.corrupt(
        images, tiny_model.random(images.device))
    assert torch.equal(view, step.view)
    assert hidden.shape == (2, 1, 2, 2) and hidden.dtype == torch.bool
    assert hidden.flatten(1).sum(1).tolist() == [2, 2]
    assert torch.equal(noisy_image, step.noisy_image)
    assert torch.equal(
        hidden.repeat_interleave(4, 2).repeat_interleave(4, 3),
        step.hidden_on_grid)
    # What lies under a hidden cell is not in the image.
    pixels = hidden.repeat_interleave(32, 2).repeat_interleave(32, 3)
    _, _, other = tiny_model.corrupt(
        images.masked_fill(pixels, 9.0), tiny_model.random(images.device))
    assert torch.equal(other, noisy_image)


def test_predict_is_deterministic_in_eval_mode(tiny_model, images):
    tiny_model.eval()
    torch.manual_seed(1)
    first = tiny_model.predict(images, [DetDataSample() for _ in images])
    torch.manual_seed(2)
    second = tiny_model.predict(images, [DetDataSample() for _ in images])
    for one, other in zip(first, second):
        for name in one.all_keys():
            torch.testing.assert_close(
                one.get(name), other.get(name), rtol=0, atol=0)


def test_training_steps_draw_anew_and_by_the_seed_alone(make_model, images):
    def losses(seed, global_seed):
        model = make_model(dict(seed=seed))
        torch.manual_seed(global_seed)
        return [total(model(images, mode='loss')).item() for _ in range(3)]

    reference = losses(seed=1, global_seed=0)
    assert len(set(reference)) == 3
    assert losses(seed=1, global_seed=7) == reference
    assert losses(seed=2, global_seed=0) != reference


def test_wrong_mode(tiny_model, images):
    with pytest.raises(ValueError, match="'train'"):
        tiny_model(images, mode='train')


def test_head_of_another_family_is_named(make_model):
    conv = dict(_delete_=True, type='RPNHead', in_channels=8)
    with pytest.raises(TypeError, match='RPNHead.*encode and decode'):
        make_model(dict(panoptic_head=conv))


def test_prediction_stride_must_divide_a_cell(make_model):
    with pytest.raises(ValueError, match='prediction_stride=12 .*stride=32'):
        make_model(dict(prediction_stride=12))


@pytest.mark.parametrize('stride', [4, 16, 32])
def test_prediction_grid_follows_its_stride(make_model, images, stride):
    model = make_model(dict(prediction_stride=stride)).eval()
    sample = model.predict(images, [DetDataSample() for _ in images])[0]
    side = 64 // stride
    assert sample.prediction.shape == (32, side, side)
    assert sample.hidden.float().mean() == 0.5


def test_images_must_be_multiples_of_a_cell(tiny_model):
    with pytest.raises(ValueError, match='of 32: change the crop size.$'):
        tiny_model(torch.zeros(1, 3, 64, 80), mode='loss')


def test_prototypes_need_a_head_that_matches_masks(make_model):
    with pytest.raises(ValueError, match='panoptic_head.train_cfg'):
        make_model({'panoptic_head.train_cfg': None})
    model = make_model({'panoptic_head.train_cfg': None, 'prototypes': None})
    assert not model.panoptic_head.cls_embed.weight.requires_grad


def test_empty_arguments_are_the_defaults(make_model):
    model = make_model(dict(
        prototypes=dict(_delete_=True), centering=dict(_delete_=True)))
    assert len(model.prototypes.centers) == model.panoptic_head.num_classes
    assert model.centering.mean.shape == (32, 0, 0)  # no target so far


# The memory layout of the backbone.


FROZEN_BATCH_NORM = {
    'backbone.norm_cfg': dict(_delete_=True, type='BN', requires_grad=False),
    'backbone.norm_eval': True
}


def in_channels_last(tensor):
    return tensor.is_contiguous(memory_format=torch.channels_last)


def test_channels_last_changes_no_value(make_model, images):
    plain = make_model(FROZEN_BATCH_NORM)
    other = make_model(dict(FROZEN_BATCH_NORM, channels_last=True))
    for backbone in (other.backbone, other.target.backbone):
        assert in_channels_last(backbone.layer2[0].conv2.weight)
        assert all(map(in_channels_last, backbone(images)))
    assert not in_channels_last(plain.backbone(images)[0])
    # The numbers of random weights come in another order.
    other.load_state_dict(plain.state_dict())
    assert list(plain.state_dict()) == list(other.state_dict())
    for name, value in plain.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name
    losses = [model(images, mode='loss') for model in (plain, other)]
    for name, loss in losses[0].items():
        torch.testing.assert_close(losses[1][name], loss, msg=name)
    for model, terms in zip((plain, other), losses):
        model.parse_losses(terms)[0].backward()
    torch.testing.assert_close(
        other.backbone.conv1.weight.grad, plain.backbone.conv1.weight.grad,
        rtol=1e-3, atol=1e-5)


def test_channels_last_loads_either_layout(make_model, tmp_path):
    plain = make_model(FROZEN_BATCH_NORM)
    other = make_model(dict(FROZEN_BATCH_NORM, channels_last=True))
    with torch.no_grad():
        plain.backbone.conv1.weight.add_(1)
    for source, destination in ((plain, other), (other, plain)):
        torch.save(source.state_dict(), tmp_path / 'weights.pth')
        layout = in_channels_last(destination.backbone.conv1.weight)
        destination.load_state_dict(torch.load(tmp_path / 'weights.pth'))
        weight = destination.backbone.conv1.weight
        assert in_channels_last(weight) == layout
        assert torch.equal(weight, source.backbone.conv1.weight)


def test_group_norm_keeps_the_plain_layout(make_model):
    """A GPU's group norm would turn each map back."""
    weight = make_model(
        dict(channels_last=True)).backbone.layer2[0].conv2.weight
    assert not in_channels_last(weight)


def test_losses_need_no_masks_in_full_resolution(make_model, images,
                                                 monkeypatch):
    """With all of them, losses and gradients of the step are the same."""

    def take(model):
        losses = model(images, mode='loss')
        sum(losses.values()).backward()
        return losses, {name: parameter.grad
                        for name, parameter in model.named_parameters()
                        if parameter.grad is not None}

    ours = take(make_model({'prototypes.min_places': 1}))
    predict_target = MaskJEPA.predict_target
    asked = []

    def with_full_masks(self, image, generator, full_masks):
        asked.append(full_masks)
        return predict_target(self, image, generator)

    monkeypatch.setattr(MaskJEPA, 'predict_target', with_full_masks)
    whole = take(make_model({'prototypes.min_places': 1}))
    assert asked == [False]
    assert whole[0]['loss_prototype_mask'] > 0
    torch.testing.assert_close(ours[0], whole[0], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ours[1], whole[1], rtol=1e-3, atol=1e-5)


def test_clean_images_are_encoded_as_they_are(make_model, images):
    """And teach nothing but masks and the image itself."""
    model = make_model(dict(clean_share=1.0, photometric_change=None))
    step = model.predict_target(images)
    assert torch.equal(step.noisy_image, images)
    assert not step.hidden_on_grid.any()
    losses = model(images, mode='loss')
    assert losses['loss_jepa'] == 0
    assert losses['loss_prototype_mask'] > 0
    some = make_model(dict(clean_share=0.5))
    many = images[:1].expand(64, -1, -1, -1)
    _, hidden, _ = some.corrupt(many, torch.Generator().manual_seed(0))
    hidden = hidden.flatten(1)
    assert 16 < (~hidden.any(dim=1)).sum() < 48
    assert hidden[hidden.any(dim=1)].float().mean() == 0.5
