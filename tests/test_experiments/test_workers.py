"""Runs side by side: what starts when, and what a failure leaves."""
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import pytest

from mask_jepa.experiments import Finetuning, Pretraining, RunStore, Workers
from mask_jepa.experiments.runs import Task

# In every command: tell what happens, and wait for others.
PRELUDE = """\
import os, sys, time
def tell(event):
    with open('events.txt', 'a') as file:
        file.write(f'{event} {NAME}\\n')
def wait_for(name):
    end = time.time() + 120
    while f'begin {name}\\n' not in open('events.txt').read():
        if time.time() > end:
            sys.exit(f'{name} never began')
        time.sleep(0.02)
tell('begin')
"""


class FakePretraining(Pretraining):
    """Its command runs a few lines of Python."""

    images_seen = 0
    data = ''

    def __init__(self, name, lines=''):
        self.name = self.digest = name
        self.seed = 0
        self.library = 'mmpretrain'
        self.lines = lines

    def prepare(self, folder, pretraining_folder=None):
        return [
            '-c', f'NAME = {self.digest!r}\n{PRELUDE}{self.lines}\n'
            'tell("end")'
        ]


class FakeFinetuning(Finetuning):
    """The same, with a score of 7."""

    pretraining = None
    data = ''
    prepare = FakePretraining.prepare

    def __init__(self, name, lines='', pretraining=None):
        self.arm = self.digest = name
        self.seed = 0
        self.num_labels = 4
        self.task = Task('streets', None, 'mmseg', 'mIoU', 1, 16)
        self.lines = lines
        self.pretraining = pretraining


@pytest.fixture
def store(tmp_path, monkeypatch, log_scores):
    """A store whose fine-tunings have logged a score before they begin."""
    monkeypatch.chdir(tmp_path)
    store = RunStore('runs', 'results.json')
    prepare = store.prepare

    def prepare_and_log(run):
        command = prepare(run)
        log_scores(store.folder(run), 'mIoU', {1: 7.0})
        return command

    store.prepare = prepare_and_log
    return store


def events():
    """What happened, as (event, name), in order."""
    path = Path('events.txt')
    return [tuple(line.split()) for line in path.read_text().splitlines()
            ] if path.exists() else []


def most_at_a_time():
    """How many runs were between begin and end at once."""
    running, most = 0, 0
    for event, _ in events():
        running += 1 if event == 'begin' else -1
        most = max(most, running)
    return most


def test_fine_tuning_waits_for_its_pretraining(store):
    # What needs nothing does not wait: only so can the slow one end.
    slow = FakePretraining('slow', 'wait_for("free")')
    quick = FakePretraining('quick')
    runs = [
        slow, quick,
        FakeFinetuning('after-slow', pretraining=slow),
        FakeFinetuning('after-quick', pretraining=quick),
        FakeFinetuning('free')
    ]
    Workers(store, jobs=3).make(runs)
    order = events()
    assert len(order) == 2 * len(runs)
    for name in ('slow', 'quick'):
        assert order.index(('end', name)) < order.index(
            ('begin', f'after-{name}'))
    assert all(store.result(run) for run in runs)
    assert store.result(runs[-1])['score'] == 7


def test_pretraining_made_before_is_not_waited_for(store):
    pretraining = FakePretraining('old')
    store.prepare(pretraining)
    store.finish(pretraining, 1)
    Workers(store, jobs=1).make(
        [FakeFinetuning('new', pretraining=pretraining)])
    assert events() == [('begin', 'new'), ('end', 'new')]


def test_one_job_makes_one_run_after_the_other(store, capsys):
    runs = [FakeFinetuning(name) for name in ('a', 'b', 'c')]
    Workers(store, jobs=1).make(runs)
    assert events() == list(
        chain.from_iterable(
            (('begin', name), ('end', name)) for name in 'abc'))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(':')[0] for line in lines] == [
        f'[{number}/3] streets, 4 labels, {name}, seed 0'
        for number, name in enumerate('abc', 1)
    ]
    assert all('mIoU 7.00' in line for line in lines)


def test_two_jobs_make_two_runs_at_a_time(store):
    # The first two end only if they run together.
    runs = [
        FakeFinetuning('a', 'wait_for("b"); time.sleep(0.2)'),
        FakeFinetuning('b', 'wait_for("a"); time.sleep(0.2)'),
        FakeFinetuning('c', 'time.sleep(0.2)'),
        FakeFinetuning('d', 'time.sleep(0.2)')
    ]
    Workers(store, jobs=2).make(runs)
    assert most_at_a_time() == 2
    assert {name for _, name in events()} == set('abcd')


