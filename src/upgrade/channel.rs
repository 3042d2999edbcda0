//! The Unix socket between an old and a new process.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::net,
    },
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use socket2::{Domain, Socket, Type};
use tokio::{io::Interest, net::UnixStream};

use super::Message;

/// The longest message, in bytes.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// One end; a message is sent and received in one piece, with at most one descriptor.
#[derive(Debug)]
pub(super) struct Channel(UnixStream);

impl Channel {
    /// Creates one end for this process and one to give away.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = Socket::pair(Domain::UNIX, Type::SEQPACKET, None)?;
        Ok((Self::new(ours.into())?, theirs.into()))
    }

    /// Takes an end that was given to this process.
    pub(super) fn new(end: OwnedFd) -> io::Result<Self> {
        let end = net::UnixStream::from(end);
        end.set_nonblocking(true)?;
        UnixStream::from_std(end).map(Self)
    }

    /// Sends a message, and a descriptor with it.
    pub(super) async fn send(
        &self,
        message: &Message,
        descriptor: Option<BorrowedFd<'_>>,
    ) -> io::Result<()> {
        let bytes = serde_json::to_vec(message)?;
        let send = || {
            let descriptors: Vec<_> = descriptor.into_iter().collect();
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty() {
                control.push(SendAncillaryMessage::ScmRights(&descriptors));
            }
            let sent = sendmsg(
                &self.0,
                &[IoSlice::new(&bytes)],
                &mut control,
                SendFlags::NOSIGNAL,
            );
            Ok(sent?)
        };
        self.0.async_io(Interest::WRITABLE, send).await.map(drop)
    }

    /// Waits for a message and the descriptor that comes with it.
    ///
    /// # Errors
    ///
    /// `UnexpectedEof` when the other process is gone.
    pub(super) async fn receive(&self) -> io::Result<(Message, Option<OwnedFd>)> {
        let mut bytes = vec![0; MESSAGE_BYTES_MAX];
        let receive = || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut room = [IoSliceMut::new(&mut bytes)];
            let received = recvmsg(&self.0, &mut room, &mut control, RecvFlags::CMSG_CLOEXEC)?;
            if received.flags.contains(ReturnFlags::TRUNC) {
                return Err(io::Error::other("a message is too long"));
            }
            let mut descriptors = control.drain().filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
                _ => None,
            });
            let descriptor = descriptors.next().and_then(|mut few| few.next());
            Ok((received.bytes, descriptor))
        };
        let (count, descriptor) = self.0.async_io(Interest::READABLE, receive).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok((serde_json::from_slice(&bytes[..count])?, descriptor))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{SocketAddr, TcpListener},
        os::fd::AsFd,
    };

    use super::*;
    use crate::inherited::Part;

    #[tokio::test]
    async fn messages_arrive_whole_with_their_sockets() {
        let (ours, theirs) = Channel::pair().unwrap();
        let theirs = Channel::new(theirs).unwrap();
        let sockets = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        for socket in &sockets {
            let listen = socket.local_addr().unwrap();
            let part = Part::Proxy;
            let message = Message::Socket { part, listen };
            ours.send(&message, Some(socket.as_fd())).await.unwrap();
        }
        ours.send(&Message::Ready, None).await.unwrap();
        for socket in &sockets {
            let expected = socket.local_addr().unwrap();
            let (Message::Socket { listen, .. }, Some(descriptor)) =
                theirs.receive().await.unwrap()
            else {
                panic!("no socket");
            };
            let received: SocketAddr = TcpListener::from(descriptor).local_addr().unwrap();
            assert_eq!((listen, received), (expected, expected));
        }
        assert!(matches!(
            theirs.receive().await.unwrap(),
            (Message::Ready, None)
        ));
        drop(ours);
        let error = theirs.receive().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
