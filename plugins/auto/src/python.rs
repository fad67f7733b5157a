//! Python: dependencies into an environment of their own by the tool of the lock file, without the tools in the last stage.

use serde::Deserialize;
use windlass_sdk::Failure;

use crate::detect::Project;
use crate::dockerfile::{NOBODY, is_plain, start, version};

const DEFAULT: &str = "3.13";
const PORT: &str = "8000";

#[derive(Default, Deserialize)]
#[serde(default)]
struct PyProject {
    project: Metadata,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Metadata {
    requires_python: Option<String>,
    dependencies: Vec<String>,
}

pub fn dockerfile(project: &Project<'_>) -> Result<String, Failure> {
    let text = project.read("pyproject.toml").unwrap_or_default();
    let declared: PyProject = toml::from_str(text).map_err(|error| {
        project.cannot("unreadable", &format!("`pyproject.toml` cannot be read: {}.", error.message()))
    })?;
    let wanted = project.line(".python-version").or(declared.project.requires_python.as_deref());
    let tag = wanted.and_then(|text| version(text, 2)).filter(|tag| tag.contains('.'));
    let image = project.base("python", &format!("python:{}-slim", tag.as_deref().unwrap_or(DEFAULT)));
    let command = command(project, &declared.project)?;
    Ok(format!(
        "FROM {image} AS build\nENV PIP_DISABLE_PIP_VERSION_CHECK=1\nRUN python -m venv /venv\n\
         ENV VIRTUAL_ENV=/venv PATH=/venv/bin:$PATH\nWORKDIR /app\n{}\n\
         FROM {image}\nENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/venv/bin:$PATH PORT={PORT}\nWORKDIR /app\n\
         COPY --from=build /venv /venv\nCOPY . .\nUSER {NOBODY}\nEXPOSE {PORT}\n{}\n",
        install(project),
        start(&command)
    ))
}

/// Lines that bring the dependencies, by what is locked most strictly.
fn install(project: &Project<'_>) -> String {
    let pip = "RUN --mount=type=cache,target=/root/.cache/pip";
    if project.has("uv.lock") {
        return format!(
            "{pip} /usr/local/bin/python -m pip install uv\nCOPY pyproject.toml uv.lock ./\n\
             RUN --mount=type=cache,target=/root/.cache/uv uv sync --active --frozen --no-dev --no-install-project\n"
        );
    }
    if project.has("poetry.lock") {
        return format!(
            "{pip} /usr/local/bin/python -m pip install poetry\nCOPY pyproject.toml poetry.lock ./\n\
             RUN --mount=type=cache,target=/root/.cache/pypoetry poetry install --only main --no-root --no-interaction\n"
        );
    }
    if project.has("Pipfile.lock") {
        return format!(
            "{pip} /usr/local/bin/python -m pip install pipenv\nCOPY Pipfile Pipfile.lock ./\n{pip} pipenv sync\n"
        );
    }
    if project.has("requirements.txt") {
        // It may include others (`-r base.txt`), which are not known here.
        let includes = project.read("requirements.txt").unwrap_or_default().lines().any(|line| {
            let line = line.trim();
            line.starts_with("-r")
                || line.starts_with("-c")
                || line.starts_with("-e")
                || line.starts_with('.')
        });
        let copy = if includes { "COPY . ." } else { "COPY requirements.txt ./" };
        return format!("{copy}\n{pip} pip install -r requirements.txt\n");
    }
    if project.has("pyproject.toml") {
        return format!("COPY . .\n{pip} pip install .\n");
    }
    String::new()
}

/// What starts the program.
fn command(project: &Project<'_>, declared: &Metadata) -> Result<String, Failure> {
    let web = project.read("Procfile").and_then(|text| {
        text.lines().find_map(|line| line.strip_prefix("web:").map(str::trim)).filter(|line| !line.is_empty())
    });
    if let Some(line) = web {
        return Ok(line.to_owned());
    }
    let uses = |name: &str| depends_on(project, declared, name);
    let module = ["main", "app", "server", "src.main", "app.main"]
        .into_iter()
        .find(|module| project.has(&format!("{}.py", module.replace('.', "/"))));
    if project.has("manage.py") {
        let mut folders: Vec<&str> = project
            .files()
            .filter_map(|file| file.strip_suffix("/wsgi.py"))
            .filter(|folder| !folder.contains('/') && is_plain(folder))
            .collect();
        folders.sort_unstable();
        return match folders.first() {
            Some(folder) if uses("gunicorn") => Ok(format!("gunicorn --bind 0.0.0.0:{PORT} {folder}.wsgi")),
            _ => Ok(format!("python manage.py runserver 0.0.0.0:{PORT}")),
        };
    }
    match module {
        Some(module) if uses("uvicorn") || uses("fastapi[standard]") => {
            Ok(format!("uvicorn {module}:app --host 0.0.0.0 --port {PORT}"))
        }
        Some(module) if uses("gunicorn") => Ok(format!("gunicorn --bind 0.0.0.0:{PORT} {module}:app")),
        Some(module) if uses("flask") => Ok(format!("flask --app {module} run --host 0.0.0.0 --port {PORT}")),
        Some(module) if module.contains('.') => Ok(format!("python -m {module}")),
        Some(module) => Ok(format!("python {module}.py")),
        None => Err(project.cannot(
            "no-program",
            "there is no line `web:` in a Procfile, no manage.py, and none of main.py, app.py and server.py. Add a \
             Procfile that says how it is started: `web: python serve.py`.",
        )),
    }
}

fn depends_on(project: &Project<'_>, declared: &Metadata, name: &str) -> bool {
    let lists =
        ["requirements.txt", "Pipfile", "pyproject.toml"].into_iter().filter_map(|file| project.read(file));
    let lines = lists.flat_map(str::lines).chain(declared.dependencies.iter().map(String::as_str));
    lines.into_iter().any(|line| {
        let line = line.trim().trim_start_matches(['"', '\'']).to_lowercase();
        line.strip_prefix(name).is_some_and(|rest| {
            !rest.starts_with(|next: char| next.is_ascii_alphanumeric() || next == '-' || next == '_')
        })
    })
}
