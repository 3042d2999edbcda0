//! Sockets that systemd has opened (socket activation, `sd_listen_fds(3)`).

use std::{env, io};

use listenfd::ListenFd;
use socket2::Socket;

use crate::inherited::{Given, Inherited, Purpose};

/// Takes the sockets that came with the process, and the variables that tell of them out of the
/// environment: to be called while there is one thread.
pub(crate) fn take() -> Inherited {
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let mut passed = ListenFd::from_env();
    let mut inherited = Inherited::default();
    for index in 0..passed.len() {
        let name = match names.next() {
            Some(name) if !name.is_empty() => name.to_owned(),
            _ => format!("number {index}"),
        };
        match given(&mut passed, index, &name) {
            Ok(given) => inherited.add(given),
            Err(error) => inherited.add_unusable(format!("{name}: {error}")),
        }
    }
    inherited
}

fn given(passed: &mut ListenFd, index: usize, name: &str) -> io::Result<Given> {
    // What is neither is closed where it is a socket at all.
    let (socket, is_udp): (Socket, _) = if let Ok(Some(tcp)) = passed.take_tcp_listener(index) {
        (tcp.into(), false)
    } else if let Ok(Some(udp)) = passed.take_udp_socket(index) {
        (udp.into(), true)
    } else {
        passed.take_unix_listener(index).map(drop)?;
        return Err(io::Error::other("it is neither for TCP nor for UDP"));
    };
    if !is_udp && !socket.is_listener()? {
        return Err(io::Error::other("it is a connection, and no listener"));
    }
    let address = socket.local_addr()?.as_socket();
    let listen = address.ok_or_else(|| io::Error::other("it has no address"))?;
    let name = name.to_owned();
    Ok(Given {
        purpose: Purpose::ByAddress { is_udp, name },
        listen,
        socket,
    })
}
