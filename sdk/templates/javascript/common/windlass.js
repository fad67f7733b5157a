// What plugins in JavaScript share. It is yours: change it as you like.
//
// The code runs in either of jco's engines. QuickJS makes components of 1.6 MB; it has no TextEncoder, no URL and no
// console, and gives 64-bit integers as numbers. StarlingMonkey (`--backend starlingmonkey`) has all that, makes 12 MB,
// and gives them as BigInt: `Number(…)` takes both.

/** The manifest; what is left out is empty. `settings` is a JSON Schema 2020-12 object. */
export function manifest(kind, { name, version, summary, settings = {}, credentials = [], permissions = [], webhooks = null }) {
  const withExtras = (records) => records.map((record) => ({ extras: [], ...record }));
  if (webhooks) webhooks = { ...webhooks, schemes: withExtras(webhooks.schemes) };
  return {
    name,
    version,
    summary,
    kinds: [kind],
    settingsSchema: JSON.stringify(settings),
    credentials: withExtras(credentials),
    permissions: withExtras(permissions),
    webhooks,
    extras: [],
  };
}

/** To be thrown: why a call could not do its work. */
export function failure(code, message, { disposition = { tag: 'permanent' }, requestSent = false } = {}) {
  return { disposition, code, message, requestSent, extras: [] };
}

/** The functions, with every surprise as a failure that tells it: of a trap nobody would learn more than that it was one. */
export function guarded(functions) {
  const guard = (work) => (...values) => {
    try {
      return work(...values);
    } catch (error) {
      if (error?.disposition) throw error;
      throw failure('internal-error', `${error?.name}: ${error?.message}\n${error?.stack ?? ''}`);
    }
  };
  return Object.fromEntries(Object.entries(functions).map(([name, work]) => [name, guard(work)]));
}

/** Text as UTF-8. */
export function encode(text) {
  return Uint8Array.from(unescape(encodeURIComponent(text.toWellFormed())), (letter) => letter.charCodeAt(0));
}

/** UTF-8 as text; throws a URIError if it is none. */
export function decode(bytes) {
  let text = '';
  for (let at = 0; at < bytes.length; at += 8192) {
    text += String.fromCharCode(...bytes.slice(at, at + 8192));
  }
  return decodeURIComponent(escape(text));
}

const DEPTH = 100;

/** JSON from outside; throws a SyntaxError. A deeper nesting would end the instance instead of the parser. */
export function parse(text) {
  let depth = 0;
  if (text.split(/[[{]/, DEPTH + 1).length > DEPTH) {
    for (const [found] of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"|[[\]{}]/gs)) {
      if (found === '[' || found === '{') depth += 1;
      else if (found === ']' || found === '}') depth -= 1;
      if (depth > DEPTH) throw new SyntaxError(`it is nested more than ${DEPTH} deep`);
    }
  }
  return JSON.parse(text);
}

/** Settings or parameters by a flat schema: what was given and the defaults, and what is wrong with it. */
export function readSettings(schema, text) {
  let given;
  try {
    given = parse(text);
  } catch (error) {
    return { values: {}, problems: [{ path: '', message: `This is no JSON: ${error.message}.` }] };
  }
  if (given === null || typeof given !== 'object' || Array.isArray(given)) {
    return { values: {}, problems: [{ path: '', message: 'This has to be an object.' }] };
  }
  const properties = schema.properties ?? {};
  const values = Object.fromEntries(Object.entries(properties).map(([name, property]) => [name, property.default]));
  const problems = [];
  for (const [name, value] of Object.entries(given)) {
    const wrong = Object.hasOwn(properties, name)
      ? complaint(properties[name], value)
      : `This is not known; there are ${Object.keys(properties).join(', ')}.`;
    if (wrong) problems.push({ path: `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`, message: wrong });
    else values[name] = value;
  }
  return { values, problems };
}

function complaint({ type, enum: choices, minimum = -Infinity, maximum = Infinity }, value) {
  if (choices) return choices.includes(value) ? '' : `This has to be one of ${choices.join(', ')}.`;
  const found = Array.isArray(value) ? 'array' : typeof value;
  const fits = type === 'integer' ? Number.isInteger(value) : found === type;
  if (!fits) return `This has to be of the type ${type}.`;
  return value < minimum || value > maximum ? `This has to be from ${minimum} to ${maximum}.` : '';
}
