//! Clients that leave before they have got their response.

use std::mem::MaybeUninit;

use socket2::SockRef;
use tokio::{io::Interest, net::TcpStream};

/// Returns when a client that waits for its response has left.
///
/// A reset says so. The end of what it sends may be all that it had to say; the configuration tells.
/// Behind the begin of another request such an end isn't seen.
pub(crate) async fn left(client: &TcpStream, abort_on_close: bool) {
    let mut interest = match abort_on_close {
        true => Interest::ERROR | Interest::READABLE,
        false => Interest::ERROR,
    };
    while let Ok(ready) = client.ready(interest).await {
        if ready.is_error() || ready.is_read_closed() && interest.is_readable() {
            return;
        }
        // Perhaps only what the runtime remembers of the last read; asking makes sure and clears it.
        let peek = || SockRef::from(client).peek(&mut [MaybeUninit::uninit()]);
        match client.try_io(Interest::READABLE, peek) {
            Ok(0) => return,
            Ok(_) => interest = Interest::ERROR,
            Err(_) => {}
        }
    }
}
