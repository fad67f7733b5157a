//! Archives and documents of others: backups, outputs of builds, plugins from registries.

use std::io::{Seek as _, Write as _};
use std::path::Path;

use serde_json::{Value, json};
use windlass::app::backup::{place, verify_tar};
use windlass::docker::unpack_output;
use windlass::plugins::{oci, problems_by};

use super::halves;

/// A tar of an entry a line: name, kind (the byte of the format) and content or target, between bars. With sums that are right,
/// so that what is behind them is reached.
fn tar(text: &str) -> Vec<u8> {
    let mut archive = Vec::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, '|');
        let name = parts.next().unwrap_or_default();
        let kind = parts.next().and_then(|kind| kind.bytes().next()).unwrap_or(b'0');
        entry(&mut archive, name, kind, parts.next().unwrap_or_default());
    }
    archive.extend([0; 1024]);
    archive
}

fn entry(archive: &mut Vec<u8>, name: &str, kind: u8, content: &str) {
    // Links have a target and no content.
    let (target, body) = if matches!(kind, b'1' | b'2') { (content, "") } else { ("", content) };
    let mut header = [0_u8; 512];
    put(&mut header[..100], name);
    put(&mut header[100..108], "0000755");
    put(&mut header[124..136], &format!("{:011o}", body.len()));
    put(&mut header[136..148], "00000000000");
    header[148..156].fill(b' ');
    header[156] = kind;
    put(&mut header[157..257], target);
    put(&mut header[257..265], "ustar\u{0}00");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    put(&mut header[148..156], &format!("{sum:06o}\u{0} "));
    archive.extend(header);
    archive.extend(body.as_bytes());
    archive.resize(archive.len().next_multiple_of(512), 0);
}

fn put(place: &mut [u8], text: &str) {
    let length = text.len().min(place.len());
    place[..length].copy_from_slice(&text.as_bytes()[..length]);
}

/// No member of a backup is put outside of the data folder.
pub fn backup(text: &str) {
    for archive in [tar(text), text.as_bytes().to_vec()] {
        let _ = verify_tar(archive.as_slice(), "data/secret.key");
    }
    for name in text.lines().filter_map(|line| line.split('|').next()) {
        if let Some(path) = place(Path::new("/data"), name) {
            assert!(path.starts_with("/data") && !path.components().any(|part| part.as_os_str() == ".."));
        }
    }
}

/// Whatever commands leave behind, nothing is written or taken outside of the checkout.
pub fn output(text: &str) {
    let (output, entries) = halves(text);
    let output = if windlass::domain::path::check_relative("output", output).is_ok() { output } else { "" };
    let Ok(folder) = tempfile::tempdir() else { return };
    let (checkout, other) = (folder.path().join("checkout"), folder.path().join("other"));
    for folder in [&checkout, &other] {
        std::fs::create_dir(folder).unwrap();
        std::fs::write(folder.join("ours"), "ours").unwrap();
    }
    // A link of the checkout itself, and targets that lead to the folder beside it.
    std::os::unix::fs::symlink(&other, checkout.join("link")).unwrap();
    let entries = entries.replace("OTHER", &other.to_string_lossy());
    let mut archive = tempfile::tempfile().unwrap();
    archive.write_all(&tar(&entries)).unwrap();
    archive.rewind().unwrap();
    let _ = unpack_output(archive, &checkout, output);
    let names = |folder: &Path| {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names(folder.path()), ["checkout", "other"], "{text:?}");
    assert_eq!(names(&other), ["ours"], "{text:?}");
    assert_eq!(std::fs::read_to_string(other.join("ours")).unwrap(), "ours", "{text:?}");
}

/// What is taken for a plugin's layer has a digest that can be compared.
pub fn oci(text: &str) {
    if let Ok(layer) = oci::layer(text.as_bytes()) {
        assert!(layer.digest.starts_with("sha256:"), "{text:?}");
    }
}

/// A schema that passed says of every value within the time what is wrong with it.
pub fn schema(text: &str) {
    let (schema, value) = halves(text);
    let Ok(schema) = serde_json::from_str::<Value>(schema) else { return };
    let value = serde_json::from_str(value).unwrap_or_else(|_| json!({ "name": [value] }));
    let _ = problems_by(&schema, &value);
}
