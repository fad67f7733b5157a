// The event in the words of a chat.

const SIGNS = { info: 'ℹ️', success: '✅', warning: '⚠️', error: '❌' };
/** Chat servers refuse long messages; the dashboard has the rest. */
const LETTERS = 2000;

/** The webhook's body. */
export function message({ markdown, mention, room }, event) {
  const quoted = markdown ? escaped : harmless;
  const severity = event.severity.tag;
  const call = severity === 'error' && mention ? `${mention} ` : '';
  const title = markdown ? `**${quoted(event.title)}**` : quoted(event.title);
  const lines = [`${call}${SIGNS[severity] ?? '❗'} ${title}`];
  if (event.text) lines.push(quoted(cut(event.text)));
  // The address is the host's own, so it may be followed.
  if (event.url) lines.push(markdown ? `[Details](${event.url})` : event.url);
  return { text: lines.join('\n'), ...(room ? { channel: room } : {}) };
}

function cut(text) {
  const letters = [...text];
  return letters.length > LETTERS ? `${letters.slice(0, LETTERS).join('')}…` : text;
}

/** A zero-width space after the `@` keeps a name from being a mention. */
function harmless(text) {
  return text.replace(/[\r\n]+/g, '\n').replace(/@/g, '@\u200b');
}

function escaped(text) {
  return harmless(text).replace(/[\\`*_~[\]<>#|!]/g, '\\$&');
}
