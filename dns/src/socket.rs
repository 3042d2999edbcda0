//! Opens the sockets that queries come by.

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    os::fd::AsFd,
};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// How many bytes of queries may wait to be read, as far as the system allows.
const RECEIVE_BYTES: usize = 4 << 20;

/// How many bytes of answers may wait to leave.
const SEND_BYTES: usize = 1 << 20;

/// How many TCP connections may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Binds a UDP socket for one worker; each worker has its own at the same address (`SO_REUSEPORT`).
///
/// It blocks who reads from it. Behind a wildcard address an answer leaves from the address that was
/// asked.
///
/// # Errors
///
/// Returns an error when the address can't be had, such as when another user's process has it.
pub fn bind_udp(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = open(address, Type::DGRAM, Protocol::UDP)?;
    prepare_udp(&socket, address)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Makes a UDP socket that another process has bound as [`bind_udp`] would have made it.
///
/// # Errors
///
/// Returns an error when it is no such socket.
pub fn adopt_udp(socket: &UdpSocket) -> io::Result<()> {
    socket.set_nonblocking(false)?;
    prepare_udp(socket, socket.local_addr()?)
}

fn prepare_udp(socket: &impl AsFd, address: SocketAddr) -> io::Result<()> {
    let sizes = SockRef::from(socket);
    // The system cuts the sizes to its own limits, which is no reason to fail.
    sizes.set_recv_buffer_size(RECEIVE_BYTES).ok();
    sizes.set_send_buffer_size(SEND_BYTES).ok();
    if address.ip().is_unspecified() {
        match address {
            SocketAddr::V4(_) => setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?,
            SocketAddr::V6(_) => setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?,
        }
    }
    Ok(())
}

/// Binds a TCP listener for one worker; each worker has its own at the same address.
///
/// # Errors
///
/// As [`bind_udp`].
pub fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = open(address, Type::STREAM, Protocol::TCP)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let socket = socket.into();
    adopt_tcp(&socket)?;
    Ok(socket)
}

/// Makes a listener that another process has opened as [`bind_tcp`] would have made it.
///
/// # Errors
///
/// Returns an error when it is no such socket.
pub fn adopt_tcp(socket: &TcpListener) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    // Connections inherit it: what is written is whole answers, which nothing should hold back.
    SockRef::from(socket).set_tcp_nodelay(true)
}

fn open(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        // A v4 wildcard address has a socket of its own.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_share_an_address() {
        let first = bind_udp("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = first.local_addr().unwrap();
        let second = bind_udp(address).unwrap();
        assert_eq!(second.local_addr().unwrap(), address);
        // Another port: this one may be in use for TCP.
        let first = bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        bind_tcp(first.local_addr().unwrap()).unwrap();
    }

    #[test]
    fn connections_send_at_once() {
        let listener = bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(listener.accept().unwrap().0.nodelay().unwrap());
    }

    #[test]
    fn both_wildcard_addresses_can_be_had_at_one_port() {
        let v4 = bind_udp("0.0.0.0:0".parse().unwrap()).unwrap();
        let port = v4.local_addr().unwrap().port();
        bind_udp(SocketAddr::new("::".parse().unwrap(), port)).unwrap();
    }
}
