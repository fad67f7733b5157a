//! What `bindgen!` makes of `wit/`.
//!
//! Each interface has a world of its own, so that a call binds nothing but what it uses, one component may be of several
//! kinds, and nobody has to export what is optional. The shared types exist once, in `base`.

pub(super) mod base {
    wasmtime::component::bindgen!({
        path: ["../wit/types.wit", "../wit/host.wit", "../wit/plugin.wit"],
        inline: "
            package windlass:adapter-base;
            world base {
                import windlass:host/log@0.1.0;
                import windlass:host/http@0.1.0;
                export windlass:plugin/manifest@0.1.0;
            }
        ",
        // A call whose time ends while it waits ends there and then.
        imports: { "windlass:host/http.send": trappable },
        additional_derives: [serde::Serialize],
    });
}

pub(super) mod forge {
    wasmtime::component::bindgen!({
        path: ["../wit/types.wit", "../wit/host.wit", "../wit/plugin.wit", "../wit/git-forge.wit"],
        inline: "
            package windlass:adapter-forge;
            world forge { export windlass:git-forge/forge@0.1.0; }
        ",
        with: { "windlass:types/types@0.1.0": super::base::windlass::types::types },
        additional_derives: [serde::Serialize],
    });
}

pub(super) mod planner {
    wasmtime::component::bindgen!({
        path: ["../wit/types.wit", "../wit/plugin.wit", "../wit/build-planner.wit"],
        inline: "
            package windlass:adapter-planner;
            world planner { export windlass:build-planner/planner@0.1.0; }
        ",
        with: { "windlass:types/types@0.1.0": super::base::windlass::types::types },
        additional_derives: [serde::Serialize],
    });
}

pub(super) mod strategy {
    wasmtime::component::bindgen!({
        path: ["../wit/types.wit", "../wit/plugin.wit", "../wit/deployment-strategy.wit"],
        inline: "
            package windlass:adapter-strategy;
            world strategy { export windlass:deployment-strategy/strategy@0.1.0; }
        ",
        with: { "windlass:types/types@0.1.0": super::base::windlass::types::types },
        additional_derives: [serde::Serialize],
    });
}

pub(super) mod provider {
    wasmtime::component::bindgen!({
        path: ["../wit/types.wit", "../wit/host.wit", "../wit/plugin.wit", "../wit/ci-provider.wit"],
        inline: "
            package windlass:adapter-provider;
            world provider { export windlass:ci-provider/provider@0.1.0; }
        ",
        with: {
            "windlass:types/types@0.1.0": super::base::windlass::types::types,
        },
        additional_derives: [serde::Serialize],
    });
}

pub(super) mod webhooks {
    wasmtime::component::bindgen!({
        path: ["../wit/types.wit", "../wit/host.wit", "../wit/plugin.wit", "../wit/ci-provider.wit"],
        inline: "
            package windlass:adapter-webhooks;
            world webhooks { export windlass:ci-provider/webhooks@0.1.0; }
        ",
        with: {
            "windlass:types/types@0.1.0": super::base::windlass::types::types,
            "windlass:ci-provider/types@0.1.0": super::provider::windlass::ci_provider::types,
        },
        additional_derives: [serde::Serialize],
    });
}

pub(super) mod artifacts {
    wasmtime::component::bindgen!({
        path: ["../wit/types.wit", "../wit/host.wit", "../wit/plugin.wit", "../wit/ci-provider.wit"],
        inline: "
            package windlass:adapter-artifacts;
            world artifacts { export windlass:ci-provider/artifacts@0.1.0; }
        ",
        with: {
            "windlass:types/types@0.1.0": super::base::windlass::types::types,
            "windlass:ci-provider/types@0.1.0": super::provider::windlass::ci_provider::types,
        },
        additional_derives: [serde::Serialize],
    });
}

