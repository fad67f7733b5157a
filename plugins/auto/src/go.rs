//! Go: one static binary in an image that has nothing else.

use windlass_sdk::Failure;

use crate::detect::Project;
use crate::dockerfile::{NOBODY, is_plain, version};

const RUNTIME: &str = "gcr.io/distroless/static-debian12:nonroot";

pub fn dockerfile(project: &Project<'_>) -> Result<String, Failure> {
    let module = project.read("go.mod").unwrap_or_default();
    let wanted = module.lines().find_map(|line| line.trim().strip_prefix("go "));
    let tag = wanted.and_then(|text| version(text, 2)).unwrap_or_else(|| "1".to_owned());
    let build = project.base("go", &format!("golang:{tag}-bookworm"));
    let runtime = project.base("go-runtime", RUNTIME);
    let package = package(project)?;
    let lists = if project.has("go.sum") { "go.mod go.sum" } else { "go.mod" };
    // Vendored modules are in the repository already.
    let download = if project.has("vendor/modules.txt") {
        String::new()
    } else {
        format!("COPY {lists} ./\nRUN --mount=type=cache,target=/go/pkg/mod go mod download\n")
    };
    Ok(format!(
        "FROM {build} AS build\nWORKDIR /src\n{download}COPY . .\n\
         RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \\\n    \
         CGO_ENABLED=0 go build -trimpath -ldflags=\"-s -w\" -o /out/app {package}\n\n\
         FROM {runtime}\nCOPY --from=build /out/app /app\nENV PORT=8080\nUSER {NOBODY}\nEXPOSE 8080\n\
         ENTRYPOINT [\"/app\"]\n"
    ))
}

/// The package with the program: at the root, or below `cmd`.
fn package(project: &Project<'_>) -> Result<String, Failure> {
    let at_root = |file: &str| file.ends_with(".go") && !file.contains('/') && !file.ends_with("_test.go");
    if project.has("main.go") {
        return Ok(".".to_owned());
    }
    let mut commands: Vec<&str> = project
        .files()
        .filter_map(|file| file.strip_prefix("cmd/")?.strip_suffix("/main.go"))
        .filter(|name| !name.contains('/') && is_plain(name))
        .collect();
    commands.sort_unstable();
    match commands[..] {
        [] if project.files().any(at_root) => Ok(".".to_owned()),
        [] => Err(project.cannot(
            "no-program",
            "there is neither a `main.go` at the root nor one in a folder below `cmd`. Set `contextPath` to its folder.",
        )),
        [only] => Ok(format!("./cmd/{only}")),
        _ => match commands.iter().find(|name| **name == project.stack()) {
            Some(name) => Ok(format!("./cmd/{name}")),
            None => Err(project.cannot(
                "several-programs",
                &format!(
                    "there are several programs below `cmd`: {}. The one that is named like the stack is built; \
                     name the stack like one of them, or add a Dockerfile.",
                    commands.join(", ")
                ),
            )),
        },
    }
}
