//! A stack as a person describes it: a file, flags, or both. The server has the last word on every value.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};

use super::failure::{Failure, Outcome};

#[derive(Debug, Clone, Args)]
pub struct StackFlags {
    /// Name: a-z, 0-9 and -.
    #[arg(long)]
    name: Option<String>,
    /// Project it belongs to.
    #[arg(long)]
    project: Option<String>,
    /// What it is, for people.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Repository to build from, by https or ssh.
    #[arg(long, value_name = "URL")]
    repo: Option<String>,
    /// Branch that is deployed; the repository's default one if left out.
    #[arg(long, requires = "repo")]
    branch: Option<String>,
    /// Plugin that understands the forge's webhooks; `windlass plugin list` names them.
    #[arg(long, value_name = "PLUGIN", requires = "repo")]
    provider: Option<String>,
    /// Look at the git server regularly for pushes, for repositories that cannot send webhooks.
    #[arg(long, requires = "repo")]
    poll: bool,
    /// Do not show the forge what becomes of each commit and deployment.
    #[arg(long, requires = "repo")]
    no_commit_status: bool,
    /// File with the private key for an ssh repository.
    #[arg(long, value_name = "FILE", requires = "repo")]
    ssh_key: Option<PathBuf>,
    /// Environment variable that holds the token for an https repository.
    #[arg(long, value_name = "VARIABLE", requires = "repo", conflicts_with = "ssh_key")]
    git_token_env: Option<String>,
    /// Id of an app of the forge, in place of a token: tokens are made from its key.
    #[arg(long, value_name = "ID", requires = "repo", requires = "installation_id", requires = "app_key")]
    #[arg(conflicts_with_all = ["ssh_key", "git_token_env"])]
    app_id: Option<String>,
    /// Where that app is installed.
    #[arg(long, value_name = "ID", requires = "app_id")]
    installation_id: Option<String>,
    /// File with the app's private key.
    #[arg(long, value_name = "FILE", requires = "app_id")]
    app_key: Option<PathBuf>,
    /// Id of an OAuth application, in place of a token: tokens are made from its refresh token.
    #[arg(long, value_name = "ID", requires = "repo", requires = "oauth_refresh_token_env")]
    #[arg(conflicts_with_all = ["ssh_key", "git_token_env", "app_id"])]
    oauth_client_id: Option<String>,
    /// Environment variable that holds the refresh token.
    #[arg(long, value_name = "VARIABLE", requires = "oauth_client_id")]
    oauth_refresh_token_env: Option<String>,
    /// Environment variable that holds that application's secret, if it has one.
    #[arg(long, value_name = "VARIABLE", requires = "oauth_client_id")]
    oauth_client_secret_env: Option<String>,
    /// How images are built: docker_build, auto, script, or what a planner of your own is called.
    #[arg(long, value_name = "TYPE", conflicts_with = "compose_file")]
    build_type: Option<String>,
    /// Dockerfile, relative to the repository's root.
    #[arg(long, value_name = "PATH")]
    dockerfile: Option<String>,
    /// Folder handed to the build, relative to the repository's root.
    #[arg(long, value_name = "PATH")]
    context: Option<String>,
    /// Compose file to deploy, relative to the repository's root.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["dockerfile", "context", "build_arg"])]
    compose_file: Option<String>,
    /// Service of the compose file that requests are led to; with one service it need not be said.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// What the compose file may ask of the machine; may be repeated.
    #[arg(long, value_name = "GRANT", value_parser = ["privileged", "host-mounts", "host-network", "docker-socket", "external"])]
    grant: Vec<String>,
    /// Why two copies cannot run side by side; the old one is then stopped before the new one starts.
    #[arg(long, value_name = "WHY")]
    exclusive: Option<String>,
    /// Build argument; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    build_arg: Vec<(String, String)>,
    /// HTTP path that has to answer 200 to 399 before traffic arrives.
    #[arg(long, value_name = "PATH")]
    health_path: Option<String>,
    /// Seconds a new container may take to become healthy.
    #[arg(long, value_name = "SECS")]
    health_timeout: Option<u32>,
    /// Do not deploy pushes by themselves.
    #[arg(long)]
    no_auto_deploy: bool,
    /// Port, [ADDRESS:][HOST:]CONTAINER; may be repeated. Without HOST the engine picks one.
    #[arg(short, long, value_parser = port)]
    port: Vec<Value>,
    /// Named volume; may be repeated.
    #[arg(long, value_name = "NAME:PATH[:ro]", value_parser = volume)]
    volume: Vec<Value>,
    /// Host that the router leads to it; may be repeated.
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// Path below which the router leads to it.
    #[arg(long, value_name = "PATH", requires = "host")]
    path: Option<String>,
    /// Host that leads to a new release while it is rolled out; may be repeated.
    #[arg(long, value_name = "NAME", requires = "host")]
    preview_host: Vec<String>,
    /// Header whose requests get a new release while it is rolled out.
    #[arg(long, value_name = "HEADER=VALUE", value_parser = pair, requires = "host")]
    testers: Option<(String, String)>,
    /// Keeps each visitor with one release while requests are split, known by `cookie`, `cookie:NAME`, `address` or `header:NAME`.
    #[arg(long, value_name = "BY", value_parser = sticky, requires = "host")]
    sticky: Option<Value>,
    /// Answer plain HTTP with a redirect to HTTPS.
    #[arg(long, requires = "host")]
    redirect_https: bool,
    /// Containers that run at the same time.
    #[arg(long)]
    replicas: Option<u32>,
    /// Environment variable of the containers; may be repeated.
    #[arg(short, long, value_name = "NAME=VALUE", value_parser = pair)]
    env: Vec<(String, String)>,
    /// Secret environment variable, taken from the variable of that name here; may be repeated.
    #[arg(long, value_name = "NAME")]
    secret_env: Vec<String>,
    /// Machine or swarm that it runs on, `local` for the server's own engine; `windlass target list` names them.
    #[arg(long = "on", value_name = "TARGET")]
    target: Option<String>,
    /// Deployment strategy; `windlass plugin list` names them.
    #[arg(long, value_name = "PLUGIN")]
    strategy: Option<String>,
    /// Parameter of the strategy, its value as JSON or as text; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    param: Vec<(String, String)>,
}

