//! Bytes from one connection to another without a copy into this program (splice(2)).

use std::{cell::RefCell, future::poll_fn, io, os::fd::OwnedFd, task::ready};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::{io::Interest, net::TcpStream};

/// How much a pipe holds, in bytes, if the system allows it.
pub(crate) const PIPE_BYTES: usize = 256 << 10;

/// How many pipes one worker keeps for later.
const PIPES_MAX: usize = 64;

/// Keeps one worker's unused pipes.
#[derive(Debug, Default)]
pub(crate) struct Pipes(RefCell<Vec<Pipe>>);

/// Holds what is between two connections, in the kernel.
#[derive(Debug)]
pub(crate) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    filled: usize,
}

impl Pipes {
    /// Takes an empty pipe.
    ///
    /// # Errors
    ///
    /// Returns what the system says, such as that there are too many open files.
    pub(crate) fn take(&self) -> io::Result<Pipe> {
        match self.0.borrow_mut().pop() {
            Some(pipe) => Ok(pipe),
            None => Pipe::new(),
        }
    }

    /// Gives a pipe back; one that isn't empty is closed.
    pub(crate) fn give(&self, pipe: Pipe) {
        let mut pipes = self.0.borrow_mut();
        if pipe.filled == 0 && pipes.len() < PIPES_MAX {
            pipes.push(pipe);
        }
    }
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // Where there is less, it takes more steps.
        fcntl_setpipe_size(&write, PIPE_BYTES).ok();
        Ok(Self {
            read,
            write,
            filled: 0,
        })
    }

    /// Returns how many bytes are in it.
    pub(crate) fn filled(&self) -> usize {
        self.filled
    }

    /// Takes what has come, at most `most` bytes; 0 bytes are the end. It must be empty.
    pub(crate) async fn fill(&mut self, from: &TcpStream, most: usize) -> io::Result<usize> {
        let write = &self.write;
        let moved = poll_fn(|cx| {
            loop {
                ready!(from.poll_read_ready(cx))?;
                let moved = from.try_io(Interest::READABLE, || {
                    Ok(splice(from, None, write, None, most, FLAGS)?)
                });
                match moved {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    moved => return std::task::Poll::Ready(moved),
                }
            }
        })
        .await?;
        self.filled += moved;
        Ok(moved)
    }

    /// Gives on some of what is in it, at least one byte.
    pub(crate) async fn drain(&mut self, to: &TcpStream) -> io::Result<usize> {
        let (read, filled) = (&self.read, self.filled);
        let moved = poll_fn(|cx| {
            loop {
                ready!(to.poll_write_ready(cx))?;
                let moved = to.try_io(Interest::WRITABLE, || {
                    Ok(splice(read, None, to, None, filled, FLAGS)?)
                });
                match moved {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    moved => return std::task::Poll::Ready(moved),
                }
            }
        })
        .await?;
        self.filled -= moved;
        match moved {
            0 => Err(io::ErrorKind::WriteZero.into()),
            moved => Ok(moved),
        }
    }
}

const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (client, server) = tokio::join!(client, listener.accept());
        (client.unwrap(), server.unwrap().0)
    }

    #[tokio::test]
    async fn bytes_go_through_in_order_and_the_end_is_seen() {
        let ((mut sender, from), (to, mut receiver)) = (pair().await, pair().await);
        let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let expected = sent.clone();
        let sending = async {
            sender.write_all(&sent).await.unwrap();
            drop(sender);
        };
        let carrying = async {
            let pipes = Pipes::default();
            let mut pipe = pipes.take().unwrap();
            while pipe.fill(&from, 1 << 20).await.unwrap() > 0 {
                while pipe.filled() > 0 {
                    pipe.drain(&to).await.unwrap();
                }
            }
            pipes.give(pipe);
            assert_eq!(pipes.0.borrow().len(), 1);
            drop(to);
        };
        let receiving = async {
            let mut received = Vec::new();
            receiver.read_to_end(&mut received).await.unwrap();
            received
        };
        let ((), (), received) = tokio::join!(sending, carrying, receiving);
        assert!(received == expected);
    }

    #[tokio::test]
    async fn a_pipe_that_is_not_empty_is_used_by_nobody_else() {
        let ((mut sender, from), _to) = (pair().await, pair().await);
        sender.write_all(b"secret").await.unwrap();
        let pipes = Pipes::default();
        let mut pipe = pipes.take().unwrap();
        assert_eq!(pipe.fill(&from, 6).await.unwrap(), 6);
        pipes.give(pipe);
        assert!(pipes.0.borrow().is_empty());
    }
}
