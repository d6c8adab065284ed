"""What only a GPU can show: its kernels, mixed precision, resume, export."""
import copy

import pytest
import torch


def gradients(model, image, device):
    """Of everything that has no random numbers, and the maps themselves."""
    model = copy.deepcopy(model).to(device).eval()
    mask_features, memory = model.encode(image.to(device))
    queries = model.adapter.learned_queries.expand(len(image), -1, -1)
    embeddings, _, mask_logits = model.adapter.decode(memory, mask_features,
                                                      queries)
    prediction, _ = model.query_to_map(embeddings, mask_logits[-1])
    loss = model.loss_regularizer([mask_features]) + prediction.square().mean()
    loss.backward()
    maps = [mask_features, *memory, prediction, loss]
    return [each.detach().cpu() for each in maps], {
        name: parameter.grad.cpu()
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


def relative_error(found, expected):
    return float((found - expected).norm() / expected.norm().clamp(min=1e-6))


def test_float32_equals_the_cpu(tiny_model, images, device):
    tiny_model.init_weights()
    on_cpu = gradients(tiny_model, images, 'cpu')
    on_device = gradients(tiny_model, images, device)
    for found, expected in zip(on_device[0], on_cpu[0]):
        # cuDNN's convolutions may use TF32.
        assert relative_error(found, expected) < 5e-3
    assert on_device[1].keys() == on_cpu[1].keys()
    total = [torch.cat([each.flatten() for each in one[1].values()])
             for one in (on_device, on_cpu)]
    assert relative_error(*total) < 2e-2


def test_bfloat16_is_finite_and_near_float32(tiny_model, images, device):
    model, image = tiny_model.to(device).train(), images.to(device)
    state = copy.deepcopy(model.state_dict())
    exact = model.loss(image)
    model.load_state_dict(state)  # the same random numbers once more
    with torch.autocast(device.type, torch.bfloat16):
        mixed = model.loss(image)
    for key, value in exact.items():
        torch.testing.assert_close(mixed[key], value, rtol=0.05, atol=0.03)
    sum(mixed.values()).backward()
    assert all(parameter.grad.isfinite().all()
               for parameter in model.parameters() if parameter.requires_grad)


def test_channels_last_equals_the_plain_layout(make_model, images, device):
    # The stock backbone's frozen batch norm.
    options = {
        'backbone.norm_cfg': dict(
            _delete_=True, type='BN', requires_grad=False),
        'backbone.norm_eval': True
    }
    plain = make_model(options)
    other = make_model(dict(options, channels_last=True))
    weight = other.backbone.layer1[0].conv2.weight
    assert weight.is_contiguous(memory_format=torch.channels_last)
    level = other.to(device).backbone(images.to(device))[0]
    assert level.is_contiguous(memory_format=torch.channels_last)
    other.load_state_dict(plain.state_dict())
    expected, found = (
        gradients(model, images, device) for model in (plain, other))
    for mine, theirs in zip(found[0], expected[0]):
        assert relative_error(mine, theirs) < 5e-3
    total = [torch.cat([each.flatten() for each in one[1].values()])
             for one in (found, expected)]
    assert relative_error(*total) < 2e-2


def test_activation_checkpointing_keeps_less(make_model, images, device):
    names = ['backbone', 'panoptic_head.pixel_decoder.encoder',
             'panoptic_head.transformer_decoder']
    totals, memory = [], []
    for options in ({}, dict(activation_checkpointing=names)):
        model = make_model(options).to(device).train()
        with torch.autocast(device.type, torch.bfloat16):
            total, _ = model.parse_losses(
                model.loss(images.repeat(8, 1, 1, 1).to(device)))
        if device.type == 'cuda':
            memory.append(torch.cuda.memory_allocated())
        total.backward()
        assert all(parameter.grad.isfinite().all()
                   for parameter in model.parameters()
                   if parameter.requires_grad)
        totals.append(total.detach())
        del model, total
    torch.testing.assert_close(*totals, rtol=1e-2, atol=1e-2)
    if memory:
        assert memory[1] < memory[0]


def run(make_runner, work_dir, device, **options):
    """Train a very small network for four iterations.

    Returns:
        dict: The last checkpoint.
    """
    runner = make_runner({
        'train_cfg.max_iters': 4,
        'default_hooks.checkpoint.interval': 2,
        'randomness.seed': 0,
        **options
    }, work_dir)
    assert next(runner.model.parameters()).device.type == device.type
    runner.train()
    folder = runner.work_dir
    return torch.load(f'{folder}/iter_4.pth', weights_only=True), folder


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_trains_in_mixed_precision(make_runner, device, dtype):
    options = {}
    if device.type == 'cuda':
        options = {
            'optim_wrapper.type': 'AmpOptimWrapper',
            'optim_wrapper.dtype': dtype,
            # float16 may overflow while the scaler looks for its scale.
            'optim_wrapper.clip_grad.error_if_nonfinite': False,
        }
    checkpoint, _ = run(make_runner, dtype, device, **options)
    assert all(value.isfinite().all()
               for value in checkpoint['state_dict'].values())


def test_resume_and_export(make_runner, device):
    whole, folder = run(make_runner, 'whole', device)
    resumed, _ = run(
        make_runner,
        'resumed',
        device,
        resume=True,
        load_from=f'{folder}/iter_2.pth')
    for name, value in whole['state_dict'].items():
        # Some CUDA kernels add up in another order each time.
        torch.testing.assert_close(
            resumed['state_dict'][name].float(),
            value.float(),
            rtol=1e-2 if device.type == 'cuda' else 0,
            atol=1e-2 if device.type == 'cuda' else 0)
    for library in ('mmdet', 'mmseg'):
        exported = torch.load(
            f'{folder}/mask_jepa_{library}.pth', weights_only=True)
        tensors = exported.get('state_dict', exported).values()
        assert {tensor.device.type for tensor in tensors} == {'cpu'}
        assert all(tensor.isfinite().all() for tensor in tensors)
