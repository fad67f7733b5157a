//! The build context: what of a checkout is sent to the engine, as a stream of gzipped tar.
//!
//! We walk and pack it ourselves, so a repository cannot make the engine read anything else of this machine: symbolic
//! links are packed as links, and the way to the context and the Dockerfile may not lead over one.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use tokio::sync::mpsc;

use super::ignore::Ignore;
use crate::{
    domain::path::{check_relative, join},
    error::{Error, Result},
};

/// Name of a Dockerfile in the archive that lies outside the context.
const OUTSIDE: &str = ".windlass.Dockerfile";
/// A Dockerfile or ignore file larger than this is none.
const LARGEST_TEXT: u64 = 1024 * 1024;
/// How many blocks may wait between packing and sending.
const BLOCKS_AHEAD: usize = 16;
const BLOCK: usize = 64 * 1024;

/// A context that was looked through and may be sent.
pub(super) struct Context {
    entries: Vec<Entry>,
    /// Its name inside the archive.
    pub(super) dockerfile: String,
    pub(super) dockerfile_text: String,
    pub(super) files: usize,
    pub(super) bytes: u64,
}

struct Entry {
    name: PathBuf,
    disk: PathBuf,
    kind: Kind,
}

enum Kind {
    Directory,
    File { len: u64, executable: bool },
    Link(PathBuf),
}

impl Context {
    /// Blocking. `context` and `dockerfile` are relative; the Dockerfile is looked for in the context and then in `root`.
    pub(super) fn scan(root: &Path, context: &str, dockerfile: &str) -> Result<Self> {
        let base = join("", context);
        let folder = descend(root, "contextPath", &base)?;
        if !folder.is_dir() {
            let shown = if base.is_empty() { "." } else { &base };
            return Err(Error::invalid(
                "contextPath",
                format!("`{shown}` is not a folder of the repository"),
            ));
        }
        let (inside, path, shown) = find_dockerfile(root, &folder, &base, dockerfile)?;
        let text = read_text(&path, &shown)?;
        let ignore = find_ignore(&folder, &path)?;
        let mut this = Self {
            entries: Vec::new(),
            dockerfile: OUTSIDE.into(),
            dockerfile_text: text,
            files: 0,
            bytes: 0,
        };
        this.walk(&folder, Path::new(""), &ignore, inside.as_deref())?;
        match inside {
            Some(inside) => this.dockerfile = inside,
            None => this.entries.push(Entry { name: OUTSIDE.into(), kind: file_kind(&path)?, disk: path }),
        }
        Ok(this)
    }

