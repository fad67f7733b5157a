//! The build context: what of a checkout is sent to the engine.
//!
//! We walk and pack it ourselves, so a repository cannot make the engine read anything else of this machine: symbolic
//! links are packed as links, and the way to the context and the Dockerfile may not lead over one.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    domain::{
        dockerignore::Ignore,
        path::{check_relative, join},
    },
    error::{Error, Result},
};

/// Name of a Dockerfile in the archive that lies outside the context.
const OUTSIDE: &str = ".windlass.Dockerfile";
/// A Dockerfile or ignore file larger than this is none.
const LARGEST_TEXT: u64 = 1024 * 1024;

/// A context that was looked through and may be sent.
pub(super) struct Context {
    pub(super) entries: Vec<Entry>,
    /// Its name inside the archive.
    pub(super) dockerfile: String,
    pub(super) dockerfile_text: String,
    pub(super) files: usize,
    pub(super) bytes: u64,
}

pub(super) struct Entry {
    pub(super) name: PathBuf,
    pub(super) disk: PathBuf,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Directory,
    File {
        len: u64,
        executable: bool,
    },
    Link(PathBuf),
    /// A file that is on no disk.
    Text(String),
}

/// What a planner has written instead of files of the repository.
#[derive(Default)]
pub(super) struct Written<'a> {
    pub(super) dockerfile: Option<&'a str>,
    pub(super) dockerignore: Option<&'a str>,
}

impl Context {
    /// Blocking. `context` and `dockerfile` are relative; the Dockerfile is looked for in the context and then in `root`.
    pub(super) fn scan(root: &Path, context: &str, dockerfile: &str, written: &Written<'_>) -> Result<Self> {
        if !context.is_empty() {
            check_relative("contextPath", context)?;
        }
        let base = join("", context);
        let folder =
            descend(root, "contextPath", &base)?.filter(|folder| folder.is_dir()).ok_or_else(|| {
                Error::invalid("contextPath", format!("there is no folder `{base}` in this commit"))
            })?;
        if let Some(text) = written.dockerfile {
            return Self::with_text(&folder, text, written.dockerignore);
        }
        let dockerfile = find_dockerfile(root, &folder, &base, dockerfile)?;
        let text = read_text("dockerfilePath", &dockerfile.path, &dockerfile.shown)?;
        let ignore = match written.dockerignore {
            Some(lines) => Ignore::parse(".dockerignore", lines)?,
            None => find_ignore(&folder, &dockerfile.path)?,
        };
        let mut this = Self { dockerfile_text: text, ..Self::empty() };
        this.walk(&folder, Path::new(""), &ignore, dockerfile.inside.as_deref())?;
        match dockerfile.inside {
            Some(inside) => this.dockerfile = inside,
            None => {
                let kind = file_kind(&dockerfile.path)?;
                this.entries.push(Entry { name: OUTSIDE.into(), disk: dockerfile.path, kind });
            }
        }
        Ok(this)
    }

    /// With a Dockerfile that lies in no folder.
    fn with_text(folder: &Path, text: &str, ignore: Option<&str>) -> Result<Self> {
        let ignore = match ignore {
            Some(lines) => Ignore::parse(".dockerignore", lines)?,
            None => find_ignore(folder, &folder.join("Dockerfile"))?,
        };
        let mut this = Self::empty();
        this.dockerfile_text = text.to_string();
        this.walk(folder, Path::new(""), &ignore, None)?;
        // A repository that has a file of this name does not get in its place.
        this.entries.retain(|entry| entry.name != Path::new(OUTSIDE));
        let kind = Kind::Text(text.to_string());
        this.entries.push(Entry { name: OUTSIDE.into(), disk: PathBuf::new(), kind });
        Ok(this)
    }

