"""Drives a server that says it is GitHub with PyGithub: base URL and token in, one line for each thing seen out."""

import sys

import github

url, token = sys.argv[1:]
client = github.Github(base_url=url, auth=github.Auth.Token(token), retry=None)
print("user", client.get_user().login)
repo = client.get_repo("octo/app")
print("repository", repo.full_name, repo.default_branch, repo.clone_url)

text = "name: Deploy\non: workflow_dispatch\njobs: {}\n"
path = ".github/workflows/deploy.yml"
made = repo.create_file(path, "new", text, branch="main")
print("created", made["content"].path)
read = repo.get_contents(path, ref="main")
assert read.decoded_content.decode() == text
repo.update_file(path, "changed", text + "# more\n", read.sha, branch="main")
try:
    repo.update_file(path, "too late", text, read.sha, branch="main")
except github.GithubException as refused:
    print("conflict", refused.status)

workflow = repo.get_workflow("deploy.yml")
print("workflow", workflow.path, workflow.state)
assert workflow.create_dispatch("main", {})
run = workflow.get_runs()[0]
print("run", run.id, run.status, run.conclusion, run.head_branch, run.run_attempt)
print("jobs", [(job.name, job.status) for job in run.jobs()])
assert run.cancel()
run = repo.get_workflow_run(run.id)
print("cancelled", run.status, run.conclusion)
print("artifacts", [(artifact.name, artifact.expired) for artifact in run.get_artifacts()])

hook = repo.create_hook("web", {"url": "https://windlass.example/h", "content_type": "json", "secret": "s"}, ["push"], True)
print("hook", hook.id, hook.events, hook.config["url"], hook.config.get("secret") != "s")
print("hooks", len(list(repo.get_hooks())))
hook.delete()
print("hooks", len(list(repo.get_hooks())))
commit = repo.get_commit("7638417db6d59f3c431d3e1f261cc637155684cd")
print("status", commit.create_status("success", "https://windlass.example", "Deployed", "windlass/shop").state)

read = repo.get_contents(path, ref="main")
repo.delete_file(path, "gone", read.sha, branch="main")
try:
    repo.get_workflow("deploy.yml")
except github.UnknownObjectException as missing:
    print("missing", missing.status)
try:
    github.Github(base_url=url, auth=github.Auth.Token("wrong"), retry=None).get_user().login
except github.BadCredentialsException as refused:
    print("refused", refused.status)