impl StackFlags {
    /// Lays the flags that were given over what a file says.
    pub fn apply(&self, input: &mut Map<String, Value>) -> Outcome<()> {
        text(input, "name", self.name.as_deref());
        text(input, "project", self.project.as_deref());
        text(input, "description", self.description.as_deref());
        text(input, "strategy", self.strategy.as_deref());
        text(input, "target", self.target.as_deref());
        if let Some(url) = &self.repo {
            let repository = section(input, "repository")?;
            text(repository, "url", Some(url));
            text(repository, "branch", self.branch.as_deref());
            text(repository, "provider", self.provider.as_deref());
            if self.poll {
                repository.insert("autoSync".into(), true.into());
            }
            if self.no_commit_status {
                repository.insert("commitStatus".into(), false.into());
            }
            self.apply_credentials(repository)?;
        }
        self.apply_build(input)?;
        self.apply_run(input)?;
        if !self.host.is_empty() {
            let traffic = section(input, "traffic")?;
            append(traffic, "hosts", self.host.iter().map(|host| host.as_str().into()).collect())?;
            text(traffic, "path", self.path.as_deref());
            if !self.preview_host.is_empty() {
                let hosts = self.preview_host.iter().map(|host| host.as_str().into()).collect();
                append(traffic, "previewHosts", hosts)?;
            }
            if let Some((header, value)) = &self.testers {
                traffic.insert("testers".into(), json!({ "header": header, "value": value }));
            }
            if let Some(sticky) = &self.sticky {
                traffic.insert("sticky".into(), sticky.clone());
            }
            if self.redirect_https {
                traffic.insert("redirectHttps".into(), true.into());
            }
        }
        if !self.param.is_empty() {
            let params = section(input, "strategyParams")?;
            for (name, value) in &self.param {
                let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.clone()));
                params.insert(name.clone(), value);
            }
        }
        Ok(())
    }

    fn apply_run(&self, input: &mut Map<String, Value>) -> Outcome<()> {
        let mut given = Map::new();
        text(&mut given, "service", self.service.as_deref());
        text(&mut given, "exclusive", self.exclusive.as_deref());
        if let Some(replicas) = self.replicas {
            given.insert("replicas".into(), replicas.into());
        }
        let grants: Vec<Value> = self.grant.iter().map(|grant| grant.as_str().into()).collect();
        if given.is_empty() && self.port.is_empty() && self.volume.is_empty() && grants.is_empty() {
            return Ok(());
        }
        let run = section(input, "run")?;
        run.extend(given);
        append(run, "ports", self.port.clone())?;
        append(run, "volumes", self.volume.clone())?;
        append(run, "grants", grants)
    }

    fn apply_build(&self, input: &mut Map<String, Value>) -> Outcome<()> {
        let mut given = Map::new();
        text(&mut given, "buildType", self.build_type.as_deref());
        text(&mut given, "dockerfilePath", self.dockerfile.as_deref());
        text(&mut given, "contextPath", self.context.as_deref());
        if self.compose_file.is_some() {
            text(&mut given, "buildType", Some("compose_only"));
            text(&mut given, "composePath", self.compose_file.as_deref());
        }
        text(&mut given, "healthCheckPath", self.health_path.as_deref());
        if let Some(seconds) = self.health_timeout {
            given.insert("healthCheckTimeout".into(), seconds.into());
        }
        if self.no_auto_deploy {
            given.insert("autoDeployOnPush".into(), false.into());
        }
        let arguments =
            self.build_arg.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        let mut variables: Vec<Value> =
            self.env.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        for name in &self.secret_env {
            variables.push(json!({ "name": name, "value": variable(name)?, "secret": true }));
        }
        let arguments: Vec<Value> = arguments;
        if given.is_empty() && arguments.is_empty() && variables.is_empty() {
            return Ok(());
        }
        let build = section(input, "build")?;
        build.extend(given);
        append(build, "buildArgs", arguments)?;
        append(build, "environmentVariables", variables)
    }

    /// What access tokens are traded for, if there is an OAuth application.
    fn oauth(&self) -> Outcome<Option<Value>> {
        let Some(name) = &self.oauth_refresh_token_env else { return Ok(None) };
        let mut credentials = json!({ "clientId": self.oauth_client_id, "refreshToken": variable(name)? });
        if let Some(name) = &self.oauth_client_secret_env {
            credentials["clientSecret"] = variable(name)?.into();
        }
        Ok(Some(credentials))
    }

    fn apply_credentials(&self, repository: &mut Map<String, Value>) -> Outcome<()> {
        let key = |file: &PathBuf| std::fs::read_to_string(file).map_err(|error| unreadable(file, &error));
        let (kind, credentials) = match (&self.ssh_key, &self.git_token_env, &self.app_key) {
            (Some(file), ..) => ("ssh_key", json!({ "privateKey": key(file)? })),
            (None, Some(name), _) => ("http_token", json!({ "token": variable(name)? })),
            (None, None, Some(file)) => {
                let (app, installation) = (&self.app_id, &self.installation_id);
                let credentials =
                    json!({ "appId": app, "installationId": installation, "privateKey": key(file)? });
                ("http_token", credentials)
            }
            (None, None, None) => match self.oauth()? {
                Some(credentials) => ("http_token", credentials),
                None => return Ok(()),
            },
        };
        repository.insert("authType".into(), kind.into());
        repository.insert("credentials".into(), credentials);
        Ok(())
    }
}

