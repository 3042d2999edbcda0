//! The way back to a client.

use std::{
    io::IoSlice,
    net::{IpAddr, SocketAddr, UdpSocket},
    os::fd::AsRawFd as _,
    sync::Arc,
};

use nix::{
    libc,
    sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg},
};
use tokio::sync::oneshot;

/// Where an answer goes.
#[derive(Debug)]
pub(crate) enum Reply {
    /// By the socket that the query came by, from the address that it was sent to.
    Udp {
        socket: Arc<UdpSocket>,
        client: SocketAddr,
        local: Option<IpAddr>,
    },
    /// To the connection that waits for it.
    Tcp(oneshot::Sender<Vec<u8>>),
}

impl Reply {
    /// Sends an answer; a client that has gone, or a system that has no room, is the client's loss, who
    /// will ask again.
    pub(super) fn send(self, answer: &[u8]) {
        if answer.is_empty() {
            return;
        }
        match self {
            Self::Tcp(waiting) => {
                waiting.send(answer.to_vec()).ok();
            }
            Self::Udp {
                socket,
                client,
                local,
            } => {
                if let Err(error) = send(&socket, client, local, answer) {
                    tracing::debug!(%client, %error, "a forwarded answer can't be sent");
                }
            }
        }
    }
}

fn send(
    socket: &UdpSocket,
    client: SocketAddr,
    local: Option<IpAddr>,
    answer: &[u8],
) -> nix::Result<usize> {
    let to = SockaddrStorage::from(client);
    let v4;
    let v6;
    let from = match local {
        Some(IpAddr::V4(address)) => {
            v4 = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr {
                    s_addr: u32::from(address).to_be(),
                },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            Some(ControlMessage::Ipv4PacketInfo(&v4))
        }
        Some(IpAddr::V6(address)) => {
            v6 = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr {
                    s6_addr: address.octets(),
                },
                ipi6_ifindex: 0,
            };
            Some(ControlMessage::Ipv6PacketInfo(&v6))
        }
        None => None,
    };
    let control = from.as_slice();
    let flags = MsgFlags::MSG_DONTWAIT;
    sendmsg(
        socket.as_raw_fd(),
        &[IoSlice::new(answer)],
        control,
        flags,
        Some(&to),
    )
}
