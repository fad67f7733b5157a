// A notifier: turns an event into the requests that tell about it. The host sends them, and puts the credential in.

import { encode, failure, guarded, manifest as describe, readSettings } from './windlass.js';

const SETTINGS = {
  type: 'object',
  properties: {
    from: { enum: ['info', 'warning', 'error'], default: 'info', description: 'The least important events that are told' },
    links: { type: 'boolean', default: true, description: 'Whether a message links to the dashboard' },
  },
  additionalProperties: false,
};
const IMPORTANCE = { info: 0, success: 0, warning: 1, error: 2 };

export const manifest = {
  describe: () =>
    describe('notifier', {
      name: '{{name}}',
      version: '0.1.0',
      summary: 'Posts messages to an example chat',
      settings: SETTINGS,
      credentials: [{ name: 'token', summary: 'A token that may post messages', injection: 'bearer', required: true }],
      permissions: [{ methods: ['POST'], path: '/messages', reason: 'posts messages' }],
    }),
};

export const renderer = guarded({
  render(target, event) {
    const { values, problems } = readSettings(SETTINGS, target.settings);
    if (problems.length > 0) {
      throw failure('invalid-settings', problems.map(({ path, message }) => `${path}: ${message}`).join(' '));
    }
    // What is not known yet is better told than missed.
    if ((IMPORTANCE[event.severity.tag] ?? 2) < IMPORTANCE[values.from]) return [];
    const message = {
      title: event.title,
      text: event.text,
      stack: event.stack ?? null,
      link: values.links ? (event.url ?? null) : null,
    };
    return [
      {
        method: 'POST',
        path: '/messages',
        headers: [['content-type', 'application/json']],
        body: encode(JSON.stringify(message)),
        credential: 'token',
        extras: [],
      },
    ];
  },
});
