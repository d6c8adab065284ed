"""Damaged and hostile image files in numbers: the short form."""
import re

from warm_python import run_script


def test_three_hundred_files_neither_crash_nor_hang_nor_fill_the_memory():
    output = run_script('tests/test_faults/fuzz_images.py', 300)
    read, refused = map(
        int,
        re.search(r'300 files, each read twice: (\d+) crops, (\d+) refused',
                  output).groups())
    # Else it would try one side of the decoders alone.
    assert read > 60 and refused > 60 and read + refused == 600
