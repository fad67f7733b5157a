"""A pipeline generator: turns a description of what to run where into the files of a vendor's pipeline.

The example's vendor reads JSON, so json.dumps quotes every text of the model; for another language, quote them yourself: they
are untrusted.
"""

import json

import windlass
from wit_world import exports
from wit_world.exports.generator import File
from wit_world.imports.types import Problem


class Manifest(exports.Manifest):
    def describe(self):
        summary = "Writes pipelines for an example vendor, as JSON"
        return windlass.manifest("pipeline-generator", "{{name}}", "0.1.0", summary)


class Generator(exports.Generator):
    def validate(self, model):
        problems = []
        if not model.scripts:
            problems.append(Problem("/scripts", "There is no script to run; add one."))
        if model.template is not None:
            problems.append(Problem("/template", "This generator takes no template; leave it out."))
        known = {environment.name for environment in model.environments}
        for n, host in enumerate(model.hosts):
            if host.environment not in known:
                message = f"There is no environment `{host.environment}`; add it, or correct it."
                problems.append(Problem(f"/hosts/{n}/environment", message))
        return problems

    def generate(self, model):
        for problem in self.validate(model):
            raise windlass.failure("invalid-model", problem.message)
        steps = [{"run": script.path, "with": values(script.parameters)} for script in model.scripts]
        stages = [
            {
                "stage": environment.name,
                "needs-approval": environment.approval,
                "env": values(environment.variables),
                "hosts": [host.address for host in model.hosts if host.environment == environment.name],
                "steps": steps,
            }
            for environment in model.environments
        ]
        pipeline = {
            "name": model.name,
            "repository": model.repository.url,
            "branch": model.repository.branch,
            "parameters": values(model.parameters),
            "stages": stages or [{"stage": "run", "steps": steps}],
            "report-to": model.report_url,
        }
        return [File("pipeline.json", json.dumps(pipeline, indent=2) + "\n", False)]


def values(parameters):
    return {parameter.name: parameter.value for parameter in parameters}
