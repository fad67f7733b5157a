"""A build planner: decides which steps turn a commit into an image. The host executes them."""

import windlass
from wit_world import exports
from wit_world.exports.planner import BuildStep_DockerBuild, DockerBuild
from wit_world.imports.types import Problem

# Where the Dockerfile may be, if nobody says; the first one that is there is taken.
USUAL_PLACES = ["Dockerfile", "docker/Dockerfile", "build/Dockerfile"]


class Manifest(exports.Manifest):
    def describe(self):
        summary = "Looks for the Dockerfile in the usual places"
        return windlass.manifest("build-planner", "{{name}}", "0.1.0", summary)


class Planner(exports.Planner):
    def validate(self, config):
        paths = {"/contextPath": config.context_path, "/dockerfilePath": config.dockerfile_path}
        message = "The path has to lead to a place inside of the repository."
        return [Problem(where, message) for where, path in paths.items() if path is not None and not is_inside(path)]

    def plan(self, context):
        config = context.config
        for problem in self.validate(config):
            raise windlass.failure("invalid-configuration", problem.message)
        looked = USUAL_PLACES if config.dockerfile_path is None else [config.dockerfile_path]
        dockerfile = next((path for path in looked if path in context.files), None)
        if dockerfile is None:
            message = f"The commit has no Dockerfile; looked for {', '.join(looked)}. Add one, or set its path."
            raise windlass.failure("file-missing", message)
        tag = f"{context.stack}:{context.commit[:12]}"
        folder = "." if config.context_path is None else config.context_path
        build = DockerBuild(folder, dockerfile, config.target, config.build_args, [], [tag], [])
        return [BuildStep_DockerBuild(build)]


def is_inside(path):
    """Whether a path stays inside of the repository."""
    outside = not path or path[0] in "/-" or "\\" in path or ".." in path.split("/")
    return not outside and path.isprintable()
