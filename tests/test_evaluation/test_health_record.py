import json
import math
import re

import pytest

from mask_jepa.evaluation.health_record import (COLLAPSED, PARTIAL_COLLAPSE,
                                                HealthRecord, health_rules)

NAN = float('nan')
CHANNELS = 40
QUERIES = 10
START = dict(
    target_std=0.8,
    target_rank=20.0,
    target_cosine_within=0.5,
    target_cosine_between=0.2,
    mask_entropy=1.0,
    queries_used=0.6,
    leak=0.0)
ENTROPY = 0.99 * math.log(QUERIES)
# Rule, verdict, value, its threshold after START, and on which side it holds.
SIGNS = [
    ('constant features', COLLAPSED, 'target_std', 0.4, '<'),
    ('places alike', COLLAPSED, 'target_cosine_between', 0.95, '>'),
    ('low rank', PARTIAL_COLLAPSE, 'target_rank', 10.0, '<'),
    ('leak', PARTIAL_COLLAPSE, 'leak', 0.01, '>'),
    ('undecided masks', PARTIAL_COLLAPSE, 'mask_entropy', ENTROPY, '>'),
    ('one mask', PARTIAL_COLLAPSE, 'queries_used', 0.15, '<'),
]
CONSTANT = dict(START, target_std=0.3)
LOW_RANK = dict(START, target_rank=5.0)


def holding(values, start=START):
    return [rule.name for rule in health_rules(CHANNELS, QUERIES, start)
            if rule.holds(values)]


def names(rules):
    return [rule.name for rule in rules]


def record_of(checks, patience=2, **options):
    """A record of a healthy start and more checks."""
    record = HealthRecord(CHANNELS, QUERIES, patience, **options)
    for values in [START, *checks]:
        record.add(values, counts=True)
    return record


@pytest.mark.parametrize('name, verdict, key, threshold, relation', SIGNS)
def test_each_rule_holds_beyond_its_threshold(name, verdict, key, threshold,
                                              relation):
    beyond = -1e-6 if relation == '<' else 1e-6
    assert holding({**START, key: threshold - beyond}) == []
    assert holding({**START, key: threshold + beyond}) == [name]
    record = record_of([{**START, key: threshold + beyond}] * 2)
    assert record.verdict()[0] == verdict


def test_a_poor_start_leaves_the_absolute_thresholds():
    start = dict(START, target_std=0.16, target_rank=7.0)
    assert holding(dict(START, target_std=0.11), start) == []
    assert holding(dict(START, target_std=0.09),
                   start) == ['constant features']
    # A tenth of 40 channels.
    assert holding(dict(START, target_rank=4.1), start) == []
    assert holding(dict(START, target_rank=3.9), start) == ['low rank']


def test_what_is_unknown_is_no_sign():
    assert holding(dict.fromkeys(START, NAN)) == []
    record = record_of([dict.fromkeys(START, NAN)] * 5)
    assert record.verdict()[0] == 'healthy'


def test_before_the_first_check():
    record = HealthRecord(CHANNELS, QUERIES, 2)
    assert record.rules == [] and record.true_rules == []
    assert record.verdict() == ('not judged yet',
                                '0 of the 2 checks that a verdict takes')


def test_too_few_checks_give_no_verdict():
    record = HealthRecord(CHANNELS, QUERIES, 2)
    record.add(START, counts=False)
    record.add(LOW_RANK, counts=True)
    assert record.verdict()[0] == 'not judged yet'
    record.add(START, counts=True)
    assert record.verdict()[0] == 'healthy'


def test_patience_counts_checks_in_a_row():
    record = record_of([], patience=3)
    found = [names(record.add(values, counts=True))
             for values in [LOW_RANK] * 2 + [START] + [LOW_RANK] * 3]
    assert found == [[]] * 5 + [['low rank']]


