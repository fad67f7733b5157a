"""Drives a server that says it is GitLab with python-gitlab: base URL and token in, one line for each thing seen out."""

import sys

import gitlab

url, token = sys.argv[1:]
client = gitlab.Gitlab(url, private_token=token)
print("version", client.version()[0])
print("token", client.personal_access_tokens.get("self").scopes)
project = client.projects.get("group/sub/app")
print("project", project.id, project.path_with_namespace, project.default_branch)

text = "job:\n  script: [make]\n"
print("lint", project.ci_lint.create({"content": text}).valid, project.ci_lint.create({"content": "a: 1"}).valid)
new = {"file_path": ".gitlab-ci.yml", "branch": "main", "content": text, "commit_message": "new"}
print("created", project.files.create(new).file_path)
try:
    project.files.create(new)
except gitlab.GitlabCreateError as refused:
    print("exists", refused.response_code)
file = project.files.get(file_path=".gitlab-ci.yml", ref="main")
assert file.decode().decode() == text
file.content = text + "# more\n"
file.save(branch="main", commit_message="changed")

try:
    project.pipelines.create({"ref": "nowhere"})
except gitlab.GitlabCreateError as refused:
    print("no such ref", refused.response_code)
pipeline = project.pipelines.create({"ref": "main", "variables": [{"key": "A", "value": "b"}]})
print("pipeline", pipeline.id, pipeline.status, pipeline.ref)
print("variables", [(v.key, v.value) for v in pipeline.variables.list(get_all=True)])
jobs = pipeline.jobs.list(get_all=True)
print("jobs", [(job.name, job.status) for job in jobs])
print("trace", project.jobs.get(jobs[0].id).trace())
pipeline.cancel()
print("cancelled", project.pipelines.get(pipeline.id).status)
print("pipelines", len(project.pipelines.list(get_all=True)))

hook = project.hooks.create({"url": "https://windlass.example/h", "token": "s", "push_events": True})
print("hook", hook.url, hasattr(hook, "token"))
hook.delete()
print("hooks", len(project.hooks.list(get_all=True)))
commit = "da1560886d4f094c3e6c9ef40349f7d38b5d27d7"
merge = project.mergerequests.get(3)
print("merge", merge.iid, merge.state, merge.sha == commit)
note = merge.notes.create({"body": "hello"})
note.body = "again"
note.save()
print("notes", [note.body for note in merge.notes.list(get_all=True)])

project.files.delete(file_path=".gitlab-ci.yml", branch="main", commit_message="gone")
try:
    project.files.get(file_path=".gitlab-ci.yml", ref="main")
except gitlab.GitlabGetError as missing:
    print("missing", missing.response_code)
try:
    gitlab.Gitlab(url, private_token="wrong").projects.get(7)
except gitlab.GitlabAuthenticationError as refused:
    print("refused", refused.response_code)
