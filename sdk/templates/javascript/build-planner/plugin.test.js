import assert from 'node:assert/strict';
import { test } from 'node:test';

import { planner } from './plugin.js';

function plan(files, changes = {}) {
  const config = {
    buildType: '{{name}}'.replaceAll('-', '_'),
    contextPath: null,
    dockerfilePath: null,
    composePath: null,
    target: null,
    buildArgs: [],
    preBuildCommands: [],
    postBuildCommands: [],
    timeoutSeconds: 60,
    extras: [],
    ...changes,
  };
  return planner.plan({ stack: 'shop', refName: 'main', commit: '0123456789abcdef'.padEnd(40, '0'), files, config });
}

test('the first usual place is taken', () => {
  const [step] = plan(['build/Dockerfile', 'docker/Dockerfile']);
  assert.deepEqual([step.val.dockerfilePath, step.val.tags[0]], ['docker/Dockerfile', 'shop:0123456789ab']);
});

test('a missing Dockerfile is named', () => {
  assert.throws(() => plan(['README.md']), { code: 'file-missing' });
});

test('a path that leads out is refused', () => {
  for (const contextPath of ['..', '/etc', 'a/../../b', '-o', 'a\nb', '']) {
    assert.throws(() => plan(['Dockerfile'], { contextPath }), { code: 'invalid-configuration' }, contextPath);
  }
});
