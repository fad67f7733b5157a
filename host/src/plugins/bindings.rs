//! What `bindgen!` makes of `wit/`.
//!
//! Each kind's interface has a world of its own, so that a call binds nothing but what it uses and one component may be
//! of several kinds. The shared types exist once, in `base`.

pub(super) mod base {
    wasmtime::component::bindgen!({
        path: ["../wit/types.wit", "../wit/host.wit", "../wit/plugin.wit"],
        inline: "
            package windlass:adapter-base;
            world base {
                import windlass:host/log@0.1.0;
                export windlass:plugin/manifest@0.1.0;
            }
        ",
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

/// The text of the contract. Its hash is part of what a cached check is valid for.
pub(super) const CONTRACT: [&str; 6] = [
    include_str!("../../../wit/types.wit"),
    include_str!("../../../wit/host.wit"),
    include_str!("../../../wit/plugin.wit"),
    include_str!("../../../wit/git-forge.wit"),
    include_str!("../../../wit/build-planner.wit"),
    include_str!("../../../wit/deployment-strategy.wit"),
];
