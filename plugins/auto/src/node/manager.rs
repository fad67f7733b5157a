//! The package managers of Node, as a project's lock file names them.

use super::Package;
use crate::detect::Project;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// With a lock file, or without one.
    Npm {
        locked: bool,
    },
    Pnpm,
    /// Version 1.
    Yarn,
    /// Version 2 and later.
    YarnModern,
    Bun,
}

impl Manager {
    pub fn of(project: &Project<'_>, package: &Package) -> Self {
        let named = package.package_manager();
        let modern =
            || project.has(".yarnrc.yml") || named.starts_with("yarn@") && !named.starts_with("yarn@1");
        if project.has("pnpm-lock.yaml") {
            Self::Pnpm
        } else if project.has("yarn.lock") {
            if modern() { Self::YarnModern } else { Self::Yarn }
        } else if project.first(&["bun.lock", "bun.lockb"]).is_some() {
            Self::Bun
        } else {
            Self::Npm { locked: project.first(&["package-lock.json", "npm-shrinkwrap.json"]).is_some() }
        }
    }

    /// Lines before anything is installed. What is to be there in the last stage as well, is kept beside the project.
    pub fn setup(self, is_needed_later: bool) -> &'static str {
        match self {
            Self::Npm { .. } | Self::Bun => "",
            _ if is_needed_later => "ENV COREPACK_HOME=/app/.corepack\nRUN corepack enable\n",
            Self::Pnpm | Self::Yarn | Self::YarnModern => "RUN corepack enable\n",
        }
    }

    /// Installs what the lock file says and copies the sources, in this order: then a change of theirs keeps the layers before.
    pub fn install(self, project: &Project<'_>, workspaces: bool) -> String {
        let (files, cache, command): (&[&str], _, _) = match self {
            Self::Npm { locked } => (
                &["package.json", "package-lock.json", "npm-shrinkwrap.json", ".npmrc"],
                "/root/.npm",
                if locked { "npm ci" } else { "npm install --no-audit --no-fund" },
            ),
            Self::Pnpm => (
                &["package.json", "pnpm-lock.yaml", "pnpm-workspace.yaml", ".npmrc"],
                "/root/.local/share/pnpm/store",
                "pnpm install --frozen-lockfile",
            ),
            Self::Yarn => (
                &["package.json", "yarn.lock", ".npmrc", ".yarnrc"],
                "/usr/local/share/.cache/yarn",
                "yarn install --frozen-lockfile",
            ),
            Self::YarnModern => (
                &["package.json", "yarn.lock", ".yarnrc.yml"],
                "/root/.yarn/berry/cache",
                "yarn install --immutable",
            ),
            Self::Bun => (
                &["package.json", "bun.lock", "bun.lockb"],
                "/root/.bun/install/cache",
                "bun install --frozen-lockfile",
            ),
        };
        let there: Vec<&str> = files.iter().copied().filter(|file| project.has(file)).collect();
        // The packages of a workspace have to be there when it is installed.
        let is_workspace = workspaces || project.has("pnpm-workspace.yaml");
        let install = format!("RUN --mount=type=cache,target={cache} {command}\n");
        if is_workspace {
            return format!("COPY . .\n{install}");
        }
        format!("COPY {} ./\n{install}COPY . .\n", there.join(" "))
    }

    /// Removes what only the build needed.
    pub fn prune(self) -> &'static str {
        match self {
            Self::Npm { .. } => "RUN npm prune --omit=dev\n",
            Self::Pnpm => "RUN CI=true pnpm prune --prod\n",
            Self::Yarn => "RUN yarn install --production --ignore-scripts --prefer-offline\n",
            Self::YarnModern => "RUN yarn workspaces focus --all --production\n",
            Self::Bun => "RUN bun install --frozen-lockfile --production\n",
        }
    }

    /// In the last stage there is only the package manager that comes with the image, unless the script itself calls another.
    pub fn start(self) -> &'static str {
        if self == Self::Bun { "bun run start" } else { "npm run start" }
    }

    pub fn run(self, script: &str) -> String {
        match self {
            Self::Npm { .. } => format!("npm run {script}"),
            Self::Pnpm => format!("pnpm run {script}"),
            Self::Yarn | Self::YarnModern => format!("yarn run {script}"),
            Self::Bun => format!("bun run {script}"),
        }
    }
}