def test_a_rule_goes_out_and_warns_once():
    record = record_of([LOW_RANK])
    assert names(record.add(LOW_RANK, counts=True)) == ['low rank']
    assert record.add(LOW_RANK, counts=True) == []
    record.add(START, counts=True)
    assert record.true_rules == []
    assert record.verdict() == (
        'healthy', 'no sign of collapse in the latest checks; '
        'earlier, no longer: low rank')
    assert record.add(LOW_RANK, counts=True) == []
    assert record.add(LOW_RANK, counts=True) == []
    verdict, reason = record.verdict()
    assert verdict == PARTIAL_COLLAPSE
    assert 'earlier' not in reason


def test_early_checks_do_not_count():
    record = HealthRecord(CHANNELS, QUERIES, 2)
    for values in [START] + [LOW_RANK] * 4:
        assert record.add(values, counts=False) == []
    assert record.add(LOW_RANK, counts=True) == []
    assert names(record.add(LOW_RANK, counts=True)) == ['low rank']
    # They are remembered, though.
    assert record.state['start'] == START
    early = HealthRecord(CHANNELS, QUERIES, 2)
    early.add(LOW_RANK, counts=False)
    assert early.summary(1)['values']['target_rank'] == 5


def test_the_first_check_stays_the_start():
    record = record_of([CONSTANT])
    assert record.state['start'] == START
    assert record.state['latest'] == CONSTANT
    assert record.rules == health_rules(CHANNELS, QUERIES, START)


def test_the_worst_verdict_wins_and_every_reason_is_given():
    record = record_of([dict(LOW_RANK, target_cosine_between=0.99)] * 2)
    verdict, reason = record.verdict()
    assert verdict == COLLAPSED
    assert [part.split(':')[0] for part in reason.split('; ')] == [
        'places alike', 'low rank'
    ]
    for rule in record.true_rules:
        assert f'{rule.name}: {rule.meaning}' in reason


def test_each_meaning_names_a_key_that_exists(base_config):
    rules = health_rules(CHANNELS, QUERIES, START)
    assert names(rules) == [sign[0] for sign in SIGNS]
    for rule in rules:
        keys = re.findall(r'\b(?:model\.[\w.]+|loss_\w+)', rule.meaning)
        assert keys, rule.name
        for key in keys:
            config = base_config
            for part in f'model.{key.removeprefix("model.")}'.split('.'):
                assert part in config, key
                config = config[part]


def test_state_survives_a_file():
    before = record_of([LOW_RANK])
    state = json.loads(json.dumps(before.state, allow_nan=False))
    assert state == before.state
    after = HealthRecord(CHANNELS, QUERIES, 2, state)
    # A streak goes on, from the same start.
    assert after.rules == before.rules
    assert names(after.add(LOW_RANK, counts=True)) == ['low rank']
    again = HealthRecord(CHANNELS, QUERIES, 2,
                         json.loads(json.dumps(after.state)))
    assert names(again.true_rules) == ['low rank']
    assert again.add(LOW_RANK, counts=True) == []


def test_summary_worked_by_hand():
    record = record_of([dict(LOW_RANK, target_cosine_between=NAN)] * 2)
    text = json.dumps(record.summary(30), allow_nan=False)
    summary = json.loads(text)
    rules = summary.pop('rules')
    verdict, reason = record.verdict()
    assert summary == dict(
        verdict='partial collapse',
        reason=reason,
        iteration=30,
        values=dict(LOW_RANK, target_cosine_between=None))
    assert verdict == 'partial collapse'
    assert rules[1:3] == [
        dict(
            name='places alike',
            verdict='collapsed',
            condition='target_cosine_between > 0.95',
            value=None,
            threshold=0.95,
            fired=False),
        dict(
            name='low rank',
            verdict='partial collapse',
            condition='target_rank < 10',
            value=5.0,
            threshold=10.0,
            fired=True)
    ]
    assert [rule['name'] for rule in rules] == [sign[0] for sign in SIGNS]


def test_summary_of_a_rule_that_holds_but_is_not_yet_true():
    summary = record_of([LOW_RANK]).summary(2)
    assert summary['verdict'] == 'healthy'
    assert not any(rule['fired'] for rule in summary['rules'])
