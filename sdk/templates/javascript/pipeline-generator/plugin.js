// A pipeline generator: turns a description of what to run where into the files of a vendor's pipeline.
//
// The example's vendor reads JSON, so JSON.stringify quotes every text of the model; for another language, quote them
// yourself: they are untrusted.

import { failure, guarded, manifest as describe } from './windlass.js';

export const manifest = {
  describe: () =>
    describe('pipeline-generator', {
      name: '{{name}}',
      version: '0.1.0',
      summary: 'Writes pipelines for an example vendor, as JSON',
    }),
};

export const generator = {
  validate,

  ...guarded({
    generate(model) {
      const [problem] = validate(model);
      if (problem) throw failure('invalid-model', problem.message);
      const steps = model.scripts.map(({ path, parameters }) => ({ run: path, with: object(parameters) }));
      const stages = model.environments.map(({ name, approval, variables }) => ({
        stage: name,
        'needs-approval': approval,
        env: object(variables),
        hosts: model.hosts.filter((host) => host.environment === name).map((host) => host.address),
        steps,
      }));
      const pipeline = {
        name: model.name,
        repository: model.repository.url,
        branch: model.repository.branch,
        parameters: object(model.parameters),
        stages: stages.length > 0 ? stages : [{ stage: 'run', steps }],
        'report-to': model.reportUrl ?? null,
      };
      return [{ path: 'pipeline.json', content: `${JSON.stringify(pipeline, null, 2)}\n`, executable: false }];
    },
  }),
};

function validate(model) {
  const problems = [];
  if (model.scripts.length === 0) problems.push({ path: '/scripts', message: 'There is no script to run; add one.' });
  if (typeof model.template === 'string') {
    problems.push({ path: '/template', message: 'This generator takes no template; leave it out.' });
  }
  model.hosts.forEach(({ environment }, n) => {
    if (!model.environments.some(({ name }) => name === environment)) {
      const message = `There is no environment \`${environment}\`; add it, or correct it.`;
      problems.push({ path: `/hosts/${n}/environment`, message });
    }
  });
  return problems;
}

const object = (parameters) => Object.fromEntries(parameters.map(({ name, value }) => [name, value]));
