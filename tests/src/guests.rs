//! Small hostile plugins, written in the text format of WebAssembly and put together when a test runs.
//!
//! A guest is one core module whose memory is laid out by hand as the canonical ABI wants it: the manifest at
//! [`MANIFEST`], zeros at [`ANSWER`]. Zeros are a good answer: for a strategy an empty step, for a forge a ping.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use windlass::plugins::{PluginSource, Source};

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{Resolve, WorldItem};

const MANIFEST: usize = 1024;
const TEXTS: usize = 2048;
/// Where guests put what they answer.
pub const ANSWER: usize = 4096;
/// Where the manifest's credentials and permissions lie.
const LISTS: usize = 32 << 10;
/// Where a settings schema of one's own lies, since it may be long.
const SCHEMA: usize = 1 << 20;

const WIT: [(&str, &str); 9] = [
    ("types.wit", include_str!("../../wit/types.wit")),
    ("host.wit", include_str!("../../wit/host.wit")),
    ("plugin.wit", include_str!("../../wit/plugin.wit")),
    ("git-forge.wit", include_str!("../../wit/git-forge.wit")),
    ("build-planner.wit", include_str!("../../wit/build-planner.wit")),
    ("deployment-strategy.wit", include_str!("../../wit/deployment-strategy.wit")),
    ("ci-provider.wit", include_str!("../../wit/ci-provider.wit")),
    ("pipeline-generator.wit", include_str!("../../wit/pipeline-generator.wit")),
    ("notifier.wit", include_str!("../../wit/notifier.wit")),
];

/// Names and values.
type Extras = Vec<(String, String)>;

#[derive(Clone)]
pub struct Guest {
    name: String,
    /// What the manifest says it is.
    kind: String,
    interfaces: Vec<String>,
    /// The functions of the interfaces.
    functions: String,
    /// The bodies of `describe` and of `cabi_realloc`, in which `$at` is a good address.
    describe: String,
    reallocate: String,
    schema: Option<String>,
    declares_webhooks: bool,
    /// Imports of the core module, and of the world.
    imports: (String, String),
    /// Further WIT packages.
    packages: Vec<String>,
    /// Replacements in every text, to speak another version of the contract.
    replaced: Vec<(String, String)>,
    pages: u32,
    /// Name, injection and extras of each slot.
    credentials: Vec<(String, String, Extras)>,
    /// Methods and path of each.
    permissions: Vec<(Vec<String>, String)>,
    /// Bytes that lie in memory from the beginning.
    data: Vec<(usize, Vec<u8>)>,
    version: String,
}

