//! The folder that a sidecar reads its list from, and everything that editors,
//! deploy scripts and the kubelet do to files there.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::list;
use super::row::{Content, Deed};
use crate::support::setup::Expansion;

/// One folder.
pub(crate) struct Stage {
    dir: TempDir,
    /// Numbers the folders that the kubelet makes.
    mounts: u32,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::Builder::new().prefix("relatch-stage-").tempdir().unwrap(), mounts: 0 }
    }

    /// The full path of a file in it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Carries out one command line:
    ///
    /// - `replace F`: a new file, renamed over the old one, as an editor saves
    /// - `overwrite F`: the same file, truncated and written in one go
    /// - `dribble F`: truncated and written in pieces, with pauses
    /// - `forge F`: overwritten with as many bytes, its old times set again
    /// - `delete F`, `mkdir F`, `fifo F`, `mode 0640 F`, `size F BYTES` (a hole)
    /// - `rename F -> T`, `link F -> T` (a symlink to the text T, put in place at once), `times F -> T` (F gets T's)
    /// - `mount F`: replaces what a folder shows, as the kubelet does
    /// - `pause MS`
    pub(super) fn carry_out(&mut self, deed: &Deed) {
        let (line, content) = match deed {
            Deed::Bare(line) => (line, None),
            Deed::With(line, content) => (line, Some(content)),
        };
        let words: Vec<&str> = line.split_whitespace().collect();
        let name = words.get(1).copied().unwrap_or_default();
        let path = self.path(name);
        let text = |file| self.text(content.unwrap_or_else(|| panic!("{line}: with what?")), file);
        match words[..] {
            ["replace", file] => self.replace(file, text(file).as_bytes()),
            ["overwrite", file] => fs::write(&path, text(file)).unwrap(),
            ["dribble", file] => dribble(&path, text(file).as_bytes()),
            ["forge", file] => forge(&path, text(file).as_bytes()),
            ["delete", _] if path.is_dir() && !path.is_symlink() => fs::remove_dir_all(&path).unwrap(),
            ["delete", _] => fs::remove_file(&path).unwrap(),
            ["mkdir", _] => fs::create_dir_all(&path).unwrap(),
            ["fifo", _] => assert!(Command::new("mkfifo").arg(&path).status().unwrap().success()),
            ["mode", mode, file] => {
                let mode = u32::from_str_radix(mode, 8).unwrap();
                fs::set_permissions(self.path(file), Permissions::from_mode(mode)).unwrap();
            }
            ["size", _, bytes] => File::create(&path).unwrap().set_len(bytes.parse().unwrap()).unwrap(),
            ["rename", _, "->", to] => fs::rename(&path, self.path(to)).unwrap(),
            ["link", _, "->", to] => link(&path, to),
            ["times", _, "->", of] => set_times(&File::options().write(true).open(&path).unwrap(), &self.path(of)),
            ["mount", _] => {
                let Some(Content::Files(files)) = content else { panic!("{line}: which files?") };
                let files = files.iter().map(|(file, content)| (file.as_str(), self.text(content, file))).collect();
                self.mount(name, &files);
            }
            ["pause", ms] => std::thread::sleep(Duration::from_millis(ms.parse().unwrap())),
            _ => panic!("no such deed: {line}"),
        }
    }

    /// A new file, renamed over the old one.
    pub(crate) fn replace(&self, name: &str, content: &[u8]) {
        let (path, fresh) = (self.path(name), self.path(&format!("{name}.new")));
        fs::write(&fresh, content).unwrap();
        fs::rename(&fresh, &path).unwrap();
    }

    /// What the kubelet's `AtomicWriter` does: the files go into a folder of
    /// their own, `..data` is swung over to it by one rename, each file is a
    /// symlink through `..data`, and the folder of before is removed.
    pub(crate) fn mount(&mut self, name: &str, files: &BTreeMap<&str, String>) {
        let mount = self.path(name);
        self.mounts += 1;
        let fresh = format!("..2026_11_21_{:09}", self.mounts);
        fs::create_dir_all(mount.join(&fresh)).unwrap();
        for (file, content) in files {
            fs::write(mount.join(&fresh).join(file), content).unwrap();
        }
        let before = fs::read_link(mount.join("..data")).ok();
        symlink(&fresh, mount.join("..data_tmp")).unwrap();
        fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
        for file in files.keys() {
            if !mount.join(file).is_symlink() {
                symlink(Path::new("..data").join(file), mount.join(file)).unwrap();
            }
        }
        let shown = fs::read_dir(&mount).unwrap().flatten();
        let stale = shown.filter(|e| {
            let name = e.file_name().into_string().unwrap();
            !name.starts_with("..") && !files.contains_key(name.as_str())
        });
        stale.for_each(|entry| fs::remove_file(entry.path()).unwrap());
        if let Some(before) = before {
            fs::remove_dir_all(mount.join(before)).unwrap();
        }
    }

    fn text(&self, content: &Content, file: &str) -> String {
        match content {
            Content::Text(text) => Expansion::of(self.dir.path(), "").apply(&nested(text)),
            Content::List(lines) => list::written(lines, file),
            Content::Files(_) => panic!("{file} is one file"),
        }
    }
}

/// `@DEEP(n)@` becomes a list in a list, n deep.
fn nested(text: &str) -> String {
    let Some((before, rest)) = text.split_once("@DEEP(") else { return text.to_owned() };
    let (depth, after) = rest.split_once(")@").expect("@DEEP(..)@ without its end");
    let depth = depth.parse().unwrap();
    format!("{before}{}{}{after}", "[".repeat(depth), "]".repeat(depth))
}

/// A symlink, in place of whatever stood there.
fn link(path: &Path, to: &str) {
    let fresh = path.with_extension("link-tmp");
    symlink(to, &fresh).unwrap();
    fs::rename(&fresh, path).unwrap();
}

/// As a slow editor saves: whoever looks in between sees a part of it.
fn dribble(path: &Path, content: &[u8]) {
    let mut file = File::create(path).unwrap();
    for piece in content.chunks(content.len().div_ceil(5).max(1)) {
        std::thread::sleep(Duration::from_millis(15));
        file.write_all(piece).unwrap();
    }
}

/// Other content under the same size and times: nothing but the bytes tells.
fn forge(path: &Path, content: &[u8]) {
    let before = fs::metadata(path).unwrap();
    assert_eq!(before.len(), content.len() as u64, "a forgery has the size of what it replaces");
    let mut file = File::options().write(true).open(path).unwrap();
    file.write_all(content).unwrap();
    file.set_times(times(&before)).unwrap();
}

fn set_times(file: &File, of: &Path) {
    file.set_times(times(&fs::metadata(of).unwrap())).unwrap();
}

fn times(of: &fs::Metadata) -> fs::FileTimes {
    fs::FileTimes::new().set_modified(of.modified().unwrap()).set_accessed(of.accessed().unwrap())
}
