import statistics
from typing import Dict, Optional

from .costs import bytes_kept_for_backward, count_flops, state_bytes
from .gpu_costs import gpu_costs
from .step_counts import StepCounts
from .training_step import STAGES, TrainingStep


def time_in_turn(steps: Dict[object, TrainingStep], number: int,
                 warmup: int) -> None:
    """Time steps of several models in turn, so that a machine whose speed
    drifts favours none."""
    for _ in range(warmup + number):
        for step in steps.values():
            step.time()
    for step in steps.values():
        del step.seconds[:warmup], step.seconds_of_stages[:warmup]


def measure(step: TrainingStep,
            peak_tflops: Optional[float] = None) -> Dict[str, object]:
    """Measure what a step costs, after it was timed.

    Args:
        step (TrainingStep): With ``seconds``.
        peak_tflops (float, optional): Of the machine's matrix products.

    Returns:
        dict: ``stages_ms``, medians; ``median_ms`` and ``fastest_ms`` of
        whole steps one by one, ``in_a_row_ms`` and ``images_per_s`` of steps
        between which nobody waits for the GPU; ``gflop`` of a step, with the
        share that it is of what the machine could do in that time;
        ``state_mb`` (weights, gradients, optimiser) and
        ``kept_for_backward_mb`` with their sum, ``memory_mb``;
        ``forward_host_syncs`` and ``forward_operator_calls`` from the images
        to the losses, ``backward_operator_calls``; ``optimizer_groups``. On a
        GPU, that of :func:`gpu_costs`, too.
    """
    whole = [1000 * seconds for seconds in step.seconds]
    # On a CPU nobody waits between steps anyway.
    in_a_row = statistics.median(whole)
    if step.device.type == 'cuda':
        in_a_row = 1000 * step.time_in_a_row(len(whole))
    flops = count_flops(step.take)
    data = step.preprocess()
    kept = bytes_kept_for_backward(lambda: step.forward(data))
    state = state_bytes(step.model, step.optim_wrapper)
    with StepCounts() as forward:
        loss = step.forward(data)
    with StepCounts() as backward:
        loss.backward()
    step.optim_wrapper.zero_grad()
    result = dict(
        stages_ms={
            stage:
            round(
                1000 *
                statistics.median(seconds[stage]
                                  for seconds in step.seconds_of_stages), 1)
            for stage in STAGES
        },
        steps_ms=[round(each, 1) for each in whole],
        median_ms=round(statistics.median(whole), 1),
        fastest_ms=round(min(whole), 1),
        in_a_row_ms=round(in_a_row, 1),
        images_per_s=round(1000 * len(step.batch['data_samples']) / in_a_row,
                           3),
        gflop=round(flops / 1e9, 3),
        state_mb=round(state / 2**20, 1),
        kept_for_backward_mb=round(kept / 2**20, 1),
        memory_mb=round((state + kept) / 2**20, 1),
        forward_host_syncs=forward.num_syncs,
        forward_operator_calls=forward.num_operators,
        backward_operator_calls=backward.num_operators,
        optimizer_groups=len(step.optim_wrapper.param_groups))
    if peak_tflops:
        share = flops / 1e9 / in_a_row / peak_tflops
        result['share_of_matmul_peak'] = round(share, 3)
    if step.device.type == 'cuda':
        result.update(gpu_costs(step, in_a_row))
    return result


def compare(results: Dict[str, dict],
            reference: str = 'mask_jepa') -> Dict[str, Dict[str, float]]:
    """Divide what an arm costs by what each other one does.

    Args:
        results (dict): Of :func:`measure`, by arm, timed in turn.
        reference (str): The arm. Defaults to 'mask_jepa'.

    Returns:
        dict: By the other arm: ``time``, the median over pairs of steps, with
        ``time_lowest`` and ``time_highest``; ``gflop`` and ``memory``.
    """
    ours = results[reference]
    ratios = {}
    for name, theirs in results.items():
        if name == reference:
            continue
        pairs = sorted(
            mine / other
            for mine, other in zip(ours['steps_ms'], theirs['steps_ms']))
        memory = 'peak_gb' if 'peak_gb' in ours else 'memory_mb'
        ratios[name] = dict(
            time=round(statistics.median(pairs), 3),
            time_lowest=round(pairs[0], 3),
            time_highest=round(pairs[-1], 3),
            gflop=round(ours['gflop'] / theirs['gflop'], 3),
            memory=round(ours[memory] / theirs[memory], 3))
    return ratios