    /// Everything below `root`, in a folder `name` of the archive. Blocking.
    pub(super) fn whole(root: &Path, name: &str) -> Result<Self> {
        let mut this = Self::empty();
        let top = Entry { name: name.into(), disk: root.to_path_buf(), kind: Kind::Directory };
        this.entries.push(top);
        this.walk(root, Path::new(""), &Ignore::parse(".dockerignore", "")?, None)?;
        for entry in this.entries.iter_mut().skip(1) {
            entry.name = Path::new(name).join(&entry.name);
        }
        Ok(this)
    }

    fn empty() -> Self {
        Self {
            entries: Vec::new(),
            dockerfile: OUTSIDE.into(),
            dockerfile_text: String::new(),
            files: 0,
            bytes: 0,
        }
    }

    fn walk(&mut self, folder: &Path, name: &Path, ignore: &Ignore, dockerfile: Option<&str>) -> Result<()> {
        let mut children: Vec<fs::DirEntry> =
            read(folder, fs::read_dir(folder))?.collect::<io::Result<_>>().map_err(Error::internal)?;
        children.sort_by_key(fs::DirEntry::file_name);
        for child in children {
            let name = name.join(child.file_name());
            let shown = name.to_string_lossy().into_owned();
            // The builder reads it from the archive, so it is sent even where the patterns leave it out.
            let needed = Some(shown.as_str()) == dockerfile;
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
}

/// Follows a relative path below `root` and refuses to pass a symbolic link. None if there is nothing.
pub(super) fn descend(root: &Path, field: &str, path: &str) -> Result<Option<PathBuf>> {
    let mut at = root.to_path_buf();
    if path.is_empty() {
        return Ok(Some(at));
    }
    check_relative(field, path)?;
    for segment in path.split('/') {
        at.push(segment);
        let Ok(meta) = fs::symlink_metadata(&at) else { return Ok(None) };
        if meta.is_symlink() {
            return Err(Error::invalid(
                field,
                format!("`{path}` leads over a symbolic link (`{segment}`), which is not followed"),
            ));
        }
    }
    Ok(Some(at))
}

/// Where the Dockerfile is.
struct Dockerfile {
    /// Its name inside the archive; none if it lies outside the context.
    inside: Option<String>,
    path: PathBuf,
    /// As people call it.
    shown: String,
}

fn find_dockerfile(root: &Path, folder: &Path, base: &str, dockerfile: &str) -> Result<Dockerfile> {
    let field = "dockerfilePath";
    let written = if dockerfile.is_empty() { "Dockerfile" } else { dockerfile };
    check_relative(field, written)?;
    let name = join("", written);
    let shown = join(base, &name);
    if let Some(path) = descend(folder, field, &name)? {
        return Ok(Dockerfile { inside: Some(name), path, shown });
    }
    // Some people write it relative to the repository, as `docker build -f` has it.
    match descend(root, field, &name)? {
        Some(path) if !base.is_empty() => {
            let inside = name.strip_prefix(&format!("{base}/")).map(str::to_string);
            Ok(Dockerfile { inside, path, shown: name })
        }
        _ => Err(Error::invalid(field, format!("there is no `{shown}` in this commit"))),
    }
}

/// `<Dockerfile>.dockerignore` beside the Dockerfile counts more than the context's `.dockerignore`.
fn find_ignore(folder: &Path, dockerfile: &Path) -> Result<Ignore> {
    let mut own = dockerfile.as_os_str().to_owned();
    own.push(".dockerignore");
    for path in [PathBuf::from(own), folder.join(".dockerignore")] {
        if fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file()) {
            return Ignore::parse(".dockerignore", &read_text("dockerfilePath", &path, ".dockerignore")?);
        }
    }
    Ignore::parse(".dockerignore", "")
}

pub(super) fn read_text(field: &str, path: &Path, shown: &str) -> Result<String> {
    let meta = read(path, fs::symlink_metadata(path))?;
    if !meta.is_file() {
        return Err(Error::invalid(field, format!("`{shown}` is not a file")));
    }
    if meta.len() > LARGEST_TEXT {
        return Err(Error::TooLarge { what: "Dockerfile or compose file", limit: LARGEST_TEXT });
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
