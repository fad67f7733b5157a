import assert from 'node:assert/strict';
import { test } from 'node:test';

import { renderer } from './plugin.js';
import { decode } from './windlass.js';

function render(settings, changes = {}) {
  const target = { baseUrl: 'https://chat.example/hooks/1', settings: JSON.stringify(settings), extras: [] };
  return renderer.render(target, {
    id: '1',
    kind: 'deployment.failed',
    at: 0,
    severity: { tag: 'error' },
    title: 'web was not deployed',
    text: '',
    stack: 'web',
    url: 'https://windlass.example/d/7',
    data: '{}',
    extras: [],
    ...changes,
  });
}

const body = (settings, changes) => JSON.parse(decode(render(settings, changes)[0].body));

test('an error mentions people, names the room and links to the dashboard', () => {
  assert.deepEqual(body({ mention: '@here', room: 'ops' }), {
    text: '@here ❌ **web was not deployed**\n[Details](https://windlass.example/d/7)',
    channel: 'ops',
  });
});

test('a name from outside can neither mention anybody nor make a link', () => {
  const { text } = body({}, { title: 'feature/@all [x](https://evil.example)', url: null });
  assert.equal(text, '❌ **feature/@\u200ball \\[x\\](https://evil.example)**');
});

test('without Markdown nothing is quoted', () => {
  assert.equal(body({ markdown: false }, { title: 'a*b', url: null }).text, '❌ a*b');
});

test('a long text is cut between letters', () => {
  assert.equal([...body({}, { text: '🦭'.repeat(3000), url: null }).text.split('\n')[1]].length, 2001);
});

test('only what the operator wants is told', () => {
  const settings = { events: ['deployment.*'], from: 'warning' };
  assert.equal(render(settings).length, 1);
  assert.deepEqual(render(settings, { kind: 'build.failed' }), []);
  assert.deepEqual(render(settings, { severity: { tag: 'success' } }), []);
  assert.equal(render(settings, { severity: { tag: 'other', val: 'dire' } }).length, 1);
});

test('the credential goes along only if it is asked for', () => {
  assert.deepEqual([render({})[0].credential, render({ token: true })[0].credential], [null, 'token']);
});

test('settings that make no sense are a failure', () => {
  assert.throws(() => render({ from: 'now' }), { code: 'invalid-settings' });
});
