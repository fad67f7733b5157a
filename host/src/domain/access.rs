//! Who may do what: roles, what a person was given, and the one rule that compares it with what an operation asks for.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Id;

/// Each role may do what the one before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sees everything but secrets.
    Viewer,
    /// Changes stacks, and builds.
    Developer,
    /// Deploys, rolls back, and answers what rollouts ask.
    Deployer,
    /// Removes stacks, and decides who is in the team.
    Admin,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Developer, Self::Deployer, Self::Admin];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Developer => "developer",
            Self::Deployer => "deployer",
            Self::Admin => "admin",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

/// What an operation is about. All but the first two are loaded by the parameter of the path that has their name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// Nothing in particular: whoever has the role anywhere, and for `viewer` whoever is logged in. The operation
    /// answers with what the caller may see, and checks what its body names.
    Any,
    /// The installation itself: its administrators only.
    Server,
    Team,
    User,
    Token,
    Project,
    Stack,
    Deployment,
    Build,
    Schedule,
    Task,
    /// A webhook delivery.
    Event,
    /// A pipeline template; `?project=` says whose.
    Template,
    /// Where people are told what happened.
    Channel,
    /// A connection to a CI/CD provider.
    Provider,
    /// A job at a provider.
    CiJob,
    /// A build at a provider.
    CiBuild,
}

impl Subject {
    pub const ALL: [Self; 17] = [
        Self::Any,
        Self::Server,
        Self::Team,
        Self::User,
        Self::Token,
        Self::Project,
        Self::Stack,
        Self::Deployment,
        Self::Build,
        Self::Schedule,
        Self::Task,
        Self::Event,
        Self::Template,
        Self::Channel,
        Self::Provider,
        Self::CiJob,
        Self::CiBuild,
    ];

    /// The word in a policy, and the parameter of the path.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Server => "server",
            Self::Team => "team",
            Self::User => "user",
            Self::Token => "token",
            Self::Project => "project",
            Self::Stack => "stack",
            Self::Deployment => "deployment",
            Self::Build => "build",
            Self::Schedule => "schedule",
            Self::Task => "task",
            Self::Event => "event",
            Self::Template => "template",
            Self::Channel => "channel",
            Self::Provider => "provider",
            Self::CiJob => "ci_job",
            Self::CiBuild => "ci_build",
        }
    }

    /// What it is called where it cannot be found.
    pub fn what(self) -> &'static str {
        match self {
            Self::Event => "webhook event",
            Self::Channel => "notification channel",
            Self::CiJob => "job",
            Self::CiBuild => "CI build",
            other => other.as_str(),
        }
    }

    /// Whether a parameter of that name says which one it is. Seed 4 calls a stack a service and a task a job.
    pub fn is_named_by(self, parameter: &str) -> bool {
        match self {
            Self::Any | Self::Server => false,
            Self::Stack => matches!(parameter, "stack" | "service"),
            Self::Task => matches!(parameter, "task" | "job"),
            other => other.as_str() == parameter,
        }
    }
}

/// What an operation asks for: `deployer:stack` in its declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Policy {
    pub role: Role,
    pub subject: Subject,
}

impl Policy {
    pub fn parse(text: &str) -> Option<Self> {
        let (role, subject) = text.split_once(':')?;
        let subject = Subject::ALL.into_iter().find(|known| known.as_str() == subject)?;
        Some(Self { role: Role::parse(role)?, subject })
    }
}

/// Whose a thing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// A team's, or one of its projects'.
    Team { team: Id, project: Option<Id> },
    /// A person's own.
    Person(Id),
    /// Seen by everybody who is logged in, changed by the installation's administrators.
    Everyone,
    /// The installation's administrators'.
    Installation,
}

/// A role in a team, or in one project of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub team: Id,
    pub project: Option<Id>,
    pub role: Role,
}

/// The most that a token may do, whoever owns it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limit {
    pub role: Option<Role>,
    pub team: Option<Id>,
    pub project: Option<Id>,
}

