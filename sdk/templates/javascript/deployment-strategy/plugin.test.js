import assert from 'node:assert/strict';
import { test } from 'node:test';

import { strategy } from './plugin.js';
import { encode } from './windlass.js';

// `windlass plugin simulate` puts the component into thousands of worlds; these tests only show where it begins.

function situation(fleet, traffic) {
  const release = (id) => ({ id, image: `app@${id}`, commit: '', created: 1, extras: [] });
  const stack = { name: 'app', replicas: 1, ports: [], volumes: [], healthTimeoutMs: 10000, rollbackOnFailure: true, extras: [] };
  return {
    stack,
    target: release('new'),
    stable: release('old'),
    params: '{}',
    now: 1000,
    started: 1000,
    stepStarted: 1000,
    fleet: fleet.map(([of, tag]) => ({ release: of, id: `${of}-1`, state: { tag }, since: 1000, restarts: 0, reason: '' })),
    traffic: [{ release: traffic, percent: 100 }],
    samples: [],
    approval: null,
    abortRequested: false,
  };
}

test('the new release is started beside the old one', () => {
  const step = strategy.decide(encode(''), situation([['old', 'healthy']], 'old'));
  assert.deepEqual(step.actions, [{ tag: 'scale', val: { release: 'new', count: 1 } }]);
});

test('a new release that serves ends the rollout, and the old one goes', () => {
  const step = strategy.decide(encode(''), situation([['old', 'healthy'], ['new', 'healthy']], 'new'));
  assert.deepEqual(step.actions.map((action) => action.tag), ['scale', 'finish']);
});

test('a new release that ends is given up', () => {
  const step = strategy.decide(encode(''), situation([['old', 'healthy'], ['new', 'exited']], 'old'));
  assert.equal(step.actions.at(-1).val.tag, 'rolled-back');
});

test('a memory that is not its own is a failure', () => {
  assert.throws(() => strategy.decide(encode('{'), situation([], 'old')), { code: 'unknown-memory' });
});
