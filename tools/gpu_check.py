"""One stage of tools/gpu_check.sh, whose result becomes OUT/<stage>.json.

Without a GPU everything runs with small sizes on the CPU, so that a mistake
shows before there is a GPU.
"""
import argparse
import copy
import json
import os
import os.path as osp
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Callable, Dict, List

# `mask_jepa` is found beside this folder, also without an installation.
sys.path.insert(0, osp.dirname(osp.dirname(osp.abspath(__file__))))

import torch
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from torch import Tensor

from mask_jepa.benchmark import (TrainingStep, compare, make_arm, measure,
                                 time_in_turn, usable_tflops)
from mask_jepa.engine import use_gpu
from mask_jepa.models.deformable_attention import (Levels,
                                                   deformable_attention,
                                                   resolve_operator)
from mask_jepa.utils import load_config

ON_GPU = torch.cuda.is_available()
DEVICE = torch.device('cuda', 0) if ON_GPU else torch.device('cpu')
R50 = 'configs/mask_jepa_r50_coco.py'
TINY = 'configs/mask_jepa_r18_tiny.py'
CHECKPOINTED = [
    'backbone', 'panoptic_head.pixel_decoder.encoder',
    'panoptic_head.transformer_decoder'
]
# config, batch, pixels; supervised beside it
CASES = [(R50, 8, 512, True), (R50, 32, 512, True), (TINY, 8, 128, False)]
if not ON_GPU:
    CASES = [(TINY, 2, 64, True)]


def synchronize() -> None:
    """Wait until the device has finished."""
    if ON_GPU:
        torch.cuda.synchronize()


def milliseconds(function: Callable,
                 repetitions: int,
                 warmup: int = 2) -> List[float]:
    """Time a function.

    Args:
        function (Callable): Without arguments.
        repetitions (int): How often to time it.
        warmup (int): Calls before that. Defaults to 2.

    Returns:
        list[float]: Of each repetition.
    """
    times = []
    for _ in range(warmup + repetitions):
        synchronize()
        begin = time.perf_counter()
        function()
        synchronize()
        times.append(1000 * (time.perf_counter() - begin))
    return times[warmup:]


# --------------------------------------------------------------- environment


def environment(write: Callable) -> None:
    """The machine, and what it can do at best."""
    tflops = usable_tflops(
        DEVICE, torch.bfloat16,
        lambda function: milliseconds(function, 1, warmup=0)[0] / 1000)
    source = torch.empty(2**30 if ON_GPU else 2**22, device=DEVICE)
    copied = statistics.median(milliseconds(source.clone, 5)) / 1000
    write(
        device=torch.cuda.get_device_name() if ON_GPU else 'CPU',
        python=sys.version.split()[0],
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        deformable_attention=resolve_operator('auto', ON_GPU),
        matmul_bf16_tflops=round(tflops, 1),
        copy_gb_per_s=round(8 * source.numel() / copied / 1e9, 1))


# ------------------------------------------------------------------ operator


