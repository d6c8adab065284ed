"""A pretraining run as one web page; not needed for training."""
from .page import write_report
from .run_records import RunRecords, read_run

__all__ = ['RunRecords', 'read_run', 'write_report']
