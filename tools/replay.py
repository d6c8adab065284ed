"""Repeat the step at which a training stopped, and say where it went wrong.

RECORD is the non_finite_loss_rank<N>.json that the run left. The step is
repeated on the CPU or, where it was taken on one and one is here, on a GPU:
with the same weights, images and random numbers, under torch's anomaly
detection. Exit status 1 if everything is finite now.
"""
import argparse
import json
import os.path as osp
import sys
from functools import partial
from typing import Any, List
from unittest.mock import patch

# `mask_jepa` is found beside this folder, also without an installation.
sys.path.insert(0, osp.dirname(osp.dirname(osp.abspath(__file__))))

import torch
from mmdet.registry import MODELS
from mmdet.utils import register_all_modules
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from mask_jepa.apis.encode import import_modules
from mask_jepa.utils import (exit_on, find_non_finite, make_parser, mix_seed,
                             require_whole)
from mask_jepa.weights import pretraining_config


def read_step(path: str) -> tuple:
    """Read a record, and the state that lies beside it."""
    if not osp.isfile(path):
        raise FileNotFoundError(f'There is no record at {path}.')
    with open(path) as file:
        record = json.load(file)
    state = osp.join(osp.dirname(path), record['state'])
    require_whole(state)
    return record, torch.load(state, 'cpu', weights_only=True)


def watch(model: nn.Module, findings: List[str]) -> None:
    """Note each module whose output, or the gradient that reaches it, is not
    finite, in the order in which they come up."""

    def look(name: str, module: nn.Module, args: tuple, output: Any) -> None:
        label = f'{name} ({type(module).__name__})'
        tensors = [
            each for each in tree_leaves(output) if isinstance(each, Tensor)
        ]
        if find_non_finite(tensors):
            weight = find_non_finite(dict(module.named_parameters()))
            reason = 'its input and weights are'
            if weight:
                reason = f'its {weight} is not finite'
            elif find_non_finite(tree_leaves(args)):
                reason = 'nor is its input'
            findings.append(f'the output of {label}; {reason}')
        for tensor in tensors:
            if tensor.requires_grad:
                tensor.register_hook(partial(look_back, label))

    def look_back(label: str, gradient: Tensor) -> None:
        if find_non_finite([gradient]):
            findings.append(f'the gradient of the output of {label}')

    for name, module in model.named_modules():
        if name:
            module.register_forward_hook(partial(look, name))


def repeat(record: dict, state: dict) -> List[str]:
    """Repeat the step; return where it is not finite, the first place first.
    """
    config = pretraining_config(state)
    import_modules(config)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    model = MODELS.build(config.model)
    model.load_state_dict(state['state_dict'])
    model.to(device).train()
    findings = []
    watch(model, findings)
    wrapper = config.optim_wrapper
    torch.manual_seed(mix_seed(record['seed'], record['rank'], record['iter']))
    dtype = wrapper.get('dtype')
    precision = torch.autocast(
        device,
        dtype and getattr(torch, dtype),
        enabled=wrapper.get('type') == 'AmpOptimWrapper')
    # The random numbers are those of the rank.
    with patch(
            'mask_jepa.models.step_random.get_rank',
            return_value=record['rank']), torch.autograd.detect_anomaly():
        with precision:
            data = model.data_preprocessor(
                dict(inputs=state['inputs'], data_samples=None), True)
            losses = model(data['inputs'], mode='loss')
        total, logged = model.parse_losses(losses)
        print(
            'Losses:', ', '.join(f'{name} {float(value):.6g}'
                                 for name, value in logged.items()))
        findings += [
            name for name, value in logged.items() if find_non_finite([value])
        ]
        try:
            total.backward()
        except RuntimeError as error:  # by anomaly detection
            findings.append(f'the backward pass: {error}')
    return findings


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    parser.add_argument('record', help='non_finite_loss_rank<N>.json')
    return parser.parse_args()


def main() -> None:
    """Repeat."""
    args = parse_args()
    register_all_modules(init_default_scope=True)
    with exit_on(FileNotFoundError, KeyError, ValueError):
        record, state = read_step(args.record)
        findings = repeat(record, state)
    place = f'iteration {record["iter"] + 1}, rank {record["rank"]}'
    if not findings:
        raise SystemExit(f'Everything is finite in {place} now: the fault '
                         'lies in the machine, or in several processes.')
    print(f'Not finite in {place}, in this order:')
    for finding in findings[:10]:
        print(f'  {finding}')


if __name__ == '__main__':
    main()
