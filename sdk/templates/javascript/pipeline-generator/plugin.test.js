import assert from 'node:assert/strict';
import { test } from 'node:test';

import { generator } from './plugin.js';

const model = (changes = {}) => ({
  name: 'nightly',
  description: '',
  repository: { url: 'https://forge.example/a.git', branch: 'main' },
  environments: [{ name: 'staging', variables: [], approval: true, extras: [] }],
  hosts: [{ name: 'one', address: '10.0.0.1', environment: 'staging' }],
  scripts: [{ path: 'test.sh', parameters: [] }],
  parameters: [],
  reportUrl: null,
  template: null,
  settings: '{}',
  extras: [],
  ...changes,
});

test('each environment is a stage with its hosts', () => {
  const [file] = generator.generate(model());
  const [stage] = JSON.parse(file.content).stages;
  assert.deepEqual([stage.hosts, stage.steps[0].run], [['10.0.0.1'], 'test.sh']);
});

test('a text cannot break out of its place', () => {
  const path = 'x", "run": "rm -rf /\n';
  const [file] = generator.generate(model({ scripts: [{ path, parameters: [] }] }));
  assert.deepEqual(JSON.parse(file.content).stages[0].steps, [{ run: path, with: {} }]);
});

test('a host of no environment is a problem at its place', () => {
  const hosts = [{ name: 'one', address: '10.0.0.1', environment: 'moon' }];
  assert.equal(generator.validate(model({ hosts }))[0].path, '/hosts/0/environment');
});
