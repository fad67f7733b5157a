//! The functions of every interface that a plugin may export, compared one by one with what the component has.

use wasmtime::Engine;
use wasmtime::component::types::{Component as ComponentType, ComponentInstance, ComponentItem};
use wasmtime::component::{ComponentNamedList, Lift, Lower};

use super::bindings::artifacts::exports::windlass::ci_provider::artifacts;
use super::bindings::base::exports::windlass::plugin::manifest;
use super::bindings::base::windlass::types::types::{Connection, Delivery, Failure, Problem};
use super::bindings::commit_status::exports::windlass::git_forge::commit_status;
use super::bindings::deployments::exports::windlass::git_forge::deployments;
use super::bindings::forge::exports::windlass::git_forge::forge;
use super::bindings::generator::exports::windlass::pipeline_generator::generator;
use super::bindings::notifier::exports::windlass::notifier::renderer;
use super::bindings::planner::exports::windlass::build_planner::planner;
use super::bindings::provider::exports::windlass::ci_provider::provider;
use super::bindings::provider::windlass::ci_provider::types::Build;
use super::bindings::pull_requests::exports::windlass::git_forge::pull_requests;
use super::bindings::repository::exports::windlass::git_forge::repository;
use super::bindings::strategy::exports::windlass::deployment_strategy::strategy;
use super::bindings::webhook_admin::exports::windlass::git_forge::webhook_admin;
use super::bindings::webhooks::exports::windlass::ci_provider::webhooks;
use super::contract::{MANIFEST, VERSION, report};
use super::text;

/// One exported interface of a component.
pub(super) struct Export<'a> {
    pub(super) engine: &'a Engine,
    /// As the component has it, with its version.
    pub(super) name: &'a str,
    pub(super) instance: &'a ComponentInstance,
    pub(super) component: &'a ComponentType,
}

/// What a function answers that may fail.
type Answer<T> = (Result<T, Failure>,);

/// Adds a sentence to `found` for each function that is missing or has another type.
pub(super) fn check(interface: &str, export: &Export, found: &mut Vec<String>) {
    match interface {
        MANIFEST => export.check::<(), (manifest::Manifest,)>("describe", found),
        "windlass:ci-provider/provider" => provider(export, found),
        "windlass:ci-provider/webhooks" => {
            export.check::<(Delivery,), Answer<webhooks::Event>>("parse", found);
        }
        "windlass:ci-provider/artifacts" => {
            type At = (Connection, String, String, String, Option<String>);
            export.check::<(Connection, String, String), Answer<Vec<artifacts::Artifact>>>(
                "list-artifacts",
                found,
            );
            export.check::<At, Answer<artifacts::ArtifactChunk>>("read-artifact", found);
        }
        "windlass:git-forge/forge" => {
            export.check::<(Delivery,), Answer<forge::Event>>("parse-webhook", found);
        }
        "windlass:pipeline-generator/generator" => {
            export.check::<(generator::Model,), (Vec<Problem>,)>("validate", found);
            export.check::<(generator::Model,), Answer<Vec<generator::File>>>("generate", found);
        }
        "windlass:build-planner/planner" => {
            export.check::<(planner::BuildConfig,), (Vec<Problem>,)>("validate", found);
            export.check::<(planner::Context,), Answer<Vec<planner::BuildStep>>>("plan", found);
        }
        "windlass:deployment-strategy/strategy" => {
            export.check::<(String, strategy::Stack), (Vec<Problem>,)>("validate", found);
            export.check::<(Vec<u8>, strategy::Situation), Answer<strategy::Step>>("decide", found);
        }
        "windlass:deployment-strategy/timing" => {
            export.check::<(String, u32, u64), (u64,)>("longest-wait", found);
        }
        "windlass:notifier/renderer" => {
            export.check::<(Connection, renderer::Event), Answer<Vec<renderer::Request>>>("render", found);
        }
        _ => additions_of_a_forge(interface, export, found),
    }
}

fn provider(export: &Export, found: &mut Vec<String>) {
    type OfJob = (Connection, String);
    type OfBuild = (Connection, String, String);
    type At = (Connection, String, String, Option<String>);
    export.check::<(Connection,), Answer<provider::Account>>("test-connection", found);
    export.check::<(Connection, provider::JobSpec), Answer<provider::Job>>("create-job", found);
    export.check::<(Connection, String, provider::Trigger), Answer<Build>>("trigger-job", found);
    export.check::<OfJob, Answer<provider::Job>>("get-job-status", found);
    export.check::<OfBuild, Answer<Build>>("get-build-status", found);
    export.check::<At, Answer<provider::LogChunk>>("get-build-logs", found);
    export.check::<OfBuild, Answer<()>>("cancel-build", found);
    export.check::<OfJob, Answer<()>>("delete-job", found);
}

fn additions_of_a_forge(interface: &str, export: &Export, found: &mut Vec<String>) {
    type OfRepository = (Connection, String);
    type OfPullRequest = (Connection, String, u64);
    type Comment = (Connection, String, u64, String, String);
    match interface {
        "windlass:git-forge/repository" => {
            export.check::<OfRepository, Answer<String>>("get-default-branch", found);
            export.check::<OfRepository, Answer<repository::Details>>("get-repository-details", found);
        }
        "windlass:git-forge/webhook-admin" => {
            export.check::<(Connection, webhook_admin::Hook), Answer<String>>("register", found);
            export.check::<(Connection, String, String), Answer<()>>("unregister", found);
        }
        "windlass:git-forge/commit-status" => {
            export.check::<(Connection, commit_status::Status), Answer<()>>("set-commit-status", found);
        }
        "windlass:git-forge/deployments" => {
            export.check::<(Connection, deployments::Deployment), Answer<String>>("set-deployment", found);
        }
        "windlass:git-forge/pull-requests" => {
            type Page = Answer<pull_requests::Page>;
            export.check::<(Connection, String, Option<String>), Page>("list-open", found);
            export.check::<OfPullRequest, Answer<pull_requests::PullRequest>>("get-pull-request", found);
            export.check::<Comment, Answer<()>>("set-comment", found);
        }
        other => found.push(format!("this host has no check for `{other}`")),
    }
}

impl Export<'_> {
    fn check<Params, Return>(&self, function: &str, found: &mut Vec<String>)
    where
        Params: ComponentNamedList + Lower,
        Return: ComponentNamedList + Lift,
    {
        match self.instance.get_export(self.engine, function).map(|item| item.ty) {
            Some(ComponentItem::ComponentFunc(func)) => {
                let checked = func.typecheck::<Params, Return>(&self.component.instance_type());
                report(checked, "exports", self.name, function, found);
            }
            _ => found.push(format!(
                "it exports `{}` without the function `{function}`, which the host's version {VERSION} has",
                text::line(self.name, 256)
            )),
        }
    }
}
