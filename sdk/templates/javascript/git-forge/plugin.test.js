import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { forge } from './plugin.js';
import { encode } from './windlass.js';

const read = (body) => forge.parseWebhook({ headers: [], body: encode(body) });

test('a push names repository, branch and commit', () => {
  const { tag, val } = read(readFileSync(new URL('fixtures/push.json', import.meta.url), 'utf8'));
  const [change] = val.changes;
  assert.deepEqual([tag, val.repository.fullName, change.name], ['push', 'team/app', 'main']);
  assert.deepEqual([change.kind.tag, change.after, change.skipCi], ['branch-pushed', '2'.repeat(40), false]);
});

test('a push without a ref is malformed', () => {
  const body = '{"event":"push","repository":{"name":"a","clone_url":"b"}}';
  assert.throws(() => read(body), { code: 'malformed-payload' });
});
