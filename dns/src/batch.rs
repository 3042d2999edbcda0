//! Receives and sends datagrams by the batch: the one place with unsafe code.
//!
//! nix has safe functions for these calls, but those for sending neither tell how many messages
//! went out without reading memory that was never written, nor take a source address for each
//! message.
//!
//! What makes it sound: each header points into arrays that this file owns, that are allocated once
//! and that live as long as the [`Batch`]. The pointers are taken from the arrays' elements, each
//! from its own field so that none is made invalid by a later one, and anew before each call for
//! every element that was looked at since (to borrow the others along with them, and not touch them,
//! is no use of them); the lengths that go with them are those of the elements pointed to, and the
//! kernel is told no more headers than there are. Nothing of what the kernel wrote is read beyond the
//! length that it gave, and that is checked against the element's.
#![allow(unsafe_code)]

use std::{
    io, mem,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::RawFd,
};

use nix::libc;

/// How many datagrams are taken by one call.
pub(crate) const BATCH: usize = 32;

/// The longest query that is read whole: as long as we say in an OPT record that we take (RFC 6891,
/// section 6.2.3). Longer ones have no business here, and are found to be broken where they are cut.
pub(crate) const QUERY_BYTES_MAX: usize = ANSWER_BYTES_MAX;

/// The longest answer, and so the largest value of `udp_payload_max`.
pub(crate) const ANSWER_BYTES_MAX: usize = crate::config::UDP_PAYLOAD_LIMIT as usize;

/// The length of an address of any family, which is what the kernel is told.
const PEER_BYTES: libc::socklen_t = size_of::<libc::sockaddr_storage>() as libc::socklen_t;

/// The room for one control message that holds the address a query was sent to, v4 or v6.
const CONTROL_BYTES: usize = 64;

/// Holds the buffers of one batch: queries and the answers to them.
pub(crate) struct Batch {
    slots: Box<[Slot; BATCH]>,
    incoming: Headers,
    outgoing: Headers,
    /// How many slots hold a query.
    queries: usize,
    /// How many slots, from the first on, were used since `incoming` pointed to them.
    used: usize,
}

/// What the kernel is shown: pointers into the slots.
struct Headers {
    headers: Box<[libc::mmsghdr; BATCH]>,
    vectors: Box<[libc::iovec; BATCH]>,
}

/// Holds one query, where it came from, and its answer.
struct Slot {
    peer: Peer,
    peer_len: libc::socklen_t,
    control: Control,
    control_len: usize,
    query: [u8; QUERY_BYTES_MAX],
    query_len: usize,
    answer: [u8; ANSWER_BYTES_MAX],
    /// 0 while there is no answer to be sent.
    answer_len: usize,
}

/// The address a query came from, of either family.
#[repr(transparent)]
struct Peer(libc::sockaddr_storage);

/// Bytes of control messages, aligned as `cmsghdr` must be.
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

// SAFETY: the pointers in `headers` and `vectors` are only followed during a call that has set
// them, and lead to memory that the batch owns.
unsafe impl Send for Batch {}

impl Batch {
    /// Allocates the buffers.
    pub(crate) fn new() -> Self {
        // SAFETY: the types are made of integers, arrays of integers and raw pointers, for all of
        // which zero is a valid value.
        unsafe {
            let headers = || Headers {
                headers: Box::new_zeroed().assume_init(),
                vectors: Box::new_zeroed().assume_init(),
            };
            Self {
                slots: Box::new_zeroed().assume_init(),
                incoming: headers(),
                outgoing: headers(),
                queries: 0,
                used: BATCH,
            }
        }
    }

