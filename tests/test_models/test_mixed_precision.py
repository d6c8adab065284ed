import torch

from projects.mask_jepa.models import Prototypes


def test_bfloat16_step_is_finite_and_close_to_float32(tiny_model, images):
    tiny_model.train()
    state = {key: value.clone()
             for key, value in tiny_model.state_dict().items()}
    exact = tiny_model.loss(images)
    tiny_model.load_state_dict(state)  # the same random numbers once more
    with torch.autocast('cpu', dtype=torch.bfloat16):
        mixed = tiny_model.loss(images)
    for key, value in exact.items():
        if 'loss' in key:
            assert mixed[key].dtype == torch.float32
            torch.testing.assert_close(
                mixed[key], value, rtol=0.05, atol=0.02)
    sum(value for key, value in mixed.items() if 'loss' in key).backward()
    gradients = [parameter.grad for parameter in tiny_model.parameters()
                 if parameter.requires_grad]
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_prototypes_move_in_float32():
    torch.manual_seed(0)
    batches = torch.randn(3, 2, 32, 8, 8)
    exact, mixed = Prototypes(5, 32), Prototypes(5, 32)
    for batch in batches:
        exact(batch)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            mixed(batch)
    assert torch.equal(exact.centers, mixed.centers)
    assert torch.equal(exact.shares, mixed.shares)
