import assert from 'node:assert/strict';
import { test } from 'node:test';

import { renderer } from './plugin.js';
import { decode } from './windlass.js';

function render(settings, severity) {
  const target = { baseUrl: 'https://chat.example', settings: JSON.stringify(settings), extras: [] };
  return renderer.render(target, {
    id: '1',
    kind: 'deployment.failed',
    at: 0,
    severity: { tag: severity },
    title: 'web was not deployed',
    text: '',
    stack: 'web',
    url: null,
    data: '{}',
    extras: [],
  });
}

test('an event becomes one message with a named credential', () => {
  const [request, ...more] = render({}, 'error');
  assert.deepEqual([request.path, request.credential, more.length], ['/messages', 'token', 0]);
  assert.equal(JSON.parse(decode(request.body)).title, 'web was not deployed');
});

test('what is less important than asked for is not told', () => {
  assert.deepEqual(render({ from: 'error' }, 'warning'), []);
});

test('settings that make no sense are a failure', () => {
  assert.throws(() => render({ from: 'now' }, 'info'), { code: 'invalid-settings' });
});
