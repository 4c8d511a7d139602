//! Unix sockets that we listen on: made whole before they get their name, and gone with their owner.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

use super::listener::BACKLOG;

/// The name of a socket in the file system. Removed when dropped, unless another has taken it.
pub struct Name {
    path: PathBuf,
    inode: Option<u64>,
}

/// Listens on a unix socket with this mode. One that a killed instance left behind is replaced; one that somebody
/// answers on is not, and neither is a file that is no socket.
pub fn bind(path: &Path, mode: u32) -> io::Result<(UnixListener, Name)> {
    if std::fs::metadata(path).is_ok_and(|found| !found.file_type().is_socket()) {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file of that name that is no socket"));
    }
    if UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "another instance answers there"));
    }
    // Bound under another name and given its mode before it gets its own: nobody can connect in between.
    let hidden = path.with_file_name(format!(".relatch-{}.sock", std::process::id()));
    let _left_behind = std::fs::remove_file(&hidden);
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(&hidden)?)?;
    let placed = std::fs::set_permissions(&hidden, std::fs::Permissions::from_mode(mode))
        .and_then(|()| socket.listen(BACKLOG))
        .and_then(|()| socket.set_nonblocking(true))
        .and_then(|()| std::fs::rename(&hidden, path));
    if let Err(error) = placed {
        let _nothing_stays = std::fs::remove_file(&hidden);
        return Err(error);
    }
    Ok((socket.into(), Name { path: path.to_owned(), inode: inode(path) }))
}

fn inode(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().map(|metadata| metadata.ino())
}

impl Drop for Name {
    fn drop(&mut self) {
        // Another instance may have taken the name over.
        if self.inode.is_some() && inode(&self.path) == self.inode {
            let _gone_already = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_socket_is_replaced_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        drop(UnixListener::bind(&path).unwrap());
        let (listener, name) = bind(&path, 0o660).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        UnixStream::connect(&path).unwrap();
        assert_eq!(bind(&path, 0o660).err().unwrap().kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        let (_, taken_over) = bind(&path, 0o600).unwrap();
        drop(name);
        assert!(path.exists(), "the name belongs to the second one now");
        drop(taken_over);
        assert!(!path.exists());

        std::fs::write(&path, "precious").unwrap();
        assert_eq!(bind(&path, 0o660).err().unwrap().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
    }
}