impl Limit {
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// All that the bearer of a token may do.
#[derive(Debug, Clone)]
pub struct Rights {
    pub user: Id,
    /// An administrator of the installation.
    pub is_admin: bool,
    pub grants: Vec<Grant>,
    pub limit: Limit,
}

impl Rights {
    /// The caller's role where that thing is; `None` if it is not theirs to know that it exists.
    pub fn role_on(&self, owner: &Owner) -> Option<Role> {
        let own = match owner {
            Owner::Team { team, project } => self.in_team(team, project.as_ref())?,
            Owner::Person(id) if *id == self.user => Role::Admin,
            Owner::Person(_) | Owner::Installation if self.is_whole_admin() => Role::Admin,
            Owner::Person(_) | Owner::Installation => return None,
            Owner::Everyone if self.is_whole_admin() => Role::Admin,
            Owner::Everyone => Role::Viewer,
        };
        Some(self.limit.role.map_or(own, |most| own.min(most)))
    }

    fn in_team(&self, team: &Id, project: Option<&Id>) -> Option<Role> {
        let limit = &self.limit;
        if limit.team.as_ref().is_some_and(|only| only != team) {
            return None;
        }
        if limit.project.is_some() && limit.project.as_ref() != project {
            return None;
        }
        if self.is_admin {
            return Some(Role::Admin);
        }
        let mine = self.grants.iter().filter(|grant| grant.team == *team);
        mine.filter(|grant| grant.project.is_none() || grant.project.as_ref() == project)
            .map(|grant| grant.role)
            .max()
    }

    /// An administrator whose token is good for the whole installation, be it in a lesser role.
    fn is_whole_admin(&self) -> bool {
        self.is_admin && self.limit.team.is_none() && self.limit.project.is_none()
    }

    /// An administrator whose token is not limited to less.
    pub fn is_server_admin(&self) -> bool {
        self.is_admin && self.limit.is_none()
    }

    /// The teams that the caller was made an administrator of as a whole: not those of one of the installation, who is it in all.
    pub fn admin_teams(&self) -> BTreeSet<&Id> {
        let named = self.limit.team.iter().chain(self.grants.iter().map(|grant| &grant.team));
        let whole = |team: &Id| Owner::Team { team: team.clone(), project: None };
        named.filter(|team| self.role_on(&whole(team)) == Some(Role::Admin)).collect()
    }

    /// The projects that the caller was made an administrator of on their own; with a token for one project, that one.
    pub fn admin_projects(&self) -> BTreeSet<&Id> {
        if self.limit.role.is_some_and(|most| most < Role::Admin) {
            return BTreeSet::new();
        }
        let is_good = |team: &Id| self.limit.team.as_ref().is_none_or(|only| only == team);
        let mut given = self.grants.iter().filter(|grant| grant.role == Role::Admin && is_good(&grant.team));
        let Some(only) = &self.limit.project else {
            return given.filter_map(|grant| grant.project.as_ref()).collect();
        };
        let covers = |grant: &Grant| grant.project.as_ref().is_none_or(|project| project == only);
        let is_theirs = self.is_admin || given.any(covers);
        is_theirs.then_some(only).into_iter().collect()
    }

    /// The strongest role that the caller has somewhere.
    pub fn strongest(&self) -> Role {
        Role::ALL.into_iter().rev().find(|role| self.has_anywhere(*role)).unwrap_or(Role::Viewer)
    }

    /// Whether the caller has at least that role somewhere.
    pub fn has_anywhere(&self, role: Role) -> bool {
        if self.limit.role.is_some_and(|most| most < role) {
            return false;
        }
        role == Role::Viewer || self.is_admin || self.grants.iter().any(|grant| grant.role >= role)
    }
}

/// What lists are narrowed to: everything, or what the bearer of one token may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach(Option<Id>);

impl Reach {
    /// For the server itself and its administrators.
    pub const EVERYTHING: Self = Self(None);

    pub fn of_token(token: &Id) -> Self {
        Self(Some(token.clone()))
    }

    /// The token's id, or an empty text for everything.
    pub fn as_str(&self) -> &str {
        self.0.as_ref().map_or("", Id::as_str)
    }
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
