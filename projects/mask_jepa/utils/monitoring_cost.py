from typing import Dict

from mmengine.logging import MessageHub

MONITORING_SECONDS = 'monitoring_seconds'


def monitoring_seconds(message_hub: MessageHub) -> Dict[str, float]:
    """Look up the time that a run has spent on watching itself.

    Args:
        message_hub (MessageHub): Of the runner.

    Returns:
        dict[str, float]: Seconds, by what they were spent on.
    """
    return dict(message_hub.runtime_info.get(MONITORING_SECONDS) or {})


def note_monitoring_seconds(message_hub: MessageHub, name: str,
                            seconds: float) -> None:
    """Add to the time that a run has spent on watching itself.

    The sums travel in checkpoints, so that they go on after a resume.

    Args:
        message_hub (MessageHub): Of the runner.
        name (str): What the time was spent on, 'pictures' for example.
        seconds (float): Time to add.
    """
    spent = monitoring_seconds(message_hub)
    spent[name] = spent.get(name, 0.0) + seconds
    message_hub.update_info(MONITORING_SECONDS, spent)
