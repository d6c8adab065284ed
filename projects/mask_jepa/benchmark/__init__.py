"""What a training step costs, beside the steps of others.

The rest of the package neither needs nor imports it.
"""
from .arms import ARMS, make_arm
from .costs import bytes_kept_for_backward, count_flops, usable_tflops
from .measure import compare, measure, time_in_turn
from .report import (draw_comparison, draw_scaling, make_comparison_table,
                     make_scaling_table)
from .scaling import AXES, measure_scaling
from .step_counts import StepCounts
from .training_step import TrainingStep

__all__ = [
    'ARMS', 'AXES', 'StepCounts', 'TrainingStep', 'bytes_kept_for_backward',
    'compare', 'count_flops', 'draw_comparison', 'draw_scaling', 'make_arm',
    'make_comparison_table', 'make_scaling_table', 'measure',
    'measure_scaling', 'time_in_turn', 'usable_tflops'
]
