//! A pack as one file: a ZIP of its text files. What comes from outside is bounded and stays within its own names,
//! whatever it says of itself.

use std::io::{Cursor, Read, Write};
use std::path::Component;

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::manifest::{FILES_MAX, MANIFEST, Pack, PackError, PackFiles, is_of_pack};
use crate::error::{Error, Result};

/// Bytes of all files of an archive together, unpacked.
const UNPACKED_BYTES_MAX: u64 = 8 << 20;

impl Pack {
    /// Reads a pack from a ZIP, in whose root or only folder `pack.toml` is. Other files than those of packs are
    /// left out.
    ///
    /// # Errors
    /// When it is no ZIP, has links, paths that lead out of it, or too many or too large files; and as
    /// [`Self::from_folder`].
    pub fn from_archive(bytes: &[u8]) -> Result<Self, PackError> {
        Self::from_files(files_of(bytes)?)
    }
}

/// The files of a pack as a ZIP.
///
/// # Errors
/// When there are too many for the format.
pub fn to_archive(files: &PackFiles) -> Result<Vec<u8>> {
    let failed =
        |error: &dyn std::fmt::Display| Error::Internal(format!("cannot write the archive: {error}"));
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    // The same pack is the same file: no time stands in it.
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(0o644);
    for (name, text) in files {
        archive.start_file(name.as_str(), options).map_err(|error| failed(&error))?;
        archive.write_all(text.as_bytes()).map_err(|error| failed(&error))?;
    }
    Ok(archive.finish().map_err(|error| failed(&error))?.into_inner())
}

fn files_of(bytes: &[u8]) -> Result<PackFiles, PackError> {
    let wrong = |message: String| PackError(format!("the archive: {message}"));
    let mut archive = ZipArchive::new(Cursor::new(bytes))
        .map_err(|error| wrong(format!("is no ZIP that can be read ({error})")))?;
    if archive.len() > FILES_MAX {
        return Err(wrong(format!("has more than {FILES_MAX} files")));
    }
    let (mut files, mut left) = (PackFiles::new(), UNPACKED_BYTES_MAX);
    for index in 0..archive.len() {
        let mut file = archive
            .by_index(index)
            .map_err(|error| wrong(format!("file {index} cannot be read ({error})")))?;
        let name = file.name().map_err(|error| wrong(format!("has a name that cannot be read ({error})")))?;
        let name = safe_name(&name).ok_or_else(|| {
            wrong(format!("{name:?} leads out of it: only plain relative paths may stand in it"))
        })?;
        if file.is_symlink() {
            return Err(wrong(format!("{name} is a link: put the file itself there")));
        }
        if file.is_dir() || !is_of_pack(&name) {
            continue;
        }
        // What it says of its own size does not count.
        let mut text = Vec::new();
        let read = (&mut file).take(left + 1).read_to_end(&mut text);
        read.map_err(|error| wrong(format!("{name} cannot be unpacked ({error})")))?;
        left = left.checked_sub(text.len() as u64).ok_or_else(|| {
            wrong(format!("has more than {} MiB when it is unpacked", UNPACKED_BYTES_MAX >> 20))
        })?;
        let text = String::from_utf8(text).map_err(|_| wrong(format!("{name} is not UTF-8")))?;
        if files.insert(name.clone(), text).is_some() {
            return Err(wrong(format!("has {name} twice")));
        }
    }
    Ok(without_folder(files))
}

/// A path of plain names with `/` between, else none.
fn safe_name(name: &str) -> Option<String> {
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    let path = std::path::Path::new(name);
    let is_safe = !name.is_empty()
        && !name.contains(['\\', '\0', ':'])
        && !name.chars().any(char::is_control)
        && path.components().all(is_plain);
    is_safe.then(|| name.to_owned())
}

/// The files as they are in the only folder, where all are in one.
fn without_folder(files: PackFiles) -> PackFiles {
    if files.contains_key(MANIFEST) {
        return files;
    }
    let folder = files.keys().find_map(|name| name.strip_suffix(&format!("/{MANIFEST}")).map(str::to_owned));
    let Some(folder) = folder.map(|folder| format!("{folder}/")) else { return files };
    let inner = files.into_iter();
    inner.filter_map(|(name, text)| Some((name.strip_prefix(&folder)?.to_owned(), text))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zip(files: &[(&str, &[u8])], change: impl Fn(SimpleFileOptions) -> SimpleFileOptions) -> Vec<u8> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, text) in files {
            archive.start_file(*name, change(SimpleFileOptions::default())).unwrap();
            archive.write_all(text).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    #[test]
    fn there_and_back() {
        let files = PackFiles::from([
            ("pack.toml".to_owned(), "name = \"p\"\n".to_owned()),
            ("tests/a.toml".to_owned(), "tests = []".to_owned()),
        ]);
        let archive = to_archive(&files).unwrap();
        assert_eq!(archive, to_archive(&files).unwrap());
        assert_eq!(Pack::from_archive(&archive).unwrap().files, files);
        let in_folder =
            zip(&[("p-main/pack.toml", b"name = \"p\""), ("p-main/README.md", b"\xff")], |same| same);
        assert_eq!(Pack::from_archive(&in_folder).unwrap().name, "p");
    }

    #[test]
    fn hostile_archives() {
        let check = |bytes: &[u8], mentions: &str| {
            let refused = Pack::from_archive(bytes).unwrap_err().to_string();
            assert!(refused.contains(mentions), "{refused} does not mention {mentions}");
        };
        let manifest: (&str, &[u8]) = ("pack.toml", b"name = \"p\"");
        check(b"", "no ZIP");
        check(b"PK\x03\x04 and then nothing", "no ZIP");
        for name in ["../evil.rhai", "/etc/evil.rhai", "a/../../evil.rhai", "a\\..\\evil.rhai", "C:evil.rhai"]
        {
            check(&zip(&[manifest, (name, b"1")], |same| same), "leads out");
        }
        check(&zip(&[("a.rhai", b"1")], |same| same), "there is no pack.toml");
        check(&zip(&[manifest, ("a.rhai", b"\xff\xfe")], |same| same), "not UTF-8");
        let mut link = ZipWriter::new(Cursor::new(Vec::new()));
        link.add_symlink("a.rhai", "/etc/passwd", SimpleFileOptions::default()).unwrap();
        check(&link.finish().unwrap().into_inner(), "is a link");
        // A few kilobytes that unpack to many megabytes, in one file or in several.
        let much = vec![b' '; 5 << 20];
        let deflated = |options: SimpleFileOptions| options.compression_method(CompressionMethod::Deflated);
        let bomb = zip(&[manifest, ("a.rhai", &much), ("b.rhai", &much)], deflated);
        assert!(bomb.len() < 100_000);
        check(&bomb, "unpacked");
        let many: Vec<_> = (0..=FILES_MAX).map(|number| format!("{number}.rhai")).collect();
        let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), &b""[..])).collect();
        check(&zip(&many, |same| same), "files");
    }
}