impl Guest {
    /// A strategy whose `decide` runs `body`, which has to leave the address of an answer.
    pub fn strategy(name: &str, body: &str) -> Self {
        let interface = "windlass:deployment-strategy/strategy@0.1.0";
        let functions = format!(
            "(func (export \"{interface}#validate\") (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i64 i32 i32 i32)
                (result i32) i32.const {ANSWER})
             (global $count (mut i32) (i32.const 0))
             (func (export \"{interface}#decide\") (param i32) (result i32) {body})"
        );
        Self::new(name, "deployment-strategy", &[interface], functions)
    }

    /// A forge whose `parse-webhook` runs `body`, which has to leave the address of an answer.
    pub fn forge(name: &str, body: &str) -> Self {
        let interface = "windlass:git-forge/forge@0.1.0";
        let functions = format!(
            "(func (export \"{interface}#parse-webhook\") (param i32 i32 i32 i32) (result i32) (local $i i32) {body})"
        );
        Self::new(name, "git-forge", &[interface], functions)
    }

    /// A notifier whose `render` runs `body`, which has to leave the address of an answer.
    pub fn notifier(name: &str, body: &str) -> Self {
        let interface = "windlass:notifier/renderer@0.1.0";
        let functions = format!("(func (export \"{interface}#render\") (param i32) (result i32) {body})");
        Self::new(name, "notifier", &[interface], functions)
    }

    /// A notifier that finds nothing worth telling: the smallest plugin that the conformance suite lets pass.
    pub fn good(name: &str) -> Self {
        Self::notifier(name, &format!("i32.const {ANSWER}"))
    }

    /// Of this kind, with these interfaces, each function of which traps at once.
    pub fn trapping(name: &str, kind: &str, interfaces: &[&str]) -> Self {
        let (resolve, world) = world(&|text| text.to_owned(), &[], "", interfaces);
        let mut functions = String::new();
        let exports = resolve.worlds[world].exports.values().filter_map(|item| match item {
            WorldItem::Interface { id, .. } => Some(*id),
            _ => None,
        });
        for id in exports {
            let interface = resolve.id_of(id).expect("it has a name");
            for function in resolve.interfaces[id].functions.values().filter(|it| it.name != "describe") {
                let signature = resolve.wasm_signature(AbiVariant::GuestExport, function);
                let types = |all: &[WasmType]| all.iter().map(|one| core_type(*one)).collect::<String>();
                let (params, results) = (types(&signature.params), types(&signature.results));
                let _ = write!(
                    functions,
                    "(func (export \"{interface}#{}\") (param {params}) (result {results}) unreachable)",
                    function.name
                );
            }
        }
        Self::new(name, kind, interfaces, functions)
    }

    fn new(name: &str, kind: &str, interfaces: &[&str], functions: String) -> Self {
        Self {
            name: name.into(),
            kind: kind.into(),
            interfaces: interfaces.iter().map(|&interface| interface.to_owned()).collect(),
            functions,
            describe: format!("i32.const {MANIFEST}"),
            reallocate: "local.get $at".into(),
            schema: None,
            declares_webhooks: false,
            imports: (String::new(), String::new()),
            packages: Vec::new(),
            replaced: Vec::new(),
            pages: 2,
            credentials: Vec::new(),
            permissions: Vec::new(),
            data: Vec::new(),
            version: "1.0.0".into(),
        }
    }

    pub fn named(self, name: &str) -> Self {
        Self { name: name.into(), ..self }
    }

    /// The manifest says that it is of this kind.
    pub fn claiming(self, kind: &str) -> Self {
        Self { kind: kind.into(), ..self }
    }

    /// Runs `body` in `describe`; it has to leave the manifest's address.
    pub fn describing(self, body: &str) -> Self {
        Self { describe: body.into(), ..self }
    }

    /// Runs `body` when the host wants memory; it has to leave an address.
    pub fn reallocating(self, body: &str) -> Self {
        Self { reallocate: body.into(), ..self }
    }

    /// A settings schema, good or bad.
    pub fn with_schema(self, schema: &str) -> Self {
        let pages = u32::try_from((SCHEMA + schema.len()) >> 16).expect("a schema of a test") + 1;
        Self { schema: Some(schema.into()), pages: self.pages.max(pages), ..self }
    }

    /// Declares webhooks that carry their secret in the header `x-token`.
    pub fn with_webhooks(self) -> Self {
        Self { declares_webhooks: true, ..self }
    }

    /// Adds a credential slot to the manifest.
    pub fn with_credential(mut self, name: &str, injection: &str, extras: &[(&str, &str)]) -> Self {
        let extras = extras.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        self.credentials.push((name.to_owned(), injection.to_owned(), extras));
        self
    }

    /// Asks for a credential slot of that name.
    pub fn asking(self, credential: &str) -> Self {
        self.with_credential(credential, "bearer", &[])
    }

    /// Another version, so other bytes.
    pub fn version(mut self, version: &str) -> Self {
        self.version = version.into();
        self
    }

    /// Runs `body` in `validate` as well.
    pub fn validating(self, body: &str) -> Self {
        let answering = format!("(result i32) i32.const {ANSWER})");
        let functions = self.functions.replacen(&answering, &format!("(result i32) {body})"), 1);
        Self { functions, ..self }
    }

    /// Adds functions of its own to the core module.
    pub fn with_functions(mut self, functions: &str) -> Self {
        self.functions.push_str(functions);
        self
    }

    /// Adds a permission to the manifest.
    pub fn with_permission(mut self, methods: &[&str], path: &str) -> Self {
        self.permissions.push((methods.iter().map(|&method| method.to_owned()).collect(), path.to_owned()));
        self
    }

    /// Gives the core module `$log` (level, message, fields).
    pub fn with_log(self) -> Self {
        self.with_import(
            "(import \"windlass:host/log@0.1.0\" \"emit\" (func $log (param i32 i32 i32 i32 i32)))",
            "import windlass:host/log@0.1.0;",
            None,
        )
    }

    /// Adds an import to the core module and to the world, and the package it is from.
    pub fn with_import(mut self, core: &str, world: &str, package: Option<&str>) -> Self {
        self.imports.0.push_str(core);
        self.imports.1.push_str(world);
        self.packages.extend(package.map(str::to_owned));
        self
    }

    /// Replaces a text in the contract and in the guest.
    pub fn replacing(mut self, from: &str, to: &str) -> Self {
        self.replaced.push((from.into(), to.into()));
        self
    }

    /// Pages of 64 KiB that the memory begins with.
    pub fn with_pages(mut self, pages: u32) -> Self {
        self.pages = pages;
        self
    }

    /// Puts bytes into memory before the guest runs.
    pub fn with_data(mut self, at: usize, bytes: Vec<u8>) -> Self {
        self.data.push((at, bytes));
        self
    }

    /// Writes the component into a folder and returns its bytes.
    pub fn write(&self, path: &Path) -> Vec<u8> {
        let bytes = self.build();
        std::fs::write(path, &bytes).expect("the folder of a test can be written");
        bytes
    }

    pub fn build(&self) -> Vec<u8> {
        let interfaces: Vec<&str> = self.interfaces.iter().map(String::as_str).collect();
        let (resolve, world) =
            world(&|text| self.replace(text), &self.packages, &self.imports.1, &interfaces);
        let mut module = wat::parse_str(self.replace(&self.module())).expect("the guest is good WAT");
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
            .expect("the world can be written down");
        ComponentEncoder::default()
            .module(&module)
            .and_then(|encoder| encoder.encode())
            .expect("the guest fits the world")
    }

    fn replace(&self, text: &str) -> String {
        self.replaced.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    }

    fn module(&self) -> String {
        format!(
            "(module
               {}
               (memory (export \"memory\") {})
               (global $heap (mut i32) (i32.const 65536))
               (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32)
                 (local $at i32)
                 (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
                 (global.set $heap (i32.add (local.get $at) (local.get 3)))
                 {})
               (func (export \"windlass:plugin/manifest@0.1.0#describe\") (result i32) {})
               {}
               {}
               {})",
            self.imports.0,
            self.pages,
            self.reallocate,
            self.describe,
            self.functions,
            self.manifest(),
            self.data.iter().map(|(at, bytes)| segment(*at, bytes)).collect::<String>(),
        )
    }

    /// The manifest's record and its texts as data segments.
    fn manifest(&self) -> String {
        let mut texts = String::new();
        let mut place = |text: &str| {
            let at = TEXTS + texts.len();
            texts.push_str(text);
            [at, text.len()]
        };
        let [name, version, summary, kind, mut schema] =
            [&*self.name, &*self.version, "A guest of the tests", &*self.kind, "{}"].map(&mut place);
        let own_schema = self.schema.as_ref().map_or_else(String::new, |text| {
            schema = [SCHEMA, text.len()];
            segment(SCHEMA, text.as_bytes())
        });
        // The list of kinds has one element, which is a string: an address and a length.
        let kinds = ANSWER - 16;
        let mut words: Vec<usize> = [name, version, summary, [kinds, 1], schema].concat();
        let mut lists = Layout::at(LISTS);
        let slots = self.credentials.iter().map(|(name, injection, extras)| {
            let extras = lists.pairs(extras);
            [lists.text(name), lists.text(name), lists.text(injection), [1, extras[0]], [extras[1], 0]]
                .concat()
        });
        // A slot's `required` is one byte in a word of its own, and the record has nine words.
        let slots: Vec<Vec<usize>> = slots.map(|words| words[..9].to_vec()).collect();
        words.extend(lists.records(&slots));
        let permissions: Vec<Vec<usize>> = self
            .permissions
            .iter()
            .map(|(methods, path)| {
                let methods: Vec<Vec<usize>> =
                    methods.iter().map(|method| lists.text(method).to_vec()).collect();
                // Without extras.
                [lists.records(&methods), lists.text(path), lists.text("To test it"), [0, 0]].concat()
            })
            .collect();
        words.extend(lists.records(&permissions));
        if self.declares_webhooks {
            let scheme = ["token", "shared-token", "x-token", "", "plain", ""];
            let scheme: Vec<usize> =
                scheme.into_iter().flat_map(|text| lists.text(text)).chain([0, 0]).collect();
            words.push(1);
            words.extend(lists.records(&[scheme]));
        }
        // What is left out is empty: webhooks, their headers, extras.
        words.resize(23, 0);
        let texts = texts.replace('"', "\\\"");
        format!(
            "(data (i32.const {MANIFEST}) \"{}\") (data (i32.const {TEXTS}) \"{texts}\")
             (data (i32.const {kinds}) \"{}\") (data (i32.const {LISTS}) \"{}\") {own_schema}",
            bytes_of(&words),
            bytes_of(&kind),
            escaped(&lists.bytes),
        )
    }
}

/// The world of a guest in `wit/`, each text changed by `replace`.
fn world(
    replace: &dyn Fn(&str) -> String,
    packages: &[String],
    imports: &str,
    interfaces: &[&str],
) -> (Resolve, wit_parser::WorldId) {
    let mut resolve = Resolve::default();
    let is_used = |path: &str| {
        let package = format!("windlass:{}/", path.trim_end_matches(".wit"));
        interfaces.iter().any(|interface| interface.starts_with(&package))
    };
    for (path, text) in WIT {
        if ["types.wit", "host.wit", "plugin.wit"].contains(&path) || is_used(path) {
            resolve.push_str(path, &replace(text)).expect("the contract is good WIT");
        }
    }
    for text in packages {
        resolve.push_str("foreign.wit", text).expect("a test's package is good WIT");
    }
    let exports: String = interfaces.iter().map(|interface| format!("export {interface};")).collect();
    let world = format!(
        "package test:guest; world guest {{ {imports} export windlass:plugin/manifest@0.1.0; {exports} }}"
    );
    let package = resolve.push_str("guest.wit", &replace(&world)).expect("the world is good WIT");
    let world = resolve.select_world(&[package], None).expect("there is one world");
    (resolve, world)
}

fn core_type(of: WasmType) -> &'static str {
    match of {
        WasmType::I64 | WasmType::PointerOrI64 => "i64 ",
        WasmType::F32 => "f32 ",
        WasmType::F64 => "f64 ",
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "i32 ",
    }
}

/// Bytes for a guest's memory, in which later ones hold addresses of earlier ones.
pub struct Layout {
    at: usize,
    pub bytes: Vec<u8>,
}

impl Layout {
    /// The bytes will lie at that address.
    pub fn at(at: usize) -> Self {
        Self { at, bytes: Vec::new() }
    }

    /// Address and length of bytes.
    pub fn text(&mut self, text: impl AsRef<[u8]>) -> [usize; 2] {
        let at = self.at + self.bytes.len();
        self.bytes.extend_from_slice(text.as_ref());
        [at, text.as_ref().len()]
    }

    /// Address and length of a list whose elements are these words.
    pub fn records(&mut self, records: &[Vec<usize>]) -> [usize; 2] {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        let words: Vec<u8> = records.iter().flatten().flat_map(|word| (*word as u32).to_le_bytes()).collect();
        [self.text(words)[0], records.len()]
    }

    /// Address and length of a list of pairs of strings.
    pub fn pairs(&mut self, pairs: &[(String, String)]) -> [usize; 2] {
        let pairs: Vec<Vec<usize>> =
            pairs.iter().map(|(name, value)| [self.text(name), self.text(value)].concat()).collect();
        self.records(&pairs)
    }
}

fn segment(at: usize, bytes: &[u8]) -> String {
    format!("(data (i32.const {at}) \"{}\")", escaped(bytes))
}

/// Words as WAT writes bytes.
fn bytes_of(words: &[usize]) -> String {
    escaped(&words.iter().flat_map(|word| (*word as u32).to_le_bytes()).collect::<Vec<u8>>())
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        let _ = write!(text, "\\{byte:02x}");
    }
    text
}

/// A component of the tests, allowed all that it asks for.
pub fn trusted(name: &str, path: impl Into<PathBuf>) -> PluginSource {
    let grant = ["http:self", "credential:*", "http:http://extra.example", "http:https://extra.example"];
    PluginSource {
        grant: grant.map(str::to_owned).to_vec(),
        ..PluginSource::new(name, Source::Path(path.into()))
    }
}
