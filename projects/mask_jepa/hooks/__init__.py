from .atomic_checkpoint_hook import AtomicCheckpointHook
from .ema_target_hook import EMATargetHook, require_one_target_hook
from .exact_resume_hook import ExactResumeHook
from .export_hook import ExportHook
from .feature_health_hook import FeatureHealthHook
from .matching_checkpoint_hook import MatchingCheckpointHook
from .monitoring_cost_hook import MonitoringCostHook
from .non_finite_loss_hook import NonFiniteLossError, NonFiniteLossHook
from .plain_message_hub_hook import PlainMessageHubHook
from .pretrain_visualization_hook import PretrainVisualizationHook
from .query_noise_hook import QueryNoiseHook
from .rank_consistency_hook import RankConsistencyHook
from .resumed_settings_hook import ResumedSettingsHook
from .run_summary_hook import RunSummaryHook
from .stop_signal_hook import StopSignalHook
from .unused_parameter_hook import UnusedParameterHook

__all__ = [
    'AtomicCheckpointHook', 'EMATargetHook', 'ExactResumeHook', 'ExportHook',
    'FeatureHealthHook', 'MatchingCheckpointHook', 'MonitoringCostHook',
    'NonFiniteLossError', 'NonFiniteLossHook', 'PlainMessageHubHook',
    'PretrainVisualizationHook', 'QueryNoiseHook', 'RankConsistencyHook',
    'ResumedSettingsHook', 'RunSummaryHook', 'StopSignalHook',
    'UnusedParameterHook', 'require_one_target_hook'
]