pub(super) mod repository {
    wasmtime::component::bindgen!({
        path: ["../wit/types.wit", "../wit/host.wit", "../wit/plugin.wit", "../wit/git-forge.wit"],
        inline: "
            package windlass:adapter-repository;
            world repository { export windlass:git-forge/repository@0.1.0; }
        ",
        with: {
            "windlass:types/types@0.1.0": super::base::windlass::types::types,
        },
        additional_derives: [serde::Serialize],
    });
}

pub(super) mod webhook_admin {
    wasmtime::component::bindgen!({
        path: ["../wit/types.wit", "../wit/host.wit", "../wit/plugin.wit", "../wit/git-forge.wit"],
        inline: "
            package windlass:adapter-webhook-admin;
            world webhook-admin { export windlass:git-forge/webhook-admin@0.1.0; }
        ",
        with: {
            "windlass:types/types@0.1.0": super::base::windlass::types::types,
        },
        additional_derives: [serde::Serialize],
    });
}

pub(super) mod commit_status {
    wasmtime::component::bindgen!({
        path: ["../wit/types.wit", "../wit/host.wit", "../wit/plugin.wit", "../wit/git-forge.wit"],
        inline: "
            package windlass:adapter-commit-status;
            world commit-status { export windlass:git-forge/commit-status@0.1.0; }
        ",
        with: {
            "windlass:types/types@0.1.0": super::base::windlass::types::types,
        },
        additional_derives: [serde::Serialize],
    });
}

pub(super) mod pull_requests {
    wasmtime::component::bindgen!({
        path: ["../wit/types.wit", "../wit/host.wit", "../wit/plugin.wit", "../wit/git-forge.wit"],
        inline: "
            package windlass:adapter-pull-requests;
            world pull-requests { export windlass:git-forge/pull-requests@0.1.0; }
        ",
        with: {
            "windlass:types/types@0.1.0": super::base::windlass::types::types,
        },
        additional_derives: [serde::Serialize],
    });
}

pub(super) mod deployments {
    wasmtime::component::bindgen!({
        path: ["../wit/types.wit", "../wit/host.wit", "../wit/plugin.wit", "../wit/git-forge.wit"],
        inline: "
            package windlass:adapter-deployments;
            world deployments { export windlass:git-forge/deployments@0.1.0; }
        ",
        with: {
            "windlass:types/types@0.1.0": super::base::windlass::types::types,
        },
        additional_derives: [serde::Serialize],
    });
}

pub(super) mod generator {
    wasmtime::component::bindgen!({
        path: ["../wit/types.wit", "../wit/plugin.wit", "../wit/pipeline-generator.wit"],
        inline: "
            package windlass:adapter-generator;
            world generator { export windlass:pipeline-generator/generator@0.1.0; }
        ",
        with: {
            "windlass:types/types@0.1.0": super::base::windlass::types::types,
        },
        additional_derives: [serde::Serialize],
    });
}

pub(super) mod notifier {
    wasmtime::component::bindgen!({
        path: ["../wit/types.wit", "../wit/plugin.wit", "../wit/notifier.wit"],
        inline: "
            package windlass:adapter-notifier;
            world notifier { export windlass:notifier/renderer@0.1.0; }
        ",
        with: {
            "windlass:types/types@0.1.0": super::base::windlass::types::types,
        },
        additional_derives: [serde::Serialize],
    });
}

/// The text of the contract. Its hash is part of what a cached check is valid for.
pub(super) const CONTRACT: [&str; 9] = [
    include_str!("../../../wit/types.wit"),
    include_str!("../../../wit/host.wit"),
    include_str!("../../../wit/plugin.wit"),
    include_str!("../../../wit/git-forge.wit"),
    include_str!("../../../wit/build-planner.wit"),
    include_str!("../../../wit/deployment-strategy.wit"),
    include_str!("../../../wit/ci-provider.wit"),
    include_str!("../../../wit/pipeline-generator.wit"),
    include_str!("../../../wit/notifier.wit"),
];
