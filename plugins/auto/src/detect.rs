//! What a project is, by the files in its folder.

use windlass_sdk::Failure;
use windlass_sdk::planner::{Context, Options};

use crate::{go, node, python, rust, site};

pub const KINDS: [&str; 5] = ["go", "rust", "python", "node", "static"];

/// A project's folder in a commit.
pub struct Project<'a> {
    context: &'a Context,
    options: &'a Options,
    /// Relative to the repository's root; empty for the root itself.
    pub folder: &'a str,
}

impl<'a> Project<'a> {
    pub fn new(context: &'a Context, options: &'a Options) -> Self {
        let folder = context.config.context_path.as_deref().unwrap_or_default();
        let folder = folder.trim_start_matches("./").trim_matches('/');
        Self { context, options, folder: if folder == "." { "" } else { folder } }
    }

    /// All files of the folder, relative to it.
    pub fn files(&self) -> impl Iterator<Item = &'a str> {
        let prefix = if self.folder.is_empty() { String::new() } else { format!("{}/", self.folder) };
        let files = &self.context.files;
        files.iter().filter_map(move |file| file.strip_prefix(prefix.as_str()))
    }

    pub fn has(&self, path: &str) -> bool {
        self.files().any(|file| file == path)
    }

    /// The first of them that is there.
    pub fn first<'b>(&self, paths: &[&'b str]) -> Option<&'b str> {
        paths.iter().copied().find(|path| self.has(path))
    }

    pub fn read(&self, path: &str) -> Option<&'a str> {
        if self.folder.is_empty() {
            self.context.file(path)
        } else {
            self.context.file(&format!("{}/{path}", self.folder))
        }
    }

    /// A one-line file without what is around the line.
    pub fn line(&self, path: &str) -> Option<&'a str> {
        self.read(path)?.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))
    }

    /// The image that the options give for a name, or the planner's own choice.
    pub fn base(&self, name: &str, own: &str) -> String {
        self.options.base_images.get(name).cloned().unwrap_or_else(|| own.to_owned())
    }

    pub fn stack(&self) -> &'a str {
        &self.context.stack
    }

    /// A failure that names the folder.
    pub fn cannot(&self, code: &str, why: &str) -> Failure {
        let commit: String = self.context.commit.chars().take(7).collect();
        let place =
            if self.folder.is_empty() { String::new() } else { format!(", folder `{}`", self.folder) };
        Failure::permanent(code, format!("Commit {commit} of `{}`{place}: {why}", self.context.ref_name))
    }
}

/// The project's kind and its Dockerfile.
pub fn dockerfile(project: &Project<'_>) -> Result<(&'static str, String), Failure> {
    let kind = kind(project)?;
    let text = match kind {
        "go" => go::dockerfile(project),
        "rust" => rust::dockerfile(project),
        "python" => python::dockerfile(project),
        "node" => node::dockerfile(project),
        _ => site::dockerfile(project),
    };
    Ok((kind, text?))
}

fn kind(project: &Project<'_>) -> Result<&'static str, Failure> {
    if let Some(wanted) = &project.options.project_type {
        let known = KINDS.into_iter().find(|kind| kind == wanted);
        return known
            .ok_or_else(|| project.cannot("unknown-project", "its `options.projectType` is unknown."));
    }
    // A package.json comes last of the languages: projects of all kinds keep the tools of their assets in one.
    let signs: [(&str, &[&str]); 5] = [
        ("go", &["go.mod"]),
        ("rust", &["Cargo.toml"]),
        ("python", &["requirements.txt", "pyproject.toml", "Pipfile", "manage.py", "main.py", "app.py"]),
        ("node", &["package.json"]),
        ("static", &site::PAGES),
    ];
    let found = signs.iter().find(|(_, files)| project.first(files).is_some()).map(|(kind, _)| *kind);
    found.ok_or_else(|| {
        let files: Vec<&str> = signs.iter().flat_map(|(_, files)| files.iter().copied()).collect();
        project.cannot(
            "unknown-project",
            &format!(
                "there is none of the files {} that say what it is. Set `contextPath` to the project's folder, or add a \
                 Dockerfile and take the build type `docker_build`.",
                files.join(", ")
            ),
        )
    })
}
