//! Sockets to listen on, one for each worker.

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
};

use socket2::{Domain, Socket, Type};

/// How often a port that the system chose for UDP is tried for TCP, which may have it in use.
const PORT_TRIES: usize = 16;

/// A worker's sockets for DNS at one address.
pub(crate) type Pair = (UdpSocket, TcpListener);

/// Makes sure that nobody else has the address, for sockets that share their port wouldn't notice, and
/// returns it with the port it has.
///
/// Where signpost itself has the port (`ours`), an address may move from one of its parts to another or
/// to the wildcard and back; that these don't overlap in the end was checked in the configuration.
fn exclusive(address: SocketAddr, kind: Type, ours: bool) -> io::Result<SocketAddr> {
    match ours {
        true => Ok(address),
        false => bound(address, kind),
    }
}

/// Binds an address for a moment, without sharing it, and returns it with the port it has got.
fn bound(address: SocketAddr, kind: Type) -> io::Result<SocketAddr> {
    let socket = Socket::new(Domain::for_address(address), kind, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if kind == Type::STREAM {
        // Connections that have just ended don't matter; for UDP it would mean to share.
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    if kind == Type::STREAM {
        socket.listen(1)?;
    }
    let bound = socket.local_addr()?.as_socket();
    bound.ok_or_else(|| io::Error::other("the socket has no address"))
}

/// Binds the proxy's sockets, or goes on with those that were `given`.
pub(crate) fn proxy(
    listen: SocketAddr,
    given: Vec<Socket>,
    workers: usize,
    ours: bool,
) -> io::Result<Vec<TcpListener>> {
    if !given.is_empty() {
        return spread(given.into_iter().map(TcpListener::from), workers, |one| {
            one.try_clone()
        });
    }
    // One socket tells what port 0 has become; the others share it.
    let first = proxy::bind(exclusive(listen, Type::STREAM, ours)?)?;
    let address = first.local_addr()?;
    let others = (1..workers).map(|_| proxy::bind(address));
    std::iter::once(Ok(first)).chain(others).collect()
}

/// Binds an API's socket, or goes on with the one that was `given`.
pub(crate) fn api(listen: SocketAddr, given: Vec<Socket>, ours: bool) -> io::Result<TcpListener> {
    match given.into_iter().next() {
        Some(socket) => {
            socket.set_nonblocking(true)?;
            Ok(socket.into())
        }
        None => proxy::bind(exclusive(listen, Type::STREAM, ours)?),
    }
}

/// Binds sockets for DNS, or goes on with those that were given; of one kind alone, the other is bound.
pub(crate) fn dns(
    listen: SocketAddr,
    given: (Vec<Socket>, Vec<Socket>),
    workers: usize,
    ours: bool,
) -> io::Result<Vec<Pair>> {
    let (udp, tcp) = given;
    if udp.is_empty() && tcp.is_empty() {
        let address = match ours {
            true => listen,
            false => free_for_both(listen)?,
        };
        return (0..workers).map(|_| pair(address)).collect();
    }
    let count = workers.max(udp.len()).max(tcp.len());
    let mut udps = Vec::new();
    for socket in udp.into_iter().map(UdpSocket::from) {
        dns::adopt_udp(&socket)?;
        udps.push(socket);
    }
    if udps.is_empty() {
        let address = exclusive(listen, Type::DGRAM, ours)?;
        udps.push(dns::bind_udp(address)?);
    }
    let mut tcps = Vec::new();
    for socket in tcp.into_iter().map(TcpListener::from) {
        dns::adopt_tcp(&socket)?;
        tcps.push(socket);
    }
    if tcps.is_empty() {
        let address = exclusive(listen, Type::STREAM, ours)?;
        tcps.push(dns::bind_tcp(address)?);
    }
    let udps = spread(udps.into_iter(), count, UdpSocket::try_clone)?;
    let tcps = spread(tcps.into_iter(), count, TcpListener::try_clone)?;
    Ok(udps.into_iter().zip(tcps).collect())
}

/// Binds one worker's sockets for DNS.
pub(crate) fn pair(address: SocketAddr) -> io::Result<Pair> {
    Ok((dns::bind_udp(address)?, dns::bind_tcp(address)?))
}

/// Makes `count` of some sockets, or as many as there are when there are more: several workers share
/// one then, or one serves several.
fn spread<S>(
    sockets: impl Iterator<Item = S>,
    count: usize,
    share: impl Fn(&S) -> io::Result<S>,
) -> io::Result<Vec<S>> {
    let mut all: Vec<S> = sockets.collect();
    for index in 0..count.saturating_sub(all.len()) {
        all.push(share(&all[index])?);
    }
    Ok(all)
}

/// Finds the address free for UDP and for TCP; of port 0 several are tried.
fn free_for_both(listen: SocketAddr) -> io::Result<SocketAddr> {
    let mut tries = 0;
    loop {
        tries += 1;
        let address = bound(listen, Type::DGRAM)?;
        match bound(address, Type::STREAM) {
            Err(_) if listen.port() == 0 && tries < PORT_TRIES => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener() -> (SocketAddr, Socket) {
        let listener = proxy::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        (listener.local_addr().unwrap(), listener.into())
    }

    #[test]
    fn workers_share_a_socket_where_fewer_are_given() {
        let (address, socket) = listener();
        let sockets = proxy(address, vec![socket], 3, false).unwrap();
        let addresses = sockets.iter().map(|socket| socket.local_addr().unwrap());
        assert_eq!(addresses.collect::<Vec<_>>(), [address; 3]);
    }

    #[test]
    fn no_socket_that_is_given_is_left_without_a_worker() {
        let (address, first) = listener();
        let second = proxy::bind(address).unwrap().into();
        assert_eq!(
            proxy(address, vec![first, second], 1, false).unwrap().len(),
            2
        );
    }

    #[test]
    fn of_dns_one_transport_may_be_given_and_the_other_is_bound() {
        let udp = dns::bind_udp(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = udp.local_addr().unwrap();
        let pairs = dns(address, (vec![udp.into()], Vec::new()), 2, false).unwrap();
        for (udp, tcp) in pairs {
            assert_eq!(udp.local_addr().unwrap(), address);
            assert_eq!(tcp.local_addr().unwrap(), address);
        }
    }
}
