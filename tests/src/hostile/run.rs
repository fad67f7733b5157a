//! Loads the suite beside a plugin of ours, and provokes each of it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tempfile::TempDir;
use windlass::error::{Error, PluginErrorKind};
use windlass::plugins::{Plugins, Settings, Target};

use super::requests::{World, connection};
use super::{Act, End, Hostile, all};
use crate::calls;
use crate::guests::trusted;
use crate::sample;
use crate::server::program;

/// The plugin that goes on working meanwhile: a built-in strategy.
pub const NEIGHBOUR: &str = "standard";

/// The whole suite, loaded by a server's own means.
pub struct Suite {
    pub hostile: Vec<Hostile>,
    pub plugins: Plugins,
    pub cpu: Duration,
    pub wall: Duration,
    _world: World,
    _folder: TempDir,
}

impl Suite {
    /// With this patience for each call.
    pub async fn start(cpu: Duration, wall: Duration) -> Self {
        let (world, folder) = (World::start().await, TempDir::new().unwrap());
        let mut settings = Settings::new(folder.path().join("plugins"));
        settings.compiler = Some(program());
        settings.network = world.network.clone();
        settings.limits.cpu = cpu;
        settings.limits.wall = wall;
        // What is meant to take too long to compile is not waited for.
        settings.limits.compile.cpu = Duration::from_secs(2);
        // Each is called many times, and it is all one team's: breakers and budgets have tests of their own.
        settings.limits.breaker.faults = u32::MAX;
        settings.limits.team_factor = 1000;
        let hostile = all();
        for one in &hostile {
            let path = folder.path().join(format!("{}.wasm", one.name()));
            std::fs::write(&path, &one.component).unwrap();
            settings.sources.push(trusted(&one.name(), path));
        }
        let plugins = Plugins::start(settings).await.unwrap();
        Self { hostile, plugins, cpu, wall, _world: world, _folder: folder }
    }

    /// What is wrong with how it ended; nothing where it ended as it has to.
    pub async fn try_out(&self, hostile: &Hostile) -> Option<String> {
        let ended = provoke(&self.plugins, hostile).await;
        let wrong = ended.iter().find_map(|kind| self.objection(hostile.end, kind.as_ref()))?;
        Some(format!("`{}`: {wrong}", hostile.does))
    }

    fn objection(&self, wanted: End, kind: Option<&PluginErrorKind>) -> Option<String> {
        let Some(kind) = kind else { return Some(format!("it answered, instead of {wanted:?}")) };
        let said = kind.to_string();
        let is_wanted = match (wanted, kind) {
            (End::Load(part), PluginErrorKind::Load(text))
            | (End::Trap(part), PluginErrorKind::Trap(text))
            | (End::Nonsense(part), PluginErrorKind::Nonsense(text)) => text.contains(part),
            (End::Processor, PluginErrorKind::Timeout { milliseconds }) => is_about(*milliseconds, self.cpu),
            (End::Clock, PluginErrorKind::Timeout { milliseconds }) => is_about(*milliseconds, self.wall),
            (End::Memory, PluginErrorKind::Memory { .. }) => true,
            (End::Failure(wanted, part), PluginErrorKind::Failure { code, message, .. }) => {
                code == wanted && message.contains(part)
            }
            _ => false,
        };
        if !is_wanted {
            return Some(format!("{said}, instead of {wanted:?}"));
        }
        let is_readable = said.len() <= 8192 && !said.chars().any(char::is_control);
        (!is_readable).then(|| format!("{} bytes that are not fit to be printed", said.len()))
    }
}

/// Not before its time, to within a tick. How long after it is for a quiet machine to say: `make bench` does.
fn is_about(milliseconds: u64, limit: Duration) -> bool {
    let limit = limit.as_millis() as u64;
    (limit.saturating_sub(10)..limit * 5 + 1000).contains(&milliseconds)
}

/// How each of its calls ended; `None` where there was an answer.
pub async fn provoke(plugins: &Plugins, hostile: &Hostile) -> Vec<Option<PluginErrorKind>> {
    let name = hostile.name();
    let parse = |on| plugins.forge_parse_on(&name, Vec::new(), Bytes::new(), on);
    let ended = match hostile.act {
        Act::Load => {
            let status = plugins.inspect(&name).unwrap();
            return vec![status.error.map(PluginErrorKind::Load)];
        }
        Act::Decide => plugins.strategy_decide(&name, Vec::new(), &sample::situation()).await.err(),
        Act::Validate => plugins.strategy_validate(&name, "{}", &sample::situation().stack).await.err(),
        Act::Parse => parse(None).await.err(),
        Act::Send(base) => parse(Some(Arc::new(connection(base)))).await.err(),
        Act::Everything(kind) => {
            let connection = Arc::new(connection("http://ci.example"));
            let target = Target { connection, settings: json!({}) };
            let said = calls::every_call(plugins, &name, kind, &target).await;
            return said.into_iter().map(|said| said.error.map(kind_of)).collect();
        }
    };
    vec![ended.map(kind_of)]
}

fn kind_of(error: Error) -> PluginErrorKind {
    match error {
        Error::Plugin(error) => error.kind,
        other => panic!("{other:?}"),
    }
}
