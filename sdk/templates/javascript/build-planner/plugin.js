// A build planner: decides which steps turn a commit into an image. The host executes them.

import { failure, guarded, manifest as describe } from './windlass.js';

/** Where the Dockerfile may be, if nobody says; the first one that is there is taken. */
const USUAL_PLACES = ['Dockerfile', 'docker/Dockerfile', 'build/Dockerfile'];

export const manifest = {
  describe: () =>
    describe('build-planner', {
      name: '{{name}}',
      version: '0.1.0',
      summary: 'Looks for the Dockerfile in the usual places',
    }),
};

export const planner = {
  validate,

  ...guarded({
    plan({ stack, commit, files, config }) {
      const [problem] = validate(config);
      if (problem) throw failure('invalid-configuration', problem.message);
      const asked = config.dockerfilePath ?? null;
      const looked = asked === null ? USUAL_PLACES : [asked];
      const dockerfile = looked.find((path) => files.includes(path));
      if (dockerfile === undefined) {
        const message = `The commit has no Dockerfile; looked for ${looked.join(', ')}. Add one, or set its path.`;
        throw failure('file-missing', message);
      }
      const build = {
        contextPath: config.contextPath ?? '.',
        dockerfilePath: dockerfile,
        target: config.target ?? null,
        buildArgs: config.buildArgs,
        labels: [],
        tags: [`${stack}:${commit.slice(0, 12)}`],
        extras: [],
      };
      return [{ tag: 'docker-build', val: build }];
    },
  }),
};

function validate(config) {
  const paths = [
    ['/contextPath', config.contextPath],
    ['/dockerfilePath', config.dockerfilePath],
  ];
  return paths
    .filter(([, path]) => typeof path === 'string' && !isInside(path))
    .map(([path]) => ({ path, message: 'The path has to lead to a place inside of the repository.' }));
}

/** Whether a path stays inside of the repository. */
function isInside(path) {
  return path !== '' && !/^[/-]|\\|\p{Cc}/u.test(path) && !path.split('/').includes('..');
}