def test_failure_stops_the_rest_and_keeps_what_runs(store):
    fails = FakeFinetuning(
        'fails', 'wait_for("runs")\n'
        'for line in range(30): print(f"line {line}.", flush=True)\n'
        'sys.exit("out of luck")')
    # Long enough for the failure to be noticed.
    runs = FakeFinetuning('runs', 'wait_for("fails"); time.sleep(1)')
    never = FakeFinetuning('never')
    with pytest.raises(RuntimeError) as caught:
        Workers(store, jobs=2).make([fails, runs, never])
    message = str(caught.value)
    assert fails.title in message
    assert f'{store.folder(fails)}/log.txt' in message
    assert message.endswith('line 29.\nout of luck\n')
    assert 'line 5.' not in message
    assert ('end', 'runs') in events()
    assert ('begin', 'never') not in events()
    assert store.result(runs)['score'] == 7
    assert store.result(fails) is None and store.result(never) is None


def test_every_failure_is_told(store):
    runs = [
        FakeFinetuning('a', 'wait_for("b"); sys.exit("cold")'),
        FakeFinetuning('b', 'wait_for("a"); time.sleep(0.5); sys.exit("hot")')
    ]
    with pytest.raises(RuntimeError) as caught:
        Workers(store, jobs=2).make(runs)
    message = str(caught.value)
    assert all(run.title in message for run in runs)
    assert 'cold' in message and 'hot' in message


def test_two_commands_make_a_run_once(store, capsys):
    run = FakeFinetuning('run', 'wait_for("free"); time.sleep(0.5)')
    free = FakeFinetuning('free', 'wait_for("run")')
    with ThreadPoolExecutor() as pool:
        first = pool.submit(Workers(store, jobs=1).make, [run])
        while ('begin', 'run') not in events() and not first.done():
            time.sleep(0.02)
        # With two jobs, or it would not begin what the first waits for.
        second = pool.submit(Workers(store, jobs=2).make, [run, free])
        first.result(), second.result()
    assert sorted(events()) == [('begin', 'free'), ('begin', 'run'),
                                ('end', 'free'), ('end', 'run')]
    assert (f'{run.title} is being made by another command; waiting for it.'
            in capsys.readouterr().out)
    assert store.result(run)['score'] == 7


def test_pretraining_that_fails_takes_its_fine_tunings_along(store):
    pretraining = FakePretraining('fails', 'sys.exit(3)')
    run = FakeFinetuning('never', pretraining=pretraining)
    with pytest.raises(RuntimeError, match='pretraining fails, seed 0 failed'):
        Workers(store, jobs=2).make([pretraining, run])
    assert events() == [('begin', 'fails')]


def test_pretraining_that_nobody_makes_is_no_reason_to_wait(store):
    run = FakeFinetuning('never', pretraining=FakePretraining('missing'))
    with pytest.raises(RuntimeError, match='needs a pretraining that is not'):
        Workers(store, jobs=2).make([run])


def test_a_run_without_a_score_stops_the_rest(store):
    silent = FakeFinetuning('silent')
    silent.task = silent.task._replace(metric='mAcc')
    with pytest.raises(RuntimeError, match='logged no mAcc'):
        Workers(store, jobs=1).make([silent, FakeFinetuning('never')])
    assert ('begin', 'never') not in events()


TELL_ENVIRONMENT = 'tell(os.environ.get({!r}, "unset"))'


def values_of(variable, store, workers, count):
    """What the runs see in a variable, by their name."""
    lines = TELL_ENVIRONMENT.format(variable)
    workers.make([
        FakeFinetuning(f'{index}', f'{lines}; wait_for("{index ^ 1}")')
        for index in range(count)
    ])
    return {
        name: event
        for event, name in events() if event not in ('begin', 'end')
    }


def test_every_slot_has_a_gpu_of_its_own(store):
    seen = values_of('CUDA_VISIBLE_DEVICES', store,
                     Workers(store, jobs=1, gpus=[3, 5]), 4)
    assert len(seen) == 4
    # 0 and 1 run together, and so do 2 and 3.
    assert {seen['0'], seen['1']} == {seen['2'], seen['3']} == {'3', '5'}


def test_without_gpus_the_choice_is_left_to_the_library(store, monkeypatch):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '7')
    seen = values_of('CUDA_VISIBLE_DEVICES', store, Workers(store, jobs=2), 2)
    assert seen == {'0': '7', '1': '7'}


@pytest.mark.parametrize('given, expected', [(None, '4'), ('3', '3')])
def test_threads_are_shared_out_unless_given(store, monkeypatch, given,
                                             expected):
    monkeypatch.setattr('os.cpu_count', lambda: 8)
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    if given:
        monkeypatch.setenv('OMP_NUM_THREADS', given)
    seen = values_of('OMP_NUM_THREADS', store, Workers(store, jobs=2), 2)
    assert seen == {'0': expected, '1': expected}


def test_time_that_a_run_took_is_kept(store):
    run = FakeFinetuning('slow', 'time.sleep(1.6)')
    begin = time.time()
    Workers(store, jobs=1).make([run])
    assert 2 <= store.result(run)['seconds'] <= time.time() - begin + 0.5
