// A deployment strategy: starts the new release beside the old one, watches it for a while, switches over, and goes back
// if anything is wrong.
//
// It is a function from memory and situation to memory and actions. The host asks again whenever something happened,
// and may have died in between, so each call orders what is still missing and looks before it believes.

import { decode, encode, failure, guarded, manifest as describe, parse, readSettings } from './windlass.js';

const PARAMS = {
  type: 'object',
  properties: {
    watch_ms: {
      type: 'integer',
      default: 0,
      minimum: 0,
      maximum: 60000,
      description: 'How long the new release has to be healthy before it gets the requests, in milliseconds',
    },
  },
  additionalProperties: false,
};
/** What starting may take beyond the stack's own health timeout. */
const GRACE_MS = 5000;

export const manifest = {
  describe: () =>
    describe('deployment-strategy', {
      name: '{{name}}',
      version: '0.1.0',
      summary: 'Watches a new release before it gets the requests',
      settings: PARAMS,
    }),
};

export const strategy = {
  validate: (params, _stack) => readSettings(PARAMS, params).problems,

  ...guarded({
    decide(bytes, situation) {
      const { values, problems } = readSettings(PARAMS, situation.params);
      if (problems.length > 0) throw failure('invalid-parameters', 'The parameters are not valid.');
      const memory = recall(bytes);
      const view = new View(situation);
      memory.since ??= view.now;
      if (memory.trouble === null) {
        memory.trouble = view.trouble(memory.since);
        if (memory.trouble !== null) memory.since = view.now;
      }
      const [label, progress, actions] =
        memory.trouble === null ? view.forward(values.watch_ms) : view.back(memory.trouble, memory.since);
      // Progress never falls, whatever becomes of the instances.
      memory.progress = Math.max(memory.progress, progress);
      const remembered = encode(JSON.stringify(memory));
      return { memory: remembered, label, progress: memory.progress, actions, wakeAfter: 1000 };
    },
  }),
};

/** `since`: when the present attempt began; `trouble`: why the new release is given up. */
function recall(bytes) {
  if (bytes.length === 0) return { since: null, trouble: null, progress: 0 };
  try {
    const { since, trouble, progress } = parse(decode(bytes));
    const fits = (since === null || Number.isSafeInteger(since)) && Number.isInteger(progress);
    if (fits && (trouble === null || typeof trouble === 'string')) return { since, trouble, progress };
  } catch {
    // Told below.
  }
  throw failure('unknown-memory', 'The memory is none of this plugin.');
}

const scale = (release, count) => ({ tag: 'scale', val: { release, count } });
const routeAll = (release) => ({ tag: 'route', val: [{ release, percent: 100 }] });
const finish = (tag, val) => ({ tag: 'finish', val: val === undefined ? { tag } : { tag, val } });

/** The situation, and what follows from it: each turn is a label, a progress and actions. */
class View {
  constructor(situation) {
    const { stack, target, stable, fleet, traffic } = situation;
    Object.assign(this, { stack, fleet, traffic, target: target.id, aborted: situation.abortRequested });
    this.now = Number(situation.now);
    // The release that served before, unless it is the very one that is deployed again.
    this.old = stable && stable.id !== target.id ? stable.id : null;
    this.fixedPort = stack.ports.some((port) => typeof port.host === 'number');
    // Both releases would write to one volume, so the old one has to go before the new one starts.
    this.alone = this.old !== null && stack.volumes.some((volume) => !volume.readOnly);
    this.patience = Number(stack.healthTimeoutMs) + GRACE_MS;
  }

  of(release) {
    return this.fleet.filter((one) => one.release === release);
  }

  live(release) {
    return this.of(release).filter((one) => one.state.tag !== 'exited').length;
  }

  healthy(release) {
    return this.of(release).filter((one) => one.state.tag === 'healthy').length;
  }

  share(release) {
    return this.traffic.filter((one) => one.release === release).reduce((sum, one) => sum + one.percent, 0);
  }

  serves(release) {
    return this.healthy(release) > 0 && this.share(release) === 100;
  }

  /** Why the new release will not do, or null. */
  trouble(since) {
    if (this.aborted) return 'somebody aborted it';
    // Deployed again, it may be ill already; and while a fixed port changes hands, the trial instance ends.
    const isJudged = this.old !== null && !(this.fixedPort && this.share(this.target) > 0);
    const isLost = (one) => ['unhealthy', 'exited'].includes(one.state.tag) && Number(one.since) >= since;
    if (isJudged && this.of(this.target).some((one) => isLost(one) || one.restarts >= 3)) {
      return 'an instance of the new release failed';
    }
    return this.now >= since + 2 * this.patience ? 'the new release did not become healthy in time' : null;
  }

  forward(watchMs) {
    const { target, old, stack } = this;
    if (this.alone && this.live(old) > 0) {
      return ['Stopping the old release, which uses the same volume', 10, [scale(old, 0)]];
    }
    if (this.serves(target)) {
      return ['The new release serves', 100, [...(old ? [scale(old, 0)] : []), finish('succeeded')]];
    }
    const switching = this.share(target) > 0;
    if (this.live(target) < stack.replicas && !(switching && this.fixedPort)) {
      return ['Starting the new release', 20, [scale(target, stack.replicas)]];
    }
    const isProven = (one) => one.state.tag === 'healthy' && this.now >= Number(one.since) + watchMs;
    const proven = this.of(target).filter(isProven).length;
    if (proven >= stack.replicas && !switching) {
      return ['Sending the requests to the new release', 80, [routeAll(target)]];
    }
    return [`Watching the new release: ${proven} of ${stack.replicas} instances are good`, 50, []];
  }

  back(reason, since) {
    const { target, old, stack } = this;
    if (old === null || !stack.rollbackOnFailure) {
      const isIdle = old !== null && this.share(target) === 0;
      return ['The rollout failed', 100, [...(isIdle ? [scale(target, 0)] : []), finish('failed', reason)]];
    }
    if (this.serves(old)) {
      return ['The old release serves again', 100, [scale(target, 0), finish('rolled-back', reason)]];
    }
    if (this.now >= since + 2 * this.patience) {
      return ['The rollout failed', 100, [finish('failed', `${reason}; and the old release did not come back`)]];
    }
    if (this.alone && this.live(target) > 0) {
      return ['Removing the new release', 90, [scale(target, 0)]];
    }
    const actions = [];
    // The instance that held a fixed port is kept, and started again by routing to it.
    const isKept = this.fixedPort && this.of(old).length > 0;
    if (this.live(old) < stack.replicas && !isKept) actions.push(scale(old, stack.replicas));
    if (this.healthy(old) > 0 || (isKept && (this.live(old) === 0 || this.share(old) < 100))) actions.push(routeAll(old));
    return ['Bringing the old release back', 90, actions];
  }
}