    /// Waits for a datagram and takes it with those behind it, at most [`BATCH`]; returns how many.
    ///
    /// # Errors
    ///
    /// Returns why there is none: `Interrupted` by a signal, or that the socket is of no use.
    pub(crate) fn receive(&mut self, socket: RawFd) -> io::Result<usize> {
        // The others are as they were shown the last time.
        let used = self.slots[..self.used].iter_mut();
        for (slot, (header, vector)) in used.zip(self.incoming.iter_mut()) {
            *header = message_header(PEER_BYTES, CONTROL_BYTES);
            vector.iov_len = QUERY_BYTES_MAX;
            vector.iov_base = (&raw mut slot.query).cast();
            header.msg_hdr.msg_name = (&raw mut slot.peer).cast();
            header.msg_hdr.msg_control = (&raw mut slot.control).cast();
            header.msg_hdr.msg_iov = &raw mut *vector;
        }
        (self.used, self.queries) = (BATCH, 0);
        // SAFETY: the headers are valid as described at the top, and there are `BATCH` of them.
        let count = unsafe {
            libc::recvmmsg(
                socket,
                self.incoming.headers.as_mut_ptr(),
                BATCH as libc::c_uint,
                libc::MSG_WAITFORONE,
                std::ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        (self.used, self.queries) = (count, count);
        let filled = self.slots[..count].iter_mut();
        for (slot, (header, _)) in filled.zip(self.incoming.iter_mut()) {
            slot.query_len = (header.msg_len as usize).min(QUERY_BYTES_MAX);
            slot.peer_len = header.msg_hdr.msg_namelen.min(PEER_BYTES);
            slot.control_len = header.msg_hdr.msg_controllen.min(CONTROL_BYTES);
            slot.answer_len = 0;
            slot.answer_from_where_it_was_asked();
        }
        Ok(count)
    }

    /// Calls `answer` with each query, who asks, where it was sent to, and the buffer for the answer; it
    /// returns the answer's length, or 0 for none. Returns how many answers there are.
    pub(crate) fn answer(
        &mut self,
        mut answer: impl FnMut(&[u8], SocketAddr, Way<'_>, &mut [u8]) -> usize,
    ) -> usize {
        let mut answers = 0;
        for slot in &mut self.slots[..self.queries] {
            let query = &slot.query[..slot.query_len];
            slot.answer_len = match slot.peer.address(slot.peer_len) {
                Some(client) if client.port() != 0 => {
                    let way = Way(&slot.control.0[..slot.control_len]);
                    answer(query, client, way, &mut slot.answer).min(ANSWER_BYTES_MAX)
                }
                // Nobody can be there to read it.
                _ => 0,
            };
            answers += usize::from(slot.answer_len > 0);
        }
        answers
    }

    /// Sends the answers, less the first `skip`; returns how many the system took.
    ///
    /// # Errors
    ///
    /// Returns why it didn't even take the first.
    pub(crate) fn send(&mut self, socket: RawFd, skip: usize) -> io::Result<usize> {
        let mut count = 0;
        let slots = self.slots[..self.queries].iter_mut();
        let answered = slots.filter(|slot| slot.answer_len > 0).skip(skip);
        for (slot, (header, vector)) in answered.zip(self.outgoing.iter_mut()) {
            *header = message_header(slot.peer_len, slot.control_len);
            vector.iov_len = slot.answer_len;
            vector.iov_base = (&raw mut slot.answer).cast();
            header.msg_hdr.msg_name = (&raw mut slot.peer).cast();
            header.msg_hdr.msg_control = (&raw mut slot.control).cast();
            header.msg_hdr.msg_iov = &raw mut *vector;
            count += 1;
        }
        // SAFETY: as in `receive`, with `count` headers, which is at most `BATCH`.
        let sent = unsafe {
            let headers = self.outgoing.headers.as_mut_ptr();
            libc::sendmmsg(socket, headers, count, libc::MSG_DONTWAIT)
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

/// Knows the address that a query was sent to, as far as the system says it.
#[derive(Clone, Copy)]
pub(crate) struct Way<'a>(&'a [u8]);

impl Way<'_> {
    /// Returns the address from which its answer has to come.
    pub(crate) fn local(self) -> Option<IpAddr> {
        let content = self.0.get(CONTENT_AT..)?;
        match (number(self.0, LEVEL_AT), number(self.0, TYPE_AT)) {
            (Some(libc::IPPROTO_IP), Some(libc::IP_PKTINFO)) => {
                let address = *content.get(4..)?.first_chunk::<4>()?;
                Some(Ipv4Addr::from(address).into())
            }
            (Some(libc::IPPROTO_IPV6), Some(libc::IPV6_PKTINFO)) => {
                let address = *content.first_chunk::<16>()?;
                Some(Ipv6Addr::from(address).into())
            }
            _ => None,
        }
    }
}

/// Where the level and the type of a control message stand.
const LEVEL_AT: usize = mem::offset_of!(libc::cmsghdr, cmsg_level);
const TYPE_AT: usize = mem::offset_of!(libc::cmsghdr, cmsg_type);

/// The content follows the header, whose size is a multiple of what it must be aligned to.
const CONTENT_AT: usize = size_of::<libc::cmsghdr>();

/// Reads a number of a control message.
fn number(message: &[u8], at: usize) -> Option<i32> {
    let bytes = message.get(at..at + 4)?.try_into().ok()?;
    Some(i32::from_ne_bytes(bytes))
}

impl Headers {
    fn iter_mut(&mut self) -> impl Iterator<Item = (&mut libc::mmsghdr, &mut libc::iovec)> {
        self.headers.iter_mut().zip(self.vectors.iter_mut())
    }
}

impl Peer {
    /// Returns the address, of which `len` bytes were written; `None` when they are none of the
    /// internet's.
    fn address(&self, len: libc::socklen_t) -> Option<SocketAddr> {
        let holds = |size: usize| len as usize >= size;
        let address = &raw const self.0;
        match i32::from(self.0.ss_family) {
            libc::AF_INET if holds(size_of::<libc::sockaddr_in>()) => {
                // SAFETY: `sockaddr_storage` is made to be read as the type that its family says:
                // it is large enough and aligned, and all of its bytes are initialized.
                let v4 = unsafe { &*address.cast::<libc::sockaddr_in>() };
                let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
                Some(SocketAddr::new(ip.into(), u16::from_be(v4.sin_port)))
            }
            libc::AF_INET6 if holds(size_of::<libc::sockaddr_in6>()) => {
                // SAFETY: as above.
                let v6 = unsafe { &*address.cast::<libc::sockaddr_in6>() };
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                Some(SocketAddr::new(ip.into(), u16::from_be(v6.sin6_port)))
            }
            _ => None,
        }
    }
}

impl Slot {
    /// Makes the control message that says where a query was sent to one that says where its answer
    /// is sent from: it is the same, less the interface, which routing should choose.
    ///
    /// Only an answer to a link-local address has to leave by the interface that the query came by.
    fn answer_from_where_it_was_asked(&mut self) {
        let message = &mut self.control.0[..self.control_len];
        let interface = match (number(message, LEVEL_AT), number(message, TYPE_AT)) {
            // `in_pktinfo` is the interface, the local address, and the address in the packet.
            (Some(libc::IPPROTO_IP), Some(libc::IP_PKTINFO)) => CONTENT_AT,
            // `in6_pktinfo` is the address and the interface.
            (Some(libc::IPPROTO_IPV6), Some(libc::IPV6_PKTINFO)) => {
                match message.get(CONTENT_AT..CONTENT_AT + 2) {
                    Some([0xfe, second]) if second & 0xc0 == 0x80 => return,
                    _ => CONTENT_AT + 16,
                }
            }
            _ => {
                self.control_len = 0;
                return;
            }
        };
        if let Some(interface) = message.get_mut(interface..interface + 4) {
            interface.fill(0);
        }
    }
}

/// Makes a header with one vector, of which only the pointers are missing.
fn message_header(peer_len: libc::socklen_t, control_len: usize) -> libc::mmsghdr {
    // SAFETY: zero is a valid value of every field.
    let mut header: libc::mmsghdr = unsafe { mem::zeroed() };
    header.msg_hdr.msg_namelen = peer_len;
    header.msg_hdr.msg_iovlen = 1;
    header.msg_hdr.msg_controllen = control_len;
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An address as the kernel writes it.
    fn peer(address: SocketAddr) -> (Peer, libc::socklen_t) {
        let address = socket2::SockAddr::from(address);
        let len = address.len();
        let mut peer = Peer(
            // SAFETY: zero is a valid value of every field.
            unsafe { mem::zeroed() },
        );
        // SAFETY: the address is `len` bytes long, and the storage at least as long.
        unsafe {
            let to = (&raw mut peer.0).cast::<u8>();
            std::ptr::copy_nonoverlapping(address.as_ptr().cast(), to, len as usize);
        }
        (peer, len)
    }

    #[test]
    fn who_asks_is_read_from_a_whole_address_alone() {
        for text in ["127.0.0.1:4660", "[2001:db8::1]:4660"] {
            let address = text.parse().unwrap();
            let (mut peer, len) = peer(address);
            assert_eq!(peer.address(len), Some(address));
            assert_eq!(peer.address(PEER_BYTES), Some(address));
            assert_eq!(peer.address(len - 1), None, "{text} is cut");
            assert_eq!(peer.address(0), None, "{text} isn't there");
            peer.0.ss_family = libc::AF_UNIX as libc::sa_family_t;
            assert_eq!(peer.address(len), None);
        }
    }
}