    fn walk(&mut self, folder: &Path, name: &Path, ignore: &Ignore, dockerfile: Option<&str>) -> Result<()> {
        let mut children: Vec<fs::DirEntry> =
            read(folder, fs::read_dir(folder))?.collect::<io::Result<_>>().map_err(Error::internal)?;
        children.sort_by_key(fs::DirEntry::file_name);
        for child in children {
            let name = name.join(child.file_name());
            let shown = name.to_string_lossy().into_owned();
            // The engine needs these two even where the patterns leave them out; it does not copy them into the image then.
            let needed = Some(shown.as_str()) == dockerfile || shown == ".dockerignore";
            let out = ignore.leaves_out(&shown) && !needed;
            let disk = child.path();
            let meta = read(&disk, fs::symlink_metadata(&disk))?;
            if meta.is_dir() {
                let way_to_dockerfile = dockerfile.is_some_and(|path| path.starts_with(&format!("{shown}/")));
                if out && !ignore.has_exceptions() && !way_to_dockerfile {
                    continue;
                }
                let before = self.entries.len();
                self.entries.push(Entry { name: name.clone(), disk: disk.clone(), kind: Kind::Directory });
                self.walk(&disk, &name, ignore, dockerfile)?;
                if out && self.entries.len() == before + 1 {
                    self.entries.pop();
                }
            } else if !out {
                self.add(name, disk, &meta)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, name: PathBuf, disk: PathBuf, meta: &fs::Metadata) -> Result<()> {
        let kind = if meta.is_symlink() {
            Kind::Link(read(&disk, fs::read_link(&disk))?)
        } else if meta.is_file() {
            self.files += 1;
            self.bytes += meta.len();
            kind_of(meta)
        } else {
            return Err(Error::invalid(
                "contextPath",
                format!("`{}` is neither a file, a folder nor a link", name.display()),
            ));
        };
        self.entries.push(Entry { name, disk, kind });
        Ok(())
    }

    /// Packs on a blocking thread while the receiver sends. `modified` (seconds since 1970) is the time of every entry, so
    /// the same commit gives the same bytes. The handle says what went wrong; the receiver then just ends early.
    pub(super) fn pack(
        self,
        modified: u64,
    ) -> (mpsc::Receiver<io::Result<Bytes>>, tokio::task::JoinHandle<io::Result<()>>) {
        let (sender, receiver) = mpsc::channel(BLOCKS_AHEAD);
        let task = tokio::task::spawn_blocking(move || {
            let outcome = self.write(modified, Blocks { sender: sender.clone(), block: Vec::new() });
            if let Err(error) = &outcome {
                // The archive must not look complete to the engine.
                let _ = sender.blocking_send(Err(io::Error::new(error.kind(), error.to_string())));
            }
            outcome
        });
        (receiver, task)
    }

    fn write(self, modified: u64, blocks: Blocks) -> io::Result<()> {
        // Level 1: the way to the engine is nearly always local, and a slow packer would be the bottleneck.
        let mut tar = tar::Builder::new(GzEncoder::new(blocks, Compression::fast()));
        for entry in self.entries {
            let mut header = tar::Header::new_gnu();
            header.set_mtime(modified);
            header.set_uid(0);
            header.set_gid(0);
            match entry.kind {
                Kind::Directory => {
                    header.set_entry_type(tar::EntryType::Directory);
                    header.set_mode(0o755);
                    header.set_size(0);
                    tar.append_data(&mut header, &entry.name, io::empty())?;
                }
                Kind::File { len, executable } => {
                    header.set_mode(if executable { 0o755 } else { 0o644 });
                    header.set_size(len);
                    let file = fs::File::open(&entry.disk)?;
                    tar.append_data(
                        &mut header,
                        &entry.name,
                        Exactly { file: file.take(len), missing: len },
                    )?;
                }
                Kind::Link(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_mode(0o777);
                    header.set_size(0);
                    tar.append_link(&mut header, &entry.name, &target)?;
                }
            }
        }
        tar.into_inner()?.finish()?.flush()
    }
}

/// Follows a relative path below `root` and refuses to pass a symbolic link.
fn descend(root: &Path, field: &str, path: &str) -> Result<PathBuf> {
    let mut at = root.to_path_buf();
    if path.is_empty() {
        return Ok(at);
    }
    check_relative(field, path)?;
    for segment in path.split('/') {
        at.push(segment);
        let meta = fs::symlink_metadata(&at)
            .map_err(|_| Error::invalid(field, format!("`{path}` does not exist in this commit")))?;
        if meta.is_symlink() {
            return Err(Error::invalid(
                field,
                format!("`{path}` leads over a symbolic link (`{segment}`), which is not followed"),
            ));
        }
    }
    Ok(at)
}

/// The name inside the archive (none if it lies outside the context), the file, and how people call it.
fn find_dockerfile(
    root: &Path,
    folder: &Path,
    base: &str,
    dockerfile: &str,
) -> Result<(Option<String>, PathBuf, String)> {
    let field = "dockerfilePath";
    let name = join("", if dockerfile.is_empty() { "Dockerfile" } else { dockerfile });
    let in_context = join(base, &name);
    let first = descend(folder, field, &name);
    if let Ok(path) = first {
        return Ok((Some(name), path, in_context));
    }
    // Some people write it relative to the repository, as `docker build -f` has it.
    if !base.is_empty()
        && let Ok(path) = descend(root, field, &name)
    {
        return Ok(match name.strip_prefix(&format!("{base}/")) {
            Some(inside) => (Some(inside.to_string()), path, name.clone()),
            None => (None, path, name),
        });
    }
    Err(match fs::symlink_metadata(folder.join(&name)) {
        Err(_) if check_relative(field, &name).is_ok() => {
            Error::invalid(field, format!("there is no `{in_context}` in this commit"))
        }
        _ => first.err().unwrap_or_else(|| Error::internal("a Dockerfile was both found and not found")),
    })
}

/// `<Dockerfile>.dockerignore` beside the Dockerfile counts more than the context's `.dockerignore`.
fn find_ignore(folder: &Path, dockerfile: &Path) -> Result<Ignore> {
    let mut own = dockerfile.as_os_str().to_owned();
    own.push(".dockerignore");
    for path in [PathBuf::from(own), folder.join(".dockerignore")] {
        if fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file()) {
            return Ignore::parse(".dockerignore", &read_text(&path, ".dockerignore")?);
        }
    }
    Ignore::parse(".dockerignore", "")
}

fn read_text(path: &Path, shown: &str) -> Result<String> {
    let meta = read(path, fs::symlink_metadata(path))?;
    if !meta.is_file() {
        return Err(Error::invalid("dockerfilePath", format!("`{shown}` is not a file")));
    }
    if meta.len() > LARGEST_TEXT {
        return Err(Error::TooLarge { what: "Dockerfile", limit: LARGEST_TEXT });
    }
    Ok(String::from_utf8_lossy(&read(path, fs::read(path))?).into_owned())
}

fn read<T>(path: &Path, outcome: io::Result<T>) -> Result<T> {
    outcome.map_err(|error| Error::internal(format!("{}: {error}", path.display())))
}

fn file_kind(path: &Path) -> Result<Kind> {
    Ok(kind_of(&read(path, fs::symlink_metadata(path))?))
}

fn kind_of(meta: &fs::Metadata) -> Kind {
    use std::os::unix::fs::PermissionsExt as _;
    Kind::File { len: meta.len(), executable: meta.permissions().mode() & 0o100 != 0 }
}

/// Fails where a file got shorter since it was measured: its header is already sent.
struct Exactly {
    file: io::Take<fs::File>,
    missing: u64,
}

impl io::Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.missing -= n as u64;
        if n == 0 && self.missing > 0 && !buffer.is_empty() {
            return Err(io::Error::other("a file of the build context changed while it was packed"));
        }
        Ok(n)
    }
}

/// The packer's output, in blocks. A receiver that went away (build cancelled) ends the packing.
struct Blocks {
    sender: mpsc::Sender<io::Result<Bytes>>,
    block: Vec<u8>,
}

impl io::Write for Blocks {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.block.extend_from_slice(data);
        if self.block.len() >= BLOCK {
            self.flush()?;
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let block = Bytes::from(std::mem::take(&mut self.block));
        self.sender.blocking_send(Ok(block)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}
