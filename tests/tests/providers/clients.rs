//! The vendors' own clients in Python take the fakes for the vendors.

use windlass_tests::vendors::github::{self, GitHub};
use windlass_tests::vendors::gitlab::{self, GitLab};
use windlass_tests::vendors::tools::run_client;

#[tokio::test(flavor = "multi_thread")]
async fn pygithub_takes_our_fake_for_github() {
    let server = GitHub::start().await;
    let arguments = [server.fake.url.as_str(), github::TOKEN];
    let test = "pygithub_takes_our_fake_for_github";
    let Some(said) = run_client("github_repository.py", &arguments, test).await else { return };
    let wanted = "user octo
repository octo/app main https://github.com/octo/app.git
created .github/workflows/deploy.yml
conflict 409
workflow .github/workflows/deploy.yml active
run 901 queued None main 1
jobs [('build', 'queued'), ('deploy', 'queued')]
cancelled completed cancelled
artifacts [('report', False)]
hook 1 ['push'] https://windlass.example/h True
hooks 1
hooks 0
status success
missing 404
refused 401
";
    assert_eq!(said, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn python_gitlab_takes_our_fake_for_gitlab() {
    let server = GitLab::start().await;
    let arguments = [server.fake.url.as_str(), gitlab::TOKEN];
    let test = "python_gitlab_takes_our_fake_for_gitlab";
    let Some(said) = run_client("gitlab_project.py", &arguments, test).await else { return };
    let wanted = "version 18.5.0
token ['api']
project 7 group/sub/app main
lint True False
created .gitlab-ci.yml
exists 400
no such ref 400
pipeline 301 created main
variables [('A', 'b')]
jobs [('deploy prod', 'created'), ('build', 'created')]
trace b''
cancelled canceled
pipelines 1
hook https://windlass.example/h False
hooks 0
merge 3 opened True
notes ['again']
missing 404
refused 401
";
    assert_eq!(said, wanted);
}