def operator(write: Callable) -> None:
    """Deformable attention: how exact, and how fast, at the recipe's size."""
    from mmcv.ops.multi_scale_deform_attn import \
        multi_scale_deformable_attn_pytorch

    def run(function: Callable, tensors: List[Tensor]) -> List[Tensor]:
        inputs = [each.detach().requires_grad_() for each in tensors]
        output = function(*inputs)
        return [output, *torch.autograd.grad(output, inputs, output.detach())]

    def draw(batch: int, levels: Levels) -> List[Tensor]:
        places = len(levels.centers)
        offsets = 4 * torch.randn(batch, places, 8, 3, 4, 2, device=DEVICE)
        return [
            torch.randn(batch, places, 8, 32,
                        device=DEVICE), levels.centers[:, None, None, None] +
            offsets / levels.sizes[:, None],
            torch.rand(batch, places, 8, 3, 4, device=DEVICE)
        ]

    def of_levels(levels: Levels, name: str = None) -> Callable:
        if name is None:
            return lambda value, *inputs: multi_scale_deformable_attn_pytorch(
                value, levels.shapes, *inputs)
        return lambda value, *inputs: deformable_attention(
            value, levels, *inputs, name)

    small = Levels.of(((3, 5), (6, 10), (12, 20)), DEVICE)
    tensors = draw(2, small)
    exact = run(of_levels(small), [each.double().cpu() for each in tensors])
    batch, side = (8, 64) if ON_GPU else (1, 8)
    large = Levels.of([(side // scale, ) * 2 for scale in (4, 2, 1)], DEVICE)
    recipe = draw(batch, large)
    names = [None, 'torch']
    if ON_GPU:
        names += sorted({'triton', resolve_operator('auto', True)} - {'torch'})
    failed = []
    for name in names:
        label = name or 'mmcv_reference'
        try:
            found = run(of_levels(small, name), tensors)
            errors = [
                float((mine.double().cpu() - theirs).norm() / theirs.norm())
                for mine, theirs in zip(found, exact)
            ]
            function = of_levels(large, name)
            with torch.no_grad():
                forward = milliseconds(lambda: function(*recipe), 10)
            both = milliseconds(lambda: run(function, recipe), 10)
        except Exception:
            write(**{label: dict(error=traceback.format_exc())})
            failed.append(label)
            continue
        write(
            **{
                label:
                dict(
                    relative_errors=errors,
                    forward_ms=round(statistics.median(forward), 3),
                    forward_backward_ms=round(statistics.median(both), 3))
            })
        if not max(errors) < 1e-5:
            failed.append(label)
    assert not failed, failed


# ----------------------------------------------------------------- benchmark


def build_steps(config: str, batch_size: int, pixels: int,
                supervised: bool) -> Dict[str, TrainingStep]:
    """Build Mask-JEPA, with both mask losses, without channels_last, and with
    activation checkpointing; and the supervised step.

    The supervised one is stock mmdet's but for its deformable attention, which
    in mmdet needs mmcv's CUDA op and knows no bfloat16.
    """
    cfg = load_config(config)
    init_default_scope(cfg.default_scope)
    cfg.model.prototypes.stock_losses = False
    stock_losses, plain_layout, checkpointed = (
        copy.deepcopy(cfg) for _ in range(3))
    stock_losses.model.prototypes.stock_losses = True
    plain_layout.model.channels_last = False
    checkpointed.model.activation_checkpointing = CHECKPOINTED
    arms = dict(
        mask_jepa=('mask_jepa', stock_losses),
        mask_jepa_dense_losses=('mask_jepa', cfg),
        mask_jepa_plain_layout=('mask_jepa', plain_layout),
        mask_jepa_checkpointed=('mask_jepa', checkpointed))
    if supervised:
        arms['supervised'] = ('supervised_same_attention', cfg)
    steps = {}
    for name, (arm, arm_cfg) in arms.items():
        arm_cfg, batch = make_arm(arm, arm_cfg, batch_size, pixels)
        use_gpu(arm_cfg)
        steps[name] = TrainingStep(arm_cfg, batch, DEVICE)
    return steps


def benchmark(write: Callable) -> None:
    """Steps of all, in turn: time, images/s, GPU's share, memory, syncs."""
    for config, batch_size, pixels, supervised in CASES:
        repetitions = (8 if batch_size < 32 else 4) if ON_GPU else 2
        label = f'{Path(config).stem}_b{batch_size}_{pixels}px'
        steps = build_steps(config, batch_size, pixels, supervised)
        time_in_turn(steps, repetitions, warmup=3)
        row = {name: measure(step) for name, step in steps.items()}
        if supervised:
            for name in ('mask_jepa', 'mask_jepa_dense_losses'):
                row[name]['to_supervised'] = compare(row, name)['supervised']
        write(**{label: dict(row, precision='bf16' if ON_GPU else 'float32')})
        del steps
        if ON_GPU:
            torch.cuda.empty_cache()


# ------------------------------------------------------- tests, pretraining


def run_command(command: List[str]) -> Dict[str, object]:
    """Run a command of this repository.

    Args:
        command (list[str]): Program and arguments.

    Returns:
        dict: Seconds, exit code and the last lines.
    """
    begin = time.perf_counter()
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout[-3000:], flush=True)
    return dict(
        command=' '.join(command),
        seconds=round(time.perf_counter() - begin, 1),
        exit_code=done.returncode,
        last_lines=done.stdout.splitlines()[-40:])


def tests(write: Callable) -> None:
    """tests/gpu, on the CPU where there is no GPU."""
    os.environ['MASK_JEPA_GPU_TESTS_ON_CPU'] = '1'
    result = run_command([
        sys.executable, '-m', 'pytest', 'tests/gpu', '-q', '--tb=short', '-p',
        'no:cacheprovider', '-W', 'ignore'
    ])
    write(**result)
    assert result['exit_code'] == 0


def pretraining(write: Callable) -> None:
    """Short pretrainings by tools/train.py, one of them in a process group."""
    data = os.environ.get('MASK_JEPA_DATA', '../shared/data')
    options = [
        '--cfg-options',
        f'train_dataloader.dataset.data_root={data}/nuclei/train',
        'val_dataloader=None', 'val_cfg=None', 'val_evaluator=None',
        'model.backbone.init_cfg=None', 'param_scheduler.0.end=4',
        f'train_cfg.max_iters={40 if ON_GPU else 4}',
        'default_hooks.checkpoint.save_best=None',
        'default_hooks.visualization=None', 'default_hooks.logger.interval=4',
        'default_hooks.health.interval=20'
    ]
    process_group = [
        '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=1'
    ]
    runs = dict(r50=['tools/train.py', R50]) if ON_GPU else {}
    runs['r18_tiny_process_group'] = [
        *process_group, 'tools/train.py', TINY, '--launcher', 'pytorch'
    ]
    for name, command in runs.items():
        with tempfile.TemporaryDirectory() as folder:
            result = run_command(
                [sys.executable, *command, '--work-dir', folder, *options])
            scalars = [
                json.loads(line) for path in Path(folder).rglob('scalars.json')
                for line in path.read_text().splitlines()
            ]
            files = [
                path.name for path in Path(folder).glob('mask_jepa_*.pth')
            ]
        write(**{name: dict(result, files=sorted(files), scalars=scalars)})
        assert result['exit_code'] == 0 and len(files) == 2, files


STAGES = dict(
    environment=environment,
    operator=operator,
    benchmark=benchmark,
    tests=tests,
    pretraining=pretraining)


def main() -> None:
    """Run one stage."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('stage', choices=STAGES)
    parser.add_argument('out', help='folder for the result')
    args = parser.parse_args()
    MMLogger.get_instance('gpu_check', log_level='ERROR')
    torch.manual_seed(0)
    result: Dict[str, object] = {}
    begin = time.perf_counter()

    def write(**new: object) -> None:
        """Add to the result, and write it at once."""
        print(json.dumps(new)[:3000], flush=True)
        result.update(new, seconds=round(time.perf_counter() - begin, 1))
        path = Path(args.out) / f'{args.stage}.json'
        path.write_text(json.dumps(result, indent=1) + '\n')

    try:
        STAGES[args.stage](write)
    except Exception:
        write(error=traceback.format_exc())
        raise


if __name__ == '__main__':
    main()
