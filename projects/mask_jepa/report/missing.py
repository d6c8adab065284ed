"""What the page says, and which setting it names, where a part is missing."""
MISSING = dict(
    health='There is no verdict (no health.json): it comes with the first '
    'check of FeatureHealthHook in custom_hooks.',
    probe='There is no probe to compare with the start: it comes with the '
    'validations that val_cfg (a SegmentationProbe), val_dataloader and '
    'val_evaluator in the config switch on.',
    curves='Nothing was logged so far: the first line comes after '
    'default_hooks.logger.interval iterations.',
    pictures='There are no pictures: they come with PretrainVisualizationHook '
    'as default_hooks.visualization.',
    throughput='No iteration was timed so far: the first line of the training '
    'log comes after default_hooks.logger.interval iterations.',
    monitoring='Not measured: it comes with MonitoringCostHook in '
    'custom_hooks.',
    config='The resolved config was not saved: it comes with LocalVisBackend '
    'in vis_backends.',
    environment='The text log names no environment: it comes with '
    'log_level = \'INFO\' in the config.')
