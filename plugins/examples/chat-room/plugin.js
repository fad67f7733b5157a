// Tells a chat room what happened: one message an event, through an incoming webhook.

import { encode, failure, guarded, manifest as describe, readSettings } from './windlass.js';
import { message } from './message.js';

const SETTINGS = {
  type: 'object',
  properties: {
    from: { enum: ['info', 'warning', 'error'], default: 'info', description: 'The least important events that are told' },
    events: {
      type: 'array',
      items: { type: 'string', pattern: '^[a-z][a-z_.-]*\\*?$', maxLength: 64 },
      maxItems: 64,
      default: [],
      description: 'Kinds of events that are told, such as `deployment.*`; all if empty',
    },
    room: { type: 'string', maxLength: 100, default: '', description: 'The room, where the webhook lets one choose' },
    mention: {
      type: 'string',
      pattern: '^[@!]?[a-z0-9._-]*$',
      maxLength: 64,
      default: '',
      description: 'What an error begins with so that somebody looks up, such as `@here`',
    },
    markdown: { type: 'boolean', default: true, description: 'Whether the server reads Markdown' },
    token: { type: 'boolean', default: false, description: 'Whether the credential `token` goes with each message' },
  },
  additionalProperties: false,
};
const IMPORTANCE = { info: 0, success: 0, warning: 1, error: 2 };

export const manifest = {
  describe: () =>
    describe('notifier', {
      name: 'chat-room',
      version: '0.1.0',
      summary: 'Posts events to a chat room through an incoming webhook',
      settings: SETTINGS,
      credentials: [{ name: 'token', summary: 'Token that the webhook asks for', injection: 'bearer', required: false }],
      permissions: [{ methods: ['POST'], path: '/**', reason: 'posts each event to the webhook' }],
    }),
};

export const renderer = guarded({
  render(target, event) {
    const { values, problems } = readSettings(SETTINGS, target.settings);
    if (problems.length > 0) {
      throw failure('invalid-settings', problems.map(({ path, message }) => `${path}: ${message}`).join(' '));
    }
    if (!isWanted(values, event)) return [];
    return [
      {
        method: 'POST',
        path: '',
        headers: [['content-type', 'application/json']],
        body: encode(JSON.stringify(message(values, event))),
        credential: values.token ? 'token' : null,
        extras: [],
      },
    ];
  },
});

function isWanted({ events, from }, { kind, severity }) {
  const fits = (wanted) => (wanted.endsWith('*') ? kind.startsWith(wanted.slice(0, -1)) : kind === wanted);
  // What is not known yet is better told than missed.
  const importance = IMPORTANCE[severity.tag] ?? 2;
  return importance >= IMPORTANCE[from] && (events.length === 0 || events.some(fits));
}