/// Reads a stack from a TOML or JSON file; `-` is standard input.
pub fn read_file(file: &Path) -> Outcome<Map<String, Value>> {
    let (name, content) = if file == Path::new("-") {
        let mut content = String::new();
        std::io::stdin().read_to_string(&mut content).map_err(|error| unreadable(file, &error))?;
        ("standard input".to_string(), content)
    } else {
        let content = std::fs::read_to_string(file).map_err(|error| unreadable(file, &error))?;
        (file.display().to_string(), content)
    };
    parse(&content, file.extension().is_some_and(|extension| extension == "json")).map_err(|why| {
        Failure::usage(format!("{name} does not describe a stack: {why}."))
            .advise("`windlass stack create --help` shows an example.")
    })
}

/// JSON where the name says so or the text begins like it, else TOML.
fn parse(content: &str, is_json: bool) -> Result<Map<String, Value>, String> {
    if is_json || content.trim_start().starts_with('{') {
        return serde_json::from_str(content).map_err(|error| error.to_string());
    }
    toml::from_str(content).map_err(|error| error.message().trim_end_matches('.').to_string())
}

fn unreadable(file: &Path, error: &std::io::Error) -> Failure {
    let words = error.to_string();
    let why = words.split(" (os error").next().unwrap_or(&words).to_lowercase();
    Failure::usage(format!("{} cannot be read: {why}.", file.display())).advise("Check the path.")
}

pub fn variable(name: &str) -> Outcome<String> {
    std::env::var(name).map_err(|_| {
        Failure::usage(format!("The environment variable {name} is not set, or is no text."))
            .advise(format!("Set it first: export {name}=…"))
    })
}

fn text(map: &mut Map<String, Value>, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        map.insert(key.into(), value.into());
    }
}

fn section<'a>(map: &'a mut Map<String, Value>, key: &str) -> Outcome<&'a mut Map<String, Value>> {
    map.entry(key)
        .or_insert_with(|| Value::Object(Map::new()))
        .as_object_mut()
        .ok_or_else(|| Failure::usage(format!("`{key}` has to be a section in the file.")))
}

fn append(map: &mut Map<String, Value>, key: &str, values: Vec<Value>) -> Outcome<()> {
    if values.is_empty() {
        return Ok(());
    }
    let list = map.entry(key).or_insert_with(|| Value::Array(Vec::new()));
    let list = list
        .as_array_mut()
        .ok_or_else(|| Failure::usage(format!("`{key}` has to be a list in the file.")))?;
    list.extend(values);
    Ok(())
}

