import assert from 'node:assert/strict';
import { test } from 'node:test';

import { provider } from './plugin.js';
import { answering } from './testing.js';
import { encode } from './windlass.js';

const connection = { baseUrl: 'https://ci.example', settings: '{}', extras: [] };
const response = (status, body, headers = []) => ({ status, headers, body: encode(body) });

test('a build is started once by its key', () => {
  const answer = (request) => {
    assert.deepEqual([request.method, request.path, request.idempotencyKey], ['POST', '/jobs/a%20b/builds', 'k1']);
    return response(201, '{"id":"7","state":"queued"}');
  };
  const trigger = { refName: null, parameters: [], idempotencyKey: 'k1', extras: [] };
  const build = answering(answer, () => provider.triggerJob(connection, 'a b', trigger));
  assert.deepEqual([build.id, build.status], ['7', { tag: 'pending' }]);
});

test('a build that the vendor does not know is named', () => {
  const unknown = () => provider.getBuildStatus(connection, 'a', '9');
  assert.throws(() => answering(() => response(404, ''), unknown), { code: 'no-such-build' });
});

test('the log goes on at its cursor', () => {
  const answer = (request) => {
    assert.equal(request.path, '/jobs/a/builds/7/log?from=12');
    return response(200, 'more\n', [['x-next', '17']]);
  };
  const chunk = answering(answer, () => provider.getBuildLogs(connection, 'a', '7', '12'));
  assert.deepEqual(chunk, { text: 'more\n', cursor: '17', complete: false });
});

test('a time-out may have had its effect, and a refusal has not', () => {
  for (const [tag, sent] of [['timeout', true], ['denied', false]]) {
    const refused = () => {
      throw { tag, val: 'why' };
    };
    const cancel = () => provider.cancelBuild(connection, 'a', '7');
    assert.throws(() => answering(refused, cancel), { code: `request-${tag}`, requestSent: sent });
  }
});
