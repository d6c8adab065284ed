"""One stage of tools/gpu_check.sh, whose result becomes OUT/<stage>.json.

Without a GPU everything runs with small sizes on the CPU, so that a mistake
shows before there is a GPU.
"""
import argparse
import collections
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
import warnings
from pathlib import Path
from typing import Callable, Dict, List

# `projects` is found beside this folder, also without an installation.
sys.path.insert(0, osp.dirname(osp.dirname(osp.abspath(__file__))))

import torch
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from train import use_gpu

from projects.mask_jepa.models.deformable_attention import (
    Levels, deformable_attention, resolve_operator)

ON_GPU = torch.cuda.is_available()
DEVICE = torch.device('cuda', 0) if ON_GPU else torch.device('cpu')
STOCK = 'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py'
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
    side = 8192 if ON_GPU else 512
    matrix = torch.randn(side, side, device=DEVICE, dtype=torch.bfloat16)
    seconds = statistics.median(milliseconds(lambda: matrix @ matrix,
                                             8)) / 1000
    source = torch.empty(2**30 if ON_GPU else 2**22, device=DEVICE)
    copied = statistics.median(milliseconds(source.clone, 5)) / 1000
    write(
        device=torch.cuda.get_device_name() if ON_GPU else 'CPU',
        python=sys.version.split()[0],
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        deformable_attention=resolve_operator('auto', ON_GPU),
        matmul_bf16_tflops=round(2 * side**3 / seconds / 1e12, 1),
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


class Steps:
    """Training steps as the Runner takes them, without the data loader.

    Args:
        cfg (Config): With ``model`` and ``optim_wrapper``.
        batch (dict): As a data loader gives it.
    """

    def __init__(self, cfg: Config, batch: dict) -> None:
        use_gpu(cfg)
        self.model = MODELS.build(cfg.model).to(DEVICE).train()
        if ON_GPU and not hasattr(self.model, 'target'):
            self.model.backbone.to(memory_format=torch.channels_last)
        self.model.target_moves = True
        self.optim_wrapper = build_optim_wrapper(self.model, cfg.optim_wrapper)
        self.batch = batch
        self.times: List[float] = []

    def step(self) -> None:
        """Take one."""
        self.model.train_step(self.batch, self.optim_wrapper)
        if hasattr(self.model, 'update_target'):
            self.model.update_target(0.996)

    def in_a_row(self) -> float:
        """Time steps without waiting for the GPU between them.

        Returns:
            float: Milliseconds of one.
        """
        number = len(self.times)

        def several() -> None:
            for _ in range(number):
                self.step()

        return milliseconds(several, 1, warmup=0)[0] / number

    def count(self) -> Dict[str, object]:
        """Count what a step costs the host and the GPU.

        Returns:
            dict: For the result; of memory, with what this and other models
            of the process hold.
        """
        counts = dict(
            optimizer_groups=len(self.optim_wrapper.param_groups),
            median_ms=round(statistics.median(self.times), 1),
            fastest_ms=round(min(self.times), 1),
            in_a_row_ms=round(self.in_a_row(), 1))
        if not ON_GPU:
            return counts
        torch.cuda.reset_peak_memory_stats()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            torch.cuda.set_sync_debug_mode('warn')
            self.step()
            torch.cuda.set_sync_debug_mode('default')
        places = collections.Counter(
            f'{"/".join(Path(warning.filename).parts[-2:])}:{warning.lineno}'
            for warning in caught if 'synchroniz' in str(warning.message))
        synchronize()
        with profile(activities=[ProfilerActivity.CUDA]) as profiled:
            self.step()
            synchronize()
        # Spans such as Optimizer.step#AdamW.step are no kernels.
        kernels = [
            event for event in profiled.events() if
            str(event.device_type).endswith('CUDA') and '#' not in event.name
        ]
        busy = sum(event.device_time_total for event in kernels) / 1000
        longest = collections.Counter()
        for event in kernels:
            longest[event.name[:70]] += event.device_time_total / 1000
        return dict(
            counts,
            peak_gb=round(torch.cuda.max_memory_allocated() / 2**30, 2),
            host_syncs=sum(places.values()),
            host_sync_places=places.most_common(12),
            kernels=len(kernels),
            gpu_busy_ms=round(busy, 1),
            gpu_busy_share=round(busy / counts['in_a_row_ms'], 2),
            longest_kernels_ms=[(name, round(total, 2))
                                for name, total in longest.most_common(12)])


def build_steps(config: str, batch_size: int, pixels: int,
                supervised: bool) -> Dict[str, Steps]:
    """Build Mask-JEPA, with both mask losses, without channels_last, and with
    activation checkpointing; and the supervised step.

    The supervised one is stock mmdet's but for its pixel decoder, which in
    mmdet needs mmcv's CUDA op and knows no bfloat16.
    """
    cfg = Config.fromfile(config)
    init_default_scope(cfg.default_scope)
    cfg.model.backbone.init_cfg = None  # Weights do not change the speed.
    batch = demo_mm_inputs(
        batch_size, [(3, pixels, pixels)] * batch_size,
        num_items=[8] * batch_size,
        num_classes=80,
        with_mask=True,
        with_semantic=True)
    dense = copy.deepcopy(cfg)
    dense.model.prototypes.stock_losses = False
    plain_layout, checkpointed = copy.deepcopy(dense), copy.deepcopy(dense)
    plain_layout.model.channels_last = False
    checkpointed.model.activation_checkpointing = CHECKPOINTED
    ours = {
        'mask_jepa': Steps(cfg, batch),
        'mask_jepa_dense_losses': Steps(dense, batch),
        'mask_jepa_plain_layout': Steps(plain_layout, batch),
        'mask_jepa_checkpointed': Steps(checkpointed, batch)
    }
    if not supervised:
        return ours
    stock = Config.fromstring(f'_base_ = {STOCK!r}', file_format='.py')
    stock.model.backbone = cfg.model.backbone
    head = dict(cfg.model.panoptic_head)
    head['pixel_decoder'] = dict(
        head['pixel_decoder'], type='DeformablePixelDecoder')
    # The classes of mmdet's COCO, and its number of points.
    head['num_things_classes'], head['num_stuff_classes'] = 80, 53
    head['loss_cls'] = dict(head['loss_cls'], class_weight=[1.0] * 133 + [0.1])
    del head['train_cfg']
    stock.model.panoptic_head = head
    stock.model.data_preprocessor.batch_augments = None
    return {**ours, 'supervised': Steps(stock, batch)}


def benchmark(write: Callable) -> None:
    """Steps of all, in turn: time, images/s, GPU's share, memory, syncs."""
    for config, batch_size, pixels, supervised in CASES:
        repetitions = (8 if batch_size < 32 else 4) if ON_GPU else 2
        label = f'{Path(config).stem}_b{batch_size}_{pixels}px'
        row = dict(precision='bf16' if ON_GPU else 'float32')
        both = build_steps(config, batch_size, pixels, supervised)
        for index in range(3 + repetitions):
            for steps in both.values():
                steps.times += milliseconds(steps.step, 1, warmup=0)
        for name, steps in both.items():
            del steps.times[:3]
            row[name] = steps.count()
            row[name]['images_per_s'] = round(
                1000 * batch_size / row[name]['in_a_row_ms'], 1)
        if supervised:
            for name in ('mask_jepa', 'mask_jepa_dense_losses'):
                ratios = [
                    mine / theirs for mine, theirs in zip(
                        both[name].times, both['supervised'].times)
                ]
                row[name]['ratio_to_supervised'] = round(
                    statistics.median(ratios), 3)
        write(**{label: row})
        del both, steps
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
