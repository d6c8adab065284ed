from .atomic_checkpoint_hook import AtomicCheckpointHook
from .ema_target_hook import EMATargetHook
from .exact_resume_hook import ExactResumeHook
from .export_hook import ExportHook
from .matching_checkpoint_hook import MatchingCheckpointHook
from .non_finite_loss_hook import NonFiniteLossError, NonFiniteLossHook
from .plain_message_hub_hook import PlainMessageHubHook
from .query_noise_hook import QueryNoiseHook
from .rank_consistency_hook import RankConsistencyHook

__all__ = [
    'AtomicCheckpointHook', 'EMATargetHook', 'ExactResumeHook', 'ExportHook',
    'MatchingCheckpointHook', 'NonFiniteLossError', 'NonFiniteLossHook',
    'PlainMessageHubHook', 'QueryNoiseHook', 'RankConsistencyHook'
]
