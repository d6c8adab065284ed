"""What dist_train.sh and dist_test.sh start, with a python that tells it."""
import os
import subprocess

import pytest


@pytest.fixture
def start(root, tmp_path):
    """Run a script; give its exit status and what it would start or says."""
    (tmp_path / 'python').write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / 'python').chmod(0o755)

    def run(script, *arguments, **environment):
        result = subprocess.run(
            ['bash', f'tools/{script}', *arguments], cwd=root, text=True,
            capture_output=True,
            env={'PATH': f'{tmp_path}:{os.environ["PATH"]}', **environment})
        return result.returncode, result.stdout.splitlines(), result.stderr

    return run


@pytest.mark.parametrize('script, arguments, tool', [
    ('dist_train.sh', ['a.py', '2'], ['tools/train.py', 'a.py']),
    ('dist_test.sh', ['a.py', 'b c.pth', '2'],
     ['tools/test.py', 'a.py', 'b c.pth']),
])
def test_both_start_their_tool(start, script, arguments, tool):
    options = ['--work-dir', 'my runs']
    status, command, _ = start(script, *arguments, *options, PORT='7')
    assert status == 0
    first = command.index(tool[0])
    assert command[:2] == ['-m', 'torch.distributed.run']
    assert {'--nproc_per_node=2', '--master_port=7', '--nnodes=1'
            } < set(command[:first])
    # The order of options and the others is free.
    rest = command[first:]
    for part in (['--launcher', 'pytorch'], options):
        place = rest.index(part[0])
        assert rest[place:place + 2] == part
        del rest[place:place + 2]
    assert rest == tool


@pytest.mark.parametrize('script, arguments, usage', [
    ('dist_train.sh', ['a.py'], 'CONFIG GPUS [options of tools/train.py]'),
    ('dist_test.sh', ['a.py', 'b.pth'],
     'CONFIG CHECKPOINT GPUS [options of tools/test.py]'),
])
def test_usage_is_told(start, script, arguments, usage):
    status, command, message = start(script, *arguments)
    assert status == 2 and not command
    assert message == f'usage: tools/{script} {usage}\n'