fn pair(given: &str) -> Result<(String, String), String> {
    match given.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err("write NAME=VALUE".into()),
    }
}

fn port(given: &str) -> Result<Value, String> {
    let number = |text: &str| match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("`{text}` is not a port between 1 and 65535")),
    };
    let mut parts = given.rsplitn(3, ':');
    let mut port = json!({ "container": number(parts.next().unwrap_or(""))? });
    if let Some(host) = parts.next() {
        port["host"] = number(host)?.into();
    }
    if let Some(address) = parts.next() {
        port["address"] = address.trim_matches(['[', ']']).into();
    }
    Ok(port)
}

fn sticky(given: &str) -> Result<Value, String> {
    match given.split_once(':').unwrap_or((given, "")) {
        ("cookie" | "address", "") if !given.ends_with(':') => Ok(json!({ "by": given })),
        (by @ ("cookie" | "header"), name) if !name.is_empty() => Ok(json!({ "by": by, "name": name })),
        _ => Err("write cookie, cookie:NAME, address or header:NAME".into()),
    }
}

fn volume(given: &str) -> Result<Value, String> {
    match given.split(':').collect::<Vec<_>>()[..] {
        [name, path] => Ok(json!({ "name": name, "path": path })),
        [name, path, "ro"] => Ok(json!({ "name": name, "path": path, "readOnly": true })),
        _ => Err("write NAME:PATH or NAME:PATH:ro".into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_from_the_right() {
        assert_eq!(port("3000").unwrap(), json!({ "container": 3000 }));
        assert_eq!(port("8080:3000").unwrap(), json!({ "container": 3000, "host": 8080 }));
        assert_eq!(port("[::1]:1:2").unwrap(), json!({ "container": 2, "host": 1, "address": "::1" }));
        for odd in ["", "0", "x:1", "1:", "70000"] {
            assert!(port(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn visitors_are_known_by_a_cookie_an_address_or_a_header() {
        assert_eq!(sticky("cookie").unwrap(), json!({ "by": "cookie" }));
        assert_eq!(sticky("cookie:seat").unwrap(), json!({ "by": "cookie", "name": "seat" }));
        assert_eq!(sticky("address").unwrap(), json!({ "by": "address" }));
        assert_eq!(sticky("header:X-User").unwrap(), json!({ "by": "header", "name": "X-User" }));
        for odd in ["", "header", "header:", "cookie:", "address:1", "taste"] {
            assert!(sticky(odd).is_err(), "{odd}");
        }
        let mut input = Map::new();
        let flags = StackFlags {
            host: vec!["a.example".into()],
            sticky: Some(sticky("cookie").unwrap()),
            redirect_https: true,
            ..empty()
        };
        flags.apply(&mut input).unwrap();
        let expected = json!({ "hosts": ["a.example"], "sticky": { "by": "cookie" }, "redirectHttps": true });
        assert_eq!(input["traffic"], expected);
    }

    #[test]
    fn toml_and_json_say_the_same() {
        let toml = parse("name = \"web\"\n[run]\nports = [{ container = 3000 }]\n", false).unwrap();
        let json = parse(" {\"name\":\"web\",\"run\":{\"ports\":[{\"container\":3000}]}}", false).unwrap();
        assert_eq!(toml, json);
        assert!(parse("name = ", false).is_err());
        assert!(parse("[]", true).is_err());
    }

    #[test]
    fn flags_are_laid_over_the_file() {
        let mut input =
            parse("name = \"a\"\n[run]\nreplicas = 2\nports = [{ container = 1 }]\n", false).unwrap();
        let flags = StackFlags { name: Some("b".into()), port: vec![port("2").unwrap()], ..empty() };
        flags.apply(&mut input).unwrap();
        let expected = json!({ "name": "b", "run": { "replicas": 2, "ports": [{ "container": 1 }, { "container": 2 }] } });
        assert_eq!(Value::Object(input), expected);
    }

    #[test]
    fn a_compose_file_is_one_flag() {
        let mut input = Map::new();
        let flags = StackFlags {
            compose_file: Some("deploy/compose.yaml".into()),
            service: Some("web".into()),
            grant: vec!["host-mounts".into()],
            ..empty()
        };
        flags.apply(&mut input).unwrap();
        let expected = json!({
            "build": { "buildType": "compose_only", "composePath": "deploy/compose.yaml" },
            "run": { "service": "web", "grants": ["host-mounts"] },
        });
        assert_eq!(Value::Object(input), expected);
    }

    fn empty() -> StackFlags {
        #[derive(clap::Parser)]
        struct Only {
            #[command(flatten)]
            flags: StackFlags,
        }
        <Only as clap::Parser>::parse_from(["windlass"]).flags
    }
}
